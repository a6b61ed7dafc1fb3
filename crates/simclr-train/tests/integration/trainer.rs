//! Steps by hand: what a failed one leaves behind, and what a trainer saves and restores.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use simclr_loss::NtXent;
use simclr_model::{Mode, ResNetConfig, SimClr, SimClrConfig, Stem};
use simclr_optim::{
    AdamConfig, Gradients, NamedVariable, Optimizer, OptimizerConfig, ScheduleConfig, SgdConfig,
    WarmupCosine,
};
use simclr_train::{ContrastiveObjective, Error, Loss, Objective, Result, Trainer, TrainingBatch};

fn model(classes: usize) -> SimClr {
    let encoder = ResNetConfig::depth(18).with_stem(Stem::Cifar);
    let config = SimClrConfig::new(encoder);
    let config = match classes {
        0 => config,
        classes => config.with_classes(classes),
    };
    SimClr::initialize(&config, 1, &Device::Cpu).unwrap()
}

fn contrastive() -> ContrastiveObjective {
    ContrastiveObjective {
        loss: NtXent::default(),
    }
}

fn schedule() -> WarmupCosine {
    WarmupCosine::new(&ScheduleConfig::default(), 4, 4).unwrap()
}

fn trainer(classes: usize, optimizer: &OptimizerConfig) -> Trainer {
    Trainer::new(model(classes), contrastive(), optimizer, 0.0, schedule()).unwrap()
}

fn sgd() -> OptimizerConfig {
    OptimizerConfig::Momentum(SgdConfig::default())
}

/// So many rows of noise.
fn views(rows: usize) -> Tensor {
    let noise = (0..rows * 8 * 8 * 3).map(|i| (i * i % 97) as f32 / 97.0);
    Tensor::from_iter(noise, &Device::Cpu)
        .and_then(|noise| noise.reshape((rows, 8, 8, 3)))
        .unwrap()
}

/// The values of the network.
fn values(trainer: &Trainer) -> BTreeMap<String, Vec<f32>> {
    let store = trainer.model().store().unwrap();
    let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1().unwrap();
    let named = store.iter();
    named
        .map(|(name, variable)| (name.to_owned(), flat(variable)))
        .collect()
}

#[test]
fn a_step_that_fails_leaves_the_trainer_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.safetensors");
    let mut trainer = trainer(0, &sgd());
    trainer.step(&views(8), None).unwrap();
    let before = values(&trainer);
    let not_finite = (views(8) * f64::NAN).unwrap();
    for (views, reason) in [
        (not_finite, "the loss of step 1 is NaN"),
        (
            views(7),
            "number of views: expected 2 for each image, found 7",
        ),
        (views(2), "2"),
    ] {
        let error = trainer.step(&views, None).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(values(&trainer), before, "{error}");
        assert_eq!(trainer.steps_taken(), 1);
    }
    trainer.save(&path).unwrap();
    trainer.restore(&path, &Device::Cpu).unwrap();
    assert_eq!(values(&trainer), before);
}

#[test]
fn values_that_are_not_finite_are_not_saved() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.safetensors");
    let trainer = trainer(0, &sgd());
    let store = trainer.model().store().unwrap();
    let mean = store.get("encoder.stem.batch_norm.moving_mean").unwrap();
    mean.set(&(mean.as_detached_tensor() * f64::NAN).unwrap())
        .unwrap();
    for result in [trainer.save(&path), trainer.save_model(&path)] {
        let error = result.unwrap_err().to_string();
        assert!(
            error.contains("`encoder.stem.batch_norm.moving_mean`: 64 of 64 values"),
            "{error}"
        );
    }
    assert!(!path.exists());
}

/// Takes no steps, and keeps a number under some name.
struct Idle {
    variables: Vec<NamedVariable>,
    key: &'static str,
}

impl Optimizer for Idle {
    fn step(&mut self, _: &dyn Gradients, _: f64) -> simclr_optim::Result<()> {
        Ok(())
    }

    fn variables(&self) -> Vec<&NamedVariable> {
        self.variables.iter().collect()
    }

    fn steps_taken(&self) -> u64 {
        0
    }

    fn state(&self) -> simclr_optim::Result<BTreeMap<String, Tensor>> {
        let number = Tensor::new(7i64, &Device::Cpu)?;
        Ok(BTreeMap::from([(self.key.to_owned(), number)]))
    }

    fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> simclr_optim::Result<()> {
        assert_eq!(state.keys().collect::<Vec<_>>(), [self.key]);
        Ok(())
    }
}

#[test]
fn the_state_of_an_own_optimizer_has_names_that_are_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.safetensors");
    let with = |key| {
        let model = model(0);
        let variables = model.trainable().into_iter().map(NamedVariable::from);
        let optimizer = Idle {
            variables: variables.collect(),
            key,
        };
        Trainer::with_parts(
            model,
            Arc::new(contrastive()),
            Box::new(optimizer),
            0.0,
            schedule(),
        )
    };
    for key in ["optimizer.a.b", "encoder.stem.conv.kernel.slow"] {
        let mut trainer = with(key).unwrap();
        trainer.save(&path).unwrap();
        trainer.restore(&path, &Device::Cpu).unwrap();
    }
    for (key, found) in [
        (
            "encoder.stem.conv.kernel",
            "`encoder.stem.conv.kernel`, a parameter's",
        ),
        (
            "encoder.stem.conv.kernel.slow.1",
            "`encoder.stem.conv.kernel.slow.1`",
        ),
        ("steps", "`steps`"),
    ] {
        let error = with(key).unwrap_err().to_string();
        let expected = "names in the optimizer's state: expected `optimizer.<name>` or \
                        `<parameter>.<word>`, found ";
        assert_eq!(error, format!("{expected}{found}"));
    }
}

#[test]
fn a_checkpoint_of_another_optimizer_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.safetensors");
    let adam = OptimizerConfig::Adam(AdamConfig::default());
    let mut of_adam = trainer(0, &adam);
    of_adam.step(&views(8), None).unwrap();
    of_adam.step(&views(8), None).unwrap();
    of_adam.save(&path).unwrap();
    let mut trainer = trainer(0, &sgd());
    trainer.step(&views(8), None).unwrap();
    let before = values(&trainer);
    let error = trainer.restore(&path, &Device::Cpu).unwrap_err();
    assert!(error.to_string().contains("optimizer state"), "{error}");
    assert_eq!(values(&trainer), before);
    assert_eq!(trainer.steps_taken(), 1);
}

#[test]
fn labels_are_of_any_integer_type_and_as_many_as_images() {
    let labels = Tensor::new(&[0u32, 1, 2, 1], &Device::Cpu).unwrap();
    let step = |labels: &Tensor| trainer(3, &sgd()).step(&views(8), Some(labels));
    let of = |dtype| labels.to_dtype(dtype).unwrap();
    assert_eq!(step(&labels).unwrap(), step(&of(DType::I64)).unwrap());
    let error = |labels: &Tensor, classes| {
        let mut trainer = trainer(classes, &sgd());
        let error = trainer.step(&views(8), Some(labels)).unwrap_err();
        error.to_string()
    };
    let expected = "labels: expected [n] of an integer type, u32 say, found ";
    assert_eq!(error(&of(DType::F32), 3), format!("{expected}[4] of F32"));
    let negative = Tensor::new(&[0i64, -1, 2, 1], &Device::Cpu).unwrap();
    assert_eq!(error(&negative, 3), format!("{expected}the label -1"));
    let two = labels.narrow(0, 0, 2).unwrap();
    for classes in [0, 3] {
        assert_eq!(
            error(&two, classes),
            "labels: expected one for each of 4 images, or none, found 2"
        );
    }
}

/// Minimises the projections as they are.
#[derive(Debug)]
struct Unsummed {
    views: usize,
}

impl Objective for Unsummed {
    fn metrics(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn views_per_image(&self) -> Option<usize> {
        Some(self.views)
    }

    fn loss(&self, model: &SimClr, batch: &TrainingBatch<'_>) -> Result<Loss> {
        let projection = model.forward(batch.views, Mode::Train)?.projection;
        let sum = projection.sum_all()?;
        Ok(Loss::default().with_term(sum).with_term(projection))
    }
}

#[test]
fn a_term_that_is_no_scalar_and_a_number_of_views_that_does_not_fit_are_refused() {
    for (views_per_image, expected) in [
        (
            2,
            "objective: expected scalars as terms, found shape [8, 128] in term 2",
        ),
        (3, "number of views: expected 3 for each image, found 8"),
        (0, "number of views: expected 0 for each image, found 8"),
    ] {
        let objective = Unsummed {
            views: views_per_image,
        };
        let mut trainer = Trainer::new(model(0), objective, &sgd(), 0.0, schedule()).unwrap();
        let before = values(&trainer);
        let error = trainer.step(&views(8), None).unwrap_err();
        assert!(matches!(error, Error::Setting { .. }), "{error}");
        assert_eq!(error.to_string(), expected);
        assert_eq!(values(&trainer), before);
    }
}
