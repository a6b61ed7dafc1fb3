//! Progress for log files and programs: a line now and then.

use std::io::Write;
use std::time::{Duration, Instant};

use super::meter::{Meter, Reading};
use super::{Progress, Stage, StepUpdate};

/// Lines come in intervals of a tenth of the time so far, within these bounds.
const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Lines<W> {
    name: String,
    meter: Meter,
    start: Instant,
    last_line: Option<Duration>,
    output: W,
}

impl<W: Output> Lines<W> {
    pub(super) fn new(stage: Stage, output: W) -> Self {
        Self {
            meter: Meter::new(stage.first_step, stage.total_steps),
            name: stage.name,
            start: Instant::now(),
            last_line: None,
            output,
        }
    }

    fn step_at(&mut self, update: &StepUpdate, now: Duration) {
        let reading = self.meter.step(update, now);
        let due = match self.last_line {
            None => true,
            Some(last) => now.saturating_sub(last) >= (now / 10).clamp(SHORTEST, LONGEST),
        };
        if due || reading.step == reading.total_steps {
            self.last_line = Some(now);
            self.output.step(&self.name, &reading, update);
        }
    }
}

/// Where lines go, and in which form. A closed error stream is no reason to stop a run of many
/// hours.
pub(super) trait Output {
    fn step(&mut self, stage: &str, reading: &Reading, update: &StepUpdate);

    fn text(&mut self, stage: &str, text: &str);
}

impl<W: Write> Output for W {
    fn step(&mut self, stage: &str, reading: &Reading, update: &StepUpdate) {
        let (step, total) = (reading.step, reading.total_steps);
        let text = format!("step {step}/{total}, {}", reading.describe(update));
        self.text(stage, &text);
    }

    fn text(&mut self, stage: &str, text: &str) {
        let _ = writeln!(self, "{stage}: {text}");
    }
}

impl<W: Output> Progress for Lines<W> {
    fn step(&mut self, update: &StepUpdate) {
        self.step_at(update, self.start.elapsed());
    }

    fn note(&mut self, text: &str) {
        self.output.text(&self.name, text);
    }

    fn finish(&mut self, summary: &str) {
        self.output.text(&self.name, summary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_at_first_often_then_rarely_and_at_the_end() {
        let mut output = Vec::new();
        let total = 4000;
        let mut lines = Lines::new(Stage::new("pretrain", total), &mut output);
        for second in 1..=total {
            lines.step_at(&StepUpdate::default(), Duration::from_secs(second));
        }
        lines.note("checkpoint 9");
        lines.finish("done");
        let text = String::from_utf8(output).unwrap();
        let steps: Vec<u64> = text
            .lines()
            .filter_map(|line| line.strip_prefix("pretrain: step ")?.split('/').next())
            .map(|step| step.parse().unwrap())
            .collect();
        assert_eq!(steps[..4], [1, 6, 11, 16]);
        let intervals: Vec<u64> = steps.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(
            intervals.iter().all(|interval| *interval <= 60),
            "{intervals:?}"
        );
        assert_eq!(steps.last(), Some(&total));
        assert!(steps.len() < 110, "{}", steps.len());
        assert!(
            text.ends_with("pretrain: checkpoint 9\npretrain: done\n"),
            "{text}"
        );
    }

    #[test]
    fn an_output_that_fails_does_not_stop_the_run() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("closed"))
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut lines = Lines::new(Stage::new("probe", 2), Closed);
        lines.step(&StepUpdate::default());
        lines.finish("done");
    }
}
