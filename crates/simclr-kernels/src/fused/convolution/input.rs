//! The left operand of a convolution.

use std::ops::Deref;

use super::bfloat16::round_map;
use crate::activation::Activation;
use crate::fused::affine::Affine;
use crate::memory::Buffer;
use crate::simd::{Operands, SimdLevel};

/// What a convolution is applied to.
#[derive(Debug, Clone, Copy)]
pub(in crate::fused) struct Input<'a> {
    pub(super) values: &'a [f32],
    /// Scale and shift per channel, if the input is `max(values scale + shift, 0)`.
    pub(super) affine: Option<(&'a [f32], &'a [f32])>,
}

impl<'a> Input<'a> {
    pub(in crate::fused) fn plain(values: &'a [f32]) -> Self {
        Self {
            values,
            affine: None,
        }
    }

    /// `max(values scale + shift, 0)`, computed where it is needed.
    pub(in crate::fused) fn scale_shift_relu(
        values: &'a [f32],
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
        match operands {
            Operands::Single => self.computed(level),
            Operands::Pairs | Operands::Tiles(_) => {
                Prepared::Computed(round_map(level, self.values, self.affine, channels))
            }
        }
    }

    /// The input itself.
    pub(super) fn computed(&self, level: SimdLevel) -> Prepared<'a> {
        let Some((scale, shift)) = self.affine else {
            return Prepared::Borrowed(self.values);
        };
        let affine = Affine {
            scale,
            shift,
            residual: None,
            activation: Activation::Relu,
        };
        Prepared::Computed(affine.apply(level, self.values))
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
