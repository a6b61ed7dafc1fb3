//! Exported graphs compute what their networks compute. A small evaluator runs them here, operator
//! by operator after ONNX's specification; CONTRIBUTING says how onnxruntime does.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, unreachable_pub)]
#[path = "../src/proto.rs"]
mod proto;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{D, Device, Tensor};
use prost::Message;
use simclr_model::{
    FineTuneFrom, Mode, ProjectionHeadConfig, ResNetConfig, SimClr, SimClrConfig, Stem,
    StridePlacement,
};
use simclr_onnx::{
    ClassHead, Error, InputLayout, OnnxOptions, export_classifier_onnx, export_onnx,
};

/// The attributes of a node.
struct Attributes<'a>(&'a proto::Node);

impl Attributes<'_> {
    fn ints(&self, name: &str) -> Option<Vec<usize>> {
        let attribute = self
            .0
            .attribute
            .iter()
            .find(|attribute| attribute.name == name)?;
        Some(attribute.ints.iter().map(|&value| value as usize).collect())
    }

    fn int(&self, name: &str) -> i64 {
        let mut attributes = self.0.attribute.iter();
        attributes
            .find(|attribute| attribute.name == name)
            .map_or(0, |attribute| attribute.i)
    }
}

/// Adds rows and columns of this value: top, left, bottom, right.
fn padded(x: &Tensor, pads: &[usize], value: f32) -> Tensor {
    let mut x = x.clone();
    for (axis, before, after) in [(2, pads[0], pads[2]), (3, pads[1], pads[3])] {
        let border = |count: usize, x: &Tensor| {
            let mut shape = x.dims().to_vec();
            shape[axis] = count;
            Tensor::full(value, shape, &Device::Cpu).unwrap()
        };
        x = Tensor::cat(&[border(before, &x), x.clone(), border(after, &x)], axis).unwrap();
    }
    x
}

fn evaluate(node: &proto::Node, inputs: &[&Tensor]) -> candle_core::Result<Vec<Tensor>> {
    let attributes = Attributes(node);
    let pads = attributes.ints("pads").unwrap_or(vec![0; 4]);
    let strides = attributes.ints("strides").unwrap_or(vec![1; 2]);
    let window = |x: &Tensor, value: f32| {
        let kernel = attributes.ints("kernel_shape").unwrap();
        (
            padded(x, &pads, value),
            (kernel[0], kernel[1]),
            (strides[0], strides[1]),
        )
    };
    let x = inputs[0];
    Ok(vec![match node.op_type.as_str() {
        "Transpose" => x.permute(attributes.ints("perm").unwrap())?,
        "Sub" => x.broadcast_sub(inputs[1])?,
        "Div" => x.broadcast_div(inputs[1])?,
        "Mul" => x.broadcast_mul(inputs[1])?,
        "Add" => x.broadcast_add(inputs[1])?,
        "Relu" => x.relu()?,
        "Sigmoid" => (x.neg()?.exp()? + 1.0)?.recip()?,
        "Identity" => x.clone(),
        "MatMul" => x.matmul(inputs[1])?,
        "Gemm" => x.matmul(inputs[1])?.broadcast_add(inputs[2])?,
        "LpNormalization" => {
            assert_eq!((attributes.int("axis"), attributes.int("p")), (-1, 2));
            x.broadcast_div(&x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?)?
        }
        "Softmax" => {
            assert_eq!(attributes.int("axis"), -1);
            let shares = x.exp()?;
            shares.broadcast_div(&shares.sum_keepdim(D::Minus1)?)?
        }
        "Flatten" => x.flatten_from(1)?,
        "GlobalAveragePool" => x.mean_keepdim((2, 3))?,
        "Conv" => {
            let y = padded(x, &pads, 0.0).conv2d(inputs[1], 0, strides[0], 1, 1)?;
            match inputs.get(2) {
                Some(bias) => y.broadcast_add(&bias.reshape((1, (), 1, 1))?)?,
                None => y,
            }
        }
        "MaxPool" => {
            let (x, kernel, strides) = window(x, f32::NEG_INFINITY);
            x.max_pool2d_with_stride(kernel, strides)?
        }
        "AveragePool" => {
            let (sum, kernel, strides) = window(x, 0.0);
            let average = sum.avg_pool2d_with_stride(kernel, strides)?;
            if attributes.int("count_include_pad") == 1 {
                average
            } else {
                let (inside, ..) = window(&x.ones_like()?, 0.0);
                (average / inside.avg_pool2d_with_stride(kernel, strides)?)?
            }
        }
        "BatchNormalization" => {
            let epsilon = node
                .attribute
                .iter()
                .find(|a| a.name == "epsilon")
                .unwrap()
                .f;
            let mut shape = vec![1; x.rank()];
            shape[1] = x.dim(1)?;
            let [gamma, beta, mean, variance] =
                [1, 2, 3, 4].map(|at| inputs[at].reshape(shape.as_slice()).unwrap());
            let scale = (gamma / (variance + f64::from(epsilon))?.sqrt()?)?;
            x.broadcast_sub(&mean)?
                .broadcast_mul(&scale)?
                .broadcast_add(&beta)?
        }
        "Split" => {
            let half = x.dim(1)? / 2;
            return Ok(vec![x.narrow(1, 0, half)?, x.narrow(1, half, half)?]);
        }
        other => unreachable!("{other}"),
    }])
}

/// Runs the graph of a file on images in its own layout.
fn run(path: &Path, images: &Tensor) -> BTreeMap<String, Tensor> {
    let model = proto::Model::decode(std::fs::read(path).unwrap().as_slice()).unwrap();
    assert_eq!(model.opset_import[0].version, 17);
    let graph = model.graph.unwrap();
    let mut values = BTreeMap::from([(graph.input[0].name.clone(), images.clone())]);
    for constant in &graph.initializer {
        let dims: Vec<usize> = constant.dims.iter().map(|&size| size as usize).collect();
        // Of integers only the sizes of halves, which `Split` here knows.
        let floats: Vec<f32> = constant
            .raw_data
            .as_chunks()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .take(dims.iter().product())
            .collect();
        values.insert(
            constant.name.clone(),
            Tensor::from_vec(floats, dims, &Device::Cpu).unwrap(),
        );
    }
    for node in &graph.node {
        let inputs: Vec<&Tensor> = node.input.iter().map(|name| &values[name]).collect();
        let outputs = evaluate(node, &inputs).unwrap();
        assert_eq!(outputs.len(), node.output.len());
        let named: Vec<_> = node.output.iter().cloned().zip(outputs).collect();
        for (name, output) in named {
            assert!(
                values.insert(name.clone(), output).is_none(),
                "two values named {name}"
            );
        }
    }
    let outputs = graph.output.iter();
    outputs
        .map(|output| (output.name.clone(), values[&output.name].clone()))
        .collect()
}

/// A network whose batch norms do something.
fn network(config: &SimClrConfig) -> SimClr {
    let model = SimClr::initialize(config, 7, &Device::Cpu).unwrap();
    for parameter in model.parameters() {
        let name = parameter.spec.name.as_str();
        let shape = parameter.spec.shape.as_slice();
        let (low, high) = match name.rsplit('.').next().unwrap() {
            "gamma" | "moving_variance" => (0.5, 1.5),
            "beta" | "moving_mean" | "bias" => (-0.2, 0.2),
            _ => continue,
        };
        let count: usize = shape.iter().product();
        let values =
            (0..count).map(|i| low + (high - low) * ((i * 37 + name.len()) % 101) as f32 / 101.0);
        let tensor = Tensor::from_vec(values.collect(), shape, &Device::Cpu).unwrap();
        parameter.variable.set(&tensor).unwrap();
    }
    model
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
    let scale = b
        .abs()
        .unwrap()
        .max_all()
        .unwrap()
        .to_scalar::<f32>()
        .unwrap();
    let difference = (a - b).unwrap().abs().unwrap().max_all().unwrap();
    difference.to_scalar::<f32>().unwrap() / scale.max(1.0)
}

#[test]
fn graphs_compute_what_the_networks_compute() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let three =
        ProjectionHeadConfig::default().with_fine_tune_from(FineTuneFrom::ProjectionLayer(1));
    let selective = ResNetConfig::depth(50).with_sk_ratio(0.0625);
    for (encoder, head, (height, width)) in [
        (ResNetConfig::depth(18), three.clone(), (33, 40)),
        (
            ResNetConfig::depth(18).with_stem(Stem::Cifar),
            ProjectionHeadConfig::linear(),
            (9, 8),
        ),
        (
            ResNetConfig::depth(34).torchvision(),
            ProjectionHeadConfig::none(),
            (32, 33),
        ),
        (
            ResNetConfig::depth(50).with_stride_placement(StridePlacement::First),
            three.clone(),
            (32, 32),
        ),
        (
            ResNetConfig::depth(18).with_width_multiplier(2),
            three.clone(),
            (32, 32),
        ),
        (selective.clone(), three.clone(), (33, 38)),
        (
            selective.with_se_ratio(0.25),
            three.with_layers(2),
            (35, 32),
        ),
    ] {
        let config = SimClrConfig::new(encoder)
            .with_projection_head(head)
            .with_classes(5);
        let model = network(&config);
        let images = Tensor::rand(0f32, 1f32, (2, height, width, 3), &Device::Cpu).unwrap();
        let expected = model.forward(&images, Mode::Infer).unwrap();
        for layout in [InputLayout::Nchw, InputLayout::Nhwc] {
            let mut options = OnnxOptions::default().with_layout(layout);
            (options.height, options.width) = (height, width);
            export_onnx(&model, &path, &options).unwrap();
            let images = match layout {
                InputLayout::Nchw => images.permute((0, 3, 1, 2)).unwrap(),
                InputLayout::Nhwc => images.clone(),
            };
            let outputs = run(&path, &images);
            let mut compared = vec![
                ("representation", expected.h()),
                ("logits", expected.logits.as_ref().unwrap()),
            ];
            if config.projection_head.depth() > 0 {
                compared.push(("projection", &expected.projection));
            }
            assert_eq!(outputs.len(), compared.len());
            for (name, tensor) in compared {
                assert_eq!(
                    outputs[name].dim(D::Minus1).unwrap(),
                    tensor.dim(D::Minus1).unwrap()
                );
                let difference = largest_difference(&outputs[name], tensor);
                assert!(
                    difference < 1e-4,
                    "{config:?}: {name} differs by {difference}"
                );
            }
        }
    }
}

#[test]
fn graphs_of_classifiers_give_probabilities() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("classifier.onnx");
    let model = network(&SimClrConfig::new(ResNetConfig::depth(18)));
    let encoder = model.encoder().frozen();
    let images = Tensor::rand(0f32, 1f32, (2, 32, 32, 3), &Device::Cpu).unwrap();
    let features = encoder.embed(&images, 2).unwrap();
    let options = OnnxOptions::default()
        .with_image_size(32)
        .with_layout(InputLayout::Nhwc)
        .with_metadata("classes", r#"["a","b","c"]"#);
    for unit_length in [false, true] {
        let head = ClassHead {
            kernel: Tensor::randn(0f32, 0.1, (512, 3), &Device::Cpu).unwrap(),
            bias: Tensor::randn(0f32, 1.0, 3, &Device::Cpu).unwrap(),
            unit_length,
            temperature: 1.7,
        };
        export_classifier_onnx(&encoder, &head, &path, &options).unwrap();
        let outputs = run(&path, &images);
        let length = features.sqr().unwrap().sum_keepdim(1).unwrap().sqrt();
        let rows = if unit_length {
            features.broadcast_div(&length.unwrap()).unwrap()
        } else {
            features.clone()
        };
        let logits = rows.matmul(&head.kernel).unwrap();
        let logits = logits.broadcast_add(&head.bias).unwrap();
        let shares = (&logits / 1.7).unwrap().exp().unwrap();
        let shares = shares.broadcast_div(&shares.sum_keepdim(1).unwrap());
        for (name, expected) in [
            ("representation", &features),
            ("logits", &logits),
            ("probabilities", &shares.unwrap()),
        ] {
            let difference = largest_difference(&outputs[name], expected);
            assert!(difference < 1e-4, "{name} differs by {difference}");
        }
    }
    let file = proto::Model::decode(&*std::fs::read(&path).unwrap()).unwrap();
    let entries = file.metadata_props.iter();
    let entries: Vec<_> = entries.map(|entry| (&*entry.key, &*entry.value)).collect();
    let input = "RGB, f32 in [0, 1], [n, height, width, 3]";
    assert_eq!(entries, [("classes", r#"["a","b","c"]"#), ("input", input)]);
    let wrong = ClassHead {
        kernel: Tensor::zeros((5, 3), candle_core::DType::F32, &Device::Cpu).unwrap(),
        bias: Tensor::zeros(3, candle_core::DType::F32, &Device::Cpu).unwrap(),
        unit_length: false,
        temperature: 1.0,
    };
    assert!(export_classifier_onnx(&encoder, &wrong, &path, &options).is_err());
}

#[test]
fn what_cannot_be_written_is_an_error_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let model =
        SimClr::initialize(&SimClrConfig::new(ResNetConfig::depth(18)), 1, &Device::Cpu).unwrap();
    let small = OnnxOptions::default().with_image_size(16);
    let error = export_onnx(&model, &path, &small).unwrap_err();
    assert!(matches!(error, Error::Model(_)), "{error}");
    assert!(!path.exists());
    let options = OnnxOptions::default().with_heads(false);
    let nowhere = folder.path().join("none/model.onnx");
    assert!(matches!(
        export_onnx(&model, &nowhere, &options),
        Err(Error::File(_))
    ));
    export_onnx(&model, &path, &options).unwrap();
    let file = proto::Model::decode(std::fs::read(&path).unwrap().as_slice()).unwrap();
    assert_eq!(file.graph.unwrap().output.len(), 1);
}
