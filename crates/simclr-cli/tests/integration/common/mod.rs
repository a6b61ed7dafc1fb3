//! The program as tests run it, and images for it.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use image::{Rgb, RgbImage};

pub(crate) fn simclr(dir: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_simclr"))
        .current_dir(dir)
        .args(arguments.split_whitespace())
        .output()
        .unwrap()
}

/// What a command says on standard output, and on standard error.
pub(crate) fn succeeds(dir: &Path, arguments: &str) -> (String, String) {
    let output = simclr(dir, arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments}: {error}");
    (String::from_utf8(output.stdout).unwrap(), error)
}

pub(crate) fn fails(dir: &Path, arguments: &str, status: i32) -> String {
    let output = simclr(dir, arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{arguments}: {error}");
    error
}

/// Twelve images of each class, told apart by their colour, in a folder per class.
pub(crate) fn class_folders(dir: &Path, classes: [(&str, [u8; 3]); 3]) {
    for (class, color) in classes {
        let folder = dir.join(class);
        fs::create_dir_all(&folder).unwrap();
        for index in 0..12u8 {
            let shade = |x: u32, y: u32| color.map(|value| value - index - (x + y) as u8 % 5);
            let image = RgbImage::from_fn(32, 32, |x, y| Rgb(shade(x, y)));
            image.save(folder.join(format!("{index}.png"))).unwrap();
        }
    }
}

pub(crate) const CLAY: [u8; 3] = [240, 40, 40];
pub(crate) const SAND: [u8; 3] = [40, 240, 40];
pub(crate) const SILT: [u8; 3] = [40, 40, 240];
