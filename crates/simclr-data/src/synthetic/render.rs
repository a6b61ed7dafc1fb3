//! From a scene to a photograph: framing, light, the liner and the sensor.

use rand::Rng;

use super::disturbance::blend;
use super::noise::{Point, hash, signed, step};
use super::sediment::Color;

/// How a core is photographed; says nothing about its class.
pub(super) struct Camera {
    /// Half of the image's side in core half-widths.
    reach: f32,
    center: Point,
    mirrored: bool,
    liner: Color,
    /// Brightness per core half-width, across and down.
    slope: Point,
    /// How much darker the rounded edge of the core is.
    shading: f32,
    exposure: f32,
    tint: Color,
    sensor_noise: f32,
    seed: u32,
}

impl Camera {
    pub(super) fn draw(rng: &mut impl Rng) -> Self {
        let liner_tone = rng.random_range(0.05..0.95f32);
        Self {
            reach: rng.random_range(0.8..1.15),
            center: Point::new(rng.random_range(-0.12..0.12), rng.random_range(-0.1..0.1)),
            mirrored: rng.random(),
            liner: [liner_tone; 3],
            slope: Point::new(rng.random_range(-0.2..0.2), rng.random_range(-0.15..0.15)),
            shading: rng.random_range(0.0..0.4),
            exposure: rng.random_range(0.7..1.3),
            // The cast of the lamp.
            tint: [(); 3].map(|()| rng.random_range(0.94..1.06)),
            sensor_noise: rng.random_range(0.0..0.03),
            seed: rng.random(),
        }
    }

    /// A square image of `size` pixels a side, four samples per pixel.
    pub(super) fn photograph(&self, size: usize, scene: impl Fn(Point) -> Color) -> Vec<u8> {
        const OFFSETS: [(f32, f32); 4] = [
            (0.125, 0.375),
            (0.375, 0.875),
            (0.625, 0.125),
            (0.875, 0.625),
        ];
        let mut pixels = Vec::with_capacity(size * size * 3);
        let place = |index: usize, offset: f32| {
            (2.0 * (index as f32 + offset) / size as f32 - 1.0) * self.reach
        };
        for (row, column) in (0..size).flat_map(|row| (0..size).map(move |column| (row, column))) {
            let samples = OFFSETS.map(|(dx, dy)| {
                let x = place(column, dx) * if self.mirrored { -1.0 } else { 1.0 };
                let p = Point::new(x, place(row, dy)).plus(self.center.x, self.center.y);
                self.lit(p, &scene)
            });
            let noise = self.sensor_noise * signed(hash(self.seed, row as i32, column as i32), 0);
            for channel in 0..3 {
                let sum: f32 = samples.iter().map(|sample| sample[channel]).sum();
                // The cast saturates.
                pixels.push(((sum / 4.0 + noise) * 255.0).round() as u8);
            }
        }
        pixels
    }

    /// The light that arrives from a point.
    fn lit(&self, p: Point, scene: &impl Fn(Point) -> Color) -> Color {
        let off_axis = p.x.abs();
        let core = scene(p).map(|value| value * (1.0 - self.shading * off_axis.powi(6)));
        let [r, g, b] = blend(core, self.liner, step(0.985, 1.015, off_axis));
        let light = self.exposure * (1.0 + self.slope.x * p.x + self.slope.y * p.y);
        let [tr, tg, tb] = self.tint;
        [r * tr * light, g * tg * light, b * tb * light]
    }
}
