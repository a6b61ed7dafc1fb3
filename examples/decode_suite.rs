//! Decodes pictures whose right pixels are known, and says how far off each is.
//!
//! `cargo run --release --example decode_suite -- --cases DIR [--list FILE ...]`
//!
//! A case is a folder below DIR with `images/` and `expected.ppm` (P6). Each of its images is
//! compared with the `.ppm` of its own name beside it, or else with `expected.ppm`; where the
//! case's `case.md` says `NAME: expected.ppm`, that is for the images so named alone, and the
//! others are decoded only. A line per file says `equal`, `within N` (levels of 255, at most 2),
//! `differs by N` (or in size), `refused: why` or `decoded`.
//!
//! The exit status is 1 if a picture differs by more than 2 levels, or if there is nothing to
//! compare. A refusal is counted and does not change it: a reader may say no, but not something
//! wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use simclr::augment::DecodedImage;
use simclr::data::{DecodeOptions, decode_file_with};
use simclr_cli::options::DecodeArguments;
use simclr_cli::terminal::{AnyResult, complain, say, show_warnings, with_sources};

/// Differences up to this many levels are those of decoders that round otherwise.
const TOLERANCE: u8 = 2;

/// Compares decoded pictures with the pixels that are expected.
#[derive(Parser)]
struct Arguments {
    /// A folder with the cases, at any depth.
    #[arg(long)]
    cases: PathBuf,
    /// Decode these images alone: ends of their paths, or text files with one on each line.
    #[arg(long, num_args = 1..)]
    list: Vec<PathBuf>,
    #[command(flatten)]
    decode: DecodeArguments,
}

fn main() -> ExitCode {
    show_warnings();
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            complain(format_args!(
                "decode_suite: {}",
                with_sources(error.as_ref())
            ));
            ExitCode::FAILURE
        }
    }
}

/// How a decoded picture compares with the right one.
enum Outcome {
    Equal,
    Within(u8),
    Differs(String),
    Refused(String),
    /// There is nothing to compare it with.
    Decoded,
}

fn run(arguments: &Arguments) -> AnyResult<ExitCode> {
    let listed = listed(&arguments.list)?;
    let options = arguments.decode.options();
    let mut counts = BTreeMap::new();
    for case in cases(&arguments.cases)? {
        let description = std::fs::read_to_string(case.join("case.md")).unwrap_or_default();
        let images = files(&case.join("images"))?;
        for image in images.iter().filter(|path| extension(path) != "ppm") {
            let below = image.strip_prefix(&arguments.cases).unwrap_or(image);
            if !listed.is_empty() && !listed.iter().any(|name| image.ends_with(name)) {
                continue;
            }
            let expected = expected_of(image, &images, &case, &description);
            let outcome = outcome(image, expected.as_deref(), &options)?;
            let (kind, text) = match &outcome {
                Outcome::Equal => ("equal", "equal".to_owned()),
                Outcome::Within(levels) => ("within", format!("within {levels}")),
                Outcome::Differs(how) => ("differ", format!("differs {how}")),
                Outcome::Refused(why) => ("refused", format!("refused: {why}")),
                Outcome::Decoded => ("decoded", "decoded, nothing to compare with".to_owned()),
            };
            say(format_args!("{}: {text}", below.display()));
            *counts.entry(kind).or_insert(0) += 1;
        }
    }
    let count = |kind: &str| counts.get(kind).copied().unwrap_or(0);
    let files: u32 = counts.values().sum();
    say(format_args!(
        "decode_suite: {files} files: {} equal, {} within {TOLERANCE}, {} differ, {} refused, \
         {} decoded only",
        count("equal"),
        count("within"),
        count("differ"),
        count("refused"),
        count("decoded"),
    ));
    if files == 0 {
        return Err("no image to decode: a case is a folder with images/ and expected.ppm".into());
    }
    Ok(ExitCode::from(u8::from(count("differ") > 0)))
}

/// The images that were asked for, each the end of a path.
fn listed(list: &[PathBuf]) -> AnyResult<Vec<PathBuf>> {
    let mut names = Vec::new();
    for name in list {
        if extension(name) == "txt" {
            let text = std::fs::read_to_string(name)
                .map_err(|error| format!("{}: {error}", name.display()))?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            names.extend(lines.map(PathBuf::from));
        } else {
            names.push(name.clone());
        }
    }
    Ok(names)
}

/// The folders at and below `dir` that are cases, sorted.
fn cases(dir: &Path) -> AnyResult<Vec<PathBuf>> {
    let mut found = Vec::new();
    if dir.join("images").is_dir() && dir.join("expected.ppm").is_file() {
        found.push(dir.to_path_buf());
    }
    for path in entries(dir)?.into_iter().filter(|path| path.is_dir()) {
        found.extend(cases(&path)?);
    }
    Ok(found)
}

fn files(dir: &Path) -> AnyResult<Vec<PathBuf>> {
    let mut entries = entries(dir)?;
    entries.retain(|path| !path.is_dir());
    Ok(entries)
}

fn entries(dir: &Path) -> AnyResult<Vec<PathBuf>> {
    let read = std::fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let paths = read.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

fn extension(path: &Path) -> String {
    let extension = path.extension().unwrap_or_default();
    extension.to_string_lossy().to_lowercase()
}

/// The file with the image's right pixels.
fn expected_of(
    image: &Path,
    images: &[PathBuf],
    case: &Path,
    description: &str,
) -> Option<PathBuf> {
    let own = image.with_extension("ppm");
    if own.is_file() {
        return Some(own);
    }
    let name = |path: &Path| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let is_named = |path: &Path| description.contains(&format!("{}: expected.ppm", name(path)));
    let is_for_all = !images.iter().any(|path| is_named(path));
    (is_for_all || is_named(image)).then(|| case.join("expected.ppm"))
}

fn outcome(image: &Path, expected: Option<&Path>, options: &DecodeOptions) -> AnyResult<Outcome> {
    let decoded = match decode_file_with(image, options) {
        Ok(decoded) => decoded,
        Err(error) => return Ok(Outcome::Refused(with_sources(&error))),
    };
    let Some(expected) = expected else {
        return Ok(Outcome::Decoded);
    };
    let pixels = image::open(expected)
        .map_err(|error| format!("{}: {error}", expected.display()))?
        .into_rgb8();
    let size = (pixels.height() as usize, pixels.width() as usize);
    Ok(compare(&decoded, size, pixels.as_raw()))
}

fn compare(decoded: &DecodedImage, (height, width): (usize, usize), expected: &[u8]) -> Outcome {
    if (decoded.height(), decoded.width()) != (height, width) {
        return Outcome::Differs(format!(
            "in size: {} x {}, expected {width} x {height}",
            decoded.width(),
            decoded.height()
        ));
    }
    let pairs = decoded.data().iter().zip(expected);
    match pairs.map(|(a, b)| a.abs_diff(*b)).max() {
        None | Some(0) => Outcome::Equal,
        Some(levels) if levels <= TOLERANCE => Outcome::Within(levels),
        Some(levels) => Outcome::Differs(format!("by {levels}")),
    }
}
