//! Cutting tiles while the photograph is read.

use std::ops::Range;

use image::RgbImage;
use rayon::prelude::*;
use simclr_augment::RowSink;

use super::cut::{Rows, cut, rows_of};
use super::plan::PlannedTile;
use crate::error::{Error, Result};
use crate::outline::CoreOutline;

/// The most tiles whose rows are held at a time, to be cut in parallel.
const MOST_WAITING: usize = 8;

/// Cuts tiles as soon as their rows are there, and holds no rows that no tile needs any more.
pub(super) struct Cutter<'a, W> {
    section: &'a str,
    outline: &'a CoreOutline,
    side: usize,
    /// Rows and columns of the photograph.
    size: (usize, usize),
    /// The tiles that are still to be cut, and the rows that each needs; by their last row, the
    /// next one at the end.
    waiting: Vec<Job<'a>>,
    /// Rows of the photograph so far.
    rows: usize,
    /// The first row that is held.
    first: usize,
    pixels: Vec<u8>,
    /// Takes a tile and its number.
    write: W,
    result: Result<()>,
}

struct Job<'a> {
    index: usize,
    tile: &'a PlannedTile,
    rows: Range<usize>,
}

impl<'a, W: Fn(usize, RgbImage) -> Result<()> + Sync> Cutter<'a, W> {
    pub(super) fn new(
        section: &'a str,
        outline: &'a CoreOutline,
        tiles: impl Iterator<Item = &'a PlannedTile>,
        side: usize,
        size: (usize, usize),
        write: W,
    ) -> Self {
        let job = |(index, tile)| Job {
            index,
            tile,
            rows: rows_of(outline, tile, size.0),
        };
        let mut waiting: Vec<Job<'_>> = tiles.enumerate().map(job).collect();
        waiting.sort_by_key(|job| std::cmp::Reverse(job.rows.end));
        let mut cutter = Self {
            section,
            outline,
            side,
            size,
            waiting,
            rows: 0,
            first: 0,
            pixels: Vec::new(),
            write,
            result: Ok(()),
        };
        cutter.free_rows();
        cutter
    }

    /// Fails if a tile was not cut or not written.
    pub(super) fn finish(self) -> Result<()> {
        self.result?;
        if self.waiting.is_empty() {
            return Ok(());
        }
        Err(changed(self.section))
    }

    fn add_row(&mut self, row: &[u8]) -> Result<()> {
        if self.rows >= self.first {
            self.pixels.extend_from_slice(row);
        }
        self.rows += 1;
        let is_ready = |job: &&Job<'_>| job.rows.end <= self.rows;
        let ready = self.waiting.iter().rev().take_while(is_ready).count();
        let most = rayon::current_num_threads().min(MOST_WAITING);
        if ready >= most || ready > 0 && ready == self.waiting.len() {
            self.cut(ready)?;
        }
        Ok(())
    }

    fn cut(&mut self, count: usize) -> Result<()> {
        let ready = self.waiting.split_off(self.waiting.len() - count);
        let rows = Rows {
            height: self.size.0,
            width: self.size.1,
            first: self.first,
            pixels: &self.pixels,
        };
        let (section, outline, side, write) = (self.section, self.outline, self.side, &self.write);
        ready.par_iter().try_for_each(|job| {
            let tile = cut(&rows, outline, job.tile, side);
            let tile = tile.ok_or_else(|| Error::picture(section, "a tile has no pixels"))?;
            write(job.index, tile)
        })?;
        self.free_rows();
        Ok(())
    }

    /// Drops the rows above those that the next tiles need.
    fn free_rows(&mut self) {
        let tops = self.waiting.iter().map(|job| job.rows.start);
        let first = tops.min().unwrap_or(usize::MAX);
        let unneeded = first
            .saturating_sub(self.first)
            .saturating_mul(self.size.1 * 3);
        self.pixels.drain(..unneeded.min(self.pixels.len()));
        self.first = first;
    }
}

impl<W: Fn(usize, RgbImage) -> Result<()> + Sync> RowSink for Cutter<'_, W> {
    fn begin(&mut self, height: usize, width: usize) {
        if (height, width) != self.size {
            self.result = Err(changed(self.section));
        }
    }

    fn rows(&mut self, rgb: &[u8]) {
        for row in rgb.chunks_exact(self.size.1 * 3) {
            if self.result.is_ok() {
                self.result = self.add_row(row);
            }
        }
    }
}

fn changed(section: &str) -> Error {
    Error::mismatch(section, "the photograph changed while it was read")
}
