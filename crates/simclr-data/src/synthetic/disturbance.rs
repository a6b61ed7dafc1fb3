//! What drilling does to a core: ten kinds of disturbance as geometry.

use rand::Rng;

use super::noise::{Point, cell, floor, hash, rough, signed, smooth, step};
use super::sediment::{Color, Sediment};

/// The kind of drilling disturbance; the number is the label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Disturbance {
    /// Blocks of bedded sediment, each turned by its own angle, in slurry.
    Biscuit,
    /// Pieces of all orientations in a matrix.
    Brecciated,
    /// One or two open cracks.
    Crack,
    /// Loose lumps that fell on top of intact layers.
    FallIn,
    /// Sediment that flowed in along the core: vertical, wavy streaks.
    FlowIn,
    /// Straight fractures with small offsets.
    Fractured,
    /// Intact layers.
    None,
    /// Sediment mixed with water, layers lost.
    Soupy,
    /// Sediment sucked up in a column, the layers beside it dragged along.
    SuckIn,
    /// Layers bent down along the liner.
    UpArching,
}

impl Disturbance {
    /// All kinds in label order, which is that of their names.
    pub const ALL: [Self; 10] = {
        use Disturbance::*;
        [
            Biscuit, Brecciated, Crack, FallIn, FlowIn, Fractured, None, Soupy, SuckIn, UpArching,
        ]
    };

    /// The label of this kind in [`SyntheticCores`](crate::SyntheticCores).
    pub fn label(self) -> u32 {
        self as u32
    }

    /// The name as a class folder would have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Biscuit => "biscuit",
            Self::Brecciated => "brecciated",
            Self::Crack => "crack",
            Self::FallIn => "fall-in",
            Self::FlowIn => "flow-in",
            Self::Fractured => "fractured",
            Self::None => "none",
            Self::Soupy => "soupy",
            Self::SuckIn => "suck-in",
            Self::UpArching => "up-arching",
        }
    }
}

/// A line with a waviness, for cracks and fractures.
struct Line {
    through: Point,
    angle: f32,
    half_width: f32,
    waviness: f32,
    /// How far the far side has slipped along the line.
    slip: f32,
    seed: u32,
}

impl Line {
    fn draw(rng: &mut impl Rng, steepest: f32) -> Self {
        Self {
            through: Point::new(rng.random_range(-0.6..0.6), rng.random_range(-0.7..0.7)),
            angle: rng.random_range(-steepest..steepest),
            half_width: rng.random_range(0.008..0.03),
            waviness: rng.random_range(0.0..0.03),
            slip: 0.0,
            seed: rng.random(),
        }
    }

    /// Signed distance from the line.
    fn distance(&self, p: Point) -> f32 {
        let (sin, cos) = self.angle.sin_cos();
        let (x, y) = (p.x - self.through.x, p.y - self.through.y);
        let along = cos * x + sin * y;
        let wave = self.waviness * rough(self.seed, Point::new(along * 2.0, 0.5));
        cos * y - sin * x + wave
    }

    /// How dark the opening is at a point: 1 inside, 0 outside.
    fn opening(&self, p: Point) -> f32 {
        let (low, high) = (self.half_width * 0.6, self.half_width * 1.3);
        1.0 - step(low, high, self.distance(p).abs())
    }

    /// The point before the far side slipped.
    fn unslipped(&self, p: Point) -> Point {
        if self.distance(p) <= 0.0 {
            return p;
        }
        let (sin, cos) = self.angle.sin_cos();
        p.plus(cos * self.slip, sin * self.slip)
    }
}

/// The colour of an opening that no light reaches.
const SHADOW: Color = [0.08, 0.075, 0.07];

/// A disturbance with all its random numbers drawn.
pub(super) struct Scene {
    kind: Disturbance,
    lines: Vec<Line>,
    /// How strong the disturbance is, from 0 to 1.
    strength: f32,
    /// Where it sits across the core, from -1 to 1.
    side: f32,
    /// Where it sits along the core.
    depth: f32,
    /// Size of pieces or bands.
    size: f32,
    /// What lies between pieces: from mud (0) to a shadow (1).
    shadow: f32,
    seed: u32,
}

impl Scene {
    pub(super) fn draw(kind: Disturbance, rng: &mut impl Rng) -> Self {
        Self {
            kind,
            lines: lines(kind, rng),
            strength: rng.random(),
            side: rng.random_range(-1.0..1.0),
            depth: rng.random_range(-1.0..1.0),
            size: rng.random(),
            shadow: rng.random_range(0.15..0.85),
            seed: rng.random(),
        }
    }

    /// The colour of the disturbed core at a point.
    pub(super) fn color(&self, sediment: &Sediment, p: Point) -> Color {
        match self.kind {
            Disturbance::None => sediment.color(p),
            Disturbance::Crack | Disturbance::Fractured => self.broken(sediment, p),
            Disturbance::Brecciated => self.brecciated(sediment, p),
            Disturbance::Biscuit => self.biscuit(sediment, p),
            Disturbance::UpArching => self.up_arching(sediment, p),
            Disturbance::Soupy => self.soupy(sediment, p),
            Disturbance::FallIn => self.fall_in(sediment, p),
            Disturbance::FlowIn => self.flow_in(sediment, p),
            Disturbance::SuckIn => self.suck_in(sediment, p),
        }
    }

    /// What lies in openings and between pieces.
    fn filling(&self, sediment: &Sediment, p: Point) -> Color {
        blend(sediment.slurry(p), SHADOW, self.shadow)
    }

    fn between(&self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.strength
    }

    fn broken(&self, sediment: &Sediment, p: Point) -> Color {
        let source = self.lines.iter().fold(p, |p, line| line.unslipped(p));
        let openings = self.lines.iter().map(|line| line.opening(p));
        let open = openings.fold(0.0, f32::max);
        let filling = || self.filling(sediment, p);
        mix(open, || sediment.color(source), filling)
    }

    fn brecciated(&self, sediment: &Sediment, p: Point) -> Color {
        let shape = |k| 0.07 * rough(self.seed.wrapping_add(k), p.scaled(3.5, 3.5));
        let bent = p.plus(shape(0), shape(3));
        let piece = cell(self.seed, bent, 0.28 + 0.35 * self.size);
        let turned = p.turned(piece.center, 2.2 * signed(piece.id, 1));
        let source = turned.plus(0.0, 0.6 * signed(piece.id, 2));
        let gap = self.between(0.015, 0.07) * (1.0 + 0.6 * signed(piece.id, 3));
        let inside = step(gap * 0.4, gap, piece.border);
        let filling = || self.filling(sediment, p);
        mix(inside, filling, || sediment.color(source))
    }

    fn biscuit(&self, sediment: &Sediment, p: Point) -> Color {
        let period = 0.5 + 0.3 * self.size;
        let number = floor((p.y + self.depth) / period);
        let id = hash(self.seed, number, 7);
        let middle = (number as f32 + 0.5) * period - self.depth;
        let center = Point::new(0.07 * signed(id, 1), middle);
        // A rectangle with worn corners, a little tilted.
        let tilted = p.turned(center, 0.14 * signed(id, 2));
        let across = (tilted.x - center.x) / (0.88 + 0.08 * signed(id, 3));
        let along = (tilted.y - center.y) / (period * (0.38 + 0.05 * signed(id, 4)));
        let worn = 0.07 * rough(self.seed, p.scaled(3.0, 3.0));
        let radius = (across.powi(4) + along.powi(4)).sqrt().sqrt() + worn;
        // Blocks turn against each other, so there is slurry where their corners would meet.
        let apart = 0.5 * period - (p.y - middle).abs();
        let inside = (1.0 - step(0.92, 1.0, radius)) * step(0.02, 0.06, apart);
        let bedding = p.turned(center, 0.7 * signed(id, 5));
        let source = bedding.plus(0.0, 0.5 * signed(id, 6));
        let slurry = || {
            let even = sediment.slurry(p.scaled(0.3, 0.3));
            blend(even, SHADOW, 0.35 * self.shadow)
        };
        mix(inside, slurry, || sediment.color(source))
    }

    fn up_arching(&self, sediment: &Sediment, p: Point) -> Color {
        let bend = self.between(0.45, 1.0);
        let off_axis = p.x - 0.15 * self.side;
        let source = p.plus(0.0, -bend * off_axis * off_axis);
        sediment.color(source)
    }

    fn soupy(&self, sediment: &Sediment, p: Point) -> Color {
        let field = |k: u32, p: Point| rough(self.seed.wrapping_add(k), p);
        let stir = self.between(0.5, 0.9);
        let coarse = p.scaled(0.9, 0.9);
        let first = p.plus(stir * field(0, coarse), stir * field(3, coarse));
        let finer = first.scaled(2.0, 2.0);
        let source = first.plus(0.25 * field(6, finer), 0.25 * field(9, finer));
        let wet = 0.55 + 0.25 * self.size;
        blend(sediment.color(source), sediment.slurry(source), wet)
    }

    fn fall_in(&self, sediment: &Sediment, p: Point) -> Color {
        let floor = 0.45 * self.depth + 0.12 * smooth(self.seed, p.scaled(1.2, 0.0));
        let fallen = 1.0 - step(floor - 0.03, floor + 0.03, p.y);
        mix(fallen, || sediment.color(p), || self.loose(sediment, p))
    }

    /// Lumps of all sizes with little between them.
    fn loose(&self, sediment: &Sediment, p: Point) -> Color {
        let shape = |k| 0.04 * rough(self.seed.wrapping_add(k), p.scaled(4.0, 4.0));
        let bent = p.plus(shape(10), shape(13));
        let lump = cell(self.seed.wrapping_add(1), bent, 0.16 + 0.2 * self.size);
        let radius = 0.09 + 0.11 * self.size + 0.05 * signed(lump.id, 3);
        let round = 1.0 - step(radius * 0.8, radius * 1.1, lump.distance);
        let whole = round * step(0.005, 0.04, lump.border);
        let filling = || self.filling(sediment, p);
        mix(whole, filling, || sediment.lump(lump.id, p))
    }

    fn flow_in(&self, sediment: &Sediment, p: Point) -> Color {
        let sway = self.between(0.1, 0.3);
        let wave = sway * rough(self.seed, Point::new(p.x * 0.8, p.y * 0.7 + self.depth));
        let fine = 0.05 * rough(self.seed.wrapping_add(4), Point::new(p.x * 6.0, p.y));
        // Across the core instead of down it.
        let source = Point::new(p.y * 0.2, (p.x + wave) * 1.3 + fine + self.side);
        sediment.color(source)
    }

    fn suck_in(&self, sediment: &Sediment, p: Point) -> Color {
        let axis = 0.4 * self.side + 0.1 * smooth(self.seed, Point::new(0.3, p.y));
        let off_axis = (p.x - axis).abs();
        let drag = self.between(0.6, 1.2) * (-off_axis / 0.28).exp();
        let wave = 0.03 * smooth(self.seed, Point::new(7.0, p.y * 2.0));
        let half_width = 0.1 + 0.1 * self.size + wave;
        let streaks = 0.07 * rough(self.seed, Point::new(p.x * 14.0, p.y * 0.8));
        let column = || sediment.slurry(p).map(|value| value + streaks);
        let outside = step(half_width - 0.03, half_width + 0.03, off_axis);
        mix(outside, column, || sediment.color(p.plus(0.0, drag)))
    }
}

fn lines(kind: Disturbance, rng: &mut impl Rng) -> Vec<Line> {
    match kind {
        Disturbance::Crack => {
            let count = rng.random_range(1..=2);
            let crack = |_| Line {
                waviness: rng.random_range(0.05..0.14),
                half_width: rng.random_range(0.015..0.045),
                ..Line::draw(rng, 0.6)
            };
            (0..count).map(crack).collect()
        }
        Disturbance::Fractured => {
            let count = rng.random_range(4..=7);
            let fracture = |_| Line {
                slip: rng.random_range(-0.22..0.22),
                ..Line::draw(rng, std::f32::consts::FRAC_PI_2)
            };
            (0..count).map(fracture).collect()
        }
        _ => Vec::new(),
    }
}

/// From `a` (at 0) to `b` (at 1), looking only at what is seen.
fn mix(t: f32, a: impl FnOnce() -> Color, b: impl FnOnce() -> Color) -> Color {
    if t <= 0.0 {
        a()
    } else if t >= 1.0 {
        b()
    } else {
        blend(a(), b(), t)
    }
}

/// From `a` (at 0) to `b` (at 1).
pub(super) fn blend(a: Color, b: Color, t: f32) -> Color {
    let [ar, ag, ab] = a;
    let [br, bg, bb] = b;
    [ar + (br - ar) * t, ag + (bg - ag) * t, ab + (bb - ab) * t]
}
