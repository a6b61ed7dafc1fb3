//! What a layer is to do in this forward pass.

use candle_core::{Tensor, Var};
use simclr_kernels::Backend;

use crate::freeze::{Freeze, Mode};
use crate::parameter::ModelStage;

/// Mode and freeze policy, as they concern one layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pass {
    /// Whether batch norm uses the batch's statistics.
    pub(crate) batch_statistics: bool,
    /// Whether batch norm, if it uses the batch's statistics, updates the moving ones.
    pub(crate) updates_statistics: bool,
    /// Whether gradients reach the parameters.
    pub(crate) requires_grad: bool,
    /// What computes.
    pub(crate) backend: Backend,
}

impl Pass {
    pub(crate) fn new(mode: Mode, freeze: Freeze, stage: ModelStage, backend: Backend) -> Self {
        let frozen = freeze.freezes(stage);
        let fully_frozen = frozen && matches!(freeze, Freeze::AfterBlock(_));
        Self {
            batch_statistics: mode != Mode::Infer && !fully_frozen,
            updates_statistics: mode == Mode::Train,
            requires_grad: mode == Mode::Train && !frozen,
            backend,
        }
    }

    /// The same pass, saving nothing for a backward pass.
    pub(crate) fn without_grad(self) -> Self {
        Self {
            requires_grad: false,
            ..self
        }
    }

    /// The same pass once more, after the moving statistics were updated.
    pub(crate) fn recomputation(self) -> Self {
        Self {
            updates_statistics: false,
            ..self
        }
    }

    /// The variable's tensor, detached where no gradient is wanted: then the ops save nothing.
    pub(crate) fn parameter(self, variable: &Var) -> Tensor {
        if self.requires_grad {
            variable.as_tensor().clone()
        } else {
            variable.as_detached_tensor()
        }
    }
}
