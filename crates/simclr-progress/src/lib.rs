//! Progress of long computations: a trait that libraries report to, and a bar, lines for log
//! files or nothing to show it.
//!
//! ```
//! use simclr_progress::{Progress, ProgressMode, Stage, StepUpdate};
//!
//! fn compute(steps: u64, progress: &mut dyn Progress) {
//!     for _ in 0..steps {
//!         progress.step(&StepUpdate { images: 64, ..StepUpdate::default() });
//!     }
//!     progress.finish("done");
//! }
//!
//! compute(3, ProgressMode::Silent.start(Stage::new("features", 3)).as_mut());
//! ```

mod bar;
mod json;
mod lines;
mod meter;

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use bar::Bar;
use json::Json;
use lines::Lines;

/// How a stage of a run (pretraining, a probe, ...) is shown. The library is
/// silent unless asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProgressMode {
    /// Nothing is shown (default).
    #[default]
    Silent,
    /// A bar if the standard error stream is a terminal, lines if it is not.
    Auto,
    /// A bar on the standard error stream.
    Bar,
    /// Lines on the standard error stream: often at first, then every minute.
    Lines,
    /// A JSON object a line on the standard error stream, as often as [`Lines`](Self::Lines).
    Json,
}

impl ProgressMode {
    /// Begins to show `stage`.
    pub fn start(self, stage: Stage) -> Box<dyn Progress> {
        match self {
            Self::Silent => Box::new(Silent),
            Self::Auto if stderr().is_terminal() => Box::new(Bar::new(stage)),
            Self::Bar => Box::new(Bar::new(stage)),
            Self::Json => Box::new(Lines::new(stage, Json(stderr()))),
            Self::Auto | Self::Lines => Box::new(Lines::new(stage, stderr())),
        }
    }
}

/// A stage of a run whose steps are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// What is going on, in a word or two.
    pub name: String,
    /// Steps in all.
    pub total_steps: u64,
    /// Steps done in earlier sessions.
    pub first_step: u64,
}

impl Stage {
    /// A stage that begins at its first step.
    pub fn new(name: impl Into<String>, total_steps: u64) -> Self {
        Self {
            name: name.into(),
            total_steps,
            first_step: 0,
        }
    }

    /// The stage goes on after `step` steps.
    pub fn resumed_after(mut self, step: u64) -> Self {
        self.first_step = step;
        self
    }
}

/// What is known after a step.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StepUpdate {
    /// Images in the step's batch.
    pub images: usize,
    /// The loss, if it is at hand.
    pub loss: Option<f64>,
    /// The learning rate, if the stage learns.
    pub learning_rate: Option<f64>,
    /// How long the step waited for its batch.
    pub waited: Duration,
}

/// Receives a report after every step. Implement it to show progress elsewhere.
pub trait Progress {
    /// A step is done.
    fn step(&mut self, update: &StepUpdate);

    /// A line of text, such as an epoch's evaluation.
    fn note(&mut self, text: &str);

    /// The stage is over; `summary` is its outcome in a few words.
    fn finish(&mut self, summary: &str);
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn step(&mut self, _: &StepUpdate) {}
    fn note(&mut self, _: &str) {}
    fn finish(&mut self, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_silent_unless_asked() {
        assert_eq!(ProgressMode::default(), ProgressMode::Silent);
        let mut progress = ProgressMode::default().start(Stage::new("probe", 1));
        progress.step(&StepUpdate::default());
        progress.note("nobody hears this");
        progress.finish("done");
    }
}

/// The program of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
