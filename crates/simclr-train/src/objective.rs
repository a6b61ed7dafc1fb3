//! What a training step minimises.

use std::fmt;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use simclr_data::Batch;
use simclr_loss::NegativeMask;
use simclr_model::{SimClr, SimClrOutput};

use crate::error::{Error, Result};

/// A figure of a step, by the name of its column in `metrics.csv`.
pub type Metric = (&'static str, f64);

/// A loss over the views and labels of a batch.
///
/// [`ContrastiveObjective`](crate::ContrastiveObjective),
/// [`SupervisedObjective`](crate::SupervisedObjective) and
/// [`DistillationObjective`](crate::DistillationObjective) are those of SimCLRv2. An own one is
/// given to a loop with [`RunSpec::objective`](crate::RunSpec::objective), or to a
/// [`Trainer`](crate::Trainer).
pub trait Objective: fmt::Debug + Send + Sync {
    /// The names of the metrics that [`loss`](Self::loss) reports: columns of `metrics.csv`.
    fn metrics(&self) -> Vec<&'static str>;

    /// The loss of a batch, in terms that are added up, and its metrics. The weight-decay term
    /// is not among them.
    ///
    /// # Errors
    /// Whatever stands in the way of a loss; errors of other crates are wrapped as
    /// [`Error::Foreign`].
    fn loss(&self, model: &SimClr, batch: &TrainingBatch<'_>) -> Result<Loss>;

    /// Views of each image in a batch, with which the number of labels has to agree. Default: that
    /// of [`of_embeddings`](Self::of_embeddings); `None`, and the number is not looked at.
    fn views_per_image(&self) -> Option<usize> {
        self.of_embeddings().map(EmbeddingObjective::views)
    }

    /// The objective as one that sees the network's outputs alone, which a
    /// [gradient cache](crate::PretrainConfig::gradient_cache) needs. Default: `None`, and a
    /// gradient cache refuses the objective.
    fn of_embeddings(&self) -> Option<&dyn EmbeddingObjective> {
        None
    }

    /// A text that identifies the objective with all its options in the record of a run.
    /// Default: the `Debug` form.
    fn describe(&self) -> String {
        format!("{self:?}")
    }
}

macro_rules! forward_to_pointee {
    ($($pointer:ty),*) => {$(
        impl<O: Objective + ?Sized> Objective for $pointer {
            fn metrics(&self) -> Vec<&'static str> {
                (**self).metrics()
            }

            fn loss(&self, model: &SimClr, batch: &TrainingBatch<'_>) -> Result<Loss> {
                (**self).loss(model, batch)
            }

            fn views_per_image(&self) -> Option<usize> {
                (**self).views_per_image()
            }

            fn of_embeddings(&self) -> Option<&dyn EmbeddingObjective> {
                (**self).of_embeddings()
            }

            fn describe(&self) -> String {
                (**self).describe()
            }
        }
    )*};
}

forward_to_pointee!(Box<O>, Arc<O>);

/// An [`Objective`] that is a function of what the network makes of the views.
pub trait EmbeddingObjective {
    /// Views of each image in a batch.
    fn views(&self) -> usize;

    /// What [`Objective::loss`] gives for a batch of which these are the embeddings.
    ///
    /// # Errors
    /// As [`Objective::loss`].
    fn loss_of(&self, embeddings: &Embeddings, batch: &TrainingBatch<'_>) -> Result<Loss>;
}

/// What [`SimClr::forward`] makes of the views of a batch, in their order.
#[derive(Debug, Clone)]
pub struct Embeddings {
    /// `[views * n, output_size]`: z.
    pub projection: Tensor,
    /// `[views * n, num_classes]`: the supervised head's logits, if there is such a head.
    pub logits: Option<Tensor>,
}

impl From<SimClrOutput> for Embeddings {
    fn from(output: SimClrOutput) -> Self {
        Self {
            projection: output.projection,
            logits: output.logits,
        }
    }
}

/// What a step learns from.
#[derive(Debug, Clone, Copy)]
pub struct TrainingBatch<'a> {
    /// `[views * n, height, width, 3]` in [0, 1]: the first views of all n images, then the
    /// second ones in the same order.
    pub views: &'a Tensor,
    /// The labels of the n images, as far as they have any. Second views may be of other images
    /// (see [`DepthGuidance`](simclr_data::DepthGuidance)).
    pub labels: &'a [Option<u32>],
    /// Which views are no negatives of each other; over several ranks, of the batch of all ranks.
    pub negative_mask: Option<&'a NegativeMask>,
}

impl<'a> TrainingBatch<'a> {
    /// Views and labels, without a mask.
    pub fn new(views: &'a Tensor, labels: &'a [Option<u32>]) -> Self {
        Self {
            views,
            labels,
            negative_mask: None,
        }
    }

    /// The number of images, of which there are `views` views each.
    pub(crate) fn images(&self, views: usize) -> Result<usize> {
        let rows = self.views.dim(0)?;
        if let Some(images) = rows.checked_div(views)
            && images * views == rows
        {
            return Ok(images);
        }
        let expected = format!("{views} for each image");
        Err(Error::setting("number of views", expected, rows))
    }

    /// Fails if there are labels, and not as many as images.
    pub(crate) fn check_labels(&self, views: usize) -> Result<()> {
        let (images, labels) = (self.images(views)?, self.labels.len());
        if labels == 0 || labels == images {
            return Ok(());
        }
        let expected = format!("one for each of {images} images, or none");
        Err(Error::setting("labels", expected, labels))
    }

    /// The labels, `[n]` u32, on the views' device; `None` unless every image has one.
    ///
    /// # Errors
    /// If the tensor cannot be made.
    pub fn all_labels(&self) -> Result<Option<Tensor>> {
        let labels: Option<Vec<u32>> = self.labels.iter().copied().collect();
        let labels = labels.filter(|labels| !labels.is_empty());
        let tensor = labels.map(|labels| Tensor::new(labels, self.views.device()));
        Ok(tensor.transpose()?)
    }
}

/// The mask of a loader's batch, which holds `images` images with those of other ranks.
pub(crate) fn negative_mask(batch: &Batch, images: usize) -> Result<Option<NegativeMask>> {
    let pairs = batch.near_views.as_ref();
    let mask = pairs.map(|pairs| NegativeMask::new(images, pairs.iter().copied()));
    Ok(mask.transpose()?)
}

/// The loss of a step.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Loss {
    /// Scalars whose sum is minimised.
    pub terms: Vec<Tensor>,
    /// Figures for `metrics.csv`, progress and callbacks.
    pub metrics: Vec<Metric>,
}

impl Loss {
    /// Adds a scalar to what is minimised.
    pub fn with_term(mut self, term: Tensor) -> Self {
        self.terms.push(term);
        self
    }

    /// Adds a figure.
    pub fn with_metric(mut self, name: &'static str, value: f64) -> Self {
        self.metrics.push((name, value));
        self
    }
}

/// The value of a scalar tensor.
///
/// # Errors
/// A tensor of more than one number.
pub fn scalar(tensor: &Tensor) -> Result<f64> {
    // On the CPU, since not every device has f64.
    Ok(tensor
        .to_device(&Device::Cpu)?
        .to_dtype(DType::F64)?
        .to_scalar()?)
}

/// The share of rows of `logits` `[n, classes]` whose largest number is that of the label.
///
/// # Errors
/// Shapes that do not fit together.
pub fn accuracy(logits: &Tensor, labels: &Tensor) -> Result<f64> {
    let (rows, classes) = logits.dims2()?;
    let predictions =
        simclr_eval::metrics::arg_max(&logits.flatten_all()?.to_vec1::<f32>()?, classes)?;
    let labels = labels.to_vec1::<u32>()?;
    let hits = predictions
        .iter()
        .zip(&labels)
        .filter(|(a, b)| a == b)
        .count();
    Ok(hits as f64 / rows.max(1) as f64)
}

/// The logits of a forward pass that need a supervised head.
pub(crate) fn logits_of(logits: Option<Tensor>, operation: &'static str) -> Result<Tensor> {
    logits.ok_or(Error::NoLabels {
        operation,
        missing: "a model with a supervised head",
    })
}
