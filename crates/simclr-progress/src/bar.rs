//! Progress for people who watch.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use super::meter::Meter;
use super::{Progress, Stage, StepUpdate};

const TEMPLATE: &str = "{prefix} [{bar:24}] {pos}/{len} {wide_msg}";

#[derive(Debug)]
pub(super) struct Bar {
    bar: ProgressBar,
    meter: Meter,
    start: Instant,
}

impl Bar {
    pub(super) fn new(stage: Stage) -> Self {
        Self::on(ProgressBar::new(stage.total_steps), stage)
    }

    fn on(bar: ProgressBar, stage: Stage) -> Self {
        // The template is a constant and parses (see the test); should it not,
        // indicatif's own look will do.
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_position(stage.first_step);
        bar.set_prefix(stage.name);
        Self {
            bar,
            meter: Meter::new(stage.first_step, stage.total_steps),
            start: Instant::now(),
        }
    }
}

impl Progress for Bar {
    fn step(&mut self, update: &StepUpdate) {
        let reading = self.meter.step(update, self.start.elapsed());
        self.bar.set_message(reading.describe(update));
        self.bar.set_position(reading.step);
    }

    fn note(&mut self, text: &str) {
        self.bar.println(text);
    }

    fn finish(&mut self, summary: &str) {
        self.bar.finish_with_message(summary.to_owned());
    }
}

/// An error ends the stage early: the bar stays where it stopped.
impl Drop for Bar {
    fn drop(&mut self) {
        if !self.bar.is_finished() {
            self.bar.abandon();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::ProgressDrawTarget;

    #[test]
    fn the_template_is_valid() {
        ProgressStyle::with_template(TEMPLATE).unwrap();
    }

    #[test]
    fn the_bar_goes_on_where_the_run_does_and_carries_the_figures() {
        let hidden = ProgressBar::with_draw_target(Some(40), ProgressDrawTarget::hidden());
        let mut bar = Bar::on(hidden, Stage::new("pretrain", 40).resumed_after(19));
        bar.step(&StepUpdate {
            images: 64,
            loss: Some(4.5),
            ..StepUpdate::default()
        });
        assert_eq!(bar.bar.prefix(), "pretrain");
        assert_eq!(bar.bar.position(), 20);
        let message = bar.bar.message();
        assert!(message.starts_with("loss 4.5000, "), "{message}");
        bar.note("a note");
        bar.finish("loss fell to 4.5");
        assert!(bar.bar.is_finished());
        assert_eq!(bar.bar.message(), "loss fell to 4.5");
    }

    #[test]
    fn a_stage_that_fails_leaves_its_bar_where_it_stopped() {
        let hidden = ProgressBar::with_draw_target(Some(40), ProgressDrawTarget::hidden());
        let mut bar = Bar::on(hidden.clone(), Stage::new("pretrain", 40));
        bar.step(&StepUpdate::default());
        drop(bar);
        assert!(hidden.is_finished());
        assert_eq!(hidden.position(), 1);
    }
}
