use rand::Rng;
use simclr_augment::Stream;

use super::config::SyntheticHoleConfig;
use super::truth::SectionTruth;
use crate::Seed;
use crate::streams::DRIFT;
use crate::synthetic::disturbance::{Disturbance, Scene};
use crate::synthetic::noise::{Point, hash, signed, smooth};
use crate::synthetic::sediment::{Color, Look, Sediment};

/// Thickness of the liner's wall.
pub(super) const LINER_CM: f64 = 0.25;
/// Between the picture's border and what is in it.
pub(super) const MARGIN_CM: f64 = 1.5;
pub(super) const RULER_CM: f64 = 1.2;
pub(super) const CARD_CM: f64 = 1.5;

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
pub(super) struct Photograph {
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
    pub(super) fn draw(
        config: &SyntheticHoleConfig,
        truth: SectionTruth,
        size: (usize, usize),
        rng: &mut impl Rng,
    ) -> Self {
        let half_width = config.core_width_cm / 2.0;
        let reach = (config.length_cm / 2.0 / half_width) as f32 + 3.0;
        let sediment = match config.drift_m {
            None => Sediment::with_reach(reach, rng),
            Some(drift) => {
                let middle = truth.top_m + config.length_cm / 200.0;
                let look_at = |depth: f32| {
                    let metres = middle + f64::from(depth) * half_width / 100.0;
                    look_at(config.seed, metres / drift)
                };
                Sediment::with_looks(reach, look_at, rng)
            }
        };
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

    pub(super) fn paint_row(&self, row: usize, pixels: &mut [u8]) {
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

/// How the sediment of a hole looks at a depth in units of its drift.
fn look_at(seed: Seed, depth: f64) -> Look {
    // The first beds lie a little above the hole's top.
    let depth = depth.max(0.0);
    let knot = |number: f64| Look::draw(&mut Stream::new(seed).sample(number as u64).rng(DRIFT));
    let above = depth.floor();
    knot(above).towards(knot(above + 1.0), (depth - above) as f32)
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
