//! What the program says when something is wrong.

use std::error::Error;

use tracing_subscriber::EnvFilter;

/// Prints the libraries' warnings on standard error; `RUST_LOG=info` prints more.
pub(crate) fn show_warnings() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .without_time();
    // Fails where a subscriber is installed already, which then prints them.
    let _ = subscriber.try_init();
}

/// The error's message and those of its sources that it does not end with.
pub(crate) fn with_sources(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let text = inner.to_string();
        if !message.ends_with(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        source = inner.source();
    }
    message
}
