//! The network in ONNX's operators, layer by layer as in `simclr-model`.
//!
//! A node has the name of the layer that it computes, which is also that of its output.

use candle_core::{Device, Tensor};
use simclr_model::{ResNetConfig, StemPooling, StridePlacement};

use crate::error::Result;
use crate::graph::{Graph, Layout, float, integer, integers};

/// The nodes of a ResNet, with the size of the map that the last one gives.
pub(crate) struct ResNet<'a, 'g> {
    pub(crate) graph: &'g mut Graph<'a>,
    pub(crate) config: &'g ResNetConfig,
    /// Height and width.
    pub(crate) size: [usize; 2],
}

impl ResNet<'_, '_> {
    /// From images `[n, 3, height, width]` to representations `[n, d]`, under this name.
    pub(crate) fn encoder(&mut self, images: String, name: &str) -> Result<()> {
        let normalized = self.normalized(images)?;
        let mut x = self.stem(normalized)?;
        for group in 1..=4 {
            for index in 0.. {
                let path = format!("encoder.block_group{group}.block{index}");
                if !self.graph.has(&format!("{path}.conv1.kernel")) {
                    break;
                }
                let stride = if index == 0 && group > 1 { 2 } else { 1 };
                x = self.block(&path, &x, stride)?;
            }
        }
        let pooled = self
            .graph
            .node("GlobalAveragePool", "encoder.final_avg_pool", &[&x], vec![]);
        self.graph
            .node("Flatten", name, &[&pooled], vec![integer("axis", 1)]);
        Ok(())
    }

    fn normalized(&mut self, images: String) -> Result<String> {
        let Some(normalization) = &self.config.input_normalization else {
            return Ok(images);
        };
        let constant = |values: &[f64; 3]| Tensor::new(values, &Device::Cpu)?.reshape((1, 3, 1, 1));
        let (mean, std) = ("encoder.input.mean", "encoder.input.std");
        self.graph.constant(mean, &constant(&normalization.mean)?)?;
        self.graph.constant(std, &constant(&normalization.std)?)?;
        let centered = self
            .graph
            .node("Sub", "encoder.input.centered", &[&images, mean], vec![]);
        Ok(self
            .graph
            .node("Div", "encoder.input.normalized", &[&centered, std], vec![]))
    }

    fn stem(&mut self, images: String) -> Result<String> {
        let path = "encoder.stem";
        let mut x = images;
        // ResNet-D has three convolutions, whose first takes the stride.
        for (suffix, stride) in [("1", 2), ("2", 1), ("3", 1)] {
            if self.graph.has(&format!("{path}.conv{suffix}.kernel")) {
                x = self.conv_norm_relu(path, suffix, &x, stride)?;
            }
        }
        let is_imagenet = self.config.stem == simclr_model::Stem::ImageNet;
        if self.graph.has(&format!("{path}.conv.kernel")) {
            let stride = if is_imagenet { 2 } else { 1 };
            x = self.conv_norm_relu(path, "", &x, stride)?;
        }
        if !is_imagenet {
            return Ok(x);
        }
        let pads = match self.config.stem_pooling {
            StemPooling::Symmetric => [1; 4],
            StemPooling::Same => {
                let [(top, bottom), (left, right)] = self.size.map(|size| same(3, 2, size));
                [top, left, bottom, right]
            }
        };
        let name = "encoder.stem.max_pool";
        Ok(self.windows("MaxPool", name, &[&x], (3, 2, pads), vec![]))
    }

    /// `relu(body(x) + shortcut(x))`.
    fn block(&mut self, path: &str, x: &str, stride: usize) -> Result<String> {
        let size = self.size;
        let shortcut = self.shortcut(path, x, stride)?;
        self.size = size;
        let has = |graph: &Graph<'_>, layer: &str| graph.has(&format!("{path}.{layer}"));
        let is_selective = has(self.graph, "selective_kernel.conv.kernel");
        let is_bottleneck = is_selective || has(self.graph, "conv3.kernel");
        let (first, second) = match self.config.stride_placement {
            StridePlacement::Middle if is_bottleneck => (1, stride),
            _ => (stride, 1),
        };
        let mut y = self.conv_norm_relu(path, "1", x, first)?;
        if is_selective {
            y = self.selective_kernel(&format!("{path}.selective_kernel"), &y, second)?;
        } else if is_bottleneck {
            y = self.conv_norm_relu(path, "2", &y, second)?;
        }
        let last = if is_bottleneck { "3" } else { "2" };
        y = self.conv_norm(path, last, &y, 1)?;
        if has(self.graph, "squeeze_excitation.reduce.kernel") {
            y = self.squeeze_excitation(&format!("{path}.squeeze_excitation"), &y)?;
        }
        let sum = self
            .graph
            .node("Add", &format!("{path}.sum"), &[&y, &shortcut], vec![]);
        Ok(self.graph.node("Relu", path, &[&sum], vec![]))
    }

    fn shortcut(&mut self, path: &str, x: &str, stride: usize) -> Result<String> {
        let path = format!("{path}.shortcut");
        if !self.graph.has(&format!("{path}.conv.kernel")) {
            return Ok(x.to_owned());
        }
        if self.config.sk_ratio == 0.0 {
            return self.conv_norm(&path, "", x, stride);
        }
        // ResNet-D averages 2x2 pixels. The original pads by fixed zeros, which count, where it
        // halves, and as `SAME` elsewhere, where they do not.
        let counts = integer("count_include_pad", i64::from(stride > 1));
        let name = format!("{path}.average_pool");
        let pooled = self.windows(
            "AveragePool",
            &name,
            &[x],
            (2, stride, [0, 0, 1, 1]),
            vec![counts],
        );
        self.conv_norm(&path, "", &pooled, 1)
    }

    /// Two convolutions side by side, mixed per channel by a gate that sees the pooled sum.
    fn selective_kernel(&mut self, path: &str, x: &str, stride: usize) -> Result<String> {
        let both = self.conv_norm_relu(path, "", x, stride)?;
        let at = |layer: &str| format!("{path}.{layer}");
        let pooled = self
            .graph
            .node("GlobalAveragePool", &at("pooled"), &[&both], vec![]);
        let (first, second) = self.halves(&at("streams"), &both)?;
        let (pooled_first, pooled_second) = self.halves(&at("pooled_streams"), &pooled)?;
        let sum = self
            .graph
            .node("Add", &at("sum"), &[&pooled_first, &pooled_second], vec![]);
        let hidden = self.pointwise(&at("reduce"), &sum)?;
        let hidden = self.batch_norm(&at("reduce_batch_norm"), &hidden)?;
        let hidden = self.graph.node("Relu", &at("hidden"), &[&hidden], vec![]);
        let logits = self.pointwise(&at("expand"), &hidden)?;
        let (logit_first, logit_second) = self.halves(&at("logits"), &logits)?;
        // Softmax over two logits is the sigmoid of their difference.
        let logit = self
            .graph
            .node("Sub", &at("logit"), &[&logit_first, &logit_second], vec![]);
        let weight = self.graph.node("Sigmoid", &at("weight"), &[&logit], vec![]);
        let difference = self
            .graph
            .node("Sub", &at("difference"), &[&first, &second], vec![]);
        let weighted = self
            .graph
            .node("Mul", &at("weighted"), &[&difference, &weight], vec![]);
        Ok(self.graph.node("Add", path, &[&weighted, &second], vec![]))
    }

    /// Scales each channel by a gate that sees the pooled features.
    fn squeeze_excitation(&mut self, path: &str, x: &str) -> Result<String> {
        let at = |layer: &str| format!("{path}.{layer}");
        let pooled = self
            .graph
            .node("GlobalAveragePool", &at("pooled"), &[x], vec![]);
        let hidden = self.pointwise(&at("reduce"), &pooled)?;
        let hidden = self.graph.node("Relu", &at("hidden"), &[&hidden], vec![]);
        let logits = self.pointwise(&at("expand"), &hidden)?;
        let gate = self.graph.node("Sigmoid", &at("gate"), &[&logits], vec![]);
        Ok(self.graph.node("Mul", path, &[x, &gate], vec![]))
    }

    fn conv_norm_relu(
        &mut self,
        path: &str,
        suffix: &str,
        x: &str,
        stride: usize,
    ) -> Result<String> {
        let y = self.conv_norm(path, suffix, x, stride)?;
        Ok(self
            .graph
            .node("Relu", &format!("{path}.relu{suffix}"), &[&y], vec![]))
    }

    fn conv_norm(&mut self, path: &str, suffix: &str, x: &str, stride: usize) -> Result<String> {
        let conv = format!("{path}.conv{suffix}");
        let kernel = self
            .graph
            .parameter(&format!("{conv}.kernel"), Layout::Convolution)?;
        let window = self.graph.shape(&kernel)?.first().copied().unwrap_or(1);
        // The original pads by the kernel, whatever the image's size; at stride 1 as `SAME` does.
        let before = (window - 1) / 2;
        let after = window - 1 - before;
        let pads = [before, before, after, after];
        let y = self.windows("Conv", &conv, &[x, &kernel], (window, stride, pads), vec![]);
        self.batch_norm(&format!("{path}.batch_norm{suffix}"), &y)
    }

    /// A 1x1 convolution of pooled features, with a bias if it has one.
    fn pointwise(&mut self, path: &str, x: &str) -> Result<String> {
        let kernel = self
            .graph
            .parameter(&format!("{path}.kernel"), Layout::Convolution)?;
        let mut inputs = vec![x.to_owned(), kernel];
        let bias = format!("{path}.bias");
        if self.graph.has(&bias) {
            inputs.push(self.graph.parameter(&bias, Layout::Same)?);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        Ok(self.graph.node("Conv", path, &inputs, vec![]))
    }

    /// With the moving statistics; without a beta, with zeros.
    pub(crate) fn batch_norm(&mut self, path: &str, x: &str) -> Result<String> {
        let at = |leaf: &str| format!("{path}.{leaf}");
        if !self.graph.has(&at("beta")) {
            let channels = self.graph.shape(&at("gamma"))?.to_vec();
            let zeros = Tensor::zeros(channels, candle_core::DType::F32, &Device::Cpu)?;
            self.graph.constant(&at("beta"), &zeros)?;
        } else {
            self.graph.parameter(&at("beta"), Layout::Same)?;
        }
        for leaf in ["gamma", "moving_mean", "moving_variance"] {
            self.graph.parameter(&at(leaf), Layout::Same)?;
        }
        let inputs = ["gamma", "beta", "moving_mean", "moving_variance"].map(at);
        let [gamma, beta, mean, variance] = &inputs;
        let epsilon = float("epsilon", self.config.batch_norm_epsilon);
        let inputs = [x, gamma, beta, mean, variance];
        Ok(self
            .graph
            .node("BatchNormalization", path, &inputs, vec![epsilon]))
    }

    /// The first and the second half of the channels.
    fn halves(&mut self, name: &str, x: &str) -> Result<(String, String)> {
        let path = name.rsplit_once('.').map_or(name, |(path, _)| path);
        let gamma = format!("{path}.batch_norm.gamma");
        let half = self.graph.shape(&gamma)?.first().copied().unwrap_or(0) / 2;
        let sizes = format!("{path}.halves");
        self.graph.integers_constant(&sizes, &[half, half]);
        let (first, second) = (format!("{name}.first"), format!("{name}.second"));
        let axis = vec![integer("axis", 1)];
        self.graph
            .node_with_outputs("Split", name, &[x, &sizes], &[&first, &second], axis);
        Ok((first, second))
    }

    /// A node over square windows of this size, stride and padding (top, left, bottom, right).
    fn windows(
        &mut self,
        op: &str,
        name: &str,
        inputs: &[&str],
        (window, stride, pads): (usize, usize, [usize; 4]),
        mut attributes: Vec<crate::proto::Attribute>,
    ) -> String {
        let [top, left, bottom, right] = pads;
        let output =
            |size: usize, padding: usize| (size + padding).saturating_sub(window) / stride + 1;
        let [height, width] = self.size;
        self.size = [output(height, top + bottom), output(width, left + right)];
        attributes.extend([
            integers("kernel_shape", &[window; 2]),
            integers("strides", &[stride; 2]),
            integers("pads", &pads),
        ]);
        self.graph.node(op, name, inputs, attributes)
    }
}

/// TensorFlow's `SAME`: `ceil(size / stride)` outputs; of an odd amount the larger part comes after.
fn same(window: usize, stride: usize, size: usize) -> (usize, usize) {
    let covered = (size.div_ceil(stride).max(1) - 1) * stride + window;
    let total = covered.saturating_sub(size);
    (total / 2, total - total / 2)
}
