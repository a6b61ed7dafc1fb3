//! Photographs of whole core sections, with everything that stands beside a core.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use simclr_augment::{DecodedImage, Stream};

use super::disturbance::{Disturbance, Scene};
use super::noise::{Point, hash, signed, smooth};
use super::sediment::{Color, Sediment};
use crate::Seed;
use crate::error::{Error, Result, check};
use crate::setters::setters;
use crate::streams::SECTION;

/// Sections per core, and the metres from the top of a core to that of the next: as when
/// half a metre of each advance is not recovered.
const SECTIONS_PER_CORE: usize = 6;
const ADVANCE_M: f64 = 9.5;
/// Thickness of the liner's wall.
const LINER_CM: f64 = 0.25;
/// Between the picture's border and what is in it.
const MARGIN_CM: f64 = 1.5;
const RULER_CM: f64 = 1.2;
const CARD_CM: f64 = 1.5;
/// No interval of one disturbance is thinner.
const THINNEST_CM: f64 = 12.0;

/// A [`SyntheticHole`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SyntheticHoleConfig {
    /// How many sections there are. Default: 12.
    pub sections: usize,
    /// Length of a section in centimetres, at least 40. Default: 150.
    pub length_cm: f64,
    /// Width of the core in centimetres. Default: 6.6.
    pub core_width_cm: f64,
    /// Pixels per centimetre, at least 4. Default: 50.
    pub pixels_per_cm: f64,
    /// The disturbances that occur. Default: all ten.
    pub kinds: Vec<Disturbance>,
    /// Mean thickness of the intervals in centimetres, at least 12. Default: 35.
    pub interval_cm: f64,
    /// The largest angle in degrees between core and picture, 0 to 5. Default: 0.8.
    pub tilt: f64,
    /// Seed of everything. Default: 0.
    pub seed: Seed,
}

impl Default for SyntheticHoleConfig {
    fn default() -> Self {
        Self {
            sections: 12,
            length_cm: 150.0,
            core_width_cm: 6.6,
            pixels_per_cm: 50.0,
            kinds: Disturbance::ALL.to_vec(),
            interval_cm: 35.0,
            tilt: 0.8,
            seed: Seed(0),
        }
    }
}

impl SyntheticHoleConfig {
    setters! {
        with_sections(sections: usize);
        with_pixels_per_cm(pixels_per_cm: f64);
        with_kinds(kinds: Vec<Disturbance>);
        with_interval_cm(interval_cm: f64);
        with_tilt(tilt: f64);
        with_seed(seed: Seed);
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Setting`] for one that is out of range.
    pub fn validate(&self) -> Result<()> {
        let range = |name, value: f64, low: f64, high: f64, expected| {
            check((low..=high).contains(&value), name, expected, value)
        };
        check(self.sections > 0, "sections", "at least 1", self.sections)?;
        check(!self.kinds.is_empty(), "kinds", "at least one", 0)?;
        range("length_cm", self.length_cm, 40.0, 1000.0, "40 to 1000")?;
        range("core_width_cm", self.core_width_cm, 2.0, 20.0, "2 to 20")?;
        range("pixels_per_cm", self.pixels_per_cm, 4.0, 400.0, "4 to 400")?;
        range(
            "interval_cm",
            self.interval_cm,
            THINNEST_CM,
            1e4,
            "at least 12",
        )?;
        range("tilt", self.tilt, 0.0, 5.0, "0 to 5 degrees")
    }
}

/// A part of a section with one kind of disturbance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SectionInterval {
    /// Offset of its top from that of the section, in centimetres.
    pub top_cm: f64,
    /// Offset of its bottom.
    pub bottom_cm: f64,
    /// What happened to it.
    pub kind: Disturbance,
}

/// What is known about a photograph of a section.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SectionTruth {
    /// IODP's name of the section half, such as `999-U9999A-1H-2-A`.
    pub name: String,
    /// Depth of the section's top in metres.
    pub top_m: f64,
    /// Its length in centimetres.
    pub length_cm: f64,
    /// Pixels per centimetre.
    pub pixels_per_cm: f64,
    /// Column and row of the middle of the core's top, in pixels.
    pub top: (f64, f64),
    /// The angle in degrees by which the core is turned; positive if its bottom lies further
    /// to the left than its top.
    pub tilt: f64,
    /// Width of the core in pixels.
    pub width: f64,
    /// Offsets in centimetres of the tops and bottoms of gaps between pieces.
    pub gaps: Vec<(f64, f64)>,
    /// The kinds of disturbance from top to bottom, without holes.
    pub intervals: Vec<SectionInterval>,
}

impl SectionTruth {
    /// Column and row in the picture of a point of the core: `across` from its axis to the right
    /// and `offset` from its top, in centimetres.
    pub fn locate(&self, across: f64, offset: f64) -> (f64, f64) {
        let (sin, cos) = self.tilt.to_radians().sin_cos();
        let (u, v) = (across * self.pixels_per_cm, offset * self.pixels_per_cm);
        (
            self.top.0 + cos * u - sin * v,
            self.top.1 + sin * u + cos * v,
        )
    }

    /// The inverse of [`Self::locate`].
    fn core_point(&self, column: f64, row: f64) -> (f64, f64) {
        let (sin, cos) = self.tilt.to_radians().sin_cos();
        let (x, y) = (column - self.top.0, row - self.top.1);
        let scale = self.pixels_per_cm;
        ((cos * x + sin * y) / scale, (cos * y - sin * x) / scale)
    }
}

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

    fn truths(&self) -> impl Iterator<Item = SectionTruth> {
        (0..self.len()).filter_map(|index| self.truth(index).ok())
    }

    /// Height and width of the pictures.
    fn picture_size(&self) -> (usize, usize) {
        let config = &self.config;
        let drift = (config.length_cm / 2.0) * config.tilt.to_radians().sin();
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
        let drift = (config.length_cm / 2.0) * config.tilt.to_radians().sin();
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
    let count = rng.random_range(0..=2);
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

/// A part of the section that one scene is drawn for.
struct Block {
    /// Depth of its bottom, in core half-widths from the middle of the section.
    bottom: f32,
    /// The depth that its scene counts from.
    origin: f32,
    scene: Scene,
    sediment: Sediment,
}

/// Everything in the picture.
struct Photograph {
    truth: SectionTruth,
    /// Height and width in pixels.
    size: (usize, usize),
    blocks: Vec<Block>,
    tray: Color,
    liner: Color,
    exposure: f32,
    tint: Color,
    shading: f32,
    sensor_noise: f32,
    seed: u32,
}

impl Photograph {
    fn draw(
        config: &SyntheticHoleConfig,
        truth: SectionTruth,
        size: (usize, usize),
        rng: &mut impl Rng,
    ) -> Self {
        let half_width = config.core_width_cm / 2.0;
        let reach = (config.length_cm / 2.0 / half_width) as f32 + 3.0;
        let sediment = Sediment::with_reach(reach, rng);
        let depth = |cm: f64| ((cm - config.length_cm / 2.0) / half_width) as f32;
        let mut blocks = Vec::new();
        for part in &truth.intervals {
            let (top, bottom) = (depth(part.top_cm), depth(part.bottom_cm));
            for (bottom, origin) in scenes(part.kind, top, bottom) {
                blocks.push(Block {
                    bottom,
                    origin,
                    scene: Scene::draw(part.kind, rng),
                    sediment: sediment.seen_from(origin),
                });
            }
        }
        // A dark tray, a light one, or one of cardboard.
        let tray = match rng.random_range(0..3) {
            0 => [rng.random_range(0.04..0.12f32); 3],
            1 => [rng.random_range(0.86..0.95f32); 3],
            _ => [0.55, 0.42, 0.26],
        };
        Self {
            truth,
            size,
            blocks,
            tray,
            liner: [rng.random_range(0.7..0.9); 3],
            exposure: rng.random_range(0.85..1.15),
            tint: [(); 3].map(|()| rng.random_range(0.96..1.04)),
            shading: rng.random_range(0.0..0.3),
            sensor_noise: rng.random_range(0.0..0.02),
            seed: rng.random(),
        }
    }

    fn paint_row(&self, row: usize, pixels: &mut [u8]) {
        const OFFSETS: [(f64, f64); 4] = [
            (0.125, 0.375),
            (0.375, 0.875),
            (0.625, 0.125),
            (0.875, 0.625),
        ];
        for (column, pixel) in pixels.chunks_exact_mut(3).enumerate() {
            let samples = OFFSETS.map(|(dx, dy)| self.color(column as f64 + dx, row as f64 + dy));
            let noise = signed(hash(self.seed, row as i32, column as i32), 0) * self.sensor_noise;
            for (channel, value) in pixel.iter_mut().enumerate() {
                let sum: f32 = samples.iter().map(|sample| sample[channel]).sum();
                let light = sum / 4.0 * self.exposure * self.tint[channel];
                // The cast saturates.
                *value = ((light + noise) * 255.0).round() as u8;
            }
        }
    }

    fn color(&self, column: f64, row: f64) -> Color {
        let truth = &self.truth;
        if let Some(color) = self.ruler(column, row).or_else(|| self.card(column, row)) {
            return color;
        }
        let (across, offset) = truth.core_point(column, row);
        let half_width = truth.width / truth.pixels_per_cm / 2.0;
        let along = (0.0..=truth.length_cm).contains(&offset);
        if across.abs() <= half_width && along {
            // The ends of pieces are a little uneven.
            let uneven = 0.06 * f64::from(smooth(self.seed, Point::new(3.0 * across as f32, 0.5)));
            let in_gap = |&(top, bottom): &(f64, f64)| (top..bottom).contains(&(offset + uneven));
            if truth.gaps.iter().any(in_gap) {
                return self.tray.map(|value| 0.8 * value);
            }
            return self.core(
                (across / half_width) as f32,
                (offset - truth.length_cm / 2.0) / half_width,
            );
        }
        let in_liner = (-0.4..=truth.length_cm + 0.4).contains(&offset);
        if (half_width..=half_width + LINER_CM).contains(&across.abs()) && in_liner {
            return self.liner;
        }
        let grain = 0.02
            * smooth(
                self.seed ^ 9,
                Point::new(column as f32, row as f32).scaled(0.2, 0.2),
            );
        self.tray.map(|value| value + grain)
    }

    fn core(&self, across: f32, depth: f64) -> Color {
        let depth = depth as f32;
        let last = self.blocks.len().saturating_sub(1);
        let index = self.blocks.partition_point(|block| block.bottom < depth);
        let Some(block) = self.blocks.get(index.min(last)) else {
            return self.tray;
        };
        let point = Point::new(across, depth - block.origin);
        let shade = 1.0 - self.shading * across.powi(6);
        block
            .scene
            .color(&block.sediment, point)
            .map(|value| value * shade)
    }

    /// A white ruler along the right border, with ticks for millimetres and centimetres.
    fn ruler(&self, column: f64, row: f64) -> Option<Color> {
        let scale = self.truth.pixels_per_cm;
        let right = self.size.1 as f64 / scale - 0.2;
        let inside = column / scale - (right - RULER_CM);
        let offset = row / scale - MARGIN_CM;
        let on_it =
            (0.0..=RULER_CM).contains(&inside) && (0.0..=self.truth.length_cm).contains(&offset);
        let tick = |every: f64, length: f64, width: f64| {
            inside < length && (offset - (offset / every).round() * every).abs() < width / 2.0
        };
        on_it.then(|| {
            if tick(1.0, 0.7, 0.06) || tick(0.1, 0.3, 0.03) {
                [0.1; 3]
            } else {
                [0.92, 0.92, 0.88]
            }
        })
    }

    /// Patches of known colour below the core.
    fn card(&self, column: f64, row: f64) -> Option<Color> {
        const PATCHES: [Color; 6] = [
            [0.9, 0.9, 0.9],
            [0.5, 0.5, 0.5],
            [0.1, 0.1, 0.1],
            [0.7, 0.15, 0.15],
            [0.15, 0.55, 0.2],
            [0.15, 0.2, 0.6],
        ];
        let scale = self.truth.pixels_per_cm;
        let top = MARGIN_CM * 2.0 + self.truth.length_cm;
        let (x, y) = (column / scale - 0.5, row / scale - top);
        let on_it = x >= 0.0 && (0.0..CARD_CM).contains(&y);
        PATCHES.get((x / 1.2) as usize).copied().filter(|_| on_it)
    }
}

/// The scenes that fill an interval of a disturbance: the bottom of each, and the depth that
/// it is drawn around.
fn scenes(kind: Disturbance, top: f32, bottom: f32) -> Vec<(f32, f32)> {
    match kind {
        // Each scene has its lines near its middle.
        Disturbance::Crack | Disturbance::Fractured => {
            let count = ((bottom - top) / 2.0).round().max(1.0);
            let height = (bottom - top) / count;
            let scene = |index: usize| {
                (
                    top + height * (index + 1) as f32,
                    top + height * (index as f32 + 0.5),
                )
            };
            (0..count as usize).map(scene).collect()
        }
        // What fell in lies above the scene's middle.
        Disturbance::FallIn => vec![(bottom, bottom + 1.0)],
        _ => vec![(bottom, (top + bottom) / 2.0)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ] {
            assert!(SyntheticHole::new(wrong).is_err());
        }
    }
}
