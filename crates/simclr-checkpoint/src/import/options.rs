//! What to import, and what the source does not say itself.

use simclr_model::{FineTuneFrom, InputNormalization, StemPooling, StridePlacement};

use crate::setters::setters;

/// The heads to import with the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Heads {
    /// Whatever is there.
    #[default]
    All,
    /// The projection head only.
    Projection,
    /// The supervised head only.
    Supervised,
    /// None: the encoder alone.
    Drop,
}

impl Heads {
    #[cfg(feature = "tensorflow")]
    pub(crate) fn projection(self) -> bool {
        matches!(self, Self::All | Self::Projection)
    }

    pub(crate) fn supervised(self) -> bool {
        matches!(self, Self::All | Self::Supervised)
    }
}

/// What to import.
///
/// ```
/// use simclr_checkpoint::{Heads, ImportOptions};
///
/// let options = ImportOptions::default().with_heads(Heads::Drop).with_moving_average(true);
/// assert_eq!(options.heads, Heads::Drop);
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
#[must_use]
pub struct ImportOptions {
    /// The heads to keep. Default: all.
    pub heads: Heads,
    /// Take the exponential moving averages of the parameters instead of the parameters.
    /// Default: false.
    pub moving_average: bool,
    /// Keep what the optimizer has stored, so that training can go on. Default: false.
    pub optimizer_state: bool,
    /// Parameters (their names or beginnings of names) that may be missing in the source and
    /// then get initial values. Default: none.
    pub allow_missing: Vec<String>,
    /// The level of the projection head that the supervised head stands on, which no variable
    /// tells. Default: the encoder's output; SimCLRv2's fine-tuning stood on layer 1.
    pub fine_tune_from: FineTuneFrom,
    /// The ratio of selective kernels of a ResNet-18 or -34 with CIFAR stem, whose variables are
    /// the same with and without them. Others tell it themselves. Default: 0, none.
    pub sk_ratio: f64,
    /// Which of several networks in a PyTorch file is meant: a part of what stands before its
    /// names (`state_dict_ema`, `module.encoder_q`), or the network's word: `online`, `query` or
    /// `student` for the one that is trained, `target`, `key`, `teacher` or `momentum` for the one
    /// that follows it. Default: the only one.
    pub branch: Option<String>,
    /// Where a PyTorch network takes its stride. Default: what the file's metadata says, else
    /// torchvision's, in the middle.
    pub stride_placement: Option<StridePlacement>,
    /// How a PyTorch network pads its first pooling. Default: what the file's metadata says,
    /// else torchvision's, symmetric.
    pub stem_pooling: Option<StemPooling>,
    /// How a PyTorch network wants its input normalised; `Some(None)` for not at all.
    /// Default: what the file's metadata says, else ImageNet's statistics.
    pub input_normalization: Option<Option<InputNormalization>>,
}

impl ImportOptions {
    setters! {
        with_heads, heads: Heads;
        with_moving_average, moving_average: bool;
        with_optimizer_state, optimizer_state: bool;
        with_fine_tune_from, fine_tune_from: FineTuneFrom;
        with_sk_ratio, sk_ratio: f64;
        with_branch, branch: impl Into<Option<String>>;
        with_stride_placement, stride_placement: StridePlacement;
        with_stem_pooling, stem_pooling: StemPooling;
        with_input_normalization, input_normalization: Option<InputNormalization>;
    }

    /// Sets [`Self::allow_missing`].
    pub fn with_allow_missing(
        mut self,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.allow_missing = names.into_iter().map(Into::into).collect();
        self
    }
}
