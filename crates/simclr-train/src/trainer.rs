//! One optimization step after the other.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use simclr_checkpoint::{
    CheckpointFile, LoadedModel, Metadata, Source, add_state, check_architecture, load_model,
    model_checkpoint,
};
use simclr_collective::Collective;
use simclr_eval::CLASSES_ENTRY;
use simclr_kernels::{backward, recycle};
use simclr_model::SimClr;
use simclr_optim::{Optimizer, OptimizerConfig, WarmupCosine, weight_decay_term};

use crate::config::at_least;
use crate::error::{Error, Result};
use crate::gradient_cache::ChunkedBatch;
use crate::objective::{Metric, Objective, TrainingBatch, scalar};
use crate::ranks::reduction::{average, summed_gradients};

/// A model, an objective and an optimizer, stepped by hand.
///
/// Each step's loss is that of the [`Objective`] and the weight-decay term, as in the original.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use candle_core::{DType, Device, Tensor};
/// use simclr_loss::NtXent;
/// use simclr_model::{ResNetConfig, SimClr, SimClrConfig, Stem};
/// use simclr_optim::{OptimizerConfig, ScheduleConfig, WarmupCosine};
/// use simclr_train::{ContrastiveObjective, Trainer};
///
/// let encoder = ResNetConfig::depth(18).with_stem(Stem::ImageNet);
/// let model = SimClr::initialize(&SimClrConfig::new(encoder), 1, &Device::Cpu)?;
/// let schedule = WarmupCosine::new(&ScheduleConfig::default(), 4, 4)?;
/// let objective = ContrastiveObjective { loss: NtXent::default() };
/// let mut trainer = Trainer::new(model, objective, &OptimizerConfig::default(), 1e-4, schedule)?;
///
/// // Two views of four images.
/// let views = Tensor::rand(0f32, 1., (2 * 4, 32, 32, 3), &Device::Cpu)?;
/// let metrics = trainer.step(&views, None)?;
/// assert_eq!(trainer.steps_taken(), 1);
/// assert!(metrics.get("contrast_loss").is_some());
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("state.safetensors");
/// trainer.save(&path)?;
/// trainer.restore(&path, &Device::Cpu)?;
/// # Ok(())
/// # }
/// ```
pub struct Trainer {
    model: SimClr,
    objective: Arc<dyn Objective>,
    optimizer: Box<dyn Optimizer>,
    weight_decay: f64,
    schedule: WarmupCosine,
    /// Those that each have a part of the batch, if there are several.
    ranks: Option<Arc<dyn Collective>>,
    gradient_cache: Option<usize>,
    /// The names of the supervised head's classes; empty if they are not known.
    class_names: Vec<String>,
    step: u64,
}

/// What a step measured.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StepMetrics {
    /// The number of the step, from 0.
    pub step: u64,
    /// The learning rate of the update.
    pub learning_rate: f64,
    /// The sum of all terms of the loss.
    pub total_loss: f64,
    /// The weight-decay term.
    pub weight_decay: f64,
    /// The objective's metrics.
    pub values: Vec<Metric>,
}

impl StepMetrics {
    /// A metric of the objective by its name; `None` if the step has none.
    pub fn get(&self, name: &str) -> Option<f64> {
        Some(self.values.iter().find(|(metric, _)| *metric == name)?.1)
    }
}

impl fmt::Debug for Trainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trainer")
            .field("model", self.model.config())
            .field("objective", &self.objective)
            .field("weight_decay", &self.weight_decay)
            .field("schedule", &self.schedule)
            .field("gradient_cache", &self.gradient_cache)
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}

impl Trainer {
    /// A trainer at its first step. Frozen parameters are not updated. LARS adds the weight
    /// decay to gradients by itself and gets `weight_decay` for that.
    ///
    /// # Errors
    /// A weight decay or a setting of the optimizer that is out of its range.
    pub fn new(
        model: SimClr,
        objective: impl Objective + 'static,
        optimizer: &OptimizerConfig,
        weight_decay: f64,
        schedule: WarmupCosine,
    ) -> Result<Self> {
        let optimizer = optimizer.clone().with_weight_decay(weight_decay);
        let optimizer = optimizer.build(model.trainable())?;
        Self::with_parts(
            model,
            Arc::new(objective),
            optimizer,
            weight_decay,
            schedule,
        )
    }

    /// A trainer with an own objective and an optimizer that has been built for the model's
    /// [trainable variables](SimClr::trainable).
    ///
    /// # Errors
    /// A weight decay that is negative or not finite; names in the optimizer's state that
    /// [`Optimizer::state`] rules out.
    pub fn with_parts(
        model: SimClr,
        objective: Arc<dyn Objective>,
        optimizer: Box<dyn Optimizer>,
        weight_decay: f64,
        schedule: WarmupCosine,
    ) -> Result<Self> {
        at_least("weight decay", weight_decay, 0.0)?;
        // Rather now than after the steps up to the first checkpoint.
        add_state(
            &mut model_checkpoint(&model, Source::default())?,
            optimizer.state()?,
        )?;
        Ok(Self {
            model,
            objective,
            optimizer,
            weight_decay,
            schedule,
            ranks: None,
            gradient_cache: None,
            class_names: Vec::new(),
            step: 0,
        })
    }

    /// Takes each step together with other ranks, whose parts of the batch are as large.
    pub(crate) fn with_ranks(mut self, ranks: Option<Arc<dyn Collective>>) -> Self {
        self.ranks = ranks;
        self
    }

    pub(crate) fn ranks(&self) -> Option<&Arc<dyn Collective>> {
        self.ranks.as_ref()
    }

    /// Embeds so many images at a time, so that memory for them serves any batch: see
    /// [`PretrainConfig::gradient_cache`](crate::PretrainConfig::gradient_cache). Default:
    /// `None`, the whole batch at once.
    ///
    /// # Errors
    /// No images; an objective that is [no function of embeddings](Objective::of_embeddings).
    pub fn with_gradient_cache(mut self, images: impl Into<Option<usize>>) -> Result<Self> {
        self.gradient_cache = images.into();
        let Some(images) = self.gradient_cache else {
            return Ok(self);
        };
        if images == 0 {
            return Err(Error::setting("gradient cache", "at least 1 image", 0));
        }
        if self.objective.of_embeddings().is_none() {
            let expected = "an objective that is a function of embeddings \
                            (`Objective::of_embeddings`)";
            let found = self.objective.describe();
            return Err(Error::setting("gradient cache", expected, found));
        }
        Ok(self)
    }

    /// Names the classes of the supervised head in every file that is written
    /// ([`CLASSES_ENTRY`]), so that whoever reads the network knows what its logits are of.
    ///
    /// # Errors
    /// Unless there is a name for each class; a network without a supervised head has none.
    pub fn with_class_names(mut self, names: &[String]) -> Result<Self> {
        let head = self.model.config().supervised_head.as_ref();
        let classes = head.map_or(0, |head| head.num_classes);
        if names.len() != classes {
            let expected = format!("{classes}, as the supervised head has classes");
            return Err(Error::setting("class names", expected, names.len()));
        }
        self.class_names = names.to_vec();
        Ok(self)
    }

    /// The model.
    pub fn model(&self) -> &SimClr {
        &self.model
    }

    /// The optimizer.
    pub fn optimizer(&self) -> &dyn Optimizer {
        self.optimizer.as_ref()
    }

    /// How many steps have been taken.
    pub fn steps_taken(&self) -> u64 {
        self.step
    }

    /// Takes a step: the views of n images (`[views * n, height, width, 3]`, first views first)
    /// and their labels (`[n]`, of an integer type), if there are any.
    ///
    /// # Errors
    /// As [`step_batch`](Self::step_batch); labels of another type or shape.
    pub fn step(&mut self, views: &Tensor, labels: Option<&Tensor>) -> Result<StepMetrics> {
        let labels = labels.map(class_labels).transpose()?.unwrap_or_default();
        self.step_batch(&TrainingBatch::new(views, &labels))
    }

    /// Takes a step on a batch whose images may have labels or not.
    ///
    /// On an error the step is not taken: the network, the moving statistics of its batch norms,
    /// the optimizer and the number of steps are as they were. An own optimizer that fails has
    /// to leave its variables and its state alone itself.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if the loss is no longer finite. Labels whose number does not fit that
    /// of the views. What the objective and the optimizer refuse.
    pub fn step_batch(&mut self, batch: &TrainingBatch<'_>) -> Result<StepMetrics> {
        if let Some(views) = self.objective.views_per_image() {
            batch.check_labels(views)?;
        }
        let statistics = moving_statistics(&self.model)?;
        let result = self.take_step(batch);
        if result.is_err() {
            for (variable, before) in &statistics {
                variable.set(before)?;
            }
        }
        result
    }

    /// [`step_batch`](Self::step_batch), whose errors may leave other moving statistics behind.
    fn take_step(&mut self, batch: &TrainingBatch<'_>) -> Result<StepMetrics> {
        let objective = Arc::clone(&self.objective);
        let chunked = match (self.gradient_cache, objective.of_embeddings()) {
            (Some(images), Some(objective)) => Some(ChunkedBatch::new(objective, batch, images)?),
            _ => None,
        };
        let (loss, cached) = match chunked.filter(|chunked| chunked.len() > 1) {
            None => (objective.loss(&self.model, batch)?, None),
            Some(chunked) => {
                let (loss, embeddings) = chunked.loss(&self.model)?;
                (loss, Some((chunked, embeddings)))
            }
        };
        let learning_rate = self.schedule.at(self.step as usize);
        let penalty = self.penalty()?;
        check_terms(&loss.terms)?;
        let terms: Vec<Tensor> = loss.terms.iter().cloned().chain(penalty.clone()).collect();
        let total = Tensor::stack(&terms, 0)?.sum_all()?;
        let mut metrics = StepMetrics {
            step: self.step,
            learning_rate,
            total_loss: scalar(&total)?,
            weight_decay: penalty.as_ref().map_or(Ok(0.0), scalar)?,
            values: loss.metrics,
        };
        if let Some(ranks) = &self.ranks {
            let values = metrics.values.iter_mut().map(|(_, value)| value);
            average(ranks.as_ref(), values.chain([&mut metrics.total_loss]))?;
        }
        if !metrics.total_loss.is_finite() {
            return Err(Error::NotFinite {
                step: self.step,
                loss: metrics.total_loss,
            });
        }
        let gradients = match (cached, &self.ranks) {
            (Some((chunks, embeddings)), _) => {
                chunks.gradients(&self.model, &total, &embeddings)?
            }
            (None, None) => backward(&total)?,
            (None, Some(ranks)) => {
                self.gradients_over_ranks(ranks.as_ref(), &loss.terms, penalty.as_ref())?
            }
        };
        self.optimizer.step(&gradients, learning_rate)?;
        recycle(gradients)?;
        self.step += 1;
        Ok(metrics)
    }

    /// The gradients of the mean of all ranks' losses and of the weight-decay term.
    fn gradients_over_ranks(
        &self,
        ranks: &dyn Collective,
        terms: &[Tensor],
        penalty: Option<&Tensor>,
    ) -> Result<GradStore> {
        let loss = (Tensor::stack(terms, 0)?.sum_all()? / ranks.size() as f64)?;
        let variables = self.optimizer.variables();
        let mut gradients = summed_gradients(ranks, &loss, &variables)?;
        // Every rank has the same variables, so none needs to be told of this part.
        let Some(penalty) = penalty.map(backward).transpose()? else {
            return Ok(gradients);
        };
        for named in variables {
            let Some(part) = penalty.get(&named.variable) else {
                continue;
            };
            let sum = match gradients.get(&named.variable) {
                Some(sum) => (sum + part)?,
                None => part.clone(),
            };
            gradients.insert(&named.variable, sum);
        }
        Ok(gradients)
    }

    /// Takes a step, unless its loss is not finite: then the step is left out, and so is what the
    /// batch did to the moving statistics of batch norms. The step counts all the same.
    pub(crate) fn step_or_skip(&mut self, batch: &TrainingBatch<'_>) -> Result<StepMetrics> {
        match self.step_batch(batch) {
            Err(Error::NotFinite { step, loss }) => {
                self.step += 1;
                Ok(StepMetrics {
                    step,
                    learning_rate: self.learning_rate(step),
                    total_loss: loss,
                    weight_decay: f64::NAN,
                    values: Vec::new(),
                })
            }
            result => result,
        }
    }

    /// Whether the learning rate is still rising.
    pub(crate) fn is_warming_up(&self) -> bool {
        (self.step as usize) < self.schedule.warmup_steps()
    }

    /// The learning rate of a step, counted from 0.
    pub(crate) fn learning_rate(&self, step: u64) -> f64 {
        self.schedule.at(step as usize)
    }

    fn penalty(&self) -> Result<Option<Tensor>> {
        if self.weight_decay == 0.0 {
            return Ok(None);
        }
        let variables = self.optimizer.variables();
        let coverage = self.optimizer.weight_decay_coverage();
        Ok(weight_decay_term(variables, coverage, self.weight_decay)?)
    }

    /// Writes everything that is needed to go on later: network, optimizer state and the number
    /// of steps.
    ///
    /// # Errors
    /// A file that cannot be written; a value that is not finite, by the name of its tensor;
    /// names in the optimizer's state that [`Optimizer::state`] rules out.
    pub fn save(&self, path: &Path) -> Result<()> {
        let file = self.checkpoint()?;
        file.check_values(path)?;
        Ok(file.save(path)?)
    }

    /// What [`save`](Self::save) writes.
    pub(crate) fn checkpoint(&self) -> Result<CheckpointFile> {
        let mut file = self.network_file()?;
        add_state(&mut file, self.optimizer.state()?)?;
        Ok(file)
    }

    /// The network with the names of its classes.
    fn network_file(&self) -> Result<CheckpointFile> {
        let mut file = model_checkpoint(&self.model, self.source())?;
        if !self.class_names.is_empty() {
            let names = self.class_names.clone();
            file.metadata = file.metadata.with_extra(CLASSES_ENTRY, names);
        }
        Ok(file)
    }

    /// Goes back to where [`save`](Self::save) was called. On an error the trainer stays where it
    /// is.
    ///
    /// # Errors
    /// A file that is missing, damaged or of another architecture or optimizer.
    pub fn restore(&mut self, path: &Path, device: &Device) -> Result<()> {
        let saved = load_network(path, self, device)?;
        self.adopt(path, &saved)
    }

    /// Goes to where a checkpoint of the same architecture was saved.
    pub(crate) fn adopt(&mut self, path: &Path, saved: &LoadedModel) -> Result<()> {
        let step = steps_of(path, &saved.metadata)?;
        let parameters = saved.model.store()?;
        let values = parameters
            .iter()
            .map(|(name, variable)| (name, variable.as_tensor()));
        self.go_to(step, &values.collect::<Vec<_>>(), &saved.state)
    }

    /// Goes to where the tensors of a [`checkpoint`](Self::checkpoint) are from.
    pub(crate) fn set_state(&mut self, step: u64, tensors: BTreeMap<String, Tensor>) -> Result<()> {
        let store = self.model.store()?;
        let is_of_network = |(name, _): &(String, Tensor)| store.get(name).is_some();
        let (network, state): (Vec<_>, _) = tensors.into_iter().partition(is_of_network);
        let named = network.iter().map(|(name, tensor)| (name.as_str(), tensor));
        self.go_to(
            step,
            &named.collect::<Vec<_>>(),
            &BTreeMap::from_iter(state),
        )
    }

    /// Takes on a network and an optimizer's state, both or neither.
    fn go_to(
        &mut self,
        step: u64,
        network: &[(&str, &Tensor)],
        state: &BTreeMap<String, Tensor>,
    ) -> Result<()> {
        let store = self.model.store()?;
        let report = store.compare(network.iter().copied());
        if !report.is_exact() {
            return Err(simclr_model::Error::Mismatch(Box::new(report)).into());
        }
        // Before the network, which is known to fit: a state that does not fit changes nothing.
        self.optimizer.load_state(state)?;
        store.load(network.iter().copied())?;
        self.step = step;
        Ok(())
    }

    /// Writes the network alone, heads included.
    ///
    /// # Errors
    /// A file that cannot be written; a value that is not finite, by the name of its tensor.
    pub fn save_model(&self, path: &Path) -> Result<()> {
        let file = self.network_file()?;
        file.check_values(path)?;
        Ok(file.save(path)?)
    }

    fn source(&self) -> Source {
        Source::new("simclr training").with_global_step(self.step as i64)
    }
}

/// The moving statistics of batch norms, with copies of their values.
fn moving_statistics(model: &SimClr) -> Result<Vec<(Var, Tensor)>> {
    let all = model.parameters();
    let moving = all.filter(|parameter| parameter.spec.name.contains(".moving_"));
    moving
        .map(|parameter| Ok((parameter.variable.clone(), parameter.variable.copy()?)))
        .collect()
}

/// Labels of an integer type, `[n]`.
fn class_labels(labels: &Tensor) -> Result<Vec<Option<u32>>> {
    let wrong = |found: String| Error::setting("labels", "[n] of an integer type, u32 say", found);
    if labels.rank() != 1 || !labels.dtype().is_int() {
        return Err(wrong(format!(
            "{:?} of {:?}",
            labels.dims(),
            labels.dtype()
        )));
    }
    let numbers = labels.to_dtype(DType::I64)?.to_vec1::<i64>()?;
    let label = |number: i64| match u32::try_from(number) {
        Ok(label) => Ok(Some(label)),
        Err(_) => Err(wrong(format!("the label {number}"))),
    };
    numbers.into_iter().map(label).collect()
}

/// Fails unless there are terms, each of them one number: others would be summed up unseen.
fn check_terms(terms: &[Tensor]) -> Result<()> {
    if terms.is_empty() {
        return Err(Error::setting("objective", "at least one term", "none"));
    }
    match (1..).zip(terms).find(|(_, term)| term.rank() != 0) {
        None => Ok(()),
        Some((number, term)) => {
            let found = format!("shape {:?} in term {number}", term.dims());
            Err(Error::setting("objective", "scalars as terms", found))
        }
    }
}

/// Reads a network of this architecture.
pub(crate) fn load_network(path: &Path, trainer: &Trainer, device: &Device) -> Result<LoadedModel> {
    let saved = load_model(path, device)?;
    check_architecture(path, &saved.metadata, trainer.model().config())?;
    Ok(saved)
}

/// After how many steps a network was saved.
pub(crate) fn steps_of(path: &Path, metadata: &Metadata) -> Result<u64> {
    let source = metadata.source.as_ref();
    let step = source.and_then(|source| u64::try_from(source.global_step?).ok());
    step.ok_or_else(|| Error::RunFile {
        path: path.to_owned(),
        reason: "does not say after which step it was written".into(),
    })
}
