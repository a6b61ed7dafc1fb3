//! Progress for programs.

use std::io::Write;

use serde_json::json;

use super::StepUpdate;
use super::lines::Output;
use super::meter::Reading;

/// A JSON object a line.
#[derive(Debug)]
pub(super) struct Json<W>(pub(super) W);

impl<W: Write> Output for Json<W> {
    fn step(&mut self, stage: &str, reading: &Reading, update: &StepUpdate) {
        let object = json!({
            "stage": stage,
            "step": reading.step,
            "total_steps": reading.total_steps,
            "loss": update.loss,
            "learning_rate": update.learning_rate,
            "images_per_second": reading.images_per_second,
            "waiting_share": reading.waiting_share,
            "seconds_left": reading.time_left.as_secs(),
        });
        let _ = writeln!(self.0, "{object}");
    }

    fn text(&mut self, stage: &str, text: &str) {
        let _ = writeln!(self.0, "{}", json!({"stage": stage, "message": text}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::Lines;
    use crate::{Progress, Stage};

    #[test]
    fn each_line_is_an_object() {
        let mut output = Vec::new();
        let mut lines = Lines::new(Stage::new("pretrain", 2), Json(&mut output));
        lines.step(&StepUpdate {
            loss: Some(4.5),
            ..StepUpdate::default()
        });
        lines.finish("fell to \"4.5\"");
        let text = String::from_utf8(output).unwrap();
        let objects: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(objects[0]["step"], 1);
        assert_eq!(objects[0]["loss"], 4.5);
        assert_eq!(objects[1]["message"], "fell to \"4.5\"");
    }
}
