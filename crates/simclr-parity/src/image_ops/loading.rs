//! From files to images: decoding, the paper's squash-first loading, and the linear
//! probe's preprocessing.
//!
//! The tolerances allow for decoders with another inverse transform than the
//! original's. Ours follows the original's, so files must give the same bytes, and
//! what is computed from them must agree within the float noise of the computation.

use simclr_augment::ops::{self, Resampling};
use simclr_augment::{CHANNELS, DecodedImage, Image, Policy, Seed, Stream};
use simclr_testkit::{GoldenCase, Tolerance};

use super::inputs::{crop_box, size, suffixes, tolerance};
use crate::{CaseChecks, Result};

fn decode(case: &GoldenCase, file: &str) -> Result<DecodedImage> {
    Ok(simclr_data::decode_file(case.directory.join(file))?)
}

/// Every byte of every file.
pub(super) fn files(checks: &mut CaseChecks<'_>) -> Result<()> {
    let case = checks.case;
    for file in suffixes(case, "decoded/") {
        let decoded = decode(case, file)?;
        let result: Vec<f32> = decoded.data().iter().map(|&v| f32::from(v)).collect();
        let name = format!("decoded/{file}");
        let same_size = size(case, &name)? == (decoded.height(), decoded.width());
        checks.report.require(&format!("size of {file}"), same_size);
        checks.compare(&name, Tolerance::absolute(0.0), &result)?;
    }
    Ok(())
}

/// Squash-first loading, then `preprocess_for_eval` and a forced crop.
pub(super) fn parse_images(checks: &mut CaseChecks<'_>) -> Result<()> {
    let case = checks.case;
    let tolerance = tolerance(case)?;
    for key in suffixes(case, "parsed/") {
        let (file, side) = key
            .rsplit_once('_')
            .and_then(|(file, side)| Some((file, side.parse::<usize>().ok()?)))
            .ok_or_else(|| case.error(format!("expected FILE_SIZE, got `{key}`")))?;
        let squashed = ops::resize(&decode(case, file)?, side, side, Resampling::Bilinear)?;
        let name = format!("parsed/{key}");
        checks.compare(&name, tolerance, squashed.data())?;
        for (name, result) in [
            ("eval", evaluate(&squashed)?),
            ("train_crop", forced_crop(&squashed)?),
        ] {
            checks.compare(&format!("{name}/{key}"), tolerance, result.data())?;
        }
    }
    Ok(())
}

fn evaluate(squashed: &Image) -> Result<Image> {
    let policy = Policy::evaluation(squashed.height()).squash_first();
    Ok(policy.apply(squashed, Stream::new(Seed(0)))?)
}

/// The box that the recording forced: y = s/5, x = s/7, s/2 rows, s/2 + 3 columns.
fn forced_crop(squashed: &Image) -> Result<Image> {
    let side = squashed.height();
    let window = crop_box([side / 5, side / 7, side / 2, side / 2 + 3]);
    let result = ops::crop_and_resize(squashed, window, side, side, Resampling::Bicubic);
    Ok(result?)
}

/// Side of the images that the probe's script feeds.
const PROBE_SIDE: usize = 224;

/// The rows of the intermediate and of the final picture that were recorded.
const RESIZED_ROWS: [usize; 4] = [100, 101, 102, 103];
const FINAL_ROWS: [usize; 6] = [0, 1, 57, 111, 222, 223];

/// The linear probe's preprocessing of whole files.
pub(super) fn probe(checks: &mut CaseChecks<'_>) -> Result<()> {
    let case = checks.case;
    let tolerance = tolerance(case)?;
    let prefix = format!("resized_{PROBE_SIDE}/");
    let files = suffixes(case, &prefix).filter_map(|name| name.strip_suffix(".idx"));
    for file in files {
        let decoded = decode(case, file)?;
        let resized = ops::resize(&decoded, PROBE_SIDE, PROBE_SIDE, Resampling::Bilinear)?;
        let policy = Policy::probe(PROBE_SIDE);
        let last = policy.apply(&decoded, Stream::new(Seed(0)))?;
        let indices = case.values::<i64>(&format!("{prefix}{file}.idx"))?;
        let samples = |image: &Image| -> Vec<f32> {
            let value = |&i: &i64| image.data().get(i as usize).copied();
            indices.iter().filter_map(value).collect()
        };
        let rows_of = format!("resized_{PROBE_SIDE}_rows/{file}");
        for (name, result) in [
            (format!("{prefix}{file}.val"), samples(&resized)),
            (format!("final/{file}.val"), samples(&last)),
            (rows_of, rows(&resized, &RESIZED_ROWS)),
            (format!("final_rows/{file}"), rows(&last, &FINAL_ROWS)),
        ] {
            checks.compare(&name, tolerance, &result)?;
        }
    }
    Ok(())
}

fn rows(image: &Image, numbers: &[usize]) -> Vec<f32> {
    let length = image.width() * CHANNELS;
    let row = |&y: &usize| image.data().chunks_exact(length).nth(y);
    numbers.iter().filter_map(row).flatten().copied().collect()
}
