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
    /// Shares of one have an axis from 0 to 1.
    share: bool,
}

const FAMILIES: [Family; 4] = [
    Family {
        ending: "loss",
        file: "loss",
        title: "Loss",
        caption: "The losses of the training batches, and of the validation images where there are any.",
        share: false,
    },
    Family {
        ending: "accuracy",
        file: "accuracy",
        title: "Accuracy",
        caption: "The accuracies of the training batches, and of the validation images where there are any.",
        share: true,
    },
    Family {
        ending: "entropy",
        file: "entropy",
        title: "Entropy",
        caption: "The mean entropy, in nats, with which a view is assigned to its partner.",
        share: false,
    },
    Family {
        ending: "learning_rate",
        file: "learning-rate",
        title: "Learning rate",
        caption: "The learning rate of each step.",
        share: false,
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
        let chart = if family.share {
            chart.y_range(0.0, 1.0)
        } else {
            chart
        };
        let figure = chart.metrics(metrics, "step", &named)?.render()?;
        Ok(self.figure(file, figure, family.caption))
    }
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
        assert_eq!(figures, ["learning-rate.svg", "loss.svg"]);
    }
}
