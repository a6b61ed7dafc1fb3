//! Gaps that look like no place outside of the core: the tray or the liner in the shadow of its pieces.

use std::ops::RangeInclusive;

use super::lines::mean;
use super::reduced::distance;

/// The largest difference of the shares of red, green and blue to those of what is outside.
const SAME_HUE: f32 = 0.035;
/// The brightness in the shadow, in that of what is outside.
const SHADED: RangeInclusive<f32> = 0.3..=1.15;
/// How much less even than what is outside a gap may be: a factor, and grey levels more.
const EVEN: (f32, f32) = (1.5, 0.8);
/// How much more even than most of the core a gap is at least.
const EVENER: f32 = 0.6;
/// The difference of colours across the end of a gap.
const JUMP: f32 = 10.0;
/// Pixels of a row that are compared are so far apart.
const APART: usize = 2;

/// How even rows are: the median difference of pixels near each other.
fn unevenness(rows: impl Iterator<Item = Vec<[f32; 3]>>) -> f32 {
    let mut differences: Vec<f32> = Vec::new();
    for row in rows {
        let pairs = row.iter().zip(row.iter().skip(APART));
        differences.extend(pairs.map(|(a, b)| distance(*a, *b)));
    }
    median(&mut differences)
}

fn median(values: &mut [f32]) -> f32 {
    let middle = values.len() / 2;
    if values.is_empty() {
        return 0.0;
    }
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

/// Marks the rows of gaps in the shadow: runs of as many rows as `lengths` says, as even as what is outside
/// and of its hue, with a jump of colour at their ends. `rows` are colours across the core, `outside` those of
/// what surrounds it.
pub(super) fn shaded_gaps(
    rows: impl Iterator<Item = Vec<[f32; 3]>>,
    outside: impl Iterator<Item = Vec<[f32; 3]>> + Clone,
    lengths: RangeInclusive<usize>,
) -> Vec<bool> {
    let (colors, by_row): (Vec<[f32; 3]>, Vec<f32>) = rows
        .map(|row| (mean(&row), unevenness(std::iter::once(row))))
        .unzip();
    let mut gap = vec![false; colors.len()];
    if outside.clone().all(|row| row.is_empty()) {
        return gap;
    }
    let typical = [0, 1, 2].map(|channel| {
        let colors = outside.clone().flatten();
        let mut values: Vec<f32> = colors.map(|color| color[channel]).collect();
        median(&mut values)
    });
    let even = EVEN.0 * unevenness(outside) + EVEN.1;
    let most = even.min(EVENER * median(&mut by_row.clone()));
    let looks_alike = |index: usize| {
        by_row[index] <= most
            && SHADED.contains(&(sum(colors[index]) / sum(typical)))
            && hue_distance(colors[index], typical) <= SAME_HUE
    };
    let alike: Vec<bool> = (0..colors.len()).map(looks_alike).collect();
    let mut start = 0;
    while start < colors.len() {
        let length = alike[start..].iter().take_while(|alike| **alike).count();
        let end = start + length;
        let color = mean(&colors[start..end.max(start + 1)]);
        // Two rows further, beyond the mixed ones.
        let jumps = |beyond: Option<&[f32; 3]>| {
            beyond.is_none_or(|beyond| distance(color, *beyond) >= JUMP)
        };
        let above = start.checked_sub(3).and_then(|row| colors.get(row));
        if lengths.contains(&length) && jumps(above) && jumps(colors.get(end + 2)) {
            gap[start.saturating_sub(1)..(end + 1).min(colors.len())].fill(true);
        }
        start = end + 1;
    }
    gap
}

fn sum(color: [f32; 3]) -> f32 {
    color.iter().sum::<f32>().max(1.0)
}

fn hue_distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    let shares = |color: [f32; 3]| color.map(|value| value / sum(color));
    let (a, b) = (shares(a), shares(b));
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}
