//! A run in TensorBoard's event files.
#![allow(clippy::unwrap_used)]
#![cfg(feature = "tensorboard")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::common::After;
use simclr_data::{Seed, SyntheticCores};
use simclr_tensorboard::proto::{Content, Event, What};
use simclr_tensorboard::read_events;
use simclr_train::run::RunRecord;
use simclr_train::{Control, Error, LoopConfig, Pretrain, PretrainConfig, TensorBoard};

/// Two epochs of four steps.
fn pretrain() -> Pretrain {
    let config = PretrainConfig::resnet(18)
        .with_image_size(32)
        .with_batch_size(4);
    let pretrain = Pretrain::new(config).epochs(2).seed(Seed(3));
    pretrain.callback(TensorBoard::default())
}

fn event_files(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|path| path.to_str().unwrap().contains("tfevents"))
        .collect();
    files.sort();
    files
}

/// Each tag with its steps and numbers; the size of a picture in place of a number.
fn values(events: &[Event]) -> BTreeMap<String, Vec<(i64, f32)>> {
    let mut values: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for event in events {
        let Some(What::Summary(summary)) = &event.what else {
            continue;
        };
        for value in &summary.value {
            let number = match value.content.as_ref().unwrap() {
                Content::Scalar(scalar) => *scalar,
                Content::Image(image) => (image.height * image.width) as f32,
            };
            values
                .entry(value.tag.clone())
                .or_default()
                .push((event.step, number));
        }
    }
    values
}

#[test]
fn event_files_hold_what_metrics_csv_holds_each_step_once() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let cores = || SyntheticCores::new(16, 32, Seed(1)).unwrap();
    let paused = pretrain()
        .callback(After(6, Control::Pause))
        .run(cores(), dir);
    assert!(matches!(paused, Err(Error::Paused { step: 6, .. })));
    pretrain().run(cores(), dir).unwrap();
    let files = event_files(dir);
    assert_eq!(files.len(), 2, "{files:?}");
    // A finished run writes nothing.
    pretrain().run(cores(), dir).unwrap();
    assert_eq!(event_files(dir), files);

    let events = files.iter().flat_map(|path| read_events(path).unwrap());
    let values = values(&events.collect::<Vec<_>>());
    let metrics = RunRecord::read(dir).unwrap().metrics.unwrap();
    for column in [
        "contrast_loss",
        "total_loss",
        "learning_rate",
        "supervised_accuracy",
    ] {
        let points = metrics.points("step", column).unwrap().into_iter();
        let points = points.map(|(step, value)| (step as i64, value as f32));
        let expected: Vec<_> = points.collect();
        assert_eq!(expected.len(), 8);
        assert_eq!(values[&format!("step/{column}")], expected, "{column}");
        let epochs: Vec<_> = expected
            .chunks(4)
            .map(|epoch| {
                (
                    epoch[3].0,
                    epoch.iter().map(|point| f64::from(point.1)).sum::<f64>() / 4.0,
                )
            })
            .collect();
        let found = &values[&format!("epoch/{column}")];
        assert_eq!(found.len(), 2);
        for (found, expected) in found.iter().zip(epochs) {
            assert_eq!(found.0, expected.0);
            assert!((f64::from(found.1) - expected.1).abs() < 1e-5 * expected.1.abs().max(1e-3));
        }
    }
    // Four images with two views each, at 32 px.
    assert_eq!(values["views"].len(), 1);
    assert!(values["views"][0].1 >= 8.0 * 32.0 * 32.0);
}
