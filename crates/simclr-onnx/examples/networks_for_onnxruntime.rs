//! Writes networks of every architecture as ONNX into a folder, each with ten images and what our
//! network makes of them, for `check.py` to compare with onnxruntime. 3 GB.
//!
//! `cargo run --release -p simclr-onnx --example networks_for_onnxruntime -- DIR`

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;

use candle_core::{Device, Tensor};
use simclr_model::{Mode, ProjectionHeadConfig, ResNetConfig, SimClr, SimClrConfig, Stem};
use simclr_onnx::{OnnxOptions, export_onnx};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1);
    let folder = folder.ok_or("usage: networks_for_onnxruntime DIR")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    for (name, encoder, size, layers) in networks() {
        write(folder, &name, encoder, size, layers)?;
        println!("{name}");
    }
    Ok(())
}

/// Names, networks, sides of images and layers of the projection head: odd and even sides pad
/// differently.
fn networks() -> Vec<(String, ResNetConfig, usize, usize)> {
    let mut networks = Vec::new();
    for depth in [18, 34, 50, 101, 152] {
        let plain = ResNetConfig::depth(depth);
        let selective = plain.clone().with_sk_ratio(0.0625);
        networks.push((format!("r{depth}_1x_sk0"), plain.clone(), 64, 3));
        networks.push((format!("r{depth}_1x_sk1"), selective, 65, 2));
        networks.push((
            format!("r{depth}_cifar"),
            plain.with_stem(Stem::Cifar),
            32,
            1,
        ));
    }
    for depth in [18, 50] {
        let wide = ResNetConfig::depth(depth).with_width_multiplier(2);
        networks.push((format!("r{depth}_2x_sk0"), wide.clone(), 64, 3));
        networks.push((
            format!("r{depth}_2x_sk1"),
            wide.with_sk_ratio(0.0625),
            65,
            3,
        ));
        let theirs = ResNetConfig::depth(depth).torchvision();
        networks.push((format!("r{depth}_torchvision"), theirs, 64, 0));
        let excited = ResNetConfig::depth(depth).with_se_ratio(0.25);
        networks.push((format!("r{depth}_se"), excited, 64, 3));
        let cifar = ResNetConfig::depth(depth).with_stem(Stem::Cifar);
        networks.push((
            format!("r{depth}_cifar_sk1"),
            cifar.with_sk_ratio(0.0625),
            33,
            3,
        ));
    }
    networks
}

fn write(
    folder: &Path,
    name: &str,
    encoder: ResNetConfig,
    size: usize,
    layers: usize,
) -> Result<(), Box<dyn Error>> {
    let head = match layers {
        0 => ProjectionHeadConfig::none(),
        1 => ProjectionHeadConfig::linear(),
        layers => ProjectionHeadConfig::default().with_layers(layers),
    };
    let config = SimClrConfig::new(encoder.with_zero_init_last_gamma(false))
        .with_projection_head(head)
        .with_classes(10);
    let model = SimClr::initialize(&config, 3, &Device::Cpu)?;
    let images = Tensor::rand(0f32, 1f32, (10, size, size, 3), &Device::Cpu)?;
    // The moving statistics become those of some images.
    model.forward(&images, Mode::Train)?;
    let output = model.forward(&images, Mode::Infer)?;
    let mut tensors = HashMap::from([
        (
            "images".to_owned(),
            images.permute((0, 3, 1, 2))?.contiguous()?,
        ),
        ("representation".to_owned(), output.h().clone()),
    ]);
    tensors.extend(output.logits.map(|logits| ("logits".to_owned(), logits)));
    if layers > 0 {
        tensors.insert("projection".to_owned(), output.projection);
    }
    candle_core::safetensors::save(&tensors, folder.join(format!("{name}.safetensors")))?;
    let options = OnnxOptions::default().with_image_size(size);
    export_onnx(&model, folder.join(format!("{name}.onnx")), &options)?;
    Ok(())
}
