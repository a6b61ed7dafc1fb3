//! What a layer is to do in this forward pass.

use candle_core::{Tensor, Var};

use crate::{Freeze, Mode, Part};

/// Mode and freeze policy, boiled down to what concerns one layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pass {
    /// Whether batch norm uses the batch's statistics (and moves the moving ones).
    pub(crate) batch_statistics: bool,
    /// Whether gradients reach the parameters.
    tracked: bool,
}

impl Pass {
    pub(crate) fn new(mode: Mode, freeze: Freeze, part: Part) -> Self {
        let frozen = freeze.freezes(part);
        let fully_frozen = frozen && matches!(freeze, Freeze::AfterBlock(_));
        Self {
            batch_statistics: mode == Mode::Train && !fully_frozen,
            tracked: mode == Mode::Train && !frozen,
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
