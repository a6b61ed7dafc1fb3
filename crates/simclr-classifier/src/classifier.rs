//! The classifier itself.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use simclr_augment::Policy;
use simclr_data::{Dataset, DatasetExt, ViewLoader};
use simclr_eval::check_finite;
use simclr_model::{FrozenEncoder, Mode, SimClr};
use simclr_progress::{Progress, Silent, StepUpdate};

use crate::calibration::{conformal_threshold, probabilities};
use crate::error::{Error, Result};
use crate::head::{Bank, Head};
use crate::info::ClassifierInfo;
use crate::prediction::{Abstain, Description, Prediction};

/// Images per forward pass.
pub(crate) const BATCH_SIZE: usize = 64;

/// The network below the head.
#[derive(Debug, Clone)]
pub(crate) enum Network {
    Frozen(Box<FrozenEncoder>),
    FineTuned(Box<SimClr>),
}

/// What a network makes of a batch of images.
pub(crate) struct NetworkOutput {
    /// `[images, size]`, on the CPU.
    pub(crate) features: Tensor,
    /// The features, flat.
    pub(crate) values: Vec<f32>,
    /// Of a fine-tuned network, `[images, classes]`, flat.
    pub(crate) logits: Option<Vec<f32>>,
}

impl Network {
    /// Features and logits. `name` is that of an image of the batch.
    pub(crate) fn run(
        &self,
        images: &Tensor,
        name: impl Fn(usize) -> String,
    ) -> Result<NetworkOutput> {
        let (features, logits) = match self {
            Self::Frozen(encoder) => (encoder.embed(images, BATCH_SIZE)?, None),
            Self::FineTuned(model) => {
                let images = images.to_device(model.device())?;
                let output = model.forward(&images, Mode::Infer)?;
                let logits = output.logits.as_ref();
                let logits = logits.map(|logits| logits.detach().flatten_all()?.to_vec1());
                (output.h().detach(), logits.transpose()?)
            }
        };
        let features = features.to_device(&Device::Cpu)?;
        let values = features.flatten_all()?.to_vec1()?;
        check_finite(&values, features.dim(1)?, name)?;
        Ok(NetworkOutput {
            features,
            values,
            logits,
        })
    }
}

/// Hands images to `each`, batch by batch, with the first one's index, prepared as
/// `[n, height, width, 3]`.
pub(crate) fn each_batch<E: From<Error>>(
    images: Arc<dyn Dataset>,
    policy: &Policy,
    progress: &mut dyn Progress,
    mut each: impl FnMut(usize, &Tensor) -> Result<(), E>,
) -> Result<(), E> {
    let mut first = 0;
    let batch_size = BATCH_SIZE.min(images.len()).max(1);
    let loader = ViewLoader::evaluation(images, policy.clone(), batch_size).map_err(Error::from)?;
    for batch in loader.epochs(0..1).map_err(Error::from)? {
        let batch = batch.map_err(Error::from)?;
        each(first, &batch.views)?;
        first += batch.len();
        progress.step(&StepUpdate {
            images: batch.len(),
            ..StepUpdate::default()
        });
    }
    Ok(())
}

/// A head that is one dense layer: `logits = x kernel + bias`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DenseHead {
    /// `[features, classes]`.
    pub kernel: Tensor,
    /// `[classes]`.
    pub bias: Tensor,
    /// Whether features are divided by their length first.
    pub unit_length: bool,
}

/// A classifier of images: encoder, head, class names, preparation of images, calibration and novelty,
/// in memory as in its file. See [`Self::load`] and [`Self::fit`].
#[derive(Debug, Clone)]
pub struct Classifier {
    pub(crate) network: Network,
    pub(crate) head: Head,
    pub(crate) bank: Bank,
    /// Probabilities of validation images' true classes, in increasing order.
    pub(crate) conformal: Vec<f32>,
    pub(crate) info: ClassifierInfo,
}

impl Classifier {
    /// What is known about it: classes, preparation, figures.
    pub fn info(&self) -> &ClassifierInfo {
        &self.info
    }

    /// The names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.info.classes
    }

    /// The encoder below the head.
    pub fn encoder(&self) -> FrozenEncoder {
        match &self.network {
            Network::Frozen(encoder) => encoder.as_ref().clone(),
            Network::FineTuned(model) => model.encoder().frozen(),
        }
    }

    /// The head, where it is one dense layer on the encoder's features.
    ///
    /// # Errors
    /// [`Error::Setting`] for nearest neighbours, and for the supervised head of a network that
    /// stands on a layer of the projection head.
    pub fn dense_head(&self) -> Result<DenseHead> {
        let refused = |found: &str| {
            let expected = "a dense layer on the encoder's features";
            Err(Error::setting("head", expected, found))
        };
        match (&self.head, &self.network) {
            (Head::Linear { head, unit_length }, _) => Ok(DenseHead {
                kernel: head.kernel.as_detached_tensor(),
                bias: head.bias.as_detached_tensor(),
                unit_length: *unit_length,
            }),
            (Head::FineTuned, Network::FineTuned(model)) => {
                if model.config().projection_head.selected_level()? > 0 {
                    return refused("one on a layer of the projection head");
                }
                let parameter = |name: &str| {
                    let parameter = model.parameters().find(|p| p.spec.name == name);
                    parameter.map(|parameter| parameter.variable.as_detached_tensor())
                };
                let names = ["supervised_head.dense.kernel", "supervised_head.dense.bias"];
                let [Some(kernel), Some(bias)] = names.map(parameter) else {
                    return refused("a network without a supervised head");
                };
                Ok(DenseHead {
                    kernel,
                    bias,
                    unit_length: false,
                })
            }
            _ => refused("the vote of nearest neighbours"),
        }
    }

    /// What images are, in their order.
    ///
    /// # Errors
    /// An image that cannot be read.
    pub fn predict(&self, images: &(impl Dataset + Clone + 'static)) -> Result<Vec<Prediction>> {
        let mut predictions = Vec::with_capacity(images.len());
        self.predict_each(images.shared(), &mut Silent, |_, prediction| {
            predictions.push(prediction);
            Ok::<_, Error>(())
        })?;
        Ok(predictions)
    }

    /// [`Self::predict`] for any number of images: each prediction is handed to `each` with the image's
    /// index as soon as it is there, and nothing is kept. Reports each of
    /// [`prediction_steps`](Self::prediction_steps).
    ///
    /// # Errors
    /// As [`Self::predict`], and those of `each`.
    pub fn predict_each<E: From<Error>>(
        &self,
        images: Arc<dyn Dataset>,
        progress: &mut dyn Progress,
        mut each: impl FnMut(usize, Prediction) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut index = 0;
        self.describe_each(images, progress, |_, predictions| {
            for prediction in predictions {
                each(index, prediction)?;
                index += 1;
            }
            Ok(())
        })
    }

    /// What images are, with their features: for those who compare images with each other.
    ///
    /// # Errors
    /// An image that cannot be read.
    pub fn describe(
        &self,
        images: Arc<dyn Dataset>,
        progress: &mut dyn Progress,
    ) -> Result<Description> {
        let mut description = Description::default();
        self.describe_each(images, progress, |output, predictions| {
            description.size = output.features.dim(1)?;
            description.features.extend(output.values);
            description.predictions.extend(predictions);
            Ok::<_, Error>(())
        })?;
        Ok(description)
    }

    fn describe_each<E: From<Error>>(
        &self,
        images: Arc<dyn Dataset>,
        progress: &mut dyn Progress,
        mut each: impl FnMut(NetworkOutput, Vec<Prediction>) -> Result<(), E>,
    ) -> Result<(), E> {
        each_batch(
            images.clone(),
            &self.info.policy,
            progress,
            |first, views| {
                let name = |row: usize| images.name(first + row);
                let (output, predictions) = self.describe_batch(views, name)?;
                each(output, predictions)
            },
        )
    }

    /// Images per forward pass. The last digits of what an image gives depend on how many are in its
    /// pass.
    pub const BATCH_SIZE: usize = BATCH_SIZE;

    /// The steps of progress for this many images.
    pub fn prediction_steps(images: usize) -> usize {
        images.div_ceil(BATCH_SIZE)
    }

    /// What prepared images `[n, height, width, 3]` in [0, 1] are.
    ///
    /// # Errors
    /// Images that are too small for the network, or of which it makes numbers that are not finite.
    pub fn predict_batch(&self, images: &Tensor) -> Result<Vec<Prediction>> {
        let name = |row| format!("image {row} of the batch");
        Ok(self.describe_batch(images, name)?.1)
    }

    fn describe_batch(
        &self,
        images: &Tensor,
        name: impl Fn(usize) -> String,
    ) -> Result<(NetworkOutput, Vec<Prediction>)> {
        let classes = self.info.classes.len();
        let mut output = self.network.run(images, name)?;
        let logits = match output.logits.take() {
            Some(logits) => logits,
            None => self.head.logits(&output.features, &self.bank, classes)?,
        };
        let neighbours = self.info.novelty_neighbours;
        let novelty = self.bank.novelty(&output.features, neighbours)?;
        let shares = probabilities(&logits, classes, self.info.temperature);
        let rows = shares.chunks_exact(classes.max(1)).zip(novelty);
        let prediction = |(shares, novelty): (&[f64], f64)| {
            Prediction::new(shares.to_vec(), novelty, self.info.novelty_threshold)
        };
        let predictions = rows.map(prediction).collect();
        Ok((output, predictions))
    }

    /// The class of a prediction, or nothing where the rule says so.
    pub fn decide(&self, prediction: &Prediction, abstain: Abstain) -> Option<usize> {
        let is_sure = match abstain {
            Abstain::Never => true,
            Abstain::Below(confidence) => prediction.confidence >= confidence,
            Abstain::Conformal(coverage) => {
                let threshold = conformal_threshold(&self.conformal, coverage);
                let inside = prediction
                    .probabilities
                    .iter()
                    .filter(|share| **share >= threshold);
                inside.count() == 1
            }
        };
        is_sure.then_some(prediction.class)
    }
}
