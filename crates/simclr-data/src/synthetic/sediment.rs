//! Undisturbed sediment: layers of different colour, thickness and grain.

use std::sync::Arc;

use rand::Rng;

use super::noise::{Point, floor, hash, rough, signed, smooth, step, unit};

/// Red, green and blue in [0, 1].
pub(super) type Color = [f32; 3];

/// A bed of sediment.
struct Layer {
    /// Depth of its lower boundary.
    bottom: f32,
    color: Color,
    /// Strength of its grain.
    grain: f32,
    /// Strength of thin bands inside it.
    lamination: f32,
}

/// A column of sediment, and how it looks at each point.
#[derive(Clone)]
pub(super) struct Sediment {
    layers: Arc<[Layer]>,
    /// The depth in the column of points whose `y` is 0.
    origin: f32,
    /// The colour that everything has when mixed.
    mean: Color,
    seed: u32,
    tilt: f32,
    undulation: f32,
    softness: f32,
    grain_size: f32,
    /// Chance that a place holds a burrow or a dropstone.
    spots: f32,
}

/// What the beds at some depth have in common.
#[derive(Clone, Copy)]
pub(super) struct Look {
    base: Color,
    /// How much their colours differ.
    contrast: f32,
    thickness: f32,
}

impl Look {
    pub(super) fn draw(rng: &mut impl Rng) -> Self {
        Self {
            base: base_color(rng),
            contrast: rng.random_range(0.05..0.2f32),
            thickness: rng.random_range(0.12..0.45f32),
        }
    }

    /// From this look (at 0) to another (at 1).
    pub(super) fn towards(self, other: Self, t: f32) -> Self {
        let between = |a: f32, b: f32| a + (b - a) * t;
        Self {
            base: [0, 1, 2].map(|c| between(self.base[c], other.base[c])),
            contrast: between(self.contrast, other.contrast),
            thickness: between(self.thickness, other.thickness),
        }
    }
}

/// Depths beyond which nothing is looked at, in core half-widths.
const DEPTH: f32 = 5.0;

impl Sediment {
    /// A random column for a picture of a square part of the core.
    pub(super) fn draw(rng: &mut impl Rng) -> Self {
        Self::with_reach(DEPTH, rng)
    }

    /// A random column from `-reach` to `reach`, in core half-widths.
    pub(super) fn with_reach(reach: f32, rng: &mut impl Rng) -> Self {
        let look = Look::draw(rng);
        Self::with_looks(reach, |_| look, rng)
    }

    /// A random column from `-reach` to `reach` whose beds look as their depth says.
    pub(super) fn with_looks(
        reach: f32,
        look_at: impl Fn(f32) -> Look,
        rng: &mut impl Rng,
    ) -> Self {
        let mut layers = Vec::new();
        let mut bottom = -reach;
        while bottom < reach {
            let look = look_at(bottom);
            // Thin beds are common and thick ones rare.
            bottom += look.thickness * (0.25 - 1.1 * rng.random_range(0.05..1.0f32).ln());
            layers.push(Layer {
                bottom,
                color: vary(look.base, look.contrast, rng),
                grain: rng.random_range(0.01..0.09),
                lamination: rng.random_range(-0.06..0.06f32).max(0.0),
            });
        }
        let mean = [0, 1, 2].map(|c| {
            let sum: f32 = layers.iter().map(|layer| layer.color[c]).sum();
            sum / layers.len() as f32
        });
        Self {
            layers: layers.into(),
            origin: 0.0,
            mean,
            seed: rng.random(),
            tilt: rng.random_range(-0.15..0.15),
            undulation: rng.random_range(0.0..0.06),
            softness: rng.random_range(0.01..0.06),
            grain_size: rng.random_range(0.03..0.1),
            spots: rng.random_range(0.0..0.12),
        }
    }

    /// The same column for points that are counted from the depth `origin`.
    pub(super) fn seen_from(&self, origin: f32) -> Self {
        Self {
            origin,
            ..self.clone()
        }
    }

    /// The colour of undisturbed sediment at a point.
    pub(super) fn color(&self, p: Point) -> Color {
        let p = p.plus(0.0, self.origin);
        let depth = p.y + self.tilt * p.x + self.undulation * smooth(self.seed, p.scaled(1.5, 1.5));
        let index = self.layers.partition_point(|layer| layer.bottom < depth);
        let last = self.layers.len().saturating_sub(1);
        let layer = |index: usize| self.layers.get(index.min(last));
        let (Some(layer), Some(next)) = (layer(index), layer(index + 1)) else {
            return self.mean;
        };
        let into_next = 0.5 * step(-self.softness, 0.0, depth - layer.bottom);
        let bands = layer.lamination * (depth * 55.0).sin();
        let spot = self.spot(p);
        let grain = layer.grain * self.grain(p) + bands + spot;
        [0, 1, 2].map(|c| layer.color[c] + (next.color[c] - layer.color[c]) * into_next + grain)
    }

    /// The colour of sediment mixed with water: nearly even, with faint wisps.
    pub(super) fn slurry(&self, p: Point) -> Color {
        let wisps = 0.05 * rough(self.seed.wrapping_add(11), p.scaled(2.0, 2.0));
        let grain = 0.02 * self.grain(p);
        self.mean.map(|value| value * 0.92 + wisps + grain)
    }

    /// The colour of a stone or lump of its own.
    pub(super) fn lump(&self, id: u32, p: Point) -> Color {
        let tone = 0.16 * signed(id, 1);
        let warmth = 0.03 * signed(id, 2);
        let grain = 0.05 * self.grain(p);
        let [r, g, b] = self.mean;
        [
            r + tone + warmth + grain,
            g + tone + grain,
            b + tone - warmth + grain,
        ]
    }

    fn grain(&self, p: Point) -> f32 {
        let scale = 1.0 / self.grain_size;
        rough(self.seed.wrapping_add(5), p.scaled(scale, scale))
    }

    /// Burrows (dark) and dropstones (light), which every core may have.
    fn spot(&self, p: Point) -> f32 {
        const SPACING: f32 = 0.4;
        let seed = self.seed.wrapping_add(23);
        let (i, j) = (floor(p.x / SPACING), floor(p.y / SPACING));
        let id = hash(seed, i, j);
        if unit(id, 3, 0) > self.spots {
            return 0.0;
        }
        // Far enough from the sides of its square that it fits inside.
        let place = |i: i32, k: i32| (i as f32 + 0.5 + 0.2 * signed(id, k)) * SPACING;
        let squared = (p.x - place(i, 6)).powi(2) + (p.y - place(j, 7)).powi(2);
        let radius = 0.07 + 0.04 * signed(id, 4);
        let tone = 0.2 * signed(id, 5);
        tone * (1.0 - step(radius * 0.7, radius, squared.sqrt()))
    }
}

/// A colour that marine sediments have: brown, olive, green or blue grey.
fn base_color(rng: &mut impl Rng) -> Color {
    let (hue, most_saturated) = match rng.random_range(0..4) {
        0 => (rng.random_range(0.03..0.11f32), 0.45f32),
        1 => (rng.random_range(0.11..0.2), 0.4),
        2 => (rng.random_range(0.22..0.42), 0.2),
        _ => (rng.random_range(0.52..0.64), 0.18),
    };
    let saturation = rng.random_range(0.03..most_saturated);
    from_hsv(hue, saturation, rng.random_range(0.35..0.75))
}

fn vary(base: Color, contrast: f32, rng: &mut impl Rng) -> Color {
    let tone = contrast * rng.random_range(-1.0..1.0f32);
    base.map(|value| value + tone + 0.12 * contrast * rng.random_range(-1.0..1.0f32))
}

fn from_hsv(hue: f32, saturation: f32, value: f32) -> Color {
    [5.0f32, 3.0, 1.0].map(|shift| {
        let k = (shift + hue * 6.0) % 6.0;
        value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0)
    })
}
