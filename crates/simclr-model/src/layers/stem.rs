//! The layers before the first block.

use simclr_kernels::{Activation, FeatureMap, Padding};

use super::{BatchNormOptions, BatchNormSettings, ConvNorm, ConvShape, Pass};
use crate::builder::Builder;
use crate::{ResNetConfig, Result, StemPooling};

/// Channels of an RGB image.
pub(crate) const IMAGE_CHANNELS: usize = 3;

/// Convolution(s), batch norm, ReLU, and max-pool unless the images are small.
#[derive(Debug, Clone)]
pub(crate) struct Stem {
    /// The first two of ResNet-D's three convolutions.
    first: Vec<ConvNorm>,
    last: ConvNorm,
    pooling: Option<Padding>,
}

/// What the stem gives.
pub(crate) struct StemOutput {
    pub(crate) initial_conv: FeatureMap,
    pub(crate) initial_max_pool: FeatureMap,
}

impl Stem {
    pub(crate) fn new(builder: &mut Builder<'_>, config: &ResNetConfig) -> Result<Self> {
        let path = "encoder.stem";
        let settings = BatchNormSettings::of(config);
        let usual = BatchNormOptions::default();
        let mut unit =
            |suffix: &str, shape| ConvNorm::new(builder, path, suffix, shape, settings, usual);
        let width = 64 * config.width_multiplier;
        let (input, output) = (IMAGE_CHANNELS, width);
        let pooling = match config.stem_pooling {
            StemPooling::Same => Padding::Same,
            StemPooling::Symmetric => Padding::Explicit {
                top: 1,
                bottom: 1,
                left: 1,
                right: 1,
            },
        };
        Ok(match config.stem {
            crate::Stem::Cifar => Self {
                first: Vec::new(),
                last: unit(
                    "",
                    ConvShape {
                        size: 3,
                        stride: 1,
                        input,
                        output,
                    },
                )?,
                pooling: None,
            },
            crate::Stem::ImageNet if config.is_resnet_d() => {
                let half = width / 2;
                let three = |stride, input, output| ConvShape {
                    size: 3,
                    stride,
                    input,
                    output,
                };
                Self {
                    first: vec![
                        unit("1", three(2, input, half))?,
                        unit("2", three(1, half, half))?,
                    ],
                    last: unit("3", three(1, half, output))?,
                    pooling: Some(pooling),
                }
            }
            crate::Stem::ImageNet => Self {
                first: Vec::new(),
                last: unit(
                    "",
                    ConvShape {
                        size: 7,
                        stride: 2,
                        input,
                        output,
                    },
                )?,
                pooling: Some(pooling),
            },
        })
    }

    pub(crate) fn forward(&self, images: &FeatureMap, pass: Pass) -> Result<StemOutput> {
        let x = self.before_last(images, pass)?;
        let initial_conv = self.last.conv.forward(&x, pass)?;
        let norm = &self.last.norm;
        let activated = norm.forward(&initial_conv, pass, Activation::Relu, None)?;
        Ok(StemOutput {
            initial_conv,
            initial_max_pool: self.pool(activated)?,
        })
    }

    /// What the blocks see and nothing else, which takes a pass over the largest maps less.
    pub(crate) fn output(&self, images: &FeatureMap, pass: Pass) -> Result<FeatureMap> {
        let x = self.before_last(images, pass)?;
        self.pool(self.last.forward(&x, pass, Activation::Relu, None)?)
    }

    fn before_last(&self, images: &FeatureMap, pass: Pass) -> Result<FeatureMap> {
        let mut x = images.clone();
        for unit in &self.first {
            x = unit.forward(&x, pass, Activation::Relu, None)?;
        }
        Ok(x)
    }

    fn pool(&self, activated: FeatureMap) -> Result<FeatureMap> {
        Ok(match self.pooling {
            Some(padding) => activated.max_pool2d((3, 3), (2, 2), padding)?,
            None => activated,
        })
    }
}
