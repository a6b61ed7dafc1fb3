//! Networks saved by PyTorch.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;

use candle_core::{Device, Tensor};
use simclr_checkpoint::{
    CheckpointFile, SafetensorsReader, Source, export_torchvision, import, save_model,
};
use simclr_model::{ResNetConfig, SimClr, SimClrConfig};

/// Name, shape and values.
type Named = (String, Vec<usize>, Vec<f32>);

/// Writes what `torch.save` writes for a dictionary of `f32` tensors, the pickle by hand. The
/// dictionary may lie inside another one.
fn write_pth(path: &Path, outer: Option<&str>, tensors: &[Named]) {
    write_strided_pth(path, outer, tensors, contiguous);
}

/// The strides of row-major values.
fn contiguous(shape: &[usize]) -> Vec<usize> {
    let axes = 0..shape.len();
    axes.map(|axis| shape[axis + 1..].iter().product())
        .collect()
}

fn write_strided_pth(
    path: &Path,
    outer: Option<&str>,
    tensors: &[Named],
    strides: impl Fn(&[usize]) -> Vec<usize>,
) {
    let mut pickle = vec![0x80, 2];
    if let Some(key) = outer {
        pickle.extend(b"}(");
        push_text(&mut pickle, "epoch");
        pickle.extend(b"K\x07");
        // Some scripts keep the best accuracy as a tensor.
        push_tensor(&mut pickle, "best_acc1", 0, (&[1], &[1]), 1);
        push_text(&mut pickle, key);
    }
    pickle.extend(b"}(");
    for (index, (name, shape, values)) in tensors.iter().enumerate() {
        push_tensor(
            &mut pickle,
            name,
            index,
            (shape, &strides(shape)),
            values.len(),
        );
    }
    pickle.push(b'u');
    if outer.is_some() {
        pickle.push(b'u');
    }
    pickle.push(b'.');

    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut archive = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    archive.start_file("archive/data.pkl", options).unwrap();
    archive.write_all(&pickle).unwrap();
    for (index, (_, _, values)) in tensors.iter().enumerate() {
        archive
            .start_file(format!("archive/data/{index}"), options)
            .unwrap();
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        archive.write_all(&bytes).unwrap();
    }
    archive.finish().unwrap();
}

/// A name and a tensor of this shape and these strides, whose values are in the file of this
/// number.
fn push_tensor(
    pickle: &mut Vec<u8>,
    name: &str,
    file: usize,
    (shape, strides): (&[usize], &[usize]),
    count: usize,
) {
    push_text(pickle, name);
    pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
    push_text(pickle, "storage");
    pickle.extend(b"ctorch\nFloatStorage\n");
    push_text(pickle, &file.to_string());
    push_text(pickle, "cpu");
    push_integer(pickle, count);
    pickle.extend(b"tQK\x00(");
    for &size in shape {
        push_integer(pickle, size);
    }
    pickle.extend(b"t(");
    for &stride in strides {
        push_integer(pickle, stride);
    }
    pickle.extend(b"t\x89ccollections\nOrderedDict\n)RtR");
}

fn push_text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend((text.len() as u32).to_le_bytes());
    pickle.extend(text.as_bytes());
}

fn push_integer(pickle: &mut Vec<u8>, value: usize) {
    pickle.push(b'J');
    pickle.extend((value as i32).to_le_bytes());
}

/// A network in our format, and its tensors with torchvision's names.
fn network(folder: &Path) -> (CheckpointFile, Vec<Named>) {
    let config = SimClrConfig::new(ResNetConfig::depth(18)).with_classes(4);
    let model = SimClr::initialize(&config, 3, &Device::Cpu).unwrap();
    let (ours, theirs) = (
        folder.join("ours.safetensors"),
        folder.join("theirs.safetensors"),
    );
    save_model(&ours, &model, Source::default()).unwrap();
    export_torchvision(&ours, &theirs).unwrap();
    let file = SafetensorsReader::open(&theirs).unwrap();
    let tensors = file.tensors().iter().map(|(name, entry)| {
        let values = file.read(name).unwrap().values.into_f32();
        (name.clone(), entry.shape.clone(), values)
    });
    (
        CheckpointFile::load(&ours, &Device::Cpu).unwrap(),
        tensors.collect(),
    )
}

#[test]
fn a_pickled_network_is_the_same_as_the_one_in_safetensors() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, tensors) = network(folder.path());
    let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let names = ["network.pth", "network.pth.tar", "last.ckpt"];
    for (outer, name) in [None, Some("state_dict"), Some("model")]
        .into_iter()
        .zip(names)
    {
        let path = folder.path().join(name);
        write_pth(&path, outer, &tensors);
        let imported = import(&path).unwrap();
        assert_eq!(
            imported.config.encoder,
            ResNetConfig::depth(18)
                .torchvision()
                .with_identity_shortcuts(false)
        );
        let loaded = imported.load(&Device::Cpu).unwrap();
        assert_eq!(loaded.tensors.len(), tensors.len());
        for (name, tensor) in &loaded.tensors {
            assert_eq!(tensor.dims(), ours.tensors[name].dims(), "{name}");
            assert_eq!(flat(tensor), flat(&ours.tensors[name]), "{name}");
        }
    }
}

#[test]
fn tensors_of_another_memory_format_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.pth");
    let (_, tensors) = network(folder.path());
    let channels_last = |shape: &[usize]| match *shape {
        [_, input, height, width] => vec![height * width * input, 1, width * input, input],
        _ => contiguous(shape),
    };
    write_strided_pth(&path, None, &tensors, channels_last);
    let error = import(&path).err().unwrap().to_string();
    assert!(error.contains("network.pth: tensor `"), "{error}");
    assert!(error.contains("not contiguous"), "{error}");
}

#[test]
fn damaged_pickles_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.pth");
    let error = || import(&path).err().unwrap().to_string();
    std::fs::write(&path, b"").unwrap();
    assert!(error().contains("network.pth"), "{}", error());
    std::fs::write(&path, b"PK\x03\x04 and no more").unwrap();
    assert!(error().contains("network.pth"), "{}", error());
    write_pth(&path, None, &[]);
    assert!(error().contains("no dictionary of tensors"), "{}", error());
    // Claims more than the file has.
    write_pth(
        &path,
        None,
        &[("conv1.weight".into(), vec![1 << 20, 3, 7, 7], vec![0.0; 64])],
    );
    assert!(error().contains("network.pth"), "{}", error());
    let (_, tensors) = network(folder.path());
    write_pth(&path, None, &tensors);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(error().contains("network.pth"), "{}", error());
}

/// A zip file with these names in it.
fn write_zip(path: &Path, names: &[&str]) {
    let options = zip::write::SimpleFileOptions::default();
    let mut archive = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    for name in names {
        archive.start_file(*name, options).unwrap();
        archive.write_all(b"some bytes").unwrap();
    }
    archive.finish().unwrap();
}

#[test]
fn files_that_are_no_pickles_are_called_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = [
        "checkpoint",
        "m.ckpt-1.index",
        "m.ckpt-1.data-00000-of-00001",
    ];
    for name in ["checkpoint.zip", "checkpoint.ckpt", "checkpoint.pth"] {
        let path = folder.path().join(name);
        write_zip(&path, &checkpoint);
        let error = import(&path).unwrap_err().to_string();
        assert!(error.contains("a zipped TensorFlow checkpoint"), "{error}");
        assert!(error.contains("unpack it"), "{error}");
    }
    for name in ["legacy.pth", "legacy.pth.tar", "legacy.ckpt"] {
        let path = folder.path().join(name);
        std::fs::write(
            &path,
            b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.",
        )
        .unwrap();
        let error = import(&path).unwrap_err().to_string();
        assert!(error.contains("saved by PyTorch before 1.6"), "{error}");
    }
}
