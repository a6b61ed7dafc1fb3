//! The layers before the first block.

use simclr_kernels::{Activation, FeatureMap, Padding};

use super::conv::ConvShape;
use super::conv_norm::ConvNorm;
use super::pass::Pass;
use crate::builder::Builder;
use crate::config::{self, ResNetConfig, StemPooling};
use crate::error::Result;

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
        let mut unit = |suffix: &str, size, stride, channels| {
            let shape = ConvShape::new(size, stride, channels);
            ConvNorm::new(builder, "encoder.stem", suffix, shape)
        };
        let pooling = match config.stem_pooling {
            StemPooling::Same => Padding::Same,
            StemPooling::Symmetric => Padding::Explicit {
                top: 1,
                bottom: 1,
                left: 1,
                right: 1,
            },
        };
        let (input, output) = (IMAGE_CHANNELS, 64 * config.width_multiplier);
        let half = output / 2;
        Ok(match config.stem {
            config::Stem::Cifar => Self {
                first: Vec::new(),
                last: unit("", 3, 1, (input, output))?,
                pooling: None,
            },
            config::Stem::ImageNet if config.is_resnet_d() => Self {
                first: vec![
                    unit("1", 3, 2, (input, half))?,
                    unit("2", 3, 1, (half, half))?,
                ],
                last: unit("3", 3, 1, (half, output))?,
                pooling: Some(pooling),
            },
            config::Stem::ImageNet => Self {
                first: Vec::new(),
                last: unit("", 7, 2, (input, output))?,
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

    /// The input of the blocks and nothing else, which saves a pass over the largest maps.
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
