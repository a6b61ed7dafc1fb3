//! One optimisation step after the other, for pretraining and for fine-tuning.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use simclr_kernels::{backward, recycle};
use simclr_loss::{DistillationLoss, NtXent, cross_entropy};
use simclr_model::{Mode, SimClr};

use crate::{Error, Result};
use simclr_eval::metrics::arg_max;
use simclr_optim::WarmupCosine;
use simclr_optim::{Optimizer, OptimizerConfig};
use simclr_optim::{WeightDecayCoverage, weight_decay_term};

/// What is minimised, beside the weight-decay term.
#[derive(Debug, Clone, PartialEq)]
pub enum Objective {
    /// NT-Xent between the two views, and, where the model has a supervised head
    /// and the batch has labels, the cross-entropy of a linear classifier that
    /// learns alongside on stopped gradients.
    Pretrain(NtXent),
    /// The cross-entropy of the supervised head, with gradients into everything
    /// that is not frozen.
    FineTune,
    /// A teacher's probabilities, and the labels of the images that have any, with
    /// gradients into everything that is not frozen.
    Distill(DistillationLoss),
}

/// The model, what it is trained for, and how.
pub struct Trainer {
    model: SimClr,
    objective: Objective,
    optimizer: Box<dyn Optimizer>,
    weight_decay: f64,
    coverage: WeightDecayCoverage,
    schedule: WarmupCosine,
    step: u64,
}

/// What one step measured, before its update.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StepMetrics {
    /// The number of the step, from 0: the learning rate is the schedule's at this number.
    pub step: u64,
    /// The learning rate of the step.
    pub learning_rate: f64,
    /// The sum of all terms.
    pub total_loss: f64,
    /// The weight-decay term.
    pub weight_decay: f64,
    /// The contrastive part; `None` in fine-tuning.
    pub contrast: Option<ContrastMetrics>,
    /// The supervised part; `None` without labels.
    pub supervised: Option<SupervisedMetrics>,
    /// The teacher's part; `None` without a teacher.
    #[serde(default)]
    pub distillation: Option<DistillationMetrics>,
}

/// The contrastive part of a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ContrastMetrics {
    /// NT-Xent.
    pub loss: f64,
    /// How often the other view is the most similar of all.
    pub accuracy: f64,
    /// The mean entropy of the softmax over the other views, in nats.
    pub entropy: f64,
}

/// The supervised part of a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SupervisedMetrics {
    /// The cross-entropy in nats.
    pub loss: f64,
    /// The share of right arg-max predictions.
    pub accuracy: f64,
}

/// The teacher's part of a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DistillationMetrics {
    /// The distillation loss times its weight.
    pub loss: f64,
    /// The share of images to which student and teacher give the same class.
    pub agreement: f64,
}

/// The terms of a loss beside the weight decay, and what was measured with them.
#[derive(Default)]
struct Losses {
    terms: Vec<Tensor>,
    contrast: Option<ContrastMetrics>,
    supervised: Option<SupervisedMetrics>,
    distillation: Option<DistillationMetrics>,
}

impl Trainer {
    /// A trainer before its first step.
    ///
    /// `weight_decay` is the strength of the L2 penalty; what of it stands in the
    /// loss and what in the optimizer is said at [`WeightDecayCoverage`]. It
    /// replaces the one in LARS's own settings.
    ///
    /// # Errors
    /// Settings that the optimizer does not accept; a negative weight decay.
    pub fn new(
        model: SimClr,
        objective: Objective,
        optimizer: &OptimizerConfig,
        weight_decay: f64,
        schedule: WarmupCosine,
    ) -> Result<Self> {
        if !(weight_decay.is_finite() && weight_decay >= 0.0) {
            return Err(Error::setting(
                "weight decay",
                "a finite number, at least 0",
                weight_decay,
            ));
        }
        let optimizer = optimizer.clone().with_weight_decay(weight_decay);
        let optimizer = optimizer.build(model.trainable())?;
        let coverage = optimizer.weight_decay_coverage();
        Ok(Self {
            model,
            objective,
            optimizer,
            weight_decay,
            coverage,
            schedule,
            step: 0,
        })
    }

    /// The model in its present state.
    pub fn model(&self) -> &SimClr {
        &self.model
    }

    /// The optimizer, whose state belongs into a checkpoint.
    pub fn optimizer(&self) -> &dyn Optimizer {
        self.optimizer.as_ref()
    }

    /// The optimizer, for restoring its state.
    pub fn optimizer_mut(&mut self) -> &mut dyn Optimizer {
        self.optimizer.as_mut()
    }

    /// Steps taken so far.
    pub fn steps_taken(&self) -> u64 {
        self.step
    }

    /// Goes on as if `step` steps had been taken.
    pub fn resume_after(&mut self, step: u64) {
        self.step = step;
    }

    /// Takes one step on a batch: forward, losses, backward, update.
    ///
    /// For pretraining, `images` is `[2n, h, w, 3]`, the first views and then the
    /// second ones; for fine-tuning `[n, h, w, 3]`. `labels` is `[n]`, u32.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if the loss is not a finite number (nothing is
    /// updated then); [`Error::NoLabels`] if fine-tuning has none.
    pub fn step(&mut self, images: &Tensor, labels: Option<&Tensor>) -> Result<StepMetrics> {
        let losses = self.losses(images, labels)?;
        self.update(losses)
    }

    /// Takes one step of distillation on `images` `[n, h, w, 3]`.
    ///
    /// `teacher` are the teacher's logits `[n, classes]` of the same images; without them
    /// only the labels count, with their weight. `labels` has one label per image or none.
    ///
    /// # Errors
    /// [`Error::NotFinite`] as in [`step`](Self::step); [`Error::Setting`] unless the
    /// objective is [`Objective::Distill`]; [`Error::NoLabels`] if there is neither a
    /// teacher nor a label, or the model has no supervised head.
    pub fn distill_step(
        &mut self,
        images: &Tensor,
        teacher: Option<&Tensor>,
        labels: &[Option<u32>],
    ) -> Result<StepMetrics> {
        let losses = self.distillation_losses(images, teacher, labels)?;
        self.update(losses)
    }

    fn update(&mut self, losses: Losses) -> Result<StepMetrics> {
        let learning_rate = self.schedule.at(self.step as usize);
        let penalty = self.penalty()?;
        let total = total(losses.terms.into_iter().chain(penalty.clone()))?;
        let metrics = StepMetrics {
            step: self.step,
            learning_rate,
            total_loss: scalar(&total)?,
            weight_decay: penalty.as_ref().map_or(Ok(0.0), scalar)?,
            contrast: losses.contrast,
            supervised: losses.supervised,
            distillation: losses.distillation,
        };
        if !metrics.total_loss.is_finite() {
            return Err(Error::NotFinite {
                step: self.step,
                loss: metrics.total_loss,
            });
        }
        let gradients = backward(&total)?;
        self.optimizer.step(&gradients, learning_rate)?;
        recycle(gradients)?;
        self.step += 1;
        Ok(metrics)
    }

    fn penalty(&self) -> Result<Option<Tensor>> {
        if self.weight_decay == 0.0 {
            return Ok(None);
        }
        Ok(weight_decay_term(
            self.optimizer.variables(),
            self.coverage,
            self.weight_decay,
        )?)
    }

    fn losses(&self, images: &Tensor, labels: Option<&Tensor>) -> Result<Losses> {
        let mut losses = Losses::default();
        let output = match &self.objective {
            Objective::Pretrain(nt_xent) => {
                let output = self.model.forward(images, Mode::Train)?;
                let contrast = nt_xent.forward(&output.projection)?;
                losses.contrast = Some(ContrastMetrics {
                    loss: scalar(&contrast.loss)?,
                    accuracy: scalar(&contrast.accuracy)?,
                    entropy: scalar(&contrast.entropy)?,
                });
                losses.terms.push(contrast.loss);
                output
            }
            Objective::FineTune => self.model.forward_fine_tuning(images, Mode::Train)?,
            Objective::Distill(_) => {
                let expected =
                    "pretraining or fine-tuning (a step with a teacher is `distill_step`)";
                return Err(Error::setting("objective", expected, "distillation"));
            }
        };
        match (labels, &output.logits) {
            (Some(labels), Some(logits)) => {
                // Both views of an image have its label.
                let labels = match &self.objective {
                    Objective::Pretrain(_) => Tensor::cat(&[labels, labels], 0)?,
                    _ => labels.clone(),
                };
                let loss = cross_entropy(logits, &labels)?;
                losses.supervised = Some(SupervisedMetrics {
                    loss: scalar(&loss)?,
                    accuracy: accuracy(logits, &labels)?,
                });
                losses.terms.push(loss);
            }
            (None, _) if self.objective == Objective::FineTune => {
                return Err(Error::NoLabels { missing: "labels" });
            }
            (_, None) if self.objective == Objective::FineTune => {
                return Err(Error::NoLabels { missing: HEAD });
            }
            _ => {}
        }
        Ok(losses)
    }

    fn distillation_losses(
        &self,
        images: &Tensor,
        teacher: Option<&Tensor>,
        labels: &[Option<u32>],
    ) -> Result<Losses> {
        let Objective::Distill(loss) = &self.objective else {
            let actual = format!("{:?}", self.objective);
            return Err(Error::setting("objective", "distillation", actual));
        };
        let output = self.model.forward_fine_tuning(images, Mode::Train)?;
        let logits = output.logits.ok_or(Error::NoLabels { missing: HEAD })?;
        let mut losses = Losses::default();
        let (distillation, supervised) = match teacher {
            Some(teacher) => {
                let (distillation, supervised) = loss.terms(&logits, teacher, labels)?;
                losses.distillation = Some(DistillationMetrics {
                    loss: scalar(&distillation)?,
                    agreement: accuracy(&logits, &teacher.argmax(1)?)?,
                });
                (Some(distillation), supervised)
            }
            // The teacher's part is left out; its logits are not looked at.
            None => (None, loss.terms(&logits, &logits, labels)?.1),
        };
        if let Some(supervised) = &supervised {
            losses.supervised = Some(SupervisedMetrics {
                loss: scalar(supervised)?,
                accuracy: labelled_accuracy(&logits, labels)?,
            });
        }
        losses
            .terms
            .extend(distillation.into_iter().chain(supervised));
        match losses.terms.is_empty() {
            true => Err(Error::NoLabels {
                missing: "a teacher or labels",
            }),
            false => Ok(losses),
        }
    }
}

/// What fine-tuning and distillation need of the model.
const HEAD: &str = "a model with a supervised head";

/// The accuracy over the rows that have a label.
fn labelled_accuracy(logits: &Tensor, labels: &[Option<u32>]) -> Result<f64> {
    let known = (0u32..)
        .zip(labels)
        .filter_map(|(row, label)| Some((row, (*label)?)));
    let (rows, labels): (Vec<u32>, Vec<u32>) = known.unzip();
    let device = logits.device();
    let logits = logits.index_select(&Tensor::new(rows, device)?, 0)?;
    accuracy(&logits, &Tensor::new(labels, device)?)
}

/// The sum of a non-empty list of scalars.
fn total(terms: impl IntoIterator<Item = Tensor>) -> Result<Tensor> {
    let terms: Vec<Tensor> = terms.into_iter().collect();
    Ok(Tensor::stack(&terms, 0)?.sum_all()?)
}

fn scalar(tensor: &Tensor) -> Result<f64> {
    Ok(tensor.to_dtype(candle_core::DType::F64)?.to_scalar()?)
}

/// The share of rows whose highest logit is the label's.
fn accuracy(logits: &Tensor, labels: &Tensor) -> Result<f64> {
    let (rows, classes) = logits.dims2()?;
    let predictions = arg_max(&logits.flatten_all()?.to_vec1::<f32>()?, classes)?;
    let labels = labels.to_vec1::<u32>()?;
    let hits = predictions
        .iter()
        .zip(&labels)
        .filter(|(a, b)| a == b)
        .count();
    Ok(hits as f64 / rows.max(1) as f64)
}
