//! What a layer is to do in this forward pass.

use candle_core::{Tensor, Var};
use simclr_kernels::Backend;

use crate::{Freeze, Mode, Part};

/// Mode and freeze policy, boiled down to what concerns one layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pass {
    /// Whether batch norm uses the batch's statistics.
    pub(crate) batch_statistics: bool,
    /// Whether batch norm, if it uses the batch's statistics, moves the moving ones.
    pub(crate) moves_statistics: bool,
    /// Whether gradients reach the parameters.
    pub(crate) tracked: bool,
    /// What computes.
    pub(crate) backend: Backend,
}

impl Pass {
    pub(crate) fn new(mode: Mode, freeze: Freeze, part: Part, backend: Backend) -> Self {
        let frozen = freeze.freezes(part);
        let fully_frozen = frozen && matches!(freeze, Freeze::AfterBlock(_));
        Self {
            batch_statistics: mode == Mode::Train && !fully_frozen,
            moves_statistics: true,
            tracked: mode == Mode::Train && !frozen,
            backend,
        }
    }

    /// The same pass, keeping nothing for a backward pass.
    pub(crate) fn untracked(self) -> Self {
        Self {
            tracked: false,
            ..self
        }
    }

    /// The same pass once more, after the moving statistics have moved.
    pub(crate) fn again(self) -> Self {
        Self {
            moves_statistics: false,
            ..self
        }
    }

    /// The variable's tensor, detached where no gradient is wanted: then the ops keep nothing.
    pub(crate) fn parameter(self, variable: &Var) -> Tensor {
        if self.tracked {
            variable.as_tensor().clone()
        } else {
            variable.as_detached_tensor()
        }
    }
}
