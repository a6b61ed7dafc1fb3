//! Rotations: photographs of rock have no upright position.

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::draw::uniform;
use crate::error::{Result, check};
use crate::image::{CHANNELS, Image};

/// How a view is rotated at random.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rotation {
    /// Not at all. The default, as in the original.
    #[default]
    None,
    /// By 0, 1, 2 or 3 quarter turns, equally likely. Needs square views.
    QuarterTurns,
    /// By any angle within `degrees` to either side.
    Within {
        /// The largest angle.
        degrees: f64,
        /// What turns in from outside the view.
        border: Border,
    },
}

/// The parameters of one rotation, drawn or given.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RotationParams {
    /// See [`rotate_quarter_turns`].
    QuarterTurns(u32),
    /// See [`rotate`].
    Degrees {
        /// The angle, counter-clockwise.
        degrees: f32,
        /// What turns in from outside.
        border: Border,
    },
}

impl Rotation {
    /// Checks the angle.
    ///
    /// # Errors
    /// If the angle is negative or not finite.
    pub fn validate(&self) -> Result<()> {
        if let Self::Within { degrees, .. } = *self {
            let is_valid = degrees >= 0.0 && degrees.is_finite();
            let name = "rotation.degrees";
            check(is_valid, name, "at least 0 and finite", degrees)?;
        }
        Ok(())
    }

    /// Draws the angle; `None` where nothing is to be rotated.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn sample(&self, rng: &mut impl Rng) -> Result<Option<RotationParams>> {
        self.validate()?;
        Ok(match *self {
            Self::None => None,
            Self::QuarterTurns => match rng.random_range(0..4) {
                0 => None,
                turns => Some(RotationParams::QuarterTurns(turns)),
            },
            Self::Within { degrees, border } => Some(RotationParams::Degrees {
                degrees: uniform(-degrees, degrees, rng),
                border,
            }),
        })
    }
}

/// Rotates counter-clockwise by `turns` quarter turns (`tf.image.rot90`); after an
/// odd number of them height and width have changed places.
///
/// # Errors
/// None for an image that exists; the signature is that of [`rotate`].
pub fn rotate_quarter_turns(image: &Image, turns: u32) -> Result<Image> {
    let (height, width) = (image.height(), image.width());
    let is_upright = turns.is_multiple_of(2);
    let (rows, columns) = if is_upright {
        (height, width)
    } else {
        (width, height)
    };
    let mut rotated = Image::zeros(rows, columns)?;
    for (y, row) in rotated.pixels_mut().chunks_exact_mut(columns).enumerate() {
        for (x, target) in row.iter_mut().enumerate() {
            let (from_y, from_x) = match turns % 4 {
                0 => (y, x),
                1 => (x, width - 1 - y),
                2 => (height - 1 - y, width - 1 - x),
                _ => (height - 1 - x, y),
            };
            *target = image.pixels()[from_y * width + from_x];
        }
    }
    Ok(rotated)
}

/// Exchanges rows and columns of a square of `side` x `side` pixels, a tile at a
/// time, so that both a tile and its mirror image stay in the cache.
pub(crate) fn transpose_square(pixels: &mut [[f32; CHANNELS]], side: usize) {
    const TILE: usize = 16;
    for top in (0..side).step_by(TILE) {
        for left in (top..side).step_by(TILE) {
            for y in top..(top + TILE).min(side) {
                for x in left.max(y + 1)..(left + TILE).min(side) {
                    pixels.swap(y * side + x, x * side + y);
                }
            }
        }
    }
}

/// What lies outside an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Border {
    /// The image, mirrored at its edge without repeating the edge itself: rock
    /// goes on as rock, without corners that a network could learn from.
    #[default]
    Reflect,
    /// The nearest pixel of the edge.
    Nearest,
    /// Black.
    Black,
}

impl Border {
    /// The pixel that stands at `position` along a side, or `None` for black.
    fn resolve(self, position: i64, side: usize) -> Option<usize> {
        let last = side as i64 - 1;
        match self {
            Self::Nearest => Some(position.clamp(0, last) as usize),
            Self::Black => (0..=last).contains(&position).then_some(position as usize),
            Self::Reflect if last == 0 => Some(0),
            Self::Reflect => {
                let around = position.rem_euclid(2 * last);
                Some(around.min(2 * last - around) as usize)
            }
        }
    }
}

/// Rotates counter-clockwise by `degrees` about the image's centre, size kept,
/// bilinear between pixels; `border` is what turns in from outside.
///
/// # Errors
/// If `degrees` is not finite.
pub fn rotate(image: &Image, degrees: f32, border: Border) -> Result<Image> {
    check(degrees.is_finite(), "degrees", "finite", degrees)?;
    // Not the platform's functions, whose last bits differ from one platform to another.
    let (sin, cos) = libm::sincos(f64::from(degrees).to_radians());
    let middle = |side: usize| (side as f64 - 1.0) / 2.0;
    let (center_y, center_x) = (middle(image.height()), middle(image.width()));
    let mut rotated = Image::zeros(image.height(), image.width())?;
    let rows = rotated.pixels_mut().chunks_exact_mut(image.width());
    for (y, row) in rows.enumerate() {
        for (x, target) in row.iter_mut().enumerate() {
            let (dy, dx) = (y as f64 - center_y, x as f64 - center_x);
            let from_y = center_y + dx * sin + dy * cos;
            let from_x = center_x + dx * cos - dy * sin;
            *target = between_pixels(image, border, from_y, from_x);
        }
    }
    Ok(rotated)
}

/// The bilinear mean of the four pixels around a position.
fn between_pixels(image: &Image, border: Border, y: f64, x: f64) -> [f32; CHANNELS] {
    let (floor_y, floor_x) = (y.floor(), x.floor());
    let (fraction_y, fraction_x) = ((y - floor_y) as f32, (x - floor_x) as f32);
    let mut mean = [0.0; CHANNELS];
    for (step_y, weight_y) in [(0, 1.0 - fraction_y), (1, fraction_y)] {
        for (step_x, weight_x) in [(0, 1.0 - fraction_x), (1, fraction_x)] {
            let row = border.resolve(floor_y as i64 + step_y, image.height());
            let column = border.resolve(floor_x as i64 + step_x, image.width());
            let place = row.zip(column);
            let pixel = place.and_then(|(row, column)| image.pixel(row, column));
            for (sum, value) in mean.iter_mut().zip(pixel.unwrap_or_default()) {
                *sum += weight_y * weight_x * value;
            }
        }
    }
    mean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(height: usize, width: usize) -> Image {
        Image::from_fn(height, width, |i| i as f32)
    }

    fn reds(image: &Image) -> Vec<f32> {
        image.pixels().iter().map(|pixel| pixel[0] / 3.0).collect()
    }

    #[test]
    fn quarter_turns_move_pixels() {
        let image = ramp(2, 3);
        let turned = rotate_quarter_turns(&image, 1).unwrap();
        assert_eq!((turned.height(), turned.width()), (3, 2));
        assert_eq!(reds(&turned), [2., 5., 1., 4., 0., 3.]);
        let half = rotate_quarter_turns(&image, 2).unwrap();
        assert_eq!(reds(&half), [5., 4., 3., 2., 1., 0.]);
        assert_eq!(rotate_quarter_turns(&turned, 3).unwrap(), image);
    }

    #[test]
    fn any_angle_agrees_with_quarter_turns() {
        let image = ramp(5, 5);
        for (degrees, turns) in [(0.0, 0), (90.0, 1), (180.0, 2), (-90.0, 3)] {
            for border in [Border::Reflect, Border::Nearest, Border::Black] {
                let rotated = rotate(&image, degrees, border).unwrap();
                let expected = rotate_quarter_turns(&image, turns).unwrap();
                for (a, b) in rotated.data().iter().zip(expected.data()) {
                    assert!((a - b).abs() < 1e-3, "{degrees} {border:?}: {a} {b}");
                }
            }
        }
        assert!(rotate(&image, f32::NAN, Border::Reflect).is_err());
    }

    #[test]
    fn borders_are_what_they_say() {
        let at = |border: Border| [-2, -1, 0, 3, 4, 5].map(|p| border.resolve(p, 4));
        let some = |p: [usize; 6]| p.map(Some);
        assert_eq!(at(Border::Reflect), some([2, 1, 0, 3, 2, 1]));
        assert_eq!(at(Border::Nearest), some([0, 0, 0, 3, 3, 3]));
        let black = [None, None, Some(0), Some(3), None, None];
        assert_eq!(at(Border::Black), black);
        assert_eq!(Border::Reflect.resolve(9, 1), Some(0));
    }
}
