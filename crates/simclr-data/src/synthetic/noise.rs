//! Smooth random fields and cells: pure functions of a point and a seed.

/// A point of the core, in core half-widths: x across, y down.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub(super) x: f32,
    pub(super) y: f32,
}

impl Point {
    pub(super) fn new(x: f32, y: f32) -> Self {
        Self { x, y }
    }

    pub(super) fn plus(self, x: f32, y: f32) -> Self {
        Self::new(self.x + x, self.y + y)
    }

    pub(super) fn scaled(self, x: f32, y: f32) -> Self {
        Self::new(self.x * x, self.y * y)
    }

    /// Turned by `angle` (radians) about `center`.
    pub(super) fn turned(self, center: Self, angle: f32) -> Self {
        let (sin, cos) = angle.sin_cos();
        let (x, y) = (self.x - center.x, self.y - center.y);
        Self::new(center.x + cos * x - sin * y, center.y + sin * x + cos * y)
    }
}

/// A well-mixed 32-bit hash of a lattice point.
pub(super) fn hash(seed: u32, i: i32, j: i32) -> u32 {
    let mut h = seed ^ (i as u32).wrapping_mul(0x9E37_79B1) ^ (j as u32).wrapping_mul(0x85EB_CA77);
    h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
    h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
    h ^ (h >> 15)
}

/// A number in [0, 1) that belongs to a lattice point.
pub(super) fn unit(seed: u32, i: i32, j: i32) -> f32 {
    (hash(seed, i, j) >> 8) as f32 / (1 << 24) as f32
}

/// The lattice line at or below a coordinate. (`f32::floor` is a function call on
/// processors without SSE 4.1, for which we compile.)
pub(super) fn floor(x: f32) -> i32 {
    let truncated = x as i32;
    truncated - i32::from(x < truncated as f32)
}

/// Value noise in [-1, 1] with features of size 1.
pub(super) fn smooth(seed: u32, p: Point) -> f32 {
    let (i, j) = (floor(p.x), floor(p.y));
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (u, v) = (ease(p.x - i as f32), ease(p.y - j as f32));
    let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
    let upper = mix(unit(seed, i, j), unit(seed, i + 1, j), u);
    let lower = mix(unit(seed, i, j + 1), unit(seed, i + 1, j + 1), u);
    2.0 * mix(upper, lower, v) - 1.0
}

/// Two octaves of [`smooth`], about within [-1, 1].
pub(super) fn rough(seed: u32, p: Point) -> f32 {
    0.7 * smooth(seed, p) + 0.35 * smooth(seed.wrapping_add(1), p.scaled(2.3, 2.3))
}

/// The cell of a random tiling that a point lies in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    /// A hash that tells cells apart.
    pub(super) id: u32,
    /// The cell's centre.
    pub(super) center: Point,
    /// Distance to the centre.
    pub(super) distance: f32,
    /// How much further the next centre is: 0 on the border.
    pub(super) border: f32,
}

/// The cell of a Voronoi tiling of irregular cells of about `size`.
pub(super) fn cell(seed: u32, p: Point, size: f32) -> Cell {
    let (i0, j0) = (floor(p.x / size), floor(p.y / size));
    let mut nearest = (f32::INFINITY, p, 0);
    let mut second = f32::INFINITY;
    for (i, j) in (i0 - 1..=i0 + 1).flat_map(|i| (j0 - 1..=j0 + 1).map(move |j| (i, j))) {
        let id = hash(seed, i, j);
        let part = |bits: u32| 0.1 + 0.8 * (bits & 0xFFFF) as f32 / 65536.0;
        let (i, j) = (i as f32 + part(id), j as f32 + part(id >> 16));
        let center = Point::new(i * size, j * size);
        let squared = (center.x - p.x).powi(2) + (center.y - p.y).powi(2);
        if squared < nearest.0 {
            second = nearest.0;
            nearest = (squared, center, id);
        } else {
            second = second.min(squared);
        }
    }
    let (squared, center, id) = nearest;
    Cell {
        id,
        center,
        distance: squared.sqrt(),
        border: second.sqrt() - squared.sqrt(),
    }
}

/// 0 below `low`, 1 above `high`, smooth in between.
pub(super) fn step(low: f32, high: f32, value: f32) -> f32 {
    let t = ((value - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Something in [-1, 1] that belongs to a hash, one of several by `k`.
pub(super) fn signed(id: u32, k: i32) -> f32 {
    2.0 * unit(id, k, 0) - 1.0
}
