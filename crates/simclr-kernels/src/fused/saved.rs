//! What ops keep of maps for their backward passes.

use std::sync::{Mutex, PoisonError};

use candle_core::{Error as CandleError, Result as CandleResult};

use super::values::Values;
use crate::gradients::is_last_pass;

/// Values that an op keeps for its backward pass.
pub(super) struct SavedForBackward(Mutex<Option<Values>>);

impl SavedForBackward {
    /// The values; in a last pass they are freed with what is returned.
    pub(super) fn get(&self) -> CandleResult<Values> {
        let mut saved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let values = if is_last_pass() {
            saved.take()
        } else {
            saved.clone()
        };
        values.ok_or_else(|| {
            CandleError::msg(
                "a graph that simclr_kernels::backward walked before: its saved maps are freed",
            )
        })
    }
}

impl From<Values> for SavedForBackward {
    fn from(values: Values) -> Self {
        Self(Mutex::new(Some(values)))
    }
}
