//! The files of a log, with depths above the datum and classes in either Unicode form.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use simclr_drillcore::{DepthLog, LogOutput, LogSettings, TilePrediction};

/// A log of tiles of 10 cm from `top` on, of two classes of which the second begins after `first`
/// tiles.
fn log(top: i32, tiles: i32, first: i32, classes: &[String]) -> DepthLog {
    let depth = |index: i32| f64::from(top + 10 * index) / 100.0;
    let tile = |index| {
        let p = if index < first { 0.1 } else { 0.9 };
        TilePrediction::new(depth(index), depth(index + 1), vec![1.0 - p, p])
    };
    let tiles: Vec<_> = (0..tiles).map(tile).collect();
    DepthLog::new(&tiles, classes, &LogSettings::default()).unwrap()
}

/// The names of files in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<_> = entries.map(name).collect();
    names.sort();
    let text = names.into_iter().map(|name| name.into_string().unwrap());
    text.collect()
}

#[test]
fn metres_and_pages_above_the_datum_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let classes = ["none", "soupy"].map(str::to_owned);
    let log = log(-250, 60, 12, &classes);
    let truth = [
        (-2.5, -1.3, "none".to_owned()),
        (-1.3, 3.5, "soupy".to_owned()),
    ];
    let output = LogOutput::default().with_page(2.0).with_truth(Some(&truth));
    output.write(&log, dir.path()).unwrap();
    let table = fs::read_to_string(dir.path().join("tables/metres.csv")).unwrap();
    let metres: Vec<&str> = table
        .lines()
        .skip(1)
        .map(|row| &row[..row.find(',').unwrap()])
        .collect();
    assert_eq!(metres, ["-3", "-2", "-1", "0", "1", "2", "3"]);
    let pages = names(&dir.path().join("figures"));
    let expected = [
        "hole.svg",
        "page--001.svg",
        "page-0000.svg",
        "page-0001.svg",
        "page-0002.svg",
    ];
    assert_eq!(pages, expected);
    let first = fs::read_to_string(dir.path().join("figures/page--001.svg")).unwrap();
    assert!(first.contains("-4 to -2 m"), "{first}");
}

#[test]
fn the_truth_is_drawn_in_either_unicode_form() {
    let classes = ["gre\u{300}s", "marne"].map(str::to_owned);
    let log = log(0, 30, 12, &classes);
    let drawn = ["gr\u{e8}s", "gre\u{300}s"].map(|class| {
        let dir = tempfile::tempdir().unwrap();
        let truth = [(0.0, 1.2, class.to_owned()), (1.2, 3.0, "marne".to_owned())];
        let output = LogOutput::default().with_truth(Some(&truth));
        output.write(&log, dir.path()).unwrap();
        fs::read_to_string(dir.path().join("log.svg")).unwrap()
    });
    assert_eq!(drawn[0], drawn[1]);
    // In the legend, in the log and in the truth.
    assert_eq!(drawn[0].matches("url(#hole-class-0)").count(), 3);
}
