//! What a recorded run contributes to a report.

use super::Report;
use crate::Result;
use crate::plot::LineChart;
use crate::run::{MetricsTable, RunRecord};

/// A figure of the columns whose names end alike.
struct Family {
    ending: &'static str,
    file: &'static str,
    title: &'static str,
    caption: &'static str,
    axis: YAxis,
}

/// The vertical axis of a figure.
#[derive(PartialEq)]
enum YAxis {
    /// Around the values.
    Around,
    /// From 0 to 1, for shares.
    Share,
    /// Around the values, logarithmic if they differ much.
    Wide,
}

/// From here on one axis from 0 hides what happens near the smallest values.
const WIDE_RANGE: f64 = 8.0;

const FAMILIES: [Family; 5] = [
    Family {
        ending: "contrast_loss",
        file: "contrast-loss",
        title: "Contrastive loss",
        caption: "NT-Xent of the training batches: what the encoder learns by.",
        axis: YAxis::Around,
    },
    Family {
        ending: "loss",
        file: "loss",
        title: "Loss",
        caption: "The losses of the training batches, and of the validation images where there are any.",
        axis: YAxis::Wide,
    },
    Family {
        ending: "accuracy",
        file: "accuracy",
        title: "Accuracy",
        caption: "The accuracies of the training batches, and of the validation images where there are any.",
        axis: YAxis::Share,
    },
    Family {
        ending: "entropy",
        file: "entropy",
        title: "Entropy",
        caption: "The mean entropy, in nats, with which a view is assigned to its partner.",
        axis: YAxis::Around,
    },
    Family {
        ending: "learning_rate",
        file: "learning-rate",
        title: "Learning rate",
        caption: "The learning rate of each step.",
        axis: YAxis::Around,
    },
];

impl Report {
    /// Adds a recorded run: its settings, its training curves, and in place of
    /// any other manifest its own.
    ///
    /// # Errors
    /// As [`curves`](Self::curves).
    pub fn run(self, record: &RunRecord) -> Result<Self> {
        let report = self.settings(&record.config)?;
        let report = report.manifest(record.manifest.clone());
        match &record.metrics {
            Some(metrics) => report.section("Training").curves(metrics),
            None => Ok(report),
        }
    }

    /// Adds the curves of a run over its steps: one figure for the columns whose
    /// names end in `loss`, one each for `accuracy`, `entropy` and
    /// `learning_rate`. A figure without values is left out.
    ///
    /// # Errors
    /// [`Error::Plot`](crate::Error::Plot) if the drawing fails.
    pub fn curves(self, metrics: &MetricsTable) -> Result<Self> {
        self.curves_of("", "", metrics)
    }

    /// [`curves`](Self::curves) of one run among several: its name stands in the titles,
    /// and `file` before the names of the files.
    ///
    /// # Errors
    /// As [`curves`](Self::curves).
    pub fn curves_of(self, name: &str, file: &str, metrics: &MetricsTable) -> Result<Self> {
        FAMILIES.iter().try_fold(self, |report, family| {
            report.family(family, (name, file), metrics)
        })
    }

    fn family(
        self,
        family: &Family,
        (name, file): (&str, &str),
        metrics: &MetricsTable,
    ) -> Result<Self> {
        let mut found = Vec::new();
        for column in metrics.columns() {
            if column.ends_with(family.ending) && !metrics.series(column)?.is_empty() {
                found.push((column.as_str(), column.replace('_', " ")));
            }
        }
        if found.is_empty() {
            return Ok(self);
        }
        let named: Vec<_> = found
            .iter()
            .map(|(column, name)| (*column, name.as_str()))
            .collect();
        let (title, file) = match name {
            "" => (family.title.to_owned(), family.file.to_owned()),
            _ => (
                format!("{}: {name}", family.title),
                format!("{file}-{}", family.file),
            ),
        };
        let chart = LineChart::new(title).y_label(family.title.to_lowercase());
        let chart = if family.axis == YAxis::Share {
            chart.y_range(0.0, 1.0)
        } else {
            chart
        };
        let is_wide = family.axis == YAxis::Wide && is_wide(metrics, &named)?;
        let chart = if is_wide { chart.log_y() } else { chart };
        let figure = chart.metrics(metrics, "step", &named)?.render()?;
        let mut caption = family.caption.to_owned();
        if is_wide {
            caption += " The axis is logarithmic.";
        }
        if metrics
            .columns()
            .iter()
            .any(|column| column == "contrast_loss")
            && named.iter().any(|(column, _)| *column == "supervised_loss")
        {
            caption += ALONGSIDE;
        }
        Ok(self.figure(file, figure, caption))
    }
}

/// Why the loss of the classifier beside pretraining jumps about.
const ALONGSIDE: &str = " The supervised loss is that of the linear classifier trained alongside, \
                         by momentum SGD at the full rate (LARS leaves it out, as in the \
                         original), so it may overshoot while the rate is high; none of it \
                         reaches the encoder.";

/// Whether values of these columns, all above 0, differ so much that a linear axis would hide
/// the small ones.
fn is_wide(metrics: &MetricsTable, columns: &[(&str, &str)]) -> Result<bool> {
    let (mut low, mut high) = (f64::INFINITY, 0.0f64);
    for (column, _) in columns {
        for (_, value) in metrics.points("step", column)? {
            (low, high) = (low.min(value), high.max(value));
        }
    }
    Ok(low > 0.0 && high > WIDE_RANGE * low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{RunFacts, RunFolder};

    #[test]
    fn a_run_becomes_settings_curves_and_manifest() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let config = serde_json::json!({ "temperature": 0.25 });
        let facts = RunFacts::default().seed("views", 77);
        let run = RunFolder::open(dir.join("run"), &config, &facts).unwrap();
        let columns = [
            "contrast_loss",
            "total_loss",
            "supervised_accuracy",
            "learning_rate",
        ];
        let mut log = run.metrics(&columns, None).unwrap();
        for step in 1..=3 {
            let row = [
                ("contrast_loss", 5.0),
                ("total_loss", 6.0),
                ("learning_rate", 0.1),
            ];
            log.append(step, &row).unwrap();
        }
        let record = RunRecord::read(run.dir()).unwrap();
        let report = Report::new("Run", "").run(&record).unwrap();
        let path = report.write(dir.join("report")).unwrap();
        let page = std::fs::read_to_string(path).unwrap();
        for text in [
            "temperature",
            "0.25",
            "contrast loss",
            "total loss",
            "views 77",
        ] {
            assert!(page.contains(text), "{text}");
        }
        assert!(!page.contains("accuracy"), "a column without values");
        let mut figures: Vec<_> = std::fs::read_dir(dir.join("report/figures"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        figures.sort();
        assert_eq!(
            figures,
            ["contrast-loss.svg", "learning-rate.svg", "loss.svg"]
        );
    }

    #[test]
    fn losses_of_very_different_sizes_share_a_logarithmic_axis() {
        let dir = tempfile::tempdir().unwrap();
        let page = |name: &str, supervised: f64| {
            let dir = dir.path().join(name);
            let run = RunFolder::open(&dir, &"settings", &RunFacts::default()).unwrap();
            let mut log = run
                .metrics(&["contrast_loss", "supervised_loss"], None)
                .unwrap();
            for (step, loss) in [(1, supervised), (2, 2.0)] {
                log.append(step, &[("contrast_loss", 5.0), ("supervised_loss", loss)])
                    .unwrap();
            }
            let record = RunRecord::read(run.dir()).unwrap();
            let report = Report::new("Run", "").run(&record).unwrap();
            std::fs::read_to_string(report.write(&dir).unwrap()).unwrap()
        };
        let (wide, narrow) = (page("wide", 80.0), page("narrow", 3.0));
        assert!(wide.contains("logarithmic") && !narrow.contains("logarithmic"));
        assert!(narrow.contains("trained alongside"));
    }
}
