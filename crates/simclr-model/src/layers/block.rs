//! The residual blocks.

use simclr_kernels::{Activation, DivisorRule, FeatureMap, Padding};

use super::conv::ConvShape;
use super::conv_norm::{ConvNorm, Flow};
use super::pass::Pass;
use super::selective_kernel::SelectiveKernel;
use super::squeeze_excitation::SqueezeExcitation;
use crate::builder::Builder;
use crate::config::{BlockKind, ResNetConfig, StridePlacement};
use crate::error::Result;

/// `relu(body(x) + shortcut(x))`.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    shortcut: Option<Shortcut>,
    body: Vec<Unit>,
    last: ConvNorm,
    squeeze_excitation: Option<SqueezeExcitation>,
}

/// What one block has to connect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockShape {
    pub(crate) kind: BlockKind,
    pub(crate) input: usize,
    pub(crate) filters: usize,
    pub(crate) stride: usize,
    /// Whether the block is its group's first, whose shortcut has a convolution.
    pub(crate) first: bool,
}

impl BlockShape {
    /// The shapes of the blocks in group 1 to 4.
    pub(crate) fn all(config: &ResNetConfig) -> Result<[Vec<Self>; 4]> {
        let (kind, counts) = config.structure()?;
        let mut groups = [const { Vec::new() }; 4];
        let mut input = config.filters(1);
        for ((group, shapes), count) in (1..).zip(&mut groups).zip(counts) {
            for index in 0..count {
                let shape = Self {
                    kind,
                    input,
                    filters: config.filters(group),
                    stride: if index == 0 && group > 1 { 2 } else { 1 },
                    first: index == 0,
                };
                shapes.push(shape);
                input = shape.output();
            }
        }
        Ok(groups)
    }

    pub(crate) fn output(self) -> usize {
        self.filters * self.kind.expansion()
    }

    /// Whether the shortcut has a convolution, or else adds the block's input as it is.
    pub(crate) fn has_projection(self, config: &ResNetConfig) -> bool {
        let fits = self.stride == 1 && self.input == self.output() && !config.is_resnet_d();
        self.first && !(fits && config.identity_shortcuts)
    }
}

#[derive(Debug, Clone)]
enum Unit {
    Plain(ConvNorm),
    Selective(SelectiveKernel),
}

impl Block {
    pub(crate) fn new(
        builder: &mut Builder<'_>,
        path: &str,
        shape: BlockShape,
        config: &ResNetConfig,
    ) -> Result<Self> {
        // The original calls the shortcut first, which its variables' numbers follow.
        let shortcut = Shortcut::new(builder, path, shape, config)?;
        let BlockShape {
            input,
            filters,
            stride,
            ..
        } = shape;
        let conv = |size, stride, channels| ConvShape::new(size, stride, channels);
        let (body, last) = match shape.kind {
            BlockKind::Basic => {
                let first = ConvNorm::new(builder, path, "1", conv(3, stride, (input, filters)))?;
                (vec![Unit::Plain(first)], conv(3, 1, (filters, filters)))
            }
            BlockKind::Bottleneck => {
                let (first, middle) = match config.stride_placement {
                    StridePlacement::First => (stride, 1),
                    StridePlacement::Middle => (1, stride),
                };
                let first = ConvNorm::new(builder, path, "1", conv(1, first, (input, filters)))?;
                let middle = conv(3, middle, (filters, filters));
                let middle = if config.sk_ratio > 0.0 {
                    let ratio = config.sk_ratio;
                    Unit::Selective(SelectiveKernel::new(builder, path, middle, ratio)?)
                } else {
                    Unit::Plain(ConvNorm::new(builder, path, "2", middle)?)
                };
                let last = conv(1, 1, (filters, shape.output()));
                (vec![Unit::Plain(first), middle], last)
            }
        };
        let suffix = (body.len() + 1).to_string();
        let gamma = if config.zero_init_last_gamma {
            0.0
        } else {
            1.0
        };
        let last = ConvNorm::with_gamma(builder, path, &suffix, last, gamma)?;
        let mut squeeze_excitation = None;
        if config.se_ratio > 0.0 {
            let channels = (filters, shape.output());
            let gate = SqueezeExcitation::new(builder, path, channels, config.se_ratio)?;
            squeeze_excitation = Some(gate);
        }
        Ok(Self {
            shortcut,
            body,
            last,
            squeeze_excitation,
        })
    }

    pub(crate) fn forward(&self, x: &FeatureMap, pass: Pass) -> Result<FeatureMap> {
        let shortcut = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x, pass)?,
            None => x.clone(),
        };
        let mut flow = Flow::Computed(x.clone());
        for unit in &self.body {
            flow = match unit {
                Unit::Plain(unit) => unit.relu(flow, pass)?,
                Unit::Selective(unit) => Flow::Computed(unit.forward(&flow.compute(pass)?, pass)?),
            };
        }
        let last = &self.last;
        match &self.squeeze_excitation {
            None => last.forward_flow(flow, pass, Activation::Relu, Some(&shortcut)),
            Some(gate) => {
                let y = last.forward_flow(flow, pass, Activation::Identity, None)?;
                let y = gate.forward(&y.into_tensor()?, pass)?;
                let sum = (y + shortcut.into_tensor()?)?;
                Ok(FeatureMap::new(&sum, pass.backend)?.relu()?)
            }
        }
    }
}

/// The projection of a group's first shortcut to its new size.
#[derive(Debug, Clone)]
struct Shortcut {
    pooling: Option<Pooling>,
    projection: ConvNorm,
}

/// ResNet-D averages 2x2 pixels where the plain shortcut skips three of four.
#[derive(Debug, Clone, Copy)]
struct Pooling {
    stride: usize,
    padding: Padding,
    divisor: DivisorRule,
}

impl Shortcut {
    /// `None` where the block adds its input as it is.
    fn new(
        builder: &mut Builder<'_>,
        path: &str,
        shape: BlockShape,
        config: &ResNetConfig,
    ) -> Result<Option<Self>> {
        if !shape.has_projection(config) {
            return Ok(None);
        }
        let is_resnet_d = config.is_resnet_d();
        let pooling = is_resnet_d.then_some(match shape.stride {
            1 => Pooling {
                stride: 1,
                padding: Padding::Same,
                divisor: DivisorRule::ExcludePadding,
            },
            // The original pads by fixed zeros first, which then count.
            stride => Pooling {
                stride,
                padding: Padding::fixed(2),
                divisor: DivisorRule::CountPadding,
            },
        });
        let stride = if is_resnet_d { 1 } else { shape.stride };
        let projection = ConvShape::new(1, stride, (shape.input, shape.output()));
        let path = format!("{path}.shortcut");
        Ok(Some(Self {
            pooling,
            projection: ConvNorm::new(builder, &path, "", projection)?,
        }))
    }

    fn forward(&self, x: &FeatureMap, pass: Pass) -> Result<FeatureMap> {
        let projection = &self.projection;
        let Some(pooling) = self.pooling else {
            return projection.forward(x, pass, Activation::Identity, None);
        };
        let stride = (pooling.stride, pooling.stride);
        let pooled = x.average_pool2d((2, 2), stride, pooling.padding, pooling.divisor)?;
        projection.forward(&pooled, pass, Activation::Identity, None)
    }
}
