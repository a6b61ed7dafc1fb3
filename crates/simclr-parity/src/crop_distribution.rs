//! Kind `crop_distribution`: the boxes of the random crop against recorded draws.

use crate::image_ops::inputs::crop_box;
use crate::{CaseChecks, Result};
use simclr_augment::ops::{CropBox, RandomCrop};
use simclr_augment::{Purpose, Seed, Stream};
use simclr_testkit::{GoldenCase, Tolerance, seeds};

/// We draw this many times as often as the recording, so that nearly all of the
/// sampling error is the recording's.
const MORE_DRAWS: usize = 10;

/// A quantity of a box, under the name that the recording gives it.
type Quantity = (&'static str, fn(&CropBox, (usize, usize)) -> f64);

const QUANTITIES: &[Quantity] = &[
    ("area_fraction", |b, (h, w)| {
        (b.height * b.width) as f64 / (h * w) as f64
    }),
    ("log_aspect", |b, _| aspect(b).ln()),
    ("aspect", |b, _| aspect(b)),
    ("height", |b, _| b.height as f64),
    ("width", |b, _| b.width as f64),
    ("offset_y_rel", |b, (h, _)| relative(b.y, h - b.height)),
    ("offset_x_rel", |b, (_, w)| relative(b.x, w - b.width)),
];

fn aspect(b: &CropBox) -> f64 {
    b.width as f64 / b.height as f64
}

/// A position as a part of what is free, 0 where nothing is.
fn relative(offset: usize, free: usize) -> f64 {
    offset as f64 / free.max(1) as f64
}

pub(crate) fn check(checks: &mut CaseChecks<'_>) -> Result<()> {
    let case = checks.case;
    let image = (case.count("image_h")?, case.count("image_w")?);
    let draws = case.count("draws")?;
    let ours = draw(case, image, draws * MORE_DRAWS)?;
    let bound = case.bound("ks_n20000")?;
    for (name, quantity) in QUANTITIES {
        let values: Vec<f64> = ours.iter().map(|b| quantity(b, image)).collect();
        let distance = distance_to_histogram(case, name, &values)?;
        let tolerance = Tolerance::absolute(bound);
        checks.report.compare(name, tolerance, &[distance], &[0.0]);
    }
    compare_shares(checks, image, &ours, bound);
    compare_first_draws(checks, image, draws, &ours, bound)
}

fn draw(case: &GoldenCase, image: (usize, usize), count: usize) -> Result<Vec<CropBox>> {
    let output = (case.count("out_h")?, case.count("out_w")?);
    let range = |key: &str| -> Result<(f64, f64)> {
        let bound = |index: usize| case.params()[key][index].as_f64();
        let pair = bound(0).zip(bound(1));
        Ok(pair.ok_or_else(|| case.error(format!("expected two numbers `params.{key}`")))?)
    };
    let output_aspect = output.1 as f64 / output.0 as f64;
    let (low, high) = range("aspect_ratio_range")?;
    let crop = RandomCrop::default()
        .with_area(range("area_range")?)
        // The recording gives what was passed on; ours is relative to the output.
        .with_aspect((low / output_aspect, high / output_aspect))
        .with_min_object_covered(case.number("min_object_covered")?)
        .with_max_attempts(case.count("max_attempts")? as u32);
    let stream = Stream::new(Seed(seeds::AUGMENTATIONS));
    (0..count as u64)
        .map(|sample| {
            let mut rng = stream.sample(sample).rng(Purpose::Crop);
            Ok(crop.sample(image, output, &mut rng)?)
        })
        .collect()
}

/// The largest difference between the distribution functions at the inner edges of
/// the recorded histogram.
fn distance_to_histogram(case: &GoldenCase, name: &str, values: &[f64]) -> Result<f64> {
    let counts = case.values::<i64>(&format!("hist/{name}"))?;
    let edges = case.values::<f64>(&format!("hist_edges/{name}"))?;
    let total: i64 = counts.iter().sum();
    let mut below = 0;
    let mut distance: f64 = 0.0;
    for (count, edge) in counts.iter().zip(edges.iter().skip(1)) {
        below += count;
        if below == total {
            break;
        }
        let share = values.iter().filter(|value| *value < edge).count() as f64;
        let gap = share / values.len() as f64 - below as f64 / total as f64;
        distance = distance.max(gap.abs());
    }
    Ok(distance)
}

/// How often the whole image was taken, and that the last position never is.
fn compare_shares(
    checks: &mut CaseChecks<'_>,
    (height, width): (usize, usize),
    ours: &[CropBox],
    bound: f64,
) {
    let share = |holds: &dyn Fn(&CropBox) -> bool| {
        ours.iter().filter(|b| holds(b)).count() as f64 / ours.len() as f64
    };
    let whole = share(&|b| *b == CropBox::whole(height, width));
    let at_bottom = share(&|b| b.height < height && b.y == height - b.height);
    let at_right = share(&|b| b.width < width && b.x == width - b.width);
    for (name, share) in [
        ("whole_image_share", whole),
        ("share_y_at_last_row", at_bottom),
        ("share_x_at_last_col", at_right),
    ] {
        if let Some(recorded) = checks.case.description["result"][name].as_f64() {
            let tolerance = Tolerance::absolute(bound);
            checks
                .report
                .compare(name, tolerance, &[share], &[recorded]);
        }
    }
}

/// The two-sample Kolmogorov-Smirnov distance to the draws that were recorded one
/// by one; the bound grows as the sampling error of so few.
fn compare_first_draws(
    checks: &mut CaseChecks<'_>,
    image: (usize, usize),
    draws: usize,
    ours: &[CropBox],
    bound: f64,
) -> Result<()> {
    let mut names = checks.case.names().into_iter();
    let Some(name) = names.find(|name| name.starts_with("boxes_first")) else {
        return Ok(());
    };
    let values = checks.case.values::<i64>(name)?;
    let rows = values.as_chunks().0.iter();
    let boxes = rows.map(|row: &[i64; 4]| crop_box(row.map(|value| value as usize)));
    let boxes: Vec<CropBox> = boxes.collect();
    let bound = bound * (draws as f64 / boxes.len() as f64).sqrt();
    for (quantity_name, quantity) in QUANTITIES {
        let sorted = |boxes: &[CropBox]| {
            let mut values: Vec<f64> = boxes.iter().map(|b| quantity(b, image)).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let distance = two_sample_distance(&sorted(ours), &sorted(&boxes));
        let name = format!("{name}: {quantity_name}");
        let tolerance = Tolerance::absolute(bound);
        checks.report.compare(&name, tolerance, &[distance], &[0.0]);
    }
    Ok(())
}

/// The largest difference between the distribution functions of two sorted samples.
fn two_sample_distance(a: &[f64], b: &[f64]) -> f64 {
    let share = |sample: &[f64], value: f64| {
        sample.partition_point(|v| *v <= value) as f64 / sample.len() as f64
    };
    a.iter()
        .chain(b)
        .map(|&value| (share(a, value) - share(b, value)).abs())
        .fold(0.0, f64::max)
}
