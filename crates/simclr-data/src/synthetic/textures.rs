use std::f32::consts::{PI, TAU};

use rand::Rng;
use simclr_augment::DecodedImage;

use super::drawn::{Drawn, forward_to_drawn};
use super::noise::{Point, cell, rough, signed, smooth, step};
use super::sediment::Color;
use crate::Seed;
use crate::dataset::Dataset;
use crate::error::Result;
use crate::streams::TEXTURE;

/// What the classes are called, in label order.
const CLASSES: [&str; 10] = [
    "stripes",
    "checks",
    "dots",
    "rings",
    "waves",
    "blotches",
    "cells",
    "bricks",
    "stars",
    "scratches",
];

/// Images of ten kinds of textures, made on demand: what a network may have seen
/// before it sees cores, as ImageNet is for the paper.
///
/// Colours, scale, direction, distortion and noise vary in all classes alike; what
/// tells the classes apart is the shape of the pattern. Nothing in it is a sediment
/// core. Image i has label `i % 10`, and depends on (seed, i) and the size alone.
///
/// ```
/// use simclr_data::{Dataset, Seed, SyntheticTextures};
///
/// let textures = SyntheticTextures::new(100, 64, Seed(1))?;
/// assert_eq!((textures.len(), textures.name(3)), (100, "rings/3".to_owned()));
/// # Ok::<(), simclr_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SyntheticTextures {
    drawn: Drawn,
}

impl SyntheticTextures {
    /// `len` square images with sides of `size` pixels.
    ///
    /// # Errors
    /// If there are no images or they have no pixels.
    pub fn new(len: usize, size: usize, seed: Seed) -> Result<Self> {
        let drawn = Drawn::new(len, size, seed, CLASSES)?;
        Ok(Self { drawn })
    }
}

impl Dataset for SyntheticTextures {
    forward_to_drawn!();

    fn decode(&self, index: usize) -> Result<DecodedImage> {
        self.drawn.decode(index, TEXTURE, |size, rng| {
            Texture::draw(index % CLASSES.len(), rng).paint(size)
        })
    }
}

/// One image.
struct Texture {
    kind: usize,
    ink: Color,
    ground: Color,
    /// Periods of the pattern across the image.
    scale: f32,
    angle: f32,
    shift: Point,
    /// How far noise bends the pattern, in periods.
    distortion: f32,
    /// How sharp the edges are: half the width of the transition.
    softness: f32,
    noise: f32,
    seed: u32,
}

impl Texture {
    fn draw(kind: usize, rng: &mut impl Rng) -> Self {
        let mut color = || [(); 3].map(|()| rng.random_range(0.05..0.95f32));
        let (ink, mut ground) = (color(), color());
        // Never ink on a ground of nearly the same brightness.
        let brightness = |color: Color| color.iter().sum::<f32>() / 3.0;
        let difference = brightness(ink) - brightness(ground);
        if difference.abs() < 0.15 {
            let away = if brightness(ink) > 0.5 { -0.3 } else { 0.3 };
            ground = ground.map(|value| (value + away).clamp(0.0, 1.0));
        }
        Self {
            kind,
            ink,
            ground,
            scale: rng.random_range(3.0..7.0),
            angle: rng.random_range(0.0..TAU),
            shift: Point::new(rng.random_range(-9.0..9.0), rng.random_range(-9.0..9.0)),
            distortion: rng.random_range(0.0..0.25),
            softness: rng.random_range(0.05..0.2),
            noise: rng.random_range(0.0..0.1),
            seed: rng.random(),
        }
    }

    fn paint(&self, size: usize) -> Vec<u8> {
        let mut pixels = Vec::with_capacity(size * size * 3);
        for (row, column) in (0..size).flat_map(|row| (0..size).map(move |column| (row, column))) {
            let place = |index: usize| (index as f32 + 0.5) / size as f32 - 0.5;
            let p = Point::new(place(column), place(row));
            let grain = self.noise * smooth(self.seed ^ 7, p.scaled(40.0, 40.0));
            let share = self.share(p);
            for (ink, ground) in self.ink.iter().zip(self.ground) {
                let value = ground + (ink - ground) * share + grain;
                // The cast saturates.
                pixels.push((value * 255.0).round() as u8);
            }
        }
        pixels
    }

    /// The share of ink at a point of the image, whose sides are 1.
    fn share(&self, p: Point) -> f32 {
        let turned = p.turned(Point::new(0.0, 0.0), self.angle);
        let p = turned
            .scaled(self.scale, self.scale)
            .plus(self.shift.x, self.shift.y);
        let bend = |seed: u32| self.distortion * rough(self.seed ^ seed, p.scaled(0.7, 0.7));
        let p = p.plus(bend(1), bend(2));
        let inside = |distance: f32| step(self.softness, -self.softness, distance);
        // Where a point lies in its unit square, in [-1/2, 1/2).
        let (x, y) = (p.x - p.x.floor() - 0.5, p.y - p.y.floor() - 0.5);
        let radius = x.hypot(y);
        match self.kind {
            0 => inside(y.abs() - 0.25),
            1 => inside(0.3 * (PI * p.x).sin() * (PI * p.y).sin()),
            2 => inside(radius - 0.3),
            3 => inside((radius - 0.32).abs() - 0.1),
            4 => {
                let crest = p.y + 0.35 * (2.0 * p.x).sin();
                inside((crest - crest.floor() - 0.5).abs() - 0.22)
            }
            5 => inside(0.8 * rough(self.seed, p)),
            6 => inside(0.12 - cell(self.seed, p, 1.0).border),
            7 => {
                let odd = p.y.floor() as i32 & 1;
                let x = p.x * 0.5 + 0.5 * odd as f32;
                let x = 2.0 * ((x - x.floor()) - 0.5).abs();
                inside((x - 0.86).max(y.abs() - 0.38))
            }
            8 => {
                let arms = 5.0 * y.atan2(x);
                inside(radius - 0.3 - 0.14 * arms.cos())
            }
            _ => {
                // Short strokes, each in a direction of its own.
                let stroke = cell(self.seed, p, 1.0);
                let q = Point::new(p.x - stroke.center.x, p.y - stroke.center.y);
                let q = q.turned(Point::new(0.0, 0.0), PI * signed(stroke.id, 3));
                inside((q.x.abs() - 0.4).max(q.y.abs() - 0.08))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_depend_on_seed_and_index_and_have_contrast() {
        let textures = SyntheticTextures::new(40, 32, Seed(3)).unwrap();
        let again = SyntheticTextures::new(20, 32, Seed(3)).unwrap();
        let other = SyntheticTextures::new(20, 32, Seed(4)).unwrap();
        for index in 0..20 {
            let image = textures.decode(index).unwrap();
            assert_eq!(image, again.decode(index).unwrap());
            assert_ne!(image, other.decode(index).unwrap());
            assert_ne!(image, textures.decode(index + 20).unwrap());
            let green: Vec<u8> = image.data().iter().skip(1).step_by(3).copied().collect();
            let (low, high) = (green.iter().min().unwrap(), green.iter().max().unwrap());
            assert!(high - low > 20, "{}: {low} to {high}", textures.name(index));
        }
        assert_eq!(textures.class_counts(), [4; 10]);
        assert!(SyntheticTextures::new(0, 32, Seed(0)).is_err());
    }
}
