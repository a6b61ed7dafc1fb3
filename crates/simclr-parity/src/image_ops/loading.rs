//! From files to images: decoding, the paper's squash-first loading, and the linear
//! probe's preprocessing.
//!
//! The original decodes JPEG with libjpeg's fast, less exact integer transform.
//! Ours is exact, so pixels of JPEG files are compared within the tolerances meant
//! for another decoder, and everything that follows decoding is also compared
//! within float noise, from recorded pixels.

use simclr_augment::ops::{self, CropBox, Resampling};
use simclr_augment::{CHANNELS, DecodedImage, Image, Policy, Stream};
use simclr_testkit::{GoldenCase, Tolerance};

use super::{image, size, suffixes, unsupported};
use crate::{CaseReport, Error, Result};

fn decode_file(case: &GoldenCase, file: &str) -> Result<DecodedImage> {
    let path = case.directory.join(file);
    let decoded = image::ImageReader::open(&path)
        .and_then(image::ImageReader::with_guessed_format)
        .map_err(image::ImageError::from)
        .and_then(image::ImageReader::decode)
        .map_err(|source| Error::Decode { path, source })?
        .into_rgb8();
    let (width, height) = decoded.dimensions();
    let pixels = decoded.into_raw();
    Ok(DecodedImage::new(height as usize, width as usize, pixels)?)
}

/// JPEG is the only lossy format among the files.
fn is_lossy(file: &str) -> bool {
    file.ends_with(".jpg") || file.ends_with(".jpeg")
}

/// The bounds on the largest and the mean difference.
#[derive(Clone, Copy)]
struct Bounds {
    max: f64,
    mean: f64,
}

impl Bounds {
    fn compare(self, name: &str, report: &mut CaseReport, result: &[f32], expected: &[f32]) {
        report.compare(name, Tolerance::absolute(self.max), result, expected);
        let sum: f64 = result
            .iter()
            .zip(expected)
            .map(|(a, b)| f64::from((a - b).abs()))
            .sum();
        let mean = sum / expected.len() as f64;
        let tolerance = Tolerance::absolute(self.mean);
        report.compare_f64(&format!("mean of {name}"), tolerance, &[mean], &[0.0]);
    }

    /// The tolerances of what is computed from a decoded file.
    fn after_decoding(case: &GoldenCase, file: &str) -> Result<Self> {
        if is_lossy(file) {
            return Ok(Self {
                max: case.bound("max_if_own_decoder")?,
                mean: case.bound("mean_if_own_decoder")?,
            });
        }
        let bound = case.bound("abs")?;
        Ok(Self {
            max: bound,
            mean: bound,
        })
    }
}

/// What the tolerance's rule asks of any decoder with an accurate transform and
/// triangle upsampling, in steps of 255.
const ACCURATE: Bounds = Bounds {
    max: 2.0,
    mean: 0.1,
};

pub(super) fn decode(case: &GoldenCase, report: &mut CaseReport) -> Result<()> {
    for file in suffixes(case, "decoded/") {
        let decoded = decode_file(case, file)?;
        let result: Vec<f32> = decoded.data().iter().map(|&v| f32::from(v)).collect();
        let name = format!("decoded/{file}");
        let same_size = size(case, &name)? == (decoded.height(), decoded.width());
        report.require(&format!("size of {file}"), same_size);
        let expected = case.values(&name)?;
        decoder_bounds(case, file)?.compare(&name, report, &result, &expected);
        let name = format!("decoded_accurate/{file}");
        if case.has(&name) {
            ACCURATE.compare(&name, report, &result, &case.values(&name)?);
        }
    }
    Ok(())
}

/// The rule for a file against what TensorFlow feeds the model: two steps and 30 %
/// more than the accurate decoder of the recording; never more than the case's own
/// bounds, and nothing at all for lossless files.
fn decoder_bounds(case: &GoldenCase, file: &str) -> Result<Bounds> {
    let whole = Bounds {
        max: case.bound("max_uint8_diff")?,
        mean: case.bound("mean_uint8_diff")?,
    };
    let evidence = &case.description["evidence"][file];
    let of_file = |key: &str| evidence[key].as_f64();
    let recorded = of_file("max_diff_to_pillow").zip(of_file("mean_diff_to_pillow"));
    Ok(match recorded {
        _ if !is_lossy(file) => Bounds {
            max: 0.0,
            mean: 0.0,
        },
        Some((max, mean)) => Bounds {
            max: whole.max.min(max + 2.0),
            mean: whole.mean.min(1.3 * mean),
        },
        None => whole,
    })
}

/// Squash-first loading, then `preprocess_for_eval` and a forced crop.
pub(super) fn parse_images(case: &GoldenCase, report: &mut CaseReport) -> Result<()> {
    let exact = Tolerance::absolute(case.bound("abs")?);
    for key in suffixes(case, "parsed/") {
        let (file, side) = key
            .rsplit_once('_')
            .and_then(|(file, side)| Some((file, side.parse::<usize>().ok()?)))
            .ok_or_else(|| unsupported(case, format!("expected FILE_SIZE, got `{key}`")))?;
        let bounds = Bounds::after_decoding(case, file)?;
        let recorded = image(case, &format!("parsed/{key}"))?;
        let squashed = ops::resize(&decode_file(case, file)?, side, side, Resampling::Bilinear)?;
        bounds.compare(
            &format!("parsed/{key}"),
            report,
            squashed.data(),
            recorded.data(),
        );
        for (name, step) in [
            (
                format!("eval/{key}"),
                evaluate as fn(&Image) -> Result<Image>,
            ),
            (format!("train_crop/{key}"), forced_crop),
        ] {
            let expected = case.values(&name)?;
            report.compare(&name, exact, step(&recorded)?.data(), &expected);
            let name = format!("{name} from the file");
            bounds.compare(&name, report, step(&squashed)?.data(), &expected);
        }
    }
    Ok(())
}

fn evaluate(squashed: &Image) -> Result<Image> {
    let policy = Policy::evaluation(squashed.height()).squash_first();
    Ok(policy.apply(squashed, &Stream::new(0))?)
}

/// The box that the recording forced: y = s/5, x = s/7, s/2 rows, s/2 + 3 columns.
fn forced_crop(squashed: &Image) -> Result<Image> {
    let side = squashed.height();
    let window = CropBox {
        y: side / 5,
        x: side / 7,
        height: side / 2,
        width: side / 2 + 3,
    };
    let resampling = Resampling::Bicubic;
    Ok(ops::crop_and_resize(
        squashed, window, side, side, resampling,
    )?)
}

/// Side of the images that the probe's script feeds.
const PROBE_SIDE: usize = 224;

/// The rows of the intermediate and of the final picture that were recorded.
const RESIZED_ROWS: [usize; 4] = [100, 101, 102, 103];
const FINAL_ROWS: [usize; 6] = [0, 1, 57, 111, 222, 223];

/// The linear probe's preprocessing of whole files.
pub(super) fn probe(case: &GoldenCase, report: &mut CaseReport) -> Result<()> {
    let prefix = format!("resized_{PROBE_SIDE}/");
    let files = suffixes(case, &prefix).filter_map(|name| name.strip_suffix(".idx"));
    for file in files {
        let decoded = decode_file(case, file)?;
        let resized = ops::resize(&decoded, PROBE_SIDE, PROBE_SIDE, Resampling::Bilinear)?;
        let policy = Policy::probe(PROBE_SIDE);
        let last = policy.apply(&decoded, &Stream::new(0))?;
        let indices = case.integers(&format!("{prefix}{file}.idx"))?;
        let samples = |image: &Image| -> Vec<f32> {
            let value = |&i: &i64| image.data().get(i as usize).copied();
            indices.iter().filter_map(value).collect()
        };
        let bounds = Bounds::after_decoding(case, file)?;
        for (name, result) in [
            (format!("{prefix}{file}.val"), samples(&resized)),
            (format!("final/{file}.val"), samples(&last)),
            (
                format!("resized_{PROBE_SIDE}_rows/{file}"),
                rows(&resized, &RESIZED_ROWS),
            ),
            (format!("final_rows/{file}"), rows(&last, &FINAL_ROWS)),
        ] {
            bounds.compare(&name, report, &result, &case.values(&name)?);
        }
    }
    Ok(())
}

fn rows(image: &Image, numbers: &[usize]) -> Vec<f32> {
    let length = image.width() * CHANNELS;
    let row = |&y: &usize| image.data().chunks_exact(length).nth(y);
    numbers.iter().filter_map(row).flatten().copied().collect()
}
