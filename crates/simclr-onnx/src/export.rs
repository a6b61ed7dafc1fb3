//! From a network to a file.

use std::path::Path;

use candle_core::Tensor;
use prost::Message;
use simclr_files::{Durability, write_atomically};
use simclr_model::{FrozenEncoder, Parameter, ResNetConfig, SimClr};

use crate::error::{Error, Result};
use crate::graph::{Graph, Layout, integer, integers, value};
use crate::options::{InputLayout, OnnxOptions};
use crate::proto;
use crate::resnet::ResNet;

/// The version of the file format of ONNX 1.12, whose operators are those of opset 17.
const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;

/// A protobuf message has at most 2 GiB; this is left for everything but values.
const MOST_BYTES: u64 = (1 << 31) - (1 << 24);

const IMAGES: &str = "images";
const REPRESENTATION: &str = "representation";
const PROJECTION: &str = "projection";
const LOGITS: &str = "logits";
const PROBABILITIES: &str = "probabilities";

/// Writes a network as an ONNX file, in inference: `images` in, `representation` and, if it has
/// such heads and the options keep them, `projection` and `logits` out.
///
/// # Errors
/// [`Error::Model`] if the image's size is too small for the network, [`Error::TooLarge`] if its
/// values take more than a file of ONNX holds, [`Error::File`] if it cannot be written. Then an
/// older file of this name stays as it is.
pub fn export_onnx(model: &SimClr, path: impl AsRef<Path>, options: &OnnxOptions) -> Result<()> {
    let path = path.as_ref();
    check(&model.config().encoder, model.parameters(), path, options)?;
    write(network(model, options)?, path, options)
}

/// Writes an encoder with a dense layer on its representation as an ONNX file: `images` in,
/// `representation`, `logits` and `probabilities` out.
///
/// # Errors
/// As [`export_onnx`]; [`Error::Tensor`] if kernel and bias do not fit the representation.
pub fn export_classifier_onnx(
    encoder: &FrozenEncoder,
    head: &ClassHead,
    path: impl AsRef<Path>,
    options: &OnnxOptions,
) -> Result<()> {
    let path = path.as_ref();
    check(encoder.config(), encoder.parameters(), path, options)?;
    write(classifier(encoder, head, options)?, path, options)
}

/// A dense layer that gives classes: `probabilities = softmax((x kernel + bias) / temperature)`,
/// with the representation `x`, scaled to length 1 if that is asked for.
#[derive(Debug, Clone)]
pub struct ClassHead {
    /// `[features, classes]`.
    pub kernel: Tensor,
    /// `[classes]`.
    pub bias: Tensor,
    /// Whether representations are divided by their length first.
    pub unit_length: bool,
    /// What logits are divided by for the probabilities.
    pub temperature: f64,
}

/// That the images are large enough, and the file will not be too large.
fn check<'a>(
    encoder: &ResNetConfig,
    parameters: impl IntoIterator<Item = &'a Parameter>,
    path: &Path,
    options: &OnnxOptions,
) -> Result<()> {
    encoder.check_image_size(options.height, options.width)?;
    let counts = parameters.into_iter().map(|p| p.spec.element_count());
    let bytes = counts.sum::<usize>() as u64 * 4;
    if bytes > MOST_BYTES {
        return Err(Error::TooLarge {
            path: path.to_owned(),
            bytes,
            most: MOST_BYTES,
        });
    }
    Ok(())
}

fn write(graph: proto::Graph, path: &Path, options: &OnnxOptions) -> Result<()> {
    let mut metadata = options.metadata.clone();
    let input = format!("RGB, f32 in [0, 1], {}", layout(options.layout));
    metadata.insert("input".to_owned(), input);
    let properties = metadata.into_iter();
    let file = proto::Model {
        ir_version: IR_VERSION,
        producer_name: "simclr".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(graph),
        opset_import: vec![proto::OperatorSet {
            domain: String::new(),
            version: OPSET,
        }],
        metadata_props: properties
            .map(|(key, value)| proto::Property { key, value })
            .collect(),
    };
    let bytes = file.encode_to_vec();
    write_atomically(path, Durability::Buffered, |out| {
        out.write_all(&bytes)
            .map_err(|error| Error::File(simclr_files::Error::io(path)(error)))
    })
}

fn layout(layout: InputLayout) -> &'static str {
    match layout {
        InputLayout::Nchw => "[n, 3, height, width]",
        InputLayout::Nhwc => "[n, height, width, 3]",
    }
}

/// The encoder's part of a graph: its input, and the representation.
fn encoder(
    graph: &mut Graph<'_>,
    config: &ResNetConfig,
    options: &OnnxOptions,
) -> Result<proto::ValueInfo> {
    let (height, width) = (options.height, options.width);
    let (input, images) = match options.layout {
        InputLayout::Nchw => (value(IMAGES, &[3, height, width]), IMAGES.to_owned()),
        InputLayout::Nhwc => {
            let order = vec![integers("perm", &[0, 3, 1, 2])];
            let images = graph.node("Transpose", "encoder.input", &[IMAGES], order);
            (value(IMAGES, &[height, width, 3]), images)
        }
    };
    let size = [height, width];
    ResNet {
        graph,
        config,
        size,
    }
    .encoder(images, REPRESENTATION)?;
    Ok(input)
}

fn classifier(
    network: &FrozenEncoder,
    head: &ClassHead,
    options: &OnnxOptions,
) -> Result<proto::Graph> {
    let config = network.config();
    let features = config.feature_size()?;
    let classes = head.bias.elem_count();
    let mut graph = Graph::new(network.parameters());
    let input = encoder(&mut graph, config, options)?;
    let mut x = REPRESENTATION.to_owned();
    if head.unit_length {
        let attributes = vec![integer("axis", -1), integer("p", 2)];
        x = graph.node("LpNormalization", "head.unit_length", &[&x], attributes);
    }
    graph.constant("head.kernel", &head.kernel.reshape((features, classes))?)?;
    graph.constant("head.bias", &head.bias.flatten_all()?)?;
    let temperature = Tensor::new(&[head.temperature as f32], head.bias.device())?;
    graph.constant("head.temperature", &temperature)?;
    graph.node("Gemm", LOGITS, &[&x, "head.kernel", "head.bias"], vec![]);
    let inputs = [LOGITS, "head.temperature"];
    let scaled = graph.node("Div", "head.scaled", &inputs, vec![]);
    graph.node(
        "Softmax",
        PROBABILITIES,
        &[&scaled],
        vec![integer("axis", -1)],
    );
    let outputs = vec![
        value(REPRESENTATION, &[features]),
        value(LOGITS, &[classes]),
        value(PROBABILITIES, &[classes]),
    ];
    Ok(graph.finish(&format!("ResNet-{}", config.depth), input, outputs))
}

fn network(model: &SimClr, options: &OnnxOptions) -> Result<proto::Graph> {
    let config = model.config();
    let mut graph = Graph::new(model.parameters());
    let input = encoder(&mut graph, &config.encoder, options)?;
    let mut network = ResNet {
        graph: &mut graph,
        config: &config.encoder,
        size: [options.height, options.width],
    };
    let features = config.encoder.feature_size()?;
    let mut outputs = vec![value(REPRESENTATION, &[features])];
    if options.heads {
        let head = &config.projection_head;
        let levels = projection_head(&mut network, head.depth())?;
        if let [_, .., last] = levels.as_slice() {
            network.graph.node("Identity", PROJECTION, &[last], vec![]);
            outputs.push(value(PROJECTION, &[head.output_size]));
        }
        if let Some(supervised) = &config.supervised_head {
            let level = levels.get(head.selected_level()?);
            let input = level.map_or(REPRESENTATION, String::as_str);
            let kernel = network
                .graph
                .parameter("supervised_head.dense.kernel", Layout::Same)?;
            let bias = network
                .graph
                .parameter("supervised_head.dense.bias", Layout::Same)?;
            network
                .graph
                .node("Gemm", LOGITS, &[input, &kernel, &bias], vec![]);
            outputs.push(value(LOGITS, &[supervised.num_classes]));
        }
    }
    Ok(graph.finish(&format!("ResNet-{}", config.encoder.depth), input, outputs))
}

/// The head's levels: the representation, then the output of each layer.
fn projection_head(network: &mut ResNet<'_, '_>, depth: usize) -> Result<Vec<String>> {
    let mut levels = vec![REPRESENTATION.to_owned()];
    for layer in 0..depth {
        let path = format!("projection_head.layer{layer}");
        let input = levels
            .last()
            .map_or(REPRESENTATION, String::as_str)
            .to_owned();
        let kernel = network
            .graph
            .parameter(&format!("{path}.dense.kernel"), Layout::Same)?;
        let y = network.graph.node(
            "MatMul",
            &format!("{path}.dense"),
            &[&input, &kernel],
            vec![],
        );
        let y = network.batch_norm(&format!("{path}.batch_norm"), &y)?;
        levels.push(if layer + 1 == depth {
            y
        } else {
            network.graph.node("Relu", &path, &[&y], vec![])
        });
    }
    Ok(levels)
}
