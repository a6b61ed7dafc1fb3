//! The residual blocks.

use simclr_kernels::{Activation, DivisorRule, FeatureMap, Padding};

use super::{
    BatchNormOptions, BatchNormSettings, ConvNorm, ConvShape, Flow, Pass, SelectiveKernel,
    SqueezeExcitation,
};
use crate::builder::Builder;
use crate::config::BlockKind;
use crate::{ResNetConfig, Result, StridePlacement};

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
        let output = shape.filters * shape.kind.expansion();
        // The original calls the shortcut first, which its variables' numbers follow.
        let fits = shape.stride == 1 && shape.input == output && config.sk_ratio == 0.0;
        let shortcut = match shape.first && !(fits && config.identity_shortcuts) {
            true => Some(Shortcut::new(builder, path, shape, config)?),
            false => None,
        };
        let (body, last_shape) = match shape.kind {
            BlockKind::Basic => basic_body(builder, path, shape, config)?,
            BlockKind::Bottleneck => bottleneck_body(builder, path, shape, config)?,
        };
        let options = BatchNormOptions {
            zero_gamma: config.zero_init_last_gamma,
            ..Default::default()
        };
        let suffix = (body.len() + 1).to_string();
        let settings = BatchNormSettings::of(config);
        let last = ConvNorm::new(builder, path, &suffix, last_shape, settings, options)?;
        let squeeze_excitation = if config.se_ratio > 0.0 {
            let path = format!("{path}.squeeze_excitation");
            let ratio = config.se_ratio;
            Some(SqueezeExcitation::new(
                builder,
                &path,
                shape.filters,
                output,
                ratio,
            )?)
        } else {
            None
        };
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
                Unit::Plain(unit) => unit.rectified(flow, pass)?,
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

type Body = (Vec<Unit>, ConvShape);

fn basic_body(
    builder: &mut Builder<'_>,
    path: &str,
    shape: BlockShape,
    config: &ResNetConfig,
) -> Result<Body> {
    let BlockShape {
        input,
        filters,
        stride,
        ..
    } = shape;
    let first = ConvShape {
        size: 3,
        stride,
        input,
        output: filters,
    };
    let last = ConvShape {
        size: 3,
        stride: 1,
        input: filters,
        output: filters,
    };
    Ok((vec![plain(builder, path, "1", first, config)?], last))
}

fn bottleneck_body(
    builder: &mut Builder<'_>,
    path: &str,
    shape: BlockShape,
    config: &ResNetConfig,
) -> Result<Body> {
    let BlockShape {
        kind,
        input,
        filters,
        stride,
        ..
    } = shape;
    let (first_stride, middle_stride) = match config.stride_placement {
        StridePlacement::First => (stride, 1),
        StridePlacement::Middle => (1, stride),
    };
    let first = ConvShape {
        size: 1,
        stride: first_stride,
        input,
        output: filters,
    };
    let middle = ConvShape {
        size: 3,
        stride: middle_stride,
        input: filters,
        output: filters,
    };
    let last = ConvShape {
        size: 1,
        stride: 1,
        input: filters,
        output: filters * kind.expansion(),
    };
    let first = plain(builder, path, "1", first, config)?;
    let middle = if config.sk_ratio > 0.0 {
        let path = format!("{path}.selective_kernel");
        let settings = BatchNormSettings::of(config);
        let ratio = config.sk_ratio;
        Unit::Selective(SelectiveKernel::new(
            builder, &path, middle, ratio, settings,
        )?)
    } else {
        plain(builder, path, "2", middle, config)?
    };
    Ok((vec![first, middle], last))
}

fn plain(
    builder: &mut Builder<'_>,
    path: &str,
    suffix: &str,
    shape: ConvShape,
    config: &ResNetConfig,
) -> Result<Unit> {
    let settings = BatchNormSettings::of(config);
    let usual = BatchNormOptions::default();
    let unit = ConvNorm::new(builder, path, suffix, shape, settings, usual)?;
    Ok(Unit::Plain(unit))
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

impl Pooling {
    fn resnet_d(stride: usize) -> Self {
        if stride == 1 {
            return Self {
                stride,
                padding: Padding::Same,
                divisor: DivisorRule::ExcludePadding,
            };
        }
        // The original pads by fixed zeros first, which then count.
        Self {
            stride,
            padding: Padding::fixed(2),
            divisor: DivisorRule::CountPadding,
        }
    }
}

impl Shortcut {
    fn new(
        builder: &mut Builder<'_>,
        path: &str,
        shape: BlockShape,
        config: &ResNetConfig,
    ) -> Result<Self> {
        let (pooling, stride) = if config.is_resnet_d() {
            (Some(Pooling::resnet_d(shape.stride)), 1)
        } else {
            (None, shape.stride)
        };
        let projection = ConvShape {
            size: 1,
            stride,
            input: shape.input,
            output: shape.filters * shape.kind.expansion(),
        };
        let path = format!("{path}.shortcut");
        let settings = BatchNormSettings::of(config);
        let usual = BatchNormOptions::default();
        Ok(Self {
            pooling,
            projection: ConvNorm::new(builder, &path, "", projection, settings, usual)?,
        })
    }

    fn forward(&self, x: &FeatureMap, pass: Pass) -> Result<FeatureMap> {
        let Some(Pooling {
            stride,
            padding,
            divisor,
        }) = self.pooling
        else {
            return self.projection.forward(x, pass, Activation::Identity, None);
        };
        let stride = (stride, stride);
        let pooled = x.average_pool2d((2, 2), stride, padding, divisor)?;
        self.projection
            .forward(&pooled, pass, Activation::Identity, None)
    }
}
