//! Rates over the last steps.

use std::collections::VecDeque;
use std::time::Duration;

use super::StepUpdate;

/// Steps that the rates are taken over.
const WINDOW: usize = 50;

/// Turns step updates and the time of each into rates. It has no clock of its
/// own.
#[derive(Debug)]
pub(super) struct Meter {
    step: u64,
    total_steps: u64,
    last: Duration,
    recent: VecDeque<Sample>,
}

#[derive(Debug)]
struct Sample {
    duration: Duration,
    images: usize,
    waited: Duration,
}

/// The figures after a step.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    pub(super) step: u64,
    pub(super) total_steps: u64,
    pub(super) images_per_second: f64,
    /// The share of the time in which the step had no data to work on.
    pub(super) waiting_share: f64,
    pub(super) time_left: Duration,
}

impl Meter {
    pub(super) fn new(first_step: u64, total_steps: u64) -> Self {
        Self {
            step: first_step,
            total_steps,
            last: Duration::ZERO,
            recent: VecDeque::with_capacity(WINDOW),
        }
    }

    /// Takes note of a step that was done at `now`, counted from the start.
    pub(super) fn step(&mut self, update: &StepUpdate, now: Duration) -> Reading {
        if self.recent.len() == WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back(Sample {
            duration: now.saturating_sub(self.last),
            images: update.images,
            waited: update.waited,
        });
        self.last = now;
        self.step += 1;
        self.reading()
    }

    fn reading(&self) -> Reading {
        let seconds: f64 = self.recent.iter().map(|s| s.duration.as_secs_f64()).sum();
        let waited: f64 = self.recent.iter().map(|s| s.waited.as_secs_f64()).sum();
        let images: usize = self.recent.iter().map(|s| s.images).sum();
        let per_second = |amount: f64| if seconds > 0.0 { amount / seconds } else { 0.0 };
        let per_step = seconds / self.recent.len().max(1) as f64;
        let left = self.total_steps.saturating_sub(self.step) as f64 * per_step;
        Reading {
            step: self.step,
            total_steps: self.total_steps,
            images_per_second: per_second(images as f64),
            waiting_share: per_second(waited).min(1.0),
            time_left: Duration::from_secs(left.round() as u64),
        }
    }
}

impl Reading {
    /// Everything but the step, in one line.
    pub(super) fn describe(&self, update: &StepUpdate) -> String {
        let mut parts = Vec::new();
        if let Some(loss) = update.loss {
            parts.push(format!("loss {loss:.4}"));
        }
        if let Some(rate) = update.learning_rate {
            parts.push(format!("learning rate {rate:.3e}"));
        }
        parts.push(format!("{:.0} images/s", self.images_per_second));
        parts.push(format!(
            "{:.0} % waiting for data",
            100.0 * self.waiting_share
        ));
        if self.step < self.total_steps {
            parts.push(format!(
                "{} left",
                humantime::format_duration(self.time_left)
            ));
        }
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(images: usize, waited_ms: u64) -> StepUpdate {
        StepUpdate {
            images,
            waited: Duration::from_millis(waited_ms),
            ..StepUpdate::default()
        }
    }

    #[test]
    fn rates_are_of_the_steps_seen() {
        let mut meter = Meter::new(10, 20);
        meter.step(&update(64, 500), Duration::from_secs(1));
        let reading = meter.step(&update(32, 0), Duration::from_secs(2));
        assert_eq!(
            reading,
            Reading {
                step: 12,
                total_steps: 20,
                images_per_second: 48.0,
                waiting_share: 0.25,
                time_left: Duration::from_secs(8),
            }
        );
    }

    #[test]
    fn a_slow_start_is_forgotten() {
        let mut meter = Meter::new(0, 1000);
        meter.step(&update(1, 0), Duration::from_secs(100));
        let mut reading = None;
        for step in 1..=WINDOW as u64 {
            reading = Some(meter.step(&update(10, 0), Duration::from_secs(100 + step)));
        }
        let reading = reading.unwrap();
        assert_eq!(reading.images_per_second, 10.0);
        assert_eq!(reading.time_left, Duration::from_secs(1000 - 51));
    }

    #[test]
    fn steps_that_take_no_time_and_steps_past_the_end_give_finite_figures() {
        let mut meter = Meter::new(0, 1);
        for _ in 0..2 {
            let reading = meter.step(&update(5, 1), Duration::ZERO);
            assert_eq!(reading.images_per_second, 0.0);
            assert_eq!(reading.waiting_share, 0.0);
            assert_eq!(reading.time_left, Duration::ZERO);
        }
    }

    #[test]
    fn the_description_names_what_is_known() {
        let mut meter = Meter::new(0, 61);
        let mut update = update(64, 20);
        update.loss = Some(5.0);
        update.learning_rate = Some(0.3);
        let reading = meter.step(&update, Duration::from_secs(1));
        assert_eq!(
            reading.describe(&update),
            "loss 5.0000, learning rate 3.000e-1, 64 images/s, 2 % waiting for data, 1m left"
        );
    }
}
