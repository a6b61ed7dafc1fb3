//! From a network to a file.

use std::path::Path;

use prost::Message;
use simclr_files::{Durability, write_atomically};
use simclr_model::SimClr;

use crate::error::{Error, Result};
use crate::graph::{Graph, Layout, integers, value};
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

/// Writes a network as an ONNX file, in inference: `images` in, `representation` and, if it has
/// such heads and the options keep them, `projection` and `logits` out.
///
/// # Errors
/// [`Error::Model`] if the image's size is too small for the network, [`Error::TooLarge`] if its
/// values take more than a file of ONNX holds, [`Error::File`] if it cannot be written. Then an
/// older file of this name stays as it is.
pub fn export_onnx(model: &SimClr, path: impl AsRef<Path>, options: &OnnxOptions) -> Result<()> {
    let path = path.as_ref();
    let encoder = &model.config().encoder;
    encoder.check_image_size(options.height, options.width)?;
    let values: usize = model.parameters().map(|p| p.spec.element_count()).sum();
    let bytes = values as u64 * 4;
    if bytes > MOST_BYTES {
        return Err(Error::TooLarge {
            path: path.to_owned(),
            bytes,
            most: MOST_BYTES,
        });
    }
    let file = proto::Model {
        ir_version: IR_VERSION,
        producer_name: "simclr".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(graph(model, options)?),
        opset_import: vec![proto::OperatorSet {
            domain: String::new(),
            version: OPSET,
        }],
        metadata_props: vec![proto::Property {
            key: "input".to_owned(),
            value: format!("RGB, f32 in [0, 1], {}", layout(options.layout)),
        }],
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

fn graph(model: &SimClr, options: &OnnxOptions) -> Result<proto::Graph> {
    let (height, width) = (options.height, options.width);
    let config = model.config();
    let mut graph = Graph::new(model);
    let (input, images) = match options.layout {
        InputLayout::Nchw => (value(IMAGES, &[3, height, width]), IMAGES.to_owned()),
        InputLayout::Nhwc => {
            let order = vec![integers("perm", &[0, 3, 1, 2])];
            let images = graph.node("Transpose", "encoder.input", &[IMAGES], order);
            (value(IMAGES, &[height, width, 3]), images)
        }
    };
    let mut network = ResNet {
        graph: &mut graph,
        config: &config.encoder,
        size: [height, width],
    };
    network.encoder(images, REPRESENTATION)?;
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
