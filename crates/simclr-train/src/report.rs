//! What a recorded run contributes to a report.

use simclr_report::plot::{LineChart, Series};
use simclr_report::{Report, Table};

use crate::error::Result;
use crate::run::{Manifest, MetricsTable, Notice, RunRecord};

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
    /// From 0 to 100 %, for shares.
    Share,
    /// Around the values, logarithmic if they differ much.
    Wide,
}

/// From here on one axis from 0 hides what happens near the smallest values.
const WIDE_RANGE: f64 = 8.0;

const FAMILIES: [Family; 6] = [
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
        ending: "effective_rank",
        file: "effective-rank",
        title: "Effective rank",
        caption: "In how many directions the embeddings of some images differ (RankMe), after each epoch: 1 if the network tells none from another.",
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

/// What training adds to a [`Report`].
pub trait TrainingReport: Sized {
    /// Adds a recorded run: its settings, its training curves and its manifest.
    ///
    /// # Errors
    /// As [`curves`](Self::curves).
    fn run(self, record: &RunRecord) -> Result<Self>;

    /// Adds the curves of a run over its steps: one figure for the columns whose
    /// names end in `loss`, one each for `accuracy`, `entropy` and
    /// `learning_rate`. A figure without values is left out. In a report of several runs
    /// `name` stands in the titles, and `file` before the names of the files; both are empty
    /// in a report of one.
    ///
    /// # Errors
    /// If the drawing fails.
    fn curves(self, name: &str, file: &str, metrics: &MetricsTable) -> Result<Self>;

    /// Adds a table of what was noticed while a run was going on, if anything; `file` stands
    /// before the name of its file.
    fn notices(self, file: &str, notices: &[Notice]) -> Self;

    /// Adds what is needed to repeat a run: seeds, data and processes.
    fn manifest(self, manifest: &Manifest) -> Self;
}

impl TrainingReport for Report {
    fn run(self, record: &RunRecord) -> Result<Self> {
        let report = self.settings(&record.config)?;
        let report = match &record.metrics {
            Some(metrics) => report.section("Training").curves("", "", metrics)?,
            None => report,
        };
        Ok(report
            .notices("run", &record.notices)
            .manifest(&record.manifest))
    }

    fn notices(self, file: &str, notices: &[Notice]) -> Self {
        if notices.is_empty() {
            return self;
        }
        let table = Table::new(
            format!("{file}-notices"),
            "What was noticed while the run was going on.",
        );
        let table = table.columns(["step", "subject", "notice"]);
        self.table(notices.iter().fold(table, |table, notice| {
            table.row([
                notice.step.into(),
                notice.subject.as_str().into(),
                notice.text.as_str().into(),
            ])
        }))
    }

    fn curves(self, name: &str, file: &str, metrics: &MetricsTable) -> Result<Self> {
        FAMILIES.iter().try_fold(self, |report, family| {
            add_family(report, family, (name, file), metrics)
        })
    }

    fn manifest(self, manifest: &Manifest) -> Self {
        let mut report = self.section("How to repeat it");
        if !manifest.facts.datasets.is_empty() {
            let table = Table::new(
                "data-sets",
                "The images, with a digest of their names, labels and, for studies, contents.",
            );
            let rows = manifest.facts.datasets.iter();
            report = report.table(rows.fold(
                table.columns(["data", "source", "images", "digest"]),
                |table, (subset, facts)| {
                    table.row([
                        subset.as_str().into(),
                        facts.source.as_str().into(),
                        facts.images.into(),
                        facts.digest.as_str().into(),
                    ])
                },
            ));
        }
        if !manifest.facts.seeds.is_empty() {
            let seeds = manifest.facts.seeds.iter();
            let seeds: Vec<_> = seeds
                .map(|(purpose, seed)| format!("{seed} ({purpose})"))
                .collect();
            report = report.text(format!("Seeds: {}.", seeds.join(", ")));
        }
        manifest.sessions.iter().fold(report, |report, session| {
            let threads = if session.threads == 1 {
                "thread"
            } else {
                "threads"
            };
            let arithmetic = match session.arithmetic.as_str() {
                "" => String::new(),
                arithmetic => format!(", {arithmetic}"),
            };
            report
                .text(format!(
                    "{}, {}, {}, {} {threads}{arithmetic}",
                    session.started, session.library, session.platform, session.threads
                ))
                .code(session.command.join(" "))
        })
    }
}

fn add_family(
    report: Report,
    family: &Family,
    (name, file): (&str, &str),
    metrics: &MetricsTable,
) -> Result<Report> {
    let mut shown = Vec::new();
    for column in metrics.columns() {
        if column.ends_with(family.ending) && !metrics.series(column)?.is_empty() {
            shown.push(column.as_str());
        }
    }
    if shown.is_empty() {
        return Ok(report);
    }
    let (title, file) = if name.is_empty() {
        (family.title.to_owned(), family.file.to_owned())
    } else {
        (
            format!("{}: {name}", family.title),
            format!("{file}-{}", family.file),
        )
    };
    let mut chart = LineChart::new(title)
        .x_label("step")
        .y_label(family.title.to_lowercase());
    for column in &shown {
        let points = metrics.points("step", column)?;
        chart = chart.series(Series::new(column.replace('_', " "), points));
    }
    let mut caption = family.caption.to_owned();
    if family.axis == YAxis::Share {
        chart = chart.share_y().y_range(0.0, 1.0);
    }
    if family.axis == YAxis::Wide && is_wide(metrics, &shown)? {
        chart = chart.log_y();
        caption += " The axis is logarithmic.";
    }
    let is_pretraining = metrics.columns().iter().any(|c| c == "contrast_loss");
    if is_pretraining && shown.contains(&"supervised_loss") {
        caption += ALONGSIDE;
    }
    Ok(report.figure(file, chart.render()?, caption))
}

/// Why the loss of the classifier beside pretraining jumps about.
const ALONGSIDE: &str = " The supervised loss is that of the linear classifier trained alongside, \
                         by momentum SGD at the full rate (LARS leaves it out, as in the \
                         original), so it may overshoot while the rate is high; none of it \
                         reaches the encoder.";

/// Whether values of these columns, all above 0, differ so much that a linear axis would hide
/// the small ones.
fn is_wide(metrics: &MetricsTable, columns: &[&str]) -> Result<bool> {
    let (mut low, mut high) = (f64::INFINITY, 0.0f64);
    for column in columns {
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
            "Seeds: 77 (views).",
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
            let run = RunFolder::open(&dir, &serde_json::json!({}), &RunFacts::default()).unwrap();
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
