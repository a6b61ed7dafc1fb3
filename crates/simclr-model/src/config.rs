//! What a network looks like.

use serde::{Deserialize, Serialize};

use crate::checks::{check, check_count, setting_error};
use crate::error::{Error, Result};
use crate::setters::setters;

/// The architecture of a ResNet, as in He et al. 2015 with the variants of SimCLRv2.
///
/// ```
/// use simclr_model::{ResNetConfig, Stem};
///
/// let config = ResNetConfig::depth(50).with_width_multiplier(2).with_sk_ratio(0.0625);
/// assert_eq!(config.stem, Stem::ImageNet);
/// assert_eq!(config.feature_size()?, 4096);
/// # Ok::<(), simclr_model::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ResNetConfig {
    /// Number of layers: 18, 34, 50, 101, 152 or 200. Default: 50.
    pub depth: usize,
    /// Factor of all channel counts, 1 to 64. Default: 1.
    pub width_multiplier: usize,
    /// The first layers. Default: [`Stem::ImageNet`].
    pub stem: Stem,
    /// Selective kernels (Li et al. 2019): the bottleneck of their gate, as a share of the
    /// block's filters (at least 32 channels). Above 0, stem and shortcuts take the form of
    /// ResNet-D (He et al. 2018); the blocks of ResNet-18 and -34 have no selective kernels.
    /// Default: 0, none. SimCLRv2's SK networks have 0.0625.
    pub sk_ratio: f64,
    /// Squeeze-excitation (Hu et al. 2018): its bottleneck as a share of the block's filters.
    /// Default: 0, none.
    pub se_ratio: f64,
    /// Padding of the stem's max-pool. Default: [`StemPooling::Same`].
    pub stem_pooling: StemPooling,
    /// Where a bottleneck block takes its stride. Default: [`StridePlacement::Middle`].
    pub stride_placement: StridePlacement,
    /// Whether the first block of a group adds its input as it is where that has the right form
    /// already, as in torchvision and timm, instead of projecting it. That is so in group 1 of
    /// ResNet-18 and -34 only. Default: false, as in SimCLR.
    pub identity_shortcuts: bool,
    /// Mean and deviation that the network takes off its input. Default: none, the images
    /// enter as they are, in [0, 1].
    pub input_normalization: Option<InputNormalization>,
    /// Whether the last batch norm of each block starts with gamma = 0, so that the block
    /// starts as its shortcut. Default: true.
    pub zero_init_last_gamma: bool,
    /// Decay d of the moving statistics, `new = d * old + (1 - d) * batch`. Default: 0.9.
    pub batch_norm_decay: f64,
    /// What is added to the variance before its root. Default: 1e-5.
    pub batch_norm_epsilon: f64,
}

impl Default for ResNetConfig {
    fn default() -> Self {
        Self {
            depth: 50,
            width_multiplier: 1,
            stem: Stem::ImageNet,
            sk_ratio: 0.0,
            se_ratio: 0.0,
            stem_pooling: StemPooling::Same,
            stride_placement: StridePlacement::Middle,
            identity_shortcuts: false,
            input_normalization: None,
            zero_init_last_gamma: true,
            batch_norm_decay: 0.9,
            batch_norm_epsilon: 1e-5,
        }
    }
}

/// The first layers of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stem {
    /// A 7x7 convolution of stride 2 and a 3x3 max-pool of stride 2. With selective kernels,
    /// three 3x3 convolutions stand for the 7x7.
    #[serde(rename = "imagenet")]
    ImageNet,
    /// A 3x3 convolution of stride 1, for images of 32 pixels or so.
    Cifar,
}

impl Stem {
    /// The original's choice: the CIFAR stem up to 32 pixels, the ImageNet stem above.
    pub fn for_image_size(size: usize) -> Self {
        if size <= 32 {
            Self::Cifar
        } else {
            Self::ImageNet
        }
    }
}

/// Padding of the stem's 3x3 max-pool of stride 2. On even sizes the two differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StemPooling {
    /// TensorFlow's `SAME`, as in SimCLR: an even size is padded below and to the right only.
    Same,
    /// One pixel on every side, as in torchvision and timm.
    Symmetric,
}

/// Where the bottleneck block that halves its map takes the stride.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StridePlacement {
    /// In the 3x3 convolution ("v1.5"): SimCLR, torchvision, timm.
    Middle,
    /// In the first 1x1 convolution ("v1"): Caffe, Keras applications.
    First,
}

/// Normalisation of the input, `(x - mean) / std` per channel, for networks trained on it.
/// It is applied by the model: callers pass images in [0, 1] to every network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputNormalization {
    /// Mean of the red, green and blue channel, on the scale [0, 1].
    pub mean: [f64; 3],
    /// Standard deviation of the red, green and blue channel, on the scale [0, 1].
    pub std: [f64; 3],
}

impl InputNormalization {
    /// ImageNet's statistics, as torchvision and timm use them.
    pub const IMAGENET: Self = Self {
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    };
}

/// Far beyond any network in use; keeps a broken file's sizes from overflowing.
const MAXIMUM_WIDTH_MULTIPLIER: usize = 64;

/// The two kinds of residual block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockKind {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3 and 1x1, the last four times as wide.
    Bottleneck,
}

impl BlockKind {
    pub(crate) fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

impl ResNetConfig {
    /// The network of this depth with everything else at its default.
    pub fn depth(depth: usize) -> Self {
        Self {
            depth,
            ..Self::default()
        }
    }

    setters! {
        with_width_multiplier, width_multiplier: usize;
        with_stem, stem: Stem;
        with_sk_ratio, sk_ratio: f64;
        with_se_ratio, se_ratio: f64;
        with_stem_pooling, stem_pooling: StemPooling;
        with_stride_placement, stride_placement: StridePlacement;
        with_identity_shortcuts, identity_shortcuts: bool;
        with_input_normalization, input_normalization: impl Into<Option<InputNormalization>>;
        with_zero_init_last_gamma, zero_init_last_gamma: bool;
        with_batch_norm_decay, batch_norm_decay: f64;
        with_batch_norm_epsilon, batch_norm_epsilon: f64;
    }

    /// The form of torchvision's and timm's ResNets: symmetric stem pooling, an input normalised
    /// by ImageNet's statistics, and in ResNet-18 and -34 identity shortcuts.
    pub fn torchvision(mut self) -> Self {
        self.stem_pooling = StemPooling::Symmetric;
        self.identity_shortcuts = matches!(self.depth, 18 | 34);
        self.input_normalization = Some(InputNormalization::IMAGENET);
        self
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Setting`] names the first field that is out of range.
    pub fn validate(&self) -> Result<()> {
        self.structure()?;
        check_count(
            "width_multiplier",
            self.width_multiplier,
            MAXIMUM_WIDTH_MULTIPLIER,
        )?;
        for (name, share) in [
            ("sk_ratio", self.sk_ratio),
            ("se_ratio", self.se_ratio),
            ("batch_norm_decay", self.batch_norm_decay),
        ] {
            let holds = (0.0..=1.0).contains(&share);
            check(name, share, "a number in [0, 1]", holds)?;
        }
        let check_positive = |name, value: f64| {
            let holds = value.is_finite() && value > 0.0;
            check(name, value, "a positive number", holds)
        };
        check_positive("batch_norm_epsilon", self.batch_norm_epsilon)?;
        if let Some(InputNormalization { mean, std }) = self.input_normalization {
            for mean in mean {
                let name = "input_normalization.mean";
                check(name, mean, "a finite number", mean.is_finite())?;
            }
            for std in std {
                check_positive("input_normalization.std", std)?;
            }
        }
        Ok(())
    }

    /// The length d of the representation h (`final_avg_pool`).
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no such depth.
    pub fn feature_size(&self) -> Result<usize> {
        let (kind, _) = self.structure()?;
        Ok(self.filters(4) * kind.expansion())
    }

    /// The smallest image side that still has something to halve at the last stage:
    /// 17 pixels for the ImageNet stem, 5 for the CIFAR stem.
    pub fn minimum_image_size(&self) -> usize {
        (1 << (self.halvings() - 1)) + 1
    }

    /// Checks that an image is large enough.
    ///
    /// # Errors
    /// [`Error::ImageTooSmall`] below [`Self::minimum_image_size`].
    pub fn check_image_size(&self, height: usize, width: usize) -> Result<()> {
        let minimum = self.minimum_image_size();
        if height.min(width) >= minimum {
            return Ok(());
        }
        let stem = match self.stem {
            Stem::ImageNet => "the ImageNet stem",
            Stem::Cifar => "the CIFAR stem",
        };
        Err(Error::ImageTooSmall {
            height,
            width,
            network: format!("ResNet-{} with {stem}", self.depth),
            halvings: self.halvings(),
            minimum,
        })
    }

    fn halvings(&self) -> u32 {
        match self.stem {
            Stem::ImageNet => 5,
            Stem::Cifar => 3,
        }
    }

    /// The kind of block and the number of blocks of each group.
    pub(crate) fn structure(&self) -> Result<(BlockKind, [usize; 4])> {
        use BlockKind::{Basic, Bottleneck};
        Ok(match self.depth {
            18 => (Basic, [2, 2, 2, 2]),
            34 => (Basic, [3, 4, 6, 3]),
            50 => (Bottleneck, [3, 4, 6, 3]),
            101 => (Bottleneck, [3, 4, 23, 3]),
            152 => (Bottleneck, [3, 8, 36, 3]),
            200 => (Bottleneck, [3, 24, 36, 3]),
            depth => {
                let expected = "18, 34, 50, 101, 152 or 200";
                return Err(setting_error("depth", depth, expected));
            }
        })
    }

    /// The filters of the blocks in group 1 to 4, before the bottleneck's expansion.
    pub(crate) fn filters(&self, group: usize) -> usize {
        (32 * self.width_multiplier) << group
    }

    /// Whether stem and shortcuts have the form of ResNet-D.
    pub(crate) fn is_resnet_d(&self) -> bool {
        self.sk_ratio > 0.0
    }

    pub(crate) fn batch_norm(&self) -> BatchNormSettings {
        BatchNormSettings {
            decay: self.batch_norm_decay,
            epsilon: self.batch_norm_epsilon,
        }
    }
}

/// What all batch norms of a network share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchNormSettings {
    pub(crate) decay: f64,
    pub(crate) epsilon: f64,
}
