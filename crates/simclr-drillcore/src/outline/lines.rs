//! Long, nearly vertical edges, by a Hough transform of strips of rows.

use rayon::prelude::*;

use super::reduced::{Reduced, distance};

/// Rows whose mean is one strip, at least: over them a line of the steepest slope moves by one
/// pixel.
const LOWEST_STRIP: usize = 16;
const MOST_STRIPS: usize = 200;
/// The steepest slope in columns per row, 3.5 degrees.
const STEEPEST: f64 = 0.061;
/// The colour difference that counts as a whole edge.
const CLEAR: f32 = 22.0;
/// The share of the strips along which a line's edge is clear.
const COVERAGE: f32 = 0.42;
/// A line takes the edges up to this distance from it, in pixels.
const REACH: f64 = 1.6;
const MOST_LINES: usize = 24;

/// A nearly vertical line: `column = middle + slope * (row - height / 2)`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub(super) middle: f64,
    pub(super) slope: f64,
    /// Whether it is the picture's border and not an edge.
    pub(super) border: bool,
}

/// Edges of strips: how clear the edge between two neighbouring columns is.
pub(super) struct Strips {
    width: usize,
    height: usize,
    strip_height: usize,
    /// Mean colours, strip by strip.
    colors: Vec<Vec<[f32; 3]>>,
    /// From 0 to 1, strip by strip; the edge at column c lies between pixels c - 1 and c.
    edges: Vec<Vec<f32>>,
}

impl Strips {
    pub(super) fn of(picture: &Reduced) -> Self {
        let strip_height = LOWEST_STRIP.max(picture.height.div_ceil(MOST_STRIPS));
        let count = (picture.height / strip_height).max(1);
        let colors: Vec<Vec<_>> = (0..count)
            .map(|strip| mean_row(picture, strip * strip_height, strip_height))
            .collect();
        let edges = colors.iter().map(|colors| edges(colors)).collect();
        Self {
            width: picture.width,
            height: picture.height,
            strip_height,
            colors,
            edges,
        }
    }

    /// A strip's middle row, from that of the picture.
    fn row(&self, strip: usize) -> f64 {
        (strip as f64 + 0.5) * self.strip_height as f64 - self.height as f64 / 2.0
    }

    /// How clear the edge along a line is in a strip.
    pub(super) fn edge(&self, line: &Line, strip: usize) -> f32 {
        let column = line.middle + line.slope * self.row(strip);
        let below = column.floor();
        let at = |column: f64| {
            let inside = column >= 0.0 && (column as usize) < self.width;
            if inside {
                self.edges[strip][column as usize]
            } else {
                0.0
            }
        };
        let part = (column - below) as f32;
        at(below) * (1.0 - part) + at(below + 1.0) * part
    }

    /// The strips that some rows of the picture lie in.
    pub(super) fn of_rows(&self, top: f64, bottom: f64) -> std::ops::Range<usize> {
        let strip = |row: f64| (row.max(0.0) as usize / self.strip_height).min(self.edges.len());
        strip(top)..strip(bottom).max(strip(top) + 1).min(self.edges.len())
    }

    fn coverage(&self, line: &Line) -> f32 {
        let count = self.edges.len();
        (0..count).map(|strip| self.edge(line, strip)).sum::<f32>() / count as f32
    }

    /// The clearest lines from left to right, between the picture's borders.
    pub(super) fn lines(&self) -> Vec<Line> {
        let mut candidates = self.candidates();
        candidates.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let mut left = Self {
            edges: self.edges.clone(),
            colors: Vec::new(),
            ..*self
        };
        let mut lines: Vec<Line> = Vec::new();
        for (_, candidate) in candidates {
            // What is left of it where clearer lines have taken their edges.
            if lines.len() < MOST_LINES && left.coverage(&candidate) >= COVERAGE {
                let line = left.refined(candidate);
                left.take_edges(&line);
                lines.push(line);
            }
        }
        for middle in [0.0, self.width as f64] {
            let border = Line {
                middle,
                slope: 0.0,
                border: true,
            };
            lines.push(border);
        }
        lines.sort_by(|a, b| a.middle.total_cmp(&b.middle));
        lines
    }

    /// All lines that are clear enough, with their coverage.
    fn candidates(&self) -> Vec<(f32, Line)> {
        let step = 1.0 / self.height as f64;
        let slopes = (STEEPEST / step).ceil() as i64;
        let lines = (-slopes..=slopes).into_par_iter().flat_map_iter(|slope| {
            (1..self.width).map(move |column| Line {
                middle: column as f64,
                slope: slope as f64 * step,
                border: false,
            })
        });
        let covered = lines.map(|line| (self.coverage(&line), line));
        covered
            .filter(|(coverage, _)| *coverage >= COVERAGE)
            .collect()
    }

    /// Leaves nothing of the edges along a line.
    fn take_edges(&mut self, line: &Line) {
        for strip in 0..self.edges.len() {
            let column = line.middle + line.slope * self.row(strip);
            let from = (column - REACH).ceil().max(0.0) as usize;
            let to =
                ((column + REACH).max(-1.0) as isize + 1).clamp(0, self.width as isize) as usize;
            self.edges[strip][from.min(to)..to].fill(0.0);
        }
    }

    /// The line moved and turned by parts of a pixel to where it is clearest.
    fn refined(&self, line: Line) -> Line {
        let mut best = (self.coverage(&line), line);
        for step in [0.5, 0.25, 0.125] {
            let turn = 2.0 * step / self.height as f64;
            for (shift, turn) in [(step, 0.0), (-step, 0.0), (0.0, turn), (0.0, -turn)] {
                let moved = Line {
                    middle: best.1.middle + shift,
                    slope: best.1.slope + turn,
                    border: false,
                };
                let coverage = self.coverage(&moved);
                if coverage > best.0 {
                    best = (coverage, moved);
                }
            }
        }
        best.1
    }

    /// The mean colour between two lines in each strip.
    pub(super) fn between(&self, left: &Line, right: &Line) -> Vec<[f32; 3]> {
        let strips = self.colors.iter().enumerate();
        strips
            .map(|(strip, colors)| {
                let column = |line: &Line, inwards: f64| {
                    let column = line.middle + line.slope * self.row(strip) + inwards;
                    (column.max(0.0) as usize).min(self.width - 1)
                };
                let (from, to) = (column(left, 2.0), column(right, -2.0));
                mean(&colors[from..to.max(from) + 1])
            })
            .collect()
    }
}

fn mean_row(picture: &Reduced, top: usize, height: usize) -> Vec<[f32; 3]> {
    let rows = top..(top + height).min(picture.height);
    let share = 1.0 / rows.len() as f32;
    let mut sums = vec![[0.0; 3]; picture.width];
    for row in rows {
        for (sum, pixel) in sums.iter_mut().zip(picture.row(row)) {
            (0..3).for_each(|channel| sum[channel] += pixel[channel] * share);
        }
    }
    sums
}

/// How clear the edge left of each column is: the difference of two pixels on either side.
fn edges(colors: &[[f32; 3]]) -> Vec<f32> {
    let last = colors.len() - 1;
    let differences: Vec<f32> = (0..colors.len())
        .map(|column| {
            if column == 0 {
                return 0.0;
            }
            let left = mean(&colors[column.saturating_sub(2)..column]);
            let right = mean(&colors[column..=(column + 1).min(last)]);
            distance(left, right)
        })
        .collect();
    // Only where it is clearest: an edge is a place and not a slope.
    let highest_nearby = |column: usize| {
        let near = &differences[column.saturating_sub(1)..=(column + 1).min(last)];
        near.iter().copied().fold(0.0, f32::max)
    };
    let clear = |(column, &difference): (usize, &f32)| {
        let share = (difference / CLEAR).min(1.0);
        if difference >= highest_nearby(column) {
            share
        } else {
            0.6 * share
        }
    };
    differences.iter().enumerate().map(clear).collect()
}

pub(super) fn mean(colors: &[[f32; 3]]) -> [f32; 3] {
    [0, 1, 2].map(|channel| {
        let sum: f32 = colors.iter().map(|color| color[channel]).sum();
        sum / colors.len().max(1) as f32
    })
}
