//! The report of a study.

use std::path::PathBuf;

use simclr_data::{Dataset, Split, Subset};
use simclr_eval::Features;
use simclr_eval::metrics::ClassificationReport;
use simclr_eval::report::{EvaluationReport, embedding_plot};
use simclr_report::{ImageCount, Report, Table, short_percent};
use simclr_train::report::TrainingReport;
use simclr_train::run::RunRecord;

use crate::cell_result::{CellResult, Evaluation};
use crate::comparison::Comparison;
use crate::comparison_tables::PRIMARY;
use crate::error::{Error, Result};
use crate::file_name::file_name;
use crate::seed_run::SeedRun;
use crate::study::{EvaluatedMethod, Study};
use crate::{image_tables, pictures, results_files};

impl Study {
    /// Writes `report.html`, its figures and tables, `results.json`, `results.csv` (a row
    /// per cell and classifier), `epochs.csv` (the linear probes, with the columns of the
    /// paper's scripts), `splits.csv` (which part each image belongs to), `predictions.csv`
    /// (what each test image was taken for) and, if they were searched for, `duplicates.csv`
    /// (the images that are there more than once). Returns the path of the report.
    ///
    /// # Errors
    /// If there is no method yet; an image that cannot be read; a folder that cannot be
    /// written to.
    pub fn write_report(&self) -> Result<PathBuf> {
        self.write_report_with(Ok)
    }

    /// [`write_report`](Self::write_report) with more in the section with the results.
    ///
    /// # Errors
    /// Those of `more`, and of [`write_report`](Self::write_report).
    pub fn write_report_with(
        &self,
        more: impl FnOnce(Report) -> Result<Report>,
    ) -> Result<PathBuf> {
        let comparison = self.comparison()?;
        results_files::write(self.dir(), &self.protocol, &comparison)?;
        image_tables::write(self, &comparison)?;
        self.write_duplicates()?;
        let report = Report::new(&self.protocol.title, &self.protocol.question);
        let report = add_comparison(report, &comparison, self.duplicates_found(), &self.notes)?
            .folded("Accuracy of every classifier", comparison.table()?)
            .folded("F1 scores", comparison.f1_table()?);
        let report = self.add_data(more(report)?)?;
        let mut report = self.add_views(report)?.section("Methods in detail");
        for (index, method) in self.methods.iter().enumerate() {
            // The number keeps names of files apart, from those of the report itself too.
            let file = format!("{}-{}", index + 1, file_name(&method.results.name));
            report = self.add_method(report, method, &file)?;
        }
        let report = self.add_training(report)?;
        let report = self.add_settings(report)?;
        let report = report.manifest(&RunRecord::read(self.dir())?.manifest);
        Ok(report.write(self.dir())?)
    }

    fn add_data(&self, report: Report) -> Result<Report> {
        let (run, fold) = self.first_fold()?;
        let subsets = self.subsets(fold)?;
        let counts = [
            ("train", subsets.train.class_counts()),
            ("validation", subsets.validation.class_counts()),
            ("test", subsets.test.class_counts()),
        ];
        let caption = format!(
            "Images per class in fold 1 of seed {}. Smaller label fractions keep that fraction \
             of each class's training images.",
            run.seed.0
        );
        let mut text = format!("Labelled images: {}. ", self.task.source());
        if self.task.is_split() {
            text += "The images were split in advance.";
        } else {
            text += &format!("{}.", self.protocol.folds);
        }
        if let Some(groups) = self.task.groups() {
            let groups = groups.members();
            let together = groups.iter().filter(|members| members.len() > 1).count();
            text += &if self.protocol.folds.shares_test_images() {
                format!(" {together} groups of images that belong together are kept together.")
            } else {
                " Training and validation images come from the same groups.".to_owned()
            };
        }
        text += &self.unlabelled_in_words();
        if let Some(copies) = &self.protocol.offline_augmentation {
            text += &format!(
                " Training images, and what self-supervision sees, have {} augmented copies \
                 each: {copies}. Validation and test images have none.",
                copies.copies_per_image()
            );
        }
        let mut report = report.section("Data").text(text);
        for remark in self.task.remarks() {
            report = report.text(remark);
        }
        let classes = self.task.labelled().class_names();
        Ok(report
            .table(Table::class_counts("images", caption, classes, &counts))
            .text(self.duplicates_in_words(fold)))
    }

    fn add_views(&self, report: Report) -> Result<Report> {
        let (run, fold) = self.first_fold()?;
        let policy = &self.protocol.pretrain.policy;
        let train = self.subsets(fold)?.train;
        let views = pictures::view_grid(&train, policy, run.seed)?;
        let caption = "Left: training images. Right: views of each, as self-supervision sees them.";
        Ok(report.section("Views").figure("views", views, caption))
    }

    /// A method with the most labels in detail, the predictions of all folds and seeds together,
    /// and a map of the features; names of files begin with `file`.
    fn add_method(&self, report: Report, method: &EvaluatedMethod, file: &str) -> Result<Report> {
        let name = &method.results.name;
        let most = method
            .results
            .cells
            .iter()
            .map(|(cell, _)| cell.label_fraction);
        let most = most.fold(0.0, f64::max);
        let results: Vec<&CellResult> = method.results.with_fraction(most).collect();
        let Some(first) = results.first() else {
            return Ok(report);
        };
        let reports = || results.iter().map(|result| result.primary_report());
        let labels: Vec<u32> = reports().flat_map(|report| report.labels.clone()).collect();
        let scores = results.iter().flat_map(|result| result.primary_scores());
        let scores: Vec<f32> = scores.copied().collect();
        let classes = &first.primary_report().class_names;
        let pooled = ClassificationReport::new(&scores, &labels, classes)?;
        let classifier = first.primary().name();
        let what = format!("{name}, {classifier}");
        let mut report = report
            .subsection(name)
            .text(format!(
                "In detail: {classifier} with {} of the labels ({} images). The predictions of \
                 all {} folds and seeds are taken together, {} in all.",
                short_percent(most),
                ImageCount::of(results.iter().map(|result| result.train_images)),
                results.len(),
                labels.len(),
            ))
            .classification(file, &what, &pooled)?
            .scores(file, &what, &pooled, &scores, &labels)?;
        if let Evaluation::Probes(probes) = &first.evaluation {
            report = report
                .text("The training curves of the linear probe are those of the first fold.")
                .probe(file, name, &probes.linear)?;
        }
        match &method.features {
            Some(features) => self.add_features(report, name, features, file),
            None => Ok(report),
        }
    }

    fn add_features(
        &self,
        report: Report,
        method: &str,
        features: &Features,
        file: &str,
    ) -> Result<Report> {
        let (_, fold) = self.first_fold()?;
        let test = features.select(&fold.test)?;
        let map = embedding_plot(format!("Features of the test images: {method}"), &test)?;
        let images = self.task.labelled().as_ref();
        let strips = pictures::nearest_neighbours_grid(images, features, &fold.train, &fold.test)?;
        let strips_caption = "Nearest neighbours in feature space. Left: test images with their \
                              classes. Right: the training images of highest cosine similarity, best \
                              first. Blue frames: the same class; orange frames: another.";
        Ok(report
            .figure(
                format!("{file}-map"),
                map.render()?,
                "The first two principal components of the features, by class.",
            )
            .figure(format!("{file}-neighbours"), strips, strips_caption))
    }

    fn add_training(&self, report: Report) -> Result<Report> {
        if self.shown_runs.is_empty() {
            return Ok(report);
        }
        let mut report = report.section("Training");
        for (index, (name, dir)) in self.shown_runs.iter().enumerate() {
            let record = RunRecord::read(dir)?;
            let file = format!("run-{}-{}", index + 1, file_name(name));
            if let Some(metrics) = record.metrics {
                report = report.curves(name, &file, &metrics)?;
            }
            report = report.notices(&file, &record.notices);
        }
        Ok(report)
    }

    /// The settings that something was done with, folded: those of the study, and those of each
    /// training run that is shown, which are its own.
    fn add_settings(&self, report: Report) -> Result<Report> {
        let used = self.used_settings()?;
        let caption = "The settings of the study; those of training runs are their own. With few \
                       labels networks take up to four times the epochs, in smaller batches.";
        let table = Table::settings("settings", caption, &used)?;
        let mut report = report.section("Settings").folded("The study", table);
        for (index, (name, dir)) in self.shown_runs.iter().enumerate() {
            let caption = format!("The settings of the training run \"{name}\" of the first seed.");
            let config = RunRecord::read(dir)?.config;
            let file = format!("run-{}-{}-settings", index + 1, file_name(name));
            let table = Table::settings(file, caption, &config)?;
            report = report.folded(format!("The training run \"{name}\""), table);
        }
        Ok(report)
    }

    fn first_fold(&self) -> Result<(&SeedRun, &Split<Vec<usize>>)> {
        let run = self.seed_runs.first();
        run.and_then(|run| Some((run, run.folds.first()?)))
            .ok_or_else(|| Error::setting("folds", "at least one", "none"))
    }

    fn subsets(&self, fold: &Split<Vec<usize>>) -> Result<Split<Subset>> {
        Ok(fold.clone().of(self.task.labelled().clone())?)
    }
}

/// What was found, in words, as a figure and in tables; `more_findings` are about the images, and
/// `notes` are what readers must know to judge it.
pub(crate) fn add_comparison(
    report: Report,
    comparison: &Comparison,
    more_findings: Vec<String>,
    notes: &[String],
) -> Result<Report> {
    let findings = comparison.findings()?.into_iter().chain(more_findings);
    let report = findings.fold(report, Report::finding);
    let report = report.section("Result");
    let report = notes.iter().fold(report, Report::text);
    let mut report = match comparison.label_fractions().as_slice() {
        [fraction] => report.figure(
            "accuracy",
            comparison.bars(*fraction)?,
            format!("Mean accuracy on the test images of {PRIMARY}."),
        ),
        _ => report.figure(
            "label-efficiency",
            comparison.label_efficiency()?,
            format!(
                "Mean accuracy over folds and seeds with its 95 % confidence interval, of \
                 {PRIMARY}."
            ),
        ),
    };
    report = report.table(comparison.summary_table()?);
    if comparison.methods().len() > 1 {
        report = report
            .table(comparison.difference_table()?)
            .folded("Differences with p-values", comparison.paired_table()?);
    }
    Ok(report)
}
