//! Finding the core in a photograph.

use simclr_augment::DecodedImage;

use super::colors::Histogram;
use super::core_outline::CoreOutline;
use super::gaps::shaded_gaps;
use super::lines::{Line, Strips, mean};
use super::mask::Mask;
use super::reduced::{Reduced, distance};
use crate::error::{Error, Result};

/// Narrower than this share of the picture is no core.
const NARROWEST: f64 = 0.12;
/// The largest difference in slope of the two edges.
const PARALLEL: f64 = 0.02;
/// A picture that was cut to the core is at least so many times as high as it is wide.
const CUT_ASPECT: f64 = 3.0;
/// Narrower bands than this share of the picture are walls of a liner or scratches.
const WALL: f64 = 0.05;
/// Bands whose colours vary less along the core are of one colour.
const EVEN: f32 = 0.25;
/// Bands whose colours vary alike along the core are one core with a line in it.
const ALIKE: f32 = 0.7;
/// A band that fits at least so well as the core's, of this share of it, is a second core.
const SECOND: f64 = 0.5;
/// Shorter gaps and pieces than this share of the width do not count.
const SHORTEST: f64 = 0.06;
/// Nor do these gaps within the core: slurry between its blocks may have the colours of what lies
/// outside.
const SHORTEST_GAP: f64 = 0.25;
/// A gap that is told by its evenness is at most so many times as long as the core is wide.
const LONGEST_SHADED: f64 = 1.5;
/// Pieces that are shorter than this share of the width have to lie between the core's edges.
const SURE: f64 = 0.5;
/// How clear the edges of such a piece are at least.
const CLEAR: f32 = 0.3;
/// One pixel counts at most so much for or against the core.
const MOST: f32 = 4.0;

impl CoreOutline {
    /// Finds the core.
    ///
    /// Its edges are the two long straight lines, nearly parallel to the picture's sides, with the
    /// widest and most varied band between them; rulers are narrow and trays are even. What is core
    /// between them and what is a gap is decided by colour: the colours between the edges
    /// against those of everything outside of them. The core may be turned by up to 3.5 degrees.
    ///
    /// # Errors
    /// [`Error::NoCore`] if there are no such edges (in a picture less than three times as high
    /// as it is wide; a long one may be cut to the core), or nothing between them.
    pub fn find(section: &str, picture: &DecodedImage) -> Result<Self> {
        Self::find_in(section, Reduced::of(picture))
    }

    /// [`find`](Self::find) in a photograph that was made smaller.
    pub(crate) fn find_in(section: &str, picture: Reduced) -> Result<Self> {
        find(picture).map_err(|reason| Error::NoCore {
            section: section.to_owned(),
            reason,
        })
    }
}

fn find(reduced: Reduced) -> Result<CoreOutline, String> {
    let (width, height) = (reduced.width as f64, reduced.height as f64);
    if width < 16.0 || height < width {
        return Err(format!(
            "{} x {} pixels are not the upright picture of a section (a lying one has to be turned)",
            reduced.full.1, reduced.full.0
        ));
    }
    let strips = Strips::of(&reduced);
    let Edges {
        left,
        right,
        second,
    } = edges(&strips, width)?;
    let has_edges = !left.border && !right.border;
    if !has_edges && height < CUT_ASPECT * width {
        return Err("it has no two long parallel edges".into());
    }
    let band = Band::between(&left, &right, &reduced);
    let scores = band.scores(&reduced);
    let shaded = band.shaded_gaps(&reduced);
    let runs = runs(&scores, &shaded, SHORTEST * band.width);
    let in_edges = |&(top, bottom): &(usize, usize)| {
        let strips_of = strips.of_rows(band.row(top), band.row(bottom));
        let count = strips_of.len() as f32;
        [left, right].iter().all(|line| {
            let sum: f32 = strips_of
                .clone()
                .map(|strip| strips.edge(line, strip))
                .sum();
            line.border || sum / count >= CLEAR
        })
    };
    let sure = runs
        .into_iter()
        .filter(|run| (run.1 - run.0) as f64 >= SURE * band.width || in_edges(run));
    let pieces = joined(sure, SHORTEST_GAP * band.width);
    let (Some(&(top, _)), Some(&(_, bottom))) = (pieces.first(), pieces.last()) else {
        return Err("what lies between its edges looks like what lies outside".into());
    };
    let core: usize = pieces.iter().map(|(top, bottom)| bottom - top).sum();
    if (core as f64) < band.width {
        return Err(format!(
            "what looks like core is shorter ({core}) than wide ({:.0})",
            band.width
        ));
    }
    let factor = reduced.factor as f64;
    let along = |row: usize| (row - top) as f64 * factor;
    let (column, row) = band.locate(0.0, top as f64);
    Ok(CoreOutline {
        top: (column * factor, row * factor),
        tilt: band.tilt.to_degrees(),
        width: band.width * factor,
        length: along(bottom),
        pieces: pieces
            .iter()
            .map(|&(top, bottom)| (along(top), along(bottom)))
            .collect(),
        has_edges,
        second_core: second.map(|(left, right)| (left * factor, right * factor)),
        mask: band.mask(&reduced, &scores, &pieces, top..bottom, factor),
    })
}

/// The edges of the core, and those of a second one beside it, in the middle of the picture.
struct Edges {
    left: Line,
    right: Line,
    second: Option<(f64, f64)>,
}

/// The bands between neighbouring lines with their colours. A line within a core is none: both sides of it
/// get lighter and darker together.
fn bands(strips: &Strips, width: f64) -> Vec<(Line, Line, Vec<[f32; 3]>)> {
    let mut bands: Vec<(Line, Line, Vec<[f32; 3]>)> = Vec::new();
    for pair in strips.lines().windows(2) {
        let (left, right) = (pair[0], pair[1]);
        if right.middle - left.middle < WALL * width {
            continue;
        }
        let colors = strips.between(&left, &right);
        match bands.last_mut() {
            // One core with a scratch, and not two.
            Some((_, edge, before))
                if left.middle - edge.middle < WALL * width && are_alike(before, &colors) =>
            {
                *edge = right;
            }
            _ => bands.push((left, right, colors)),
        }
    }
    bands
}

/// The two lines with the widest and most varied band between them.
fn edges(strips: &Strips, width: f64) -> Result<Edges, String> {
    let bands = bands(strips, width);
    let scored = bands.into_iter().map(|(left, right, colors)| {
        let varied = variation(&colors);
        (fit(&left, &right, varied, width), left, right, varied)
    });
    let mut scored: Vec<_> = scored.filter(|band| band.0 > 0.0).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    match *scored {
        [(best, left, right, varied), ref others @ ..] if varied > EVEN => {
            let is_core = |&&(fit, left, right, other): &&(f64, Line, Line, f32)| {
                let has_edges = !left.border && !right.border;
                has_edges && fit >= SECOND * best && other >= varied * SECOND as f32
            };
            let second = others.iter().find(is_core);
            Ok(Edges {
                left,
                right,
                second: second.map(|(_, left, right, _)| (left.middle, right.middle)),
            })
        }
        [_, ..] => Err("it is of one colour".into()),
        [] => Err("it has no two long parallel edges".into()),
    }
}

/// How well the band between two lines fits a core, 0 if it is none.
fn fit(left: &Line, right: &Line, varied: f32, width: f64) -> f64 {
    let share = (right.middle - left.middle) / width;
    let parallel = left.border || right.border || (left.slope - right.slope).abs() <= PARALLEL;
    if share >= NARROWEST && parallel {
        share * share * (0.4 + f64::from(varied).min(8.0) / 8.0)
    } else {
        0.0
    }
}

/// How much colours differ from their mean, on average.
fn variation(colors: &[[f32; 3]]) -> f32 {
    let center = mean(colors);
    let sum: f32 = colors.iter().map(|color| distance(*color, center)).sum();
    sum / colors.len().max(1) as f32
}

/// Whether two bands get lighter and darker together, and enough to tell.
fn are_alike(a: &[[f32; 3]], b: &[[f32; 3]]) -> bool {
    let brightness = |colors: &[[f32; 3]]| -> Vec<f32> {
        let center = mean(colors);
        let relative = |color: &[f32; 3]| (0..3).map(|c| color[c] - center[c]).sum::<f32>();
        colors.iter().map(relative).collect()
    };
    let (a, b) = (brightness(a), brightness(b));
    let dot = |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    let (own, other) = (dot(&a, &a), dot(&b, &b));
    let enough = 9.0 * a.len() as f32;
    own > enough && other > enough && dot(&a, &b) > ALIKE * (own * other).sqrt()
}

/// The strip of the reduced picture between the core's edges, from border to border.
struct Band {
    /// Where the core's axis meets the picture's upper border.
    start: f64,
    tilt: f64,
    width: f64,
    rows: usize,
}

impl Band {
    fn between(left: &Line, right: &Line, picture: &Reduced) -> Self {
        let edges = [left, right].into_iter().filter(|line| !line.border);
        let slopes: Vec<f64> = edges.map(|line| line.slope).collect();
        let slope = slopes.iter().sum::<f64>() / slopes.len().max(1) as f64;
        let tilt = -slope.atan();
        let half = picture.height as f64 / 2.0;
        Self {
            start: (left.middle + right.middle) / 2.0 - slope * half,
            tilt,
            width: (right.middle - left.middle) * tilt.cos(),
            rows: (picture.height as f64 / tilt.cos()) as usize,
        }
    }

    fn locate(&self, across: f64, along: f64) -> (f64, f64) {
        let (sin, cos) = self.tilt.sin_cos();
        (
            self.start + cos * across - sin * along,
            sin * across + cos * along,
        )
    }

    /// The picture's row of a place along the axis.
    fn row(&self, along: usize) -> f64 {
        self.locate(0.0, along as f64).1
    }

    /// The picture's colours across the band, up to a share of its width.
    fn across<'a>(
        &'a self,
        picture: &'a Reduced,
        row: usize,
        share: f64,
    ) -> impl Iterator<Item = [f32; 3]> + 'a {
        let columns = (self.width * share) as usize;
        (0..columns.max(1)).map(move |column| {
            let across = column as f64 + 0.5 - columns as f64 / 2.0;
            let (column, row) = self.locate(across, row as f64 + 0.5);
            picture.at(column, row)
        })
    }

    /// The logarithm of how much more each pixel looks like core than like what is outside, row
    /// by row.
    fn scores(&self, picture: &Reduced) -> Vec<Vec<f32>> {
        let mut is_core = vec![true; self.rows];
        let mut scores = Vec::new();
        // Gaps are taken for core at first, and then for what they look like.
        for _ in 0..2 {
            let rows = |core: bool| {
                let rows = is_core
                    .iter()
                    .enumerate()
                    .filter(move |(_, is)| **is == core);
                rows.flat_map(move |(row, _)| self.across(picture, row, 0.9))
            };
            let core = Histogram::of(rows(true));
            let outside = self.beside(picture).flatten().chain(rows(false));
            let outside = Histogram::of(outside).with_shadows();
            scores.clear();
            scores.extend((0..self.rows).map(|row| {
                let pixels = self.across(picture, row, 1.0);
                let score = |color| core.against(&outside, color).clamp(-MOST, MOST);
                pixels.map(score).collect::<Vec<_>>()
            }));
            is_core = scores.iter().map(|row| row_score(row) > 0.0).collect();
            if !is_core.contains(&true) {
                break;
            }
        }
        scores
    }

    /// The colours of what lies beside the band, row by row; not kept, since a long photograph has
    /// many.
    fn beside<'a>(
        &'a self,
        picture: &'a Reduced,
    ) -> impl Iterator<Item = Vec<[f32; 3]>> + Clone + 'a {
        (0..picture.height).map(move |row| self.beside_row(picture, row))
    }

    fn beside_row(&self, picture: &Reduced, row: usize) -> Vec<[f32; 3]> {
        let axis = self.start - self.tilt.tan() * row as f64;
        let reach = self.width / 2.0 / self.tilt.cos() + 2.0;
        let pixels = picture.row(row).iter().enumerate();
        let outside = pixels.filter(|(column, _)| (*column as f64 + 0.5 - axis).abs() > reach);
        outside.map(|(_, color)| *color).collect()
    }

    /// Which rows show what lies outside in the shadow of the core.
    fn shaded_gaps(&self, picture: &Reduced) -> Vec<bool> {
        let across = |row| self.across(picture, row, 0.8).collect();
        let rows = (0..self.rows).map(across);
        let shortest = (SHORTEST_GAP * self.width).ceil().max(4.0) as usize;
        let lengths = shortest..=(LONGEST_SHADED * self.width) as usize;
        shaded_gaps(rows, self.beside(picture), lengths)
    }

    /// The share of core in each row, where its surroundings say so on average.
    fn mask(
        &self,
        picture: &Reduced,
        scores: &[Vec<f32>],
        pieces: &[(usize, usize)],
        rows: std::ops::Range<usize>,
        factor: f64,
    ) -> Mask {
        let radius = (self.width * 0.025).max(1.0) as usize;
        let last = picture.height.min(scores.len());
        let share = |row: usize| {
            if !pieces
                .iter()
                .any(|&(top, bottom)| (top..bottom).contains(&row))
            {
                return 0.0;
            }
            let near = &scores[row.saturating_sub(radius)..(row + radius + 1).min(last)];
            let columns = scores[row].len();
            let is_core = |column: &usize| {
                let range = column.saturating_sub(radius)..(column + radius + 1).min(columns);
                near.iter().flat_map(|row| &row[range.clone()]).sum::<f32>() > 0.0
            };
            (0..columns).filter(is_core).count() as f64 / columns as f64
        };
        Mask::of_rows(factor, rows.map(share))
    }
}

/// The mean score of a row without its ends, where the core's edge is uneven.
fn row_score(scores: &[f32]) -> f32 {
    let end = scores.len() / 10;
    let inner = &scores[end..scores.len() - end];
    inner.iter().sum::<f32>() / inner.len().max(1) as f32
}

/// Pieces of core, those with shorter gaps than this between them as one.
fn joined(runs: impl Iterator<Item = (usize, usize)>, shortest_gap: f64) -> Vec<(usize, usize)> {
    let mut pieces: Vec<(usize, usize)> = Vec::new();
    for (top, bottom) in runs {
        match pieces.last_mut() {
            Some(before) if ((top - before.1) as f64) < shortest_gap => before.1 = bottom,
            _ => pieces.push((top, bottom)),
        }
    }
    pieces
}

/// The runs of rows that look like core, without gaps and runs shorter than `shortest`.
fn runs(scores: &[Vec<f32>], shaded: &[bool], shortest: f64) -> Vec<(usize, usize)> {
    let rows = scores.iter().zip(shaded);
    let is_core = rows.map(|(row, shaded)| row_score(row) > 0.0 && !shaded);
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (row, _) in is_core.enumerate().filter(|(_, is_core)| *is_core) {
        match runs.last_mut() {
            Some((_, bottom)) if ((row - *bottom) as f64) < shortest => *bottom = row + 1,
            _ => runs.push((row, row + 1)),
        }
    }
    runs.retain(|(top, bottom)| (bottom - top) as f64 >= shortest);
    runs
}
