//! What several examples share.

use std::path::PathBuf;

use simclr::data::{Subset, image_grid, save_png};
use simclr::eval::{ProbeResults, ProbeSuite, comparison_table};
use simclr::prelude::*;
use simclr::report::Report;
use simclr::train::PretrainRun;
use simclr::train::run::RunRecord;

mod exit;

pub(crate) use exit::exit;

/// What the examples return.
pub(crate) type AnyResult<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Rows of a picture beside four of its views.
pub(crate) fn views(images: &dyn Dataset, policy: &Policy, seed: u64) -> AnyResult<DecodedImage> {
    let mut rows = Vec::new();
    for index in 0..images.len().min(6) {
        let decoded = images.decode(index)?;
        let stream = Stream::new(Seed(seed)).sample(index as u64);
        // The original at the views' size, so that one row is easy to compare.
        let mut row = vec![Policy::evaluation(policy.size.0).apply(&decoded, stream)?];
        for view in 0..4 {
            row.push(policy.apply(&decoded, stream.view(View::Index(view)))?);
        }
        rows.push(row);
    }
    Ok(image_grid(&rows)?)
}

/// Evaluates the untrained and the pretrained encoder on the same split, and writes a
/// report into the run folder.
pub(crate) fn compare_and_report(
    title: &str,
    question: &str,
    pretrain: &Pretrain,
    run: &PretrainRun,
    split: &Split<Subset>,
    probes: &ProbeSuite,
) -> AnyResult<(ProbeResults, ProbeResults, PathBuf)> {
    let config = pretrain.config();
    let policy = Policy::probe(config.policy.size.0);
    let evaluated =
        |encoder: &FrozenEncoder| probes.evaluate(&Features::of_split(encoder, split, &policy)?);
    let (untrained, pretrained) = (evaluated(&pretrain.untrained()?)?, evaluated(&run.encoder)?);

    let picture = run.dir.join("views.png");
    save_png(
        &views(&split.train, &config.policy, config.seed.0)?,
        &picture,
    )?;
    let table = comparison_table(&[("untrained", &untrained), ("pretrained", &pretrained)]);
    println!("{table}");
    let path = Report::new(title, question)
        .section("Result")
        .table(table)
        .section("Views")
        .image(
            "views",
            std::fs::read(&picture)?,
            "Each row: a picture, then four of its views.",
        )
        .section("Linear probe on the pretrained encoder")
        .classification(
            "linear-probe",
            "linear probe, test images",
            &pretrained.linear.test,
        )?
        .run(&RunRecord::read(&run.dir)?)?
        .write(&run.dir)?;
    Ok((untrained, pretrained, path))
}
