//! The linear probe of the paper's script, step by step on recorded features.

use simclr_eval::Features;
use simclr_eval::probes::{Examples, LinearHead, LinearProbe, ProbeTraining};
use simclr_testkit::{GoldenCase, Tolerance};

use crate::formula_model::formula_tensor;
use crate::metrics::class_ids;
use crate::{CaseChecks, Result};

pub(crate) fn check(checks: &mut CaseChecks<'_>) -> Result<()> {
    let case = checks.case;
    let set = features(case)?;
    let all = set.examples()?;
    let settings = LinearProbe::paper()
        .with_learning_rate(case.number("learning_rate")?)
        .with_momentum(case.number("momentum")?)
        .with_batch_size(case.count("batch")?)
        .with_epochs(case.count("epochs")?);
    let head = initial_head(case, all.width())?;
    let mut training = ProbeTraining::new(head, &settings)?;
    let mut losses = Vec::new();
    let mut accuracies = Vec::new();
    let share = one_of(settings.batch_size);
    let order = rows(case, "order")?;
    let train_rows = order.len() / settings.epochs.max(1);
    for (epoch, order) in order.chunks_exact(train_rows.max(1)).enumerate() {
        let first = losses.len();
        for batch in order.chunks_exact(settings.batch_size) {
            let (loss, accuracy) = training.step(&all, batch)?;
            losses.push(loss);
            accuracies.push(accuracy);
        }
        for (name, values, bound) in [
            ("train_loss", &losses[first..], loss_bound(case)?),
            ("train_acc", &accuracies[first..], share),
        ] {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let reference = epoch_figure(case, epoch, name)?;
            let name = format!("epoch{}/{name}", epoch + 1);
            checks.report.compare(&name, bound, &[mean], &[reference]);
        }
        for part in ["val", "test"] {
            let subset = set.select(&rows(case, &format!("{part}_ids"))?)?;
            let examples = subset.examples()?;
            evaluate(checks, &training, &settings, (epoch, part), &examples)?;
        }
    }
    checks.compare("step_loss", loss_bound(case)?, &losses)?;
    checks.compare("step_acc", share, &accuracies)?;
    final_state(checks, &training)
}

/// Recorded features with their classes.
fn features(case: &GoldenCase) -> Result<Features> {
    Ok(Features {
        values: case.values("features")?,
        size: case.tensor("features")?.dim(1)?,
        labels: class_ids(case, "labels")?,
        class_names: Vec::new(),
    })
}

fn rows(case: &GoldenCase, name: &str) -> Result<Vec<usize>> {
    let rows = case.values::<i64>(name)?.into_iter();
    Ok(rows
        .map(|row| usize::try_from(row).unwrap_or(usize::MAX))
        .collect())
}

fn initial_head(case: &GoldenCase, width: usize) -> Result<LinearHead> {
    let classes = case.count("num_classes")?;
    let scope = "head_supervised/linear_layer/dense";
    let kernel = formula_tensor(&format!("{scope}/kernel"), &[width, classes], case.device())?;
    let bias = formula_tensor(&format!("{scope}/bias"), &[classes], case.device())?;
    Ok(LinearHead::new(&kernel, &bias)?)
}

fn loss_bound(case: &GoldenCase) -> Result<Tolerance> {
    let bound = case.bound("step_loss_rel_to_max_abs")?;
    Ok(Tolerance::relative_to_max(bound))
}

/// One sample of this many may be judged otherwise.
fn one_of(samples: usize) -> Tolerance {
    Tolerance::absolute(1.0 / samples.max(1) as f64 + 1e-6)
}

fn epoch_figure(case: &GoldenCase, epoch: usize, name: &str) -> Result<f64> {
    let figure = case.description["epochs"][epoch][name].as_f64();
    Ok(figure.ok_or_else(|| case.error(format!("expected a number `epochs[{epoch}].{name}`")))?)
}

fn evaluate(
    checks: &mut CaseChecks<'_>,
    training: &ProbeTraining,
    settings: &LinearProbe,
    (epoch, part): (usize, &str),
    examples: &Examples<'_>,
) -> Result<()> {
    let case = checks.case;
    let name = format!("epoch{}/{part}", epoch + 1);
    let predictions = format!("{name}_pred");
    let recorded = class_ids(case, &predictions)?;
    let predicted = training.predict(examples)?;
    let pairs = predicted.iter().zip(&recorded);
    let flipped = pairs.filter(|(a, b)| a != b).count();
    let same = predicted.len() == recorded.len() && flipped <= 1;
    checks.report.require(&predictions, same);
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
    let paper = &figures.paper_compatible;
    for (figure, value, bound) in [
        (
            "loss_batch_mean",
            figures.batch_mean_loss,
            loss_bound(case)?,
        ),
        ("acc_batch_mean", paper.accuracy, bound),
        ("f1_weighted_batch_mean", paper.weighted_f1, bound),
        ("acc", figures.accuracy, bound),
        ("f1_weighted", figures.weighted_f1, bound),
    ] {
        let reference = epoch_figure(case, epoch, &format!("{part}_{figure}"))?;
        let name = format!("{name}_{figure}");
        checks.report.compare(&name, bound, &[value], &[reference]);
    }
    Ok(())
}

fn final_state(checks: &mut CaseChecks<'_>, training: &ProbeTraining) -> Result<()> {
    let case = checks.case;
    let bound = Tolerance::relative_to_max(case.bound("final_kernel_rel_to_max_abs")?);
    let state = training.optimizer().state()?;
    let momentum = state.get("supervised_head.dense.kernel.momentum");
    let momentum = momentum.ok_or_else(|| case.error("the kernel has no momentum"))?;
    for (name, tensor) in [
        ("final_kernel", training.head().kernel.as_tensor()),
        ("final_bias", training.head().bias.as_tensor()),
        ("final_kernel_momentum", momentum),
    ] {
        checks.compare_tensor(name, bound, tensor)?;
    }
    Ok(())
}
