//! The left operand of a convolution.

use std::ops::Deref;

use super::bfloat16::pair_map;
use crate::activation::Activation;
use crate::fused::affine::Affine;
use crate::fused::map_buffer::unpacked;
use crate::memory::Buffer;
use crate::simd::{Format, Numbers, Operands, SimdLevel};

/// What a convolution is applied to.
#[derive(Debug, Clone, Copy)]
pub(in crate::fused) struct Input<'a> {
    pub(super) values: Numbers<'a>,
    /// Scale and shift per channel, if the input is `max(values scale + shift, 0)`.
    pub(super) affine: Option<(&'a [f32], &'a [f32])>,
}

impl<'a> Input<'a> {
    pub(in crate::fused) fn plain(values: Numbers<'a>) -> Self {
        Self {
            values,
            affine: None,
        }
    }

    /// `max(values scale + shift, 0)`, computed where it is needed.
    pub(in crate::fused) fn scale_shift_relu(
        values: Numbers<'a>,
        scale: &'a [f32],
        shift: &'a [f32],
    ) -> Self {
        Self {
            values,
            affine: Some((scale, shift)),
        }
    }

    /// The operands of a product; as pairs, two take the place of one.
    pub(super) fn prepared(
        &self,
        level: SimdLevel,
        operands: Operands,
        channels: usize,
    ) -> Prepared<'a> {
        match (operands, self.as_pairs()) {
            (Operands::Single, _) => self.computed(level),
            (Operands::Pairs | Operands::Tiles(_), Some(pairs)) => Prepared::Borrowed(pairs),
            (operands, _) => Prepared::Computed(pair_map(
                level,
                operands,
                self.values,
                self.affine,
                channels,
            )),
        }
    }

    /// The pairs that it is, if it is.
    pub(super) fn as_pairs(&self) -> Option<&'a [f32]> {
        match (self.values, self.affine) {
            (Numbers::Pairs(pairs), None) => Some(pairs),
            _ => None,
        }
    }

    /// The input itself, as f32.
    pub(super) fn computed(&self, level: SimdLevel) -> Prepared<'a> {
        let Some((scale, shift)) = self.affine else {
            return match self.values {
                Numbers::Single(values) => Prepared::Borrowed(values),
                pairs => Prepared::Computed(unpacked(level, pairs)),
            };
        };
        let affine = Affine {
            scale,
            shift,
            residual: None,
            activation: Activation::Relu,
        };
        let computed = affine.apply(level, self.values, Format::Single);
        Prepared::Computed(computed.into_single(level))
    }
}

/// Operands that were there already, or that had to be computed.
pub(super) enum Prepared<'a> {
    Borrowed(&'a [f32]),
    Computed(Buffer),
}

impl Deref for Prepared<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match self {
            Self::Borrowed(values) => values,
            Self::Computed(values) => values,
        }
    }
}
