//! What is done with the results of a product while they are in registers.

use std::ops::Range;

use pulp::Simd;

use crate::fused::affine::Affine;
use crate::fused::stats::PartialStats;
use crate::simd::{Numbers, TileEpilogue, WIDEST, load, load_strided, store};

/// What follows a product.
#[derive(Debug, Clone, Copy)]
pub(super) enum Epilogue<'a> {
    Nothing,
    /// Partial statistics of each channel.
    Stats,
    /// `act(y scale + shift + residual)`.
    Affine(&'a Affine<'a>),
    /// `y + sum`, for a map `sum` with so many channels.
    Add(Numbers<'a>, usize),
}

impl<'a> Epilogue<'a> {
    /// Begins a panel, of the channels and of the rows from `first_row` on.
    #[inline(always)]
    pub(super) fn panel(self, first_row: usize, channels: Range<usize>) -> PanelEpilogue<'a> {
        match self {
            Self::Nothing => PanelEpilogue::Nothing,
            Self::Stats => PanelEpilogue::PanelStats(PanelStats::new()),
            Self::Affine(affine) => {
                PanelEpilogue::Affine(PanelAffine::new(affine, first_row, channels))
            }
            Self::Add(sum, all_channels) => PanelEpilogue::Add(PanelRows {
                map: sum,
                all_channels,
                first_row,
                channels,
            }),
        }
    }
}

/// What follows a product, in one panel of its result.
pub(super) enum PanelEpilogue<'a> {
    Nothing,
    PanelStats(PanelStats),
    Affine(PanelAffine<'a>),
    Add(PanelRows<'a>),
}

impl TileEpilogue for PanelEpilogue<'_> {
    #[inline(always)]
    fn prefetch(&self, rows: &[usize]) {
        match self {
            Self::Nothing | Self::PanelStats(_) => {}
            Self::Affine(affine) => {
                if let Some(residual) = &affine.residual {
                    residual.prefetch(rows);
                }
            }
            Self::Add(sum) => sum.prefetch(rows),
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const VECTORS: usize>(
        &mut self,
        simd: S,
        column: usize,
        values: &mut [[S::f32s; VECTORS]],
        rows: &[usize],
    ) {
        match self {
            Self::Nothing => {}
            Self::PanelStats(stats) => stats.add(simd, column, values),
            Self::Affine(affine) => affine.apply(simd, column, values, rows),
            Self::Add(sum) => sum.add(simd, column, values, rows),
        }
    }
}

impl PanelEpilogue<'_> {
    /// Ends a panel of so many channels.
    #[inline(always)]
    pub(super) fn end(self, columns: usize, partial: &mut PartialStats) {
        if let Self::PanelStats(stats) = self {
            stats.end(columns, partial);
        }
    }
}

/// Sums of the distances from a number close to the mean: small numbers, so that data far
/// from zero lose no digits, unlike with E[x²] − E[x]².
pub(super) struct PanelStats {
    /// The mean of the first rows, of as many columns as have one.
    origin: [f32; WIDEST],
    begun: usize,
    sums: [f32; WIDEST],
    squares: [f32; WIDEST],
}

impl PanelStats {
    #[inline(always)]
    fn new() -> Self {
        Self {
            origin: [0.0; WIDEST],
            begun: 0,
            sums: [0.0; WIDEST],
            squares: [0.0; WIDEST],
        }
    }

    /// Adds some rows, summed up among themselves before: a sum of short sums loses less
    /// to rounding.
    #[inline(always)]
    fn add<S: Simd, const VECTORS: usize>(
        &mut self,
        simd: S,
        column: usize,
        values: &[[S::f32s; VECTORS]],
    ) {
        let zero = [simd.splat_f32s(0.0); VECTORS];
        if column >= self.begun {
            let mut mean = zero;
            for row in values {
                for (sum, &value) in mean.iter_mut().zip(row) {
                    *sum = simd.add_f32s(*sum, value);
                }
            }
            let share = simd.splat_f32s(1.0 / values.len() as f32);
            for mean in &mut mean {
                *mean = simd.mul_f32s(share, *mean);
            }
            store_all::<S, VECTORS>(&mut self.origin[column..], mean);
            self.begun = column + VECTORS * S::F32_LANES;
        }
        let origin = load_all::<S, VECTORS>(&self.origin[column..]);
        let (mut sums, mut squares) = (zero, zero);
        for row in values {
            for v in 0..VECTORS {
                let distance = simd.sub_f32s(row[v], origin[v]);
                sums[v] = simd.add_f32s(sums[v], distance);
                squares[v] = simd.mul_add_e_f32s(distance, distance, squares[v]);
            }
        }
        add_all(simd, &mut self.sums[column..], sums);
        add_all(simd, &mut self.squares[column..], squares);
    }

    #[inline(always)]
    fn end(self, columns: usize, partial: &mut PartialStats) {
        let count = partial.count as f64;
        for c in 0..columns {
            let (sum, square) = (f64::from(self.sums[c]), f64::from(self.squares[c]));
            partial
                .mean
                .push((f64::from(self.origin[c]) + sum / count) as f32);
            // Rounding alone could make it negative.
            partial
                .squares
                .push((square - sum * sum / count).max(0.0) as f32);
        }
    }
}

/// Some channels of another map, of the rows from `first_row` on.
pub(super) struct PanelRows<'a> {
    map: Numbers<'a>,
    all_channels: usize,
    first_row: usize,
    channels: Range<usize>,
}

impl PanelRows<'_> {
    #[inline(always)]
    fn prefetch(&self, rows: &[usize]) {
        for row in rows {
            let at = (self.first_row + row) * self.all_channels + self.channels.start;
            self.map.prefetch(at..at + self.channels.len());
        }
    }

    #[inline(always)]
    fn add<S: Simd, const VECTORS: usize>(
        &self,
        simd: S,
        column: usize,
        values: &mut [[S::f32s; VECTORS]],
        rows: &[usize],
    ) {
        for (values, &row) in values.iter_mut().zip(rows) {
            for (v, value) in values.iter_mut().enumerate() {
                let term = self.load::<S>(row, column + v * S::F32_LANES);
                *value = simd.add_f32s(*value, term);
            }
        }
    }

    /// A vector of the map, zero after its last channel.
    #[inline(always)]
    fn load<S: Simd>(&self, row: usize, column: usize) -> S::f32s {
        let at = (self.first_row + row) * self.all_channels + self.channels.start + column;
        let left = self.channels.len().saturating_sub(column);
        if left >= S::F32_LANES {
            return self.map.load::<S>(at);
        }
        let mut some = [0.0; WIDEST];
        if left > 0 {
            self.map.slice(at..at + left).copy_to(&mut some[..left]);
        }
        load::<S>(&some)
    }
}

/// An affine map of some channels.
pub(super) struct PanelAffine<'a> {
    scale: [f32; WIDEST],
    shift: [f32; WIDEST],
    floor: f32,
    residual: Option<PanelRows<'a>>,
}

impl<'a> PanelAffine<'a> {
    #[inline(always)]
    fn new(affine: &'a Affine<'a>, first_row: usize, channels: Range<usize>) -> Self {
        let (mut scale, mut shift) = ([0.0; WIDEST], [0.0; WIDEST]);
        scale[..channels.len()].copy_from_slice(&affine.scale[channels.clone()]);
        shift[..channels.len()].copy_from_slice(&affine.shift[channels.clone()]);
        Self {
            scale,
            shift,
            floor: affine.floor(),
            residual: affine.residual.map(|map| PanelRows {
                map,
                all_channels: affine.scale.len(),
                first_row,
                channels,
            }),
        }
    }

    #[inline(always)]
    fn apply<S: Simd, const VECTORS: usize>(
        &self,
        simd: S,
        column: usize,
        values: &mut [[S::f32s; VECTORS]],
        rows: &[usize],
    ) {
        let scale = load_all::<S, VECTORS>(&self.scale[column..]);
        let shift = load_all::<S, VECTORS>(&self.shift[column..]);
        let floor = simd.splat_f32s(self.floor);
        for (values, &row) in values.iter_mut().zip(rows) {
            for v in 0..VECTORS {
                let mut y = simd.add_f32s(simd.mul_f32s(values[v], scale[v]), shift[v]);
                if let Some(residual) = &self.residual {
                    let column = column + v * S::F32_LANES;
                    y = simd.add_f32s(y, residual.load::<S>(row, column));
                }
                // Propagates NaN.
                values[v] = simd.select_f32s(simd.less_than_f32s(y, floor), floor, y);
            }
        }
    }
}

#[inline(always)]
fn load_all<S: Simd, const VECTORS: usize>(values: &[f32]) -> [S::f32s; VECTORS] {
    load_strided::<S, VECTORS>(values, 0, S::F32_LANES)
}

#[inline(always)]
fn store_all<S: Simd, const VECTORS: usize>(values: &mut [f32], vectors: [S::f32s; VECTORS]) {
    for (v, vector) in vectors.into_iter().enumerate() {
        store::<S>(&mut values[v * S::F32_LANES..], vector);
    }
}

/// `sums += terms`.
#[inline(always)]
fn add_all<S: Simd, const VECTORS: usize>(simd: S, sums: &mut [f32], terms: [S::f32s; VECTORS]) {
    let mut totals = load_all::<S, VECTORS>(sums);
    for (total, term) in totals.iter_mut().zip(terms) {
        *total = simd.add_f32s(*total, term);
    }
    store_all::<S, VECTORS>(sums, totals);
}
