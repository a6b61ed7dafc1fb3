//! The paper's method in plain words: can photographs without labels replace labels?
//!
//! `cargo run --release --example paper_method` on synthetic cores, `-- cores/` on your own class
//! folders. The six experiments, with an option for every setting, are `simclr experiment 1` to `6`.

use std::path::Path;
use std::process::ExitCode;

use simclr::data::InMemory;
use simclr::model::Freeze;
use simclr::prelude::*;
use simclr::study::{Study, Task, paper};
use simclr_cli::interrupt::{exit_paused, pause_handle};
use simclr_cli::terminal::{AnyResult, say};

fn main() -> ExitCode {
    exit_paused(|| run(std::env::args().nth(1)))
}

fn run(folder: Option<String>) -> AnyResult {
    // The task: photographs of cores, each with the kind of drilling disturbance that it shows.
    let task = match &folder {
        Some(option) if option.starts_with('-') => return Err("usage: paper_method [DIR]".into()),
        Some(folder) => Task::new(folder, ImageFolder::labelled(folder)?.shared())?,
        None => Task::new(
            "synthetic cores",
            InMemory::collect(&SyntheticCores::new(600, 64, Seed(1))?)?.shared(),
        )?,
    };

    // The protocol: ResNets, NT-Xent and LARS with the paper's settings, here in their small form.
    // Every method sees the same folds of the labelled images, at each number of labels.
    let mut protocol = paper::tiny(paper::experiment_3())
        .with_seeds([Seed(1)])
        .with_label_fractions([1.0, 0.25]);
    protocol.fine_tune_freeze = vec![Freeze::None];
    let mut study = Study::open(Path::new("runs/paper-method"), protocol, task)?
        .with_progress(ProgressMode::Auto)
        .with_pause(pause_handle());

    // The zero: the same network without any training, its batch norm adapted to the images.
    let pretrain = Pretrain::new(study.protocol().pretrain.clone());
    study.probe_untrained(|run| pretrain.clone().seed(run.seed).untrained())?;

    // Self-supervision: the network learns to find the other view of each photograph among those of
    // all the others. It sees no label, and no photograph that it will be tested on. Then it is
    // frozen, and linear probes learn on its features; and it is fine-tuned with the labels.
    study.pretrain("self-supervised", &pretrain, 1.0, "pretrain")?;

    // What it has to be better than to be worth anything: the labels alone.
    study.supervised("supervised from scratch")?;

    // What was found, in words, with intervals over test images, folds and seeds.
    let comparison = study.comparison()?;
    for finding in comparison.findings()? {
        say(finding);
    }
    say(comparison.table()?);
    say(format_args!("report: {}", study.write_report()?.display()));
    Ok(())
}
