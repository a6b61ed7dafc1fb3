//! The part of rank 0, which decides how a run goes on, and of the end of all ranks.

use simclr_collective::Collective;

use crate::callback::Control;
use crate::error::{Error, Result};

/// Runs `work`, and ends the work of all ranks if it fails. A run that was paused has ended on
/// all of them.
pub(crate) fn ending_all<R>(ranks: &dyn Collective, work: impl FnOnce() -> Result<R>) -> Result<R> {
    work().inspect_err(|error| {
        if !matches!(error, Error::Paused { .. }) {
            ranks.abort(&error.to_string());
        }
    })
}

/// Tells the other ranks how the run goes on after a step; gives what rank 0 has told.
pub(crate) fn share_control(ranks: &dyn Collective, control: Control) -> Result<Control> {
    let mut told = [control as u8];
    ranks.broadcast(0, &mut told)?;
    let controls = [Control::Continue, Control::Pause, Control::Stop];
    let [told] = told;
    let control = controls.into_iter().find(|&control| control as u8 == told);
    control.ok_or_else(|| Error::setting("message of rank 0", "a control", told))
}
