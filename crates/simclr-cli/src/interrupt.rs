//! Programs that save their work when they are interrupted.

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::signal;
use signal_hook::flag;
use simclr_train::PauseHandle;

use crate::terminal::exit;

/// What Ctrl-C, SIGTERM and SIGHUP pause in a program that [`exit_paused`] runs.
static PAUSE: LazyLock<PauseHandle> = LazyLock::new(PauseHandle::default);

/// The handle that ends training and studies when the program is interrupted.
pub fn pause_handle() -> PauseHandle {
    PAUSE.clone()
}

/// [`exit`] for a program that saves its work when it is interrupted: its status says by which
/// signal. A second one ends it at once.
pub fn exit_paused<E: Into<Box<dyn Error + Send + Sync>>>(
    run: impl FnOnce() -> Result<(), E>,
) -> ExitCode {
    let mut received = None;
    let status = exit(|| -> Result<(), Box<dyn Error + Send + Sync>> {
        received = Some(pause_on_signals(&PAUSE)?);
        run().map_err(Into::into)
    });
    let received = received.map_or(0, |number| number.load(Ordering::Relaxed));
    if status == ExitCode::SUCCESS || received == 0 {
        return status;
    }
    ExitCode::from(128 + received as u8)
}

/// The number of the signal that was received last; 0 before.
fn pause_on_signals(pause: &PauseHandle) -> io::Result<Arc<AtomicUsize>> {
    let received = Arc::new(AtomicUsize::new(0));
    let signals = [
        signal::SIGINT,
        signal::SIGTERM,
        #[cfg(unix)]
        signal::SIGHUP,
    ];
    for signal in signals {
        // In this order: only what comes after the first ends the program.
        flag::register_conditional_shutdown(signal, 128 + signal, pause.flag())?;
        flag::register_usize(signal, received.clone(), signal as usize)?;
        flag::register(signal, pause.flag())?;
    }
    Ok(received)
}
