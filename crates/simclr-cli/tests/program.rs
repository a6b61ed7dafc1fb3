//! The program from photographs to a log, and what it says when something is wrong.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use simclr_data::{Disturbance, Seed, SyntheticHole, SyntheticHoleConfig, save_png};

fn simclr(dir: &Path, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simclr"));
    command
        .current_dir(dir)
        .args(arguments.split_whitespace())
        .output()
        .unwrap()
}

fn succeeds(dir: &Path, arguments: &str) -> String {
    let output = simclr(dir, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn fails(dir: &Path, arguments: &str, status: i32) -> String {
    let output = simclr(dir, arguments);
    assert_eq!(output.status.code(), Some(status), "{arguments}");
    String::from_utf8(output.stderr).unwrap()
}

/// Photographs and tables of a small hole.
fn hole(dir: &Path) -> SyntheticHole {
    let config = SyntheticHoleConfig::default()
        .with_sections(8)
        .with_pixels_per_cm(8.0)
        .with_kinds(vec![
            Disturbance::None,
            Disturbance::Brecciated,
            Disturbance::UpArching,
        ])
        .with_seed(Seed(5));
    let hole = SyntheticHole::new(config).unwrap();
    fs::create_dir(dir.join("sections")).unwrap();
    for index in 0..hole.len() {
        let name = hole.truth(index).unwrap().name;
        save_png(
            &hole.photograph(index).unwrap(),
            dir.join("sections").join(name + ".png"),
        )
        .unwrap();
    }
    fs::write(dir.join("sections.csv"), hole.depth_table()).unwrap();
    fs::write(dir.join("disturbance.csv"), hole.interval_table()).unwrap();
    hole
}

#[test]
fn photographs_become_a_log() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    hole(dir);
    let said = succeeds(
        dir,
        "tiles sections --depths sections.csv --intervals disturbance.csv --side 48 --overlap 0.5 --out cut --quiet",
    );
    assert!(said.contains("of 8 sections"), "{said}");
    succeeds(
        dir,
        "pretrain cut/tiles --model-dir run --image-size 32 --train-epochs 1 --train-batch-size 64 --quiet",
    );
    let said = succeeds(
        dir,
        "probe --encoder run/model.safetensors --labels cut/tiles.csv --image-size 32 --out c.safetensors --quiet",
    );
    assert!(said.contains("calibration: error"), "{said}");
    succeeds(
        dir,
        "predict cut/tiles --classifier c.safetensors --out p.csv --quiet",
    );
    succeeds(
        dir,
        "predict cut/tiles --classifier c.safetensors --format jsonl --abstain 0.9 --out p.jsonl --quiet",
    );
    let tiles = fs::read_to_string(dir.join("cut/tiles.csv"))
        .unwrap()
        .lines()
        .count();
    assert_eq!(
        fs::read_to_string(dir.join("p.csv"))
            .unwrap()
            .lines()
            .count(),
        tiles
    );
    let first: serde_json::Value = {
        let text = fs::read_to_string(dir.join("p.jsonl")).unwrap();
        assert_eq!(text.lines().count(), tiles - 1);
        serde_json::from_str(text.lines().next().unwrap()).unwrap()
    };
    assert_eq!(first["probabilities"].as_object().unwrap().len(), 3);
    let said = succeeds(
        dir,
        "log --predictions p.csv --tiles cut/tiles.csv --intervals disturbance.csv --truth disturbance.csv --out log",
    );
    assert!(said.contains("have the right class"), "{said}");
    for file in ["log.csv", "log.las", "log.svg", "log.html"] {
        assert!(dir.join("log").join(file).is_file(), "{file}");
    }
    succeeds(
        dir,
        "embed --checkpoint c.safetensors --image-dir cut/tiles --image-size 32 --out f.safetensors --quiet",
    );

    // Nothing of what fails is written.
    fs::write(dir.join("empty.csv"), "image,p_none\n").unwrap();
    let said = fails(
        dir,
        "log --predictions empty.csv --tiles cut/tiles.csv --out log2",
        1,
    );
    assert!(
        said.contains("there are no predictions in the table"),
        "{said}"
    );
    let said = fails(
        dir,
        "predict cut/tiles --classifier run/model.safetensors --out q.csv",
        1,
    );
    assert!(said.contains("but no classifier"), "{said}");
    assert!(!dir.join("log2").exists() && !dir.join("q.csv").exists());
}

#[test]
fn wrong_tables_and_options_are_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let hole = hole(dir);
    let tables = hole.depth_table();
    let change =
        |from: &str, to: &str| fs::write(dir.join("wrong.csv"), tables.replace(from, to)).unwrap();
    for (from, to, expected) in [
        (
            "999,U9999,A,1,H,3,A,3.000,4.500,1.500\n",
            "",
            "no section that 999-U9999A-1H-3-A is named after",
        ),
        (
            ",3.000,4.500,1.500",
            ",0.500,2.000,1.500",
            "line 4: depth goes backwards",
        ),
        (
            ",3.000,4.500,1.500",
            ",2.500,4.000,1.500",
            "line 4: sections overlap",
        ),
        (
            ",1.500\n",
            ",150\n",
            "are its centimetres or feet taken for metres",
        ),
        (
            ",3.000,4.500,",
            ",-999.25,4.500,",
            "stands for a missing value",
        ),
    ] {
        change(from, to);
        let said = fails(
            dir,
            "tiles sections --depths wrong.csv --out cut --quiet",
            1,
        );
        assert!(said.contains(expected), "{said}");
        assert!(!dir.join("cut").exists(), "{expected}");
    }
    fails(dir, "tiles sections", 2);
    fails(dir, "tiles sections --out cut --crop 1,2,3", 2);
    fails(dir, "cut sections", 2);
    assert!(succeeds(dir, "--help").contains("tiles"));
    assert!(succeeds(dir, "completions bash").contains("_simclr"));
}
