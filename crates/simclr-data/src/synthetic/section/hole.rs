use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use simclr_augment::{DecodedImage, Stream};

use super::config::{SyntheticHoleConfig, THINNEST_CM};
use super::photograph::{CARD_CM, LINER_CM, MARGIN_CM, Photograph, RULER_CM};
use super::truth::{SectionInterval, SectionTruth};
use crate::error::{Error, Result};
use crate::streams::SECTION;
use crate::synthetic::disturbance::Disturbance;

/// Sections per core, and the metres from the top of a core to that of the next: as when
/// half a metre of each advance is not recovered.
const SECTIONS_PER_CORE: usize = 6;
const ADVANCE_M: f64 = 9.5;

/// A hole whose core was photographed section by section, drawn on demand: split core in its
/// liner on a tray, with gaps between pieces, a ruler, a colour card and a little tilt, and
/// what is true of it. Depths and disturbances are there as tables in IODP's form.
///
/// ```
/// use simclr_data::{SyntheticHole, SyntheticHoleConfig};
///
/// let hole = SyntheticHole::new(SyntheticHoleConfig::default().with_pixels_per_cm(4.0))?;
/// let (picture, truth) = (hole.photograph(0)?, hole.truth(0)?);
/// assert_eq!(truth.name, "999-U9999A-1H-1-A");
/// assert!(picture.height() > 600 && picture.width() < 100);
/// assert!(hole.depth_table().starts_with("Exp,Site,Hole,Core,Type,Sect,A/W,Top depth CSF-A (m)"));
/// # Ok::<(), simclr_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SyntheticHole {
    config: SyntheticHoleConfig,
}

impl SyntheticHole {
    /// A hole with these settings.
    ///
    /// # Errors
    /// [`Error::Setting`] for one that is out of range.
    pub fn new(config: SyntheticHoleConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self { config })
    }

    /// How many sections there are.
    pub fn len(&self) -> usize {
        self.config.sections
    }

    /// Whether there is no section, which is never so.
    pub fn is_empty(&self) -> bool {
        self.config.sections == 0
    }

    /// The disturbances that occur.
    pub fn kinds(&self) -> &[Disturbance] {
        &self.config.kinds
    }

    /// The photograph of a section.
    ///
    /// # Errors
    /// [`Error::Index`] for a section past the last.
    pub fn photograph(&self, index: usize) -> Result<DecodedImage> {
        let (truth, mut rng) = self.plan(index)?;
        let (height, width) = self.picture_size();
        let scene = Photograph::draw(&self.config, truth, (height, width), &mut rng);
        let mut pixels = vec![0; height * width * 3];
        pixels
            .par_chunks_exact_mut(width * 3)
            .enumerate()
            .for_each(|(row, pixels)| scene.paint_row(row, pixels));
        Ok(DecodedImage::new(height, width, pixels)?)
    }

    /// What is true of a section.
    ///
    /// # Errors
    /// [`Error::Index`] for a section past the last.
    pub fn truth(&self, index: usize) -> Result<SectionTruth> {
        Ok(self.plan(index)?.0)
    }

    /// A table of the sections with their depths, as IODP's data base exports it (CSV).
    pub fn depth_table(&self) -> String {
        let mut table = "Exp,Site,Hole,Core,Type,Sect,A/W,Top depth CSF-A (m),\
                         Bottom depth CSF-A (m),Curated length (m)\n"
            .to_owned();
        for truth in self.truths() {
            let (top, length) = (truth.top_m, truth.length_cm / 100.0);
            let row = format!(
                "{},{top:.3},{:.3},{length:.3}\n",
                identity(&truth),
                top + length
            );
            table.push_str(&row);
        }
        table
    }

    /// A table of the disturbances by section and offset (CSV).
    pub fn interval_table(&self) -> String {
        let mut table =
            "Exp,Site,Hole,Core,Type,Sect,A/W,Top offset (cm),Bottom offset (cm),Class\n"
                .to_owned();
        for truth in self.truths() {
            for part in &truth.intervals {
                let (top, bottom, class) = (part.top_cm, part.bottom_cm, part.kind.name());
                table.push_str(&format!(
                    "{},{top:.2},{bottom:.2},{class}\n",
                    identity(&truth)
                ));
            }
        }
        table
    }

    /// Writes the photographs to `dir/sections`, named after their sections, and the tables as
    /// `dir/sections.csv` and `dir/disturbance.csv`.
    ///
    /// # Errors
    /// A file or folder that cannot be written.
    #[cfg(feature = "png")]
    pub fn write(&self, dir: impl AsRef<std::path::Path>) -> Result<()> {
        let dir = dir.as_ref();
        let sections = dir.join("sections");
        std::fs::create_dir_all(&sections).map_err(|error| Error::io(&sections, error))?;
        for index in 0..self.len() {
            let path = sections.join(format!("{}.png", self.truth(index)?.name));
            crate::save_png(&self.photograph(index)?, path)?;
        }
        let write = |name: &str, table: String| {
            simclr_files::write_bytes(&dir.join(name), table.as_bytes())
        };
        write("sections.csv", self.depth_table())?;
        Ok(write("disturbance.csv", self.interval_table())?)
    }

    fn truths(&self) -> impl Iterator<Item = SectionTruth> {
        (0..self.len()).filter_map(|index| self.truth(index).ok())
    }

    /// How far the largest tilt moves the ends of a core aside.
    fn drift_cm(&self) -> f64 {
        (self.config.length_cm / 2.0) * self.config.tilt.to_radians().sin()
    }

    /// Height and width of the pictures.
    fn picture_size(&self) -> (usize, usize) {
        let config = &self.config;
        let drift = self.drift_cm();
        let width = config.core_width_cm + 2.0 * (LINER_CM + MARGIN_CM + drift) + RULER_CM + 0.4;
        let height = config.length_cm + 3.0 * MARGIN_CM + CARD_CM;
        let pixels = |cm: f64| (cm * config.pixels_per_cm).round() as usize;
        (pixels(height), pixels(width))
    }

    /// The truth about a section, and the random numbers for its picture.
    fn plan(&self, index: usize) -> Result<(SectionTruth, ChaCha8Rng)> {
        let config = &self.config;
        if index >= config.sections {
            let len = config.sections;
            return Err(Error::Index { index, len });
        }
        let mut rng = Stream::new(config.seed).sample(index as u64).rng(SECTION);
        let (core, section) = (index / SECTIONS_PER_CORE, index % SECTIONS_PER_CORE);
        let scale = config.pixels_per_cm;
        let tilt = config.tilt * rng.random_range(-1.0..=1.0);
        let drift = self.drift_cm();
        // The ruler is on the right of every core.
        let axis = MARGIN_CM + LINER_CM + drift + config.core_width_cm / 2.0;
        // Turned about its middle.
        let half = config.length_cm / 2.0;
        let (sin, cos) = tilt.to_radians().sin_cos();
        let (x, y) = (axis + sin * half, MARGIN_CM + half - cos * half);
        let truth = SectionTruth {
            name: format!("999-U9999A-{}H-{}-A", core + 1, section + 1),
            top_m: core as f64 * ADVANCE_M + section as f64 * config.length_cm / 100.0,
            length_cm: config.length_cm,
            pixels_per_cm: scale,
            top: (x * scale, y * scale),
            tilt,
            width: config.core_width_cm * scale,
            gaps: gaps(config.length_cm, &mut rng),
            intervals: intervals(config, &mut rng),
        };
        Ok((truth, rng))
    }
}

/// Name of the section as the first seven columns of IODP's tables.
fn identity(truth: &SectionTruth) -> String {
    let mut parts = truth.name.split('-');
    let mut next = || parts.next().unwrap_or_default();
    let (exp, hole, core, section, half) = (next(), next(), next(), next(), next());
    let (site, hole) = hole.split_at(hole.len() - 1);
    let (core, kind) = core.split_at(core.len() - 1);
    format!("{exp},{site},{hole},{core},{kind},{section},{half}")
}

/// None, one or two gaps of 2 to 5 cm, away from the ends and from each other.
fn gaps(length: f64, rng: &mut impl Rng) -> Vec<(f64, f64)> {
    // Each has a share of the section that leaves it room to move.
    let most = if length > 48.0 { 2 } else { 1 };
    let count = rng.random_range(0..=2i32).min(most);
    let share = (length - 20.0) / f64::from(count.max(1));
    (0..count)
        .map(|index| {
            let thickness = rng.random_range(2.0..5.0);
            let top = 10.0 + f64::from(index) * share + rng.random_range(0.0..share - 14.0);
            (top, top + thickness)
        })
        .collect()
}

/// Intervals of alternating kinds that fill the section.
fn intervals(config: &SyntheticHoleConfig, rng: &mut impl Rng) -> Vec<SectionInterval> {
    let mut result: Vec<SectionInterval> = Vec::new();
    let mut top = 0.0;
    while top < config.length_cm {
        let before = result.last().map(|last| last.kind);
        let others: Vec<_> = config
            .kinds
            .iter()
            .filter(|kind| Some(**kind) != before)
            .collect();
        let kind = others.choose(rng).map_or(config.kinds[0], |kind| **kind);
        let excess: f64 = -rng.random_range(1e-3..1.0f64).ln();
        let thickness = THINNEST_CM + (config.interval_cm - THINNEST_CM) * excess;
        let rest = config.length_cm - top - thickness;
        let bottom = if rest < THINNEST_CM {
            config.length_cm
        } else {
            top + thickness
        };
        result.push(SectionInterval {
            top_cm: top,
            bottom_cm: bottom,
            kind,
        });
        top = bottom;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;

    #[test]
    fn sections_depend_on_seed_and_index_and_their_tables_agree_with_them() {
        let config = SyntheticHoleConfig::default()
            .with_sections(8)
            .with_pixels_per_cm(4.0);
        let hole = SyntheticHole::new(config.clone()).unwrap();
        let picture = hole.photograph(7).unwrap();
        assert_eq!(picture, hole.photograph(7).unwrap());
        assert_ne!(picture, hole.photograph(6).unwrap());
        let other = SyntheticHole::new(config.with_seed(Seed(1))).unwrap();
        assert_ne!(picture, other.photograph(7).unwrap());
        assert!(hole.photograph(8).is_err());

        let row = hole.depth_table().lines().nth(8).unwrap().to_owned();
        assert_eq!(row, "999,U9999,A,2,H,2,A,11.000,12.500,1.500");
        for index in 0..8 {
            let truth = hole.truth(index).unwrap();
            let mut top = 0.0;
            for part in &truth.intervals {
                assert_eq!(part.top_cm, top);
                assert!(part.bottom_cm - top >= THINNEST_CM);
                top = part.bottom_cm;
            }
            assert_eq!(top, 150.0);
            let rows = hole
                .interval_table()
                .lines()
                .filter(|row| row.contains(",2,H,2,"))
                .count();
            assert!(index != 7 || rows == truth.intervals.len());
        }
    }

    #[test]
    fn the_sediment_of_neighbouring_sections_is_alike_if_it_drifts() {
        // The mean colour of each section's core, but for its light.
        let colors = |drift_m| -> Vec<f64> {
            let config = SyntheticHoleConfig::default()
                .with_sections(60)
                .with_pixels_per_cm(4.0)
                .with_kinds(vec![Disturbance::None])
                .with_drift_m(drift_m);
            let hole = SyntheticHole::new(config).unwrap();
            let red_to_blue = |index| {
                let (picture, truth) =
                    (hole.photograph(index).unwrap(), hole.truth(index).unwrap());
                let mut sums = [0.0; 3];
                for offset in 0..300 {
                    let (column, row) = truth.locate(0.0, f64::from(offset) / 2.0);
                    let pixel = picture.pixel(row as usize, column as usize).unwrap();
                    (0..3).for_each(|c| sums[c] += f64::from(pixel[c]));
                }
                sums[0] / sums[2]
            };
            (0..hole.len()).map(red_to_blue).collect()
        };
        let step = |colors: Vec<f64>| -> f64 {
            let steps = colors.windows(2).map(|pair| (pair[0] - pair[1]).abs());
            steps.sum::<f64>() / 59.0
        };
        let (of_their_own, drifting) = (step(colors(None)), step(colors(Some(20.0))));
        assert!(drifting < 0.5 * of_their_own, "{drifting} {of_their_own}");
    }

    #[test]
    fn the_shortest_sections_have_gaps_within_them() {
        for length_cm in [40.0, 45.0, 48.0, 48.1] {
            let config = SyntheticHoleConfig {
                length_cm,
                ..SyntheticHoleConfig::default().with_sections(60)
            };
            let hole = SyntheticHole::new(config).unwrap();
            let gaps: Vec<_> = hole.truths().map(|truth| truth.gaps).collect();
            assert!(gaps.iter().any(|gaps| !gaps.is_empty()));
            let mut all = gaps.iter().flatten();
            assert!(all.all(|gap| gap.0 >= 10.0 && gap.1 <= length_cm - 10.0));
        }
    }

    #[test]
    fn the_core_is_where_the_truth_says() {
        let config = SyntheticHoleConfig::default()
            .with_sections(4)
            .with_tilt(2.0);
        let hole = SyntheticHole::new(config.with_pixels_per_cm(10.0)).unwrap();
        for index in 0..4 {
            let (picture, truth) = (hole.photograph(index).unwrap(), hole.truth(index).unwrap());
            let at = |across, offset| {
                let (column, row) = truth.locate(across, offset);
                let back = truth.core_point(column, row);
                assert!((back.0 - across).abs() < 1e-9 && (back.1 - offset).abs() < 1e-9);
                picture.pixel(row as usize, column as usize).unwrap()
            };
            // The liner is as bright on the left as on the right, and outside is the tray.
            for offset in [5.0, 75.0, 145.0] {
                let (left, right) = (at(-3.42, offset), at(3.42, offset));
                assert!(
                    left.iter().zip(right).all(|(l, r)| l.abs_diff(r) < 16),
                    "{left:?} {right:?}"
                );
            }
        }
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let config = SyntheticHoleConfig::default;
        for wrong in [
            config().with_sections(0),
            config().with_kinds(Vec::new()),
            config().with_pixels_per_cm(f64::NAN),
            config().with_interval_cm(3.0),
            config().with_tilt(6.0),
            config().with_drift_m(Some(0.0)),
        ] {
            assert!(SyntheticHole::new(wrong).is_err());
        }
    }
}
