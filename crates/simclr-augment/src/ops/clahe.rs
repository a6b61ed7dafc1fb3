use crate::error::{Result, check};
use crate::image::{CHANNELS, Image};
use crate::ops::color::planes::LUMA;

const LEVELS: usize = 256;

/// Equalises the brightness of each region of an image: the picture is cut into
/// `tiles` = (rows, columns), every tile's histogram of luma is limited to
/// `clip_limit` times its mean height (what is cut off is spread evenly), and each
/// pixel's luma is replaced by its rank in the four nearest tiles, interpolated
/// between their centres. The change of luma is added to all three channels, which
/// leaves colour differences alone, and the result is clipped to [0, 1].
///
/// K. Zuiderveld, "Contrast limited adaptive histogram equalization", 1994.
///
/// # Errors
/// If there are no tiles, more tiles than pixels along a side, or `clip_limit` is
/// below 1 or not a number.
pub fn clahe(image: &mut Image, tiles: (usize, usize), clip_limit: f32) -> Result<()> {
    let (height, width) = (image.height(), image.width());
    let is_valid = (1..=height).contains(&tiles.0) && (1..=width).contains(&tiles.1);
    let found = format_args!("{} x {} for {height} x {width} pixels", tiles.0, tiles.1);
    check(is_valid, "tiles", "1 to the number of pixels", found)?;
    check(clip_limit >= 1.0, "clip_limit", "at least 1", clip_limit)?;
    let grid = Grid {
        tiles,
        size: (height, width),
    };
    let pixels = image.pixels_mut();
    let levels: Vec<u8> = pixels.iter().map(level).collect();
    let maps = grid.maps(&levels, clip_limit);
    for (index, (pixel, &level)) in pixels.iter_mut().zip(&levels).enumerate() {
        let equalized = grid.look_up(&maps, index / width, index % width, level);
        let change = equalized - f32::from(level) / (LEVELS - 1) as f32;
        *pixel = pixel.map(|value| (value + change).clamp(0.0, 1.0));
    }
    Ok(())
}

fn level(pixel: &[f32; CHANNELS]) -> u8 {
    let parts = pixel.iter().zip(LUMA).map(|(value, weight)| value * weight);
    (parts.sum::<f32>() * (LEVELS - 1) as f32).round() as u8
}

/// From level to equalised luma, for one tile.
type Map = [f32; LEVELS];

struct Grid {
    tiles: (usize, usize),
    size: (usize, usize),
}

impl Grid {
    fn maps(&self, levels: &[u8], clip_limit: f32) -> Vec<Map> {
        let mut counts = vec![[0.0; LEVELS]; self.tiles.0 * self.tiles.1];
        let (height, width) = self.size;
        for (index, &level) in levels.iter().enumerate() {
            let row = index / width * self.tiles.0 / height;
            let column = index % width * self.tiles.1 / width;
            counts[row * self.tiles.1 + column][usize::from(level)] += 1.0;
        }
        let ranks = |counts| ranks(counts, clip_limit);
        counts.into_iter().map(ranks).collect()
    }

    /// The equalised luma of a pixel, from the four nearest tiles.
    fn look_up(&self, maps: &[Map], y: usize, x: usize, level: u8) -> f32 {
        let (top, bottom, down) = nearest(y, self.size.0, self.tiles.0);
        let (left, right, across) = nearest(x, self.size.1, self.tiles.1);
        let at = |row: usize, column: usize| maps[row * self.tiles.1 + column][usize::from(level)];
        let mix = |a: f32, b: f32, share: f32| a + (b - a) * share;
        let above = mix(at(top, left), at(top, right), across);
        let below = mix(at(bottom, left), at(bottom, right), across);
        mix(above, below, down)
    }
}

/// The tiles whose centres lie before and after a position along a side, and how
/// far between them it lies.
fn nearest(position: usize, side: usize, tiles: usize) -> (usize, usize, f32) {
    let place = (position as f32 + 0.5) * tiles as f32 / side as f32 - 0.5;
    let before = place.floor().max(0.0);
    let first = (before as usize).min(tiles - 1);
    let share = (place - before).clamp(0.0, 1.0);
    (first, (first + 1).min(tiles - 1), share)
}

/// The share of pixels up to each level, after the histogram has been limited.
fn ranks(mut counts: [f32; LEVELS], clip_limit: f32) -> Map {
    let total: f32 = counts.iter().sum();
    let limit = clip_limit * total / LEVELS as f32;
    let excess: f32 = counts.iter().map(|count| (count - limit).max(0.0)).sum();
    let mut sum = 0.0;
    for count in &mut counts {
        sum += count.min(limit) + excess / LEVELS as f32;
        *count = (sum / total).min(1.0);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(low: f32, high: f32) -> Image {
        Image::from_fn(64, 64, |i| {
            low + (high - low) * ((i / 3) % 64) as f32 / 63.0
        })
    }

    #[test]
    fn low_contrast_is_spread_and_the_limit_limits() {
        let spread = |image: &Image| {
            let max = image.data().iter().copied().fold(f32::MIN, f32::max);
            max - image.data().iter().copied().fold(f32::MAX, f32::min)
        };
        for (limit, low, high) in [(256.0, 0.9, f32::MAX), (2.0, 0.25, 0.6)] {
            let mut image = ramp(0.4, 0.6);
            clahe(&mut image, (1, 1), limit).unwrap();
            let spread = spread(&image);
            assert!(spread > low && spread < high, "{limit}: {spread}");
        }
    }

    #[test]
    fn uniform_brightness_is_a_fixed_point_and_order_is_kept() {
        let mut image = ramp(0.0, 1.0);
        clahe(&mut image, (1, 1), 2.0).unwrap();
        let row: Vec<f32> = image.data().iter().step_by(3).take(64).copied().collect();
        assert!(row.windows(2).all(|pair| pair[0] <= pair[1]));
        for (value, expected) in row.iter().zip(ramp(0.0, 1.0).data().iter().step_by(3)) {
            assert!((value - expected).abs() < 0.02, "{value} {expected}");
        }
    }

    #[test]
    fn impossible_tiles_and_limits_are_refused() {
        let mut image = ramp(0.0, 1.0);
        assert!(clahe(&mut image, (0, 1), 2.0).is_err());
        assert!(clahe(&mut image, (1, 65), 2.0).is_err());
        assert!(clahe(&mut image, (8, 8), f32::NAN).is_err());
        assert!(clahe(&mut image, (64, 64), 1.0).is_ok());
    }
}
