//! The linear probe of the paper's script, step by step on recorded features.

use candle_core::{Device, Tensor};
use simclr_eval::probes::{Examples, LinearHead, LinearProbe, ProbeTraining, SplitMetrics};
use simclr_testkit::{GoldenCase, Tolerance, formula_range, formula_values};

use crate::metrics::class_ids;
use crate::{CaseReport, Result};

pub(crate) fn check(case: &GoldenCase) -> Result<CaseReport> {
    let set = Set::read(case)?;
    let all = set.examples()?;
    let settings = LinearProbe::paper()
        .with_learning_rate(case.number("learning_rate")?)
        .with_momentum(case.number("momentum")?)
        .with_batch_size(case.count("batch")?)
        .with_epochs(case.count("epochs")?);
    let head = initial_head(case, all.width())?;
    let mut training = ProbeTraining::new(head, &settings)?;
    let mut report = CaseReport::default();
    let mut losses = Vec::new();
    let mut accuracies = Vec::new();
    let order = rows(case, "order")?;
    let train_rows = order.len() / settings.epochs.max(1);
    for (epoch, order) in order.chunks_exact(train_rows.max(1)).enumerate() {
        let first = losses.len();
        for batch in order.chunks_exact(settings.batch_size) {
            let (loss, accuracy) = training.step(&all, batch)?;
            losses.push(loss);
            accuracies.push(accuracy);
        }
        let figures = [
            ("train_loss", mean(&losses[first..]), loss_bound(case)?),
            (
                "train_acc",
                mean(&accuracies[first..]),
                one_of(settings.batch_size),
            ),
        ];
        for (name, value, bound) in figures {
            let reference = epoch_figure(case, epoch, name)?;
            report.compare_number(
                &format!("epoch{}/{name}", epoch + 1),
                bound,
                value,
                reference,
            );
        }
        for part in ["val", "test"] {
            let subset = set.select(&rows(case, &format!("{part}_ids"))?);
            evaluate(
                &mut report,
                case,
                &training,
                &settings,
                (epoch, part),
                &subset.examples()?,
            )?;
        }
    }
    report.compare_recorded_f64(case, "step_loss", loss_bound(case)?, &losses)?;
    let share = one_of(settings.batch_size);
    report.compare_recorded_f64(case, "step_acc", share, &accuracies)?;
    final_state(&mut report, case, &training)?;
    Ok(report)
}

/// Recorded features with their classes.
struct Set {
    features: Vec<f32>,
    width: usize,
    labels: Vec<u32>,
}

impl Set {
    fn read(case: &GoldenCase) -> Result<Self> {
        Ok(Self {
            features: case.values("features")?,
            width: case.tensor("features")?.dim(1)?,
            labels: class_ids(case, "labels")?,
        })
    }

    fn select(&self, rows: &[usize]) -> Self {
        let chosen = || {
            rows.iter().filter_map(|&row| {
                Some((
                    self.features.chunks(self.width).nth(row)?,
                    self.labels.get(row)?,
                ))
            })
        };
        Self {
            features: chosen()
                .flat_map(|(features, _)| features)
                .copied()
                .collect(),
            width: self.width,
            labels: chosen().map(|(_, &label)| label).collect(),
        }
    }

    fn examples(&self) -> Result<Examples<'_>> {
        Ok(Examples::new(&self.features, self.width, &self.labels)?)
    }
}

fn rows(case: &GoldenCase, name: &str) -> Result<Vec<usize>> {
    let rows = case.integers(name)?.into_iter();
    Ok(rows
        .map(|row| usize::try_from(row).unwrap_or(usize::MAX))
        .collect())
}

fn initial_head(case: &GoldenCase, width: usize) -> Result<LinearHead> {
    let classes = case.count("num_classes")?;
    let start = |variable: &str, shape: &[usize]| -> Result<Tensor> {
        let name = format!("head_supervised/linear_layer/dense/{variable}");
        let (low, high) = formula_range(&name, shape);
        let values = formula_values(&name, shape.iter().product(), low, high);
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    };
    let kernel = start("kernel", &[width, classes])?;
    Ok(LinearHead::new(&kernel, &start("bias", &[classes])?)?)
}

fn loss_bound(case: &GoldenCase) -> Result<Tolerance> {
    Ok(Tolerance::relative_to_max(
        case.bound("step_loss_rel_to_max_abs")?,
    ))
}

/// One sample of this many may be judged otherwise.
fn one_of(samples: usize) -> Tolerance {
    Tolerance::absolute(1.0 / samples.max(1) as f64 + 1e-6)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn epoch_figure(case: &GoldenCase, epoch: usize, name: &str) -> Result<f64> {
    let figure = case.description["epochs"][epoch][name].as_f64();
    Ok(figure.ok_or_else(|| case.error(format!("expected a number `epochs[{epoch}].{name}`")))?)
}

fn evaluate(
    report: &mut CaseReport,
    case: &GoldenCase,
    training: &ProbeTraining,
    settings: &LinearProbe,
    (epoch, part): (usize, &str),
    examples: &Examples<'_>,
) -> Result<()> {
    let name = format!("epoch{}/{part}", epoch + 1);
    let recorded = class_ids(case, &format!("{name}_pred"))?;
    let predicted = training.predict(examples)?;
    let flipped = predicted
        .iter()
        .zip(&recorded)
        .filter(|(a, b)| a != b)
        .count();
    report.require(
        &format!("{name}_pred"),
        predicted.len() == recorded.len() && flipped <= 1,
    );
    // The smallest batch weighs a flipped sample most.
    let smallest = match examples.len() % settings.batch_size {
        0 => settings.batch_size,
        rest => rest,
    };
    let bound = if flipped == 0 {
        Tolerance::absolute(1e-6)
    } else {
        one_of(smallest)
    };
    let figures = training.evaluate(examples, settings.batch_size)?;
    for (figure, value) in named(&figures) {
        let bound = if figure.starts_with("loss") {
            loss_bound(case)?
        } else {
            bound
        };
        let reference = epoch_figure(case, epoch, &format!("{part}_{figure}"))?;
        report.compare_number(&format!("{name}_{figure}"), bound, value, reference);
    }
    Ok(())
}

fn named(figures: &SplitMetrics) -> [(&'static str, f64); 5] {
    [
        ("loss_batch_mean", figures.batch_mean_loss),
        ("acc_batch_mean", figures.paper_compatible.accuracy),
        (
            "f1_weighted_batch_mean",
            figures.paper_compatible.weighted_f1,
        ),
        ("acc", figures.accuracy),
        ("f1_weighted", figures.weighted_f1),
    ]
}

fn final_state(report: &mut CaseReport, case: &GoldenCase, training: &ProbeTraining) -> Result<()> {
    let bound = Tolerance::relative_to_max(case.bound("final_kernel_rel_to_max_abs")?);
    let state = training.optimizer().state()?;
    let momentum = state
        .get("supervised_head.dense.kernel.momentum")
        .ok_or_else(|| case.error("the kernel has no momentum"))?;
    for (name, tensor) in [
        ("final_kernel", training.head().kernel.as_tensor()),
        ("final_bias", training.head().bias.as_tensor()),
        ("final_kernel_momentum", momentum),
    ] {
        report.compare_tensor(case, name, bound, tensor)?;
    }
    Ok(())
}
