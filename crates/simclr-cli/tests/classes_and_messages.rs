//! What commands say and refuse.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};


fn simclr(dir: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_simclr"))
        .current_dir(dir)
        .args(arguments.split_whitespace())
        .output()
        .unwrap()
}

fn fails(dir: &Path, arguments: &str, status: i32) -> String {
    let output = simclr(dir, arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{arguments}: {error}");
    error
}

#[test]
fn pages_of_others_are_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::create_dir(dir.join("mine")).unwrap();
    for page in ["report.html", "log.html"] {
        fs::write(dir.join("mine").join(page), "<p>My notes</p>").unwrap();
    }
    for command in [
        "compare one other --model-dir mine",
        "explain images --classifier c.safetensors --out mine",
        "select images --classifier c.safetensors --out mine",
        "log --predictions p.csv --tiles t.csv --out mine",
    ] {
        fs::create_dir_all(dir.join("images")).unwrap();
        let said = fails(dir, command, 1);
        assert!(said.contains("no report of ours"), "{command}: {said}");
    }
    fs::remove_file(dir.join("mine/report.html")).unwrap();
    fs::write(dir.join("mine/next.csv"), "image\n").unwrap();
    let said = fails(
        dir,
        "select images --classifier c.safetensors --out mine",
        1,
    );
    assert!(said.contains("next.csv is there already"), "{said}");

    // The report of a study or a run is not replaced by that of another command.
    fs::create_dir(dir.join("study")).unwrap();
    fs::write(dir.join("study/manifest.json"), "{}").unwrap();
    fs::write(dir.join("study/report.html"), "").unwrap();
    for command in [
        "compare one other --model-dir study",
        "explain images --classifier c.safetensors --out study",
        "select images --classifier c.safetensors --out study",
    ] {
        let said = fails(dir, command, 1);
        assert!(
            said.contains("a run or a study is recorded"),
            "{command}: {said}"
        );
    }
    assert_eq!(fs::read(dir.join("study/report.html")).unwrap(), b"");
}
