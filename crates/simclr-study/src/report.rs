//! The report of a study.

use std::path::PathBuf;

use simclr_data::{Dataset, Split, Subset};

use super::cell_result::{Found, Outcome};
use super::cell_store::slug;
use super::comparison::percent;
use super::study::Arm;
use super::{Comparison, Repetition, Study, pictures, results_files};
use crate::{Error, Result};
use simclr_eval::Features;
use simclr_eval::report::{EvaluationReport, embedding_plot};
use simclr_report::{Report, Table};
use simclr_train::report::TrainingReport;
use simclr_train::run::RunRecord;

impl Study {
    /// Writes `report.html`, its figures and tables, `results.json`, `results.csv` (a row
    /// per cell and classifier) and `epochs.csv` (the linear probes, with the columns of
    /// the paper's scripts). Returns the path of the report.
    ///
    /// # Errors
    /// If there is no arm yet; an image that cannot be read; a folder that cannot be written
    /// to.
    pub fn write_report(&self) -> Result<PathBuf> {
        self.write_report_with(Ok)
    }

    /// [`write_report`](Self::write_report) with more in the part with the results.
    ///
    /// # Errors
    /// Those of `more`, and of [`write_report`](Self::write_report).
    pub fn write_report_with(
        &self,
        more: impl FnOnce(Report) -> Result<Report>,
    ) -> Result<PathBuf> {
        let comparison = self.comparison()?;
        results_files::write(self.dir(), &self.protocol, &comparison)?;
        let report = Report::new(&self.protocol.title, &self.protocol.question);
        let report = self.results(report, &comparison)?;
        let report = self.data(more(report)?)?;
        let report = self.views(report)?;
        let report = self
            .arms
            .iter()
            .try_fold(report, |report, arm| self.arm(report, arm))?;
        let report = self.training(report)?;
        let record = RunRecord::read(self.dir())?;
        let report = report.settings(&record.config)?.manifest(&record.manifest);
        Ok(report.write(self.dir())?)
    }

    fn results(&self, report: Report, comparison: &Comparison) -> Result<Report> {
        let report = report.section("Result");
        let notes = self.notes.iter();
        let report = notes.fold(report, |report, note| report.text(note.as_str()));
        let mut report = report
            .table(comparison.table()?)
            .text(self.most_frequent_class()?);
        if comparison.label_fractions().len() > 1 {
            report = report.figure(
                "label-efficiency",
                comparison.label_efficiency()?,
                "Mean accuracy over folds and seeds with its 95 % confidence interval: of \
                 logistic regression on frozen features, or of a network that was trained with \
                 the labels.",
            );
        }
        let report = report.table(comparison.f1_table()?);
        match comparison.arms().len() {
            1 => Ok(report),
            _ => Ok(report.table(comparison.paired_table()?)),
        }
    }

    /// What accuracies have to be compared with.
    fn most_frequent_class(&self) -> Result<String> {
        let (_, fold) = self.first_fold()?;
        let test = self.parts(fold)?.test;
        let counts = test.class_counts();
        let most = counts.iter().copied().max().unwrap_or(0);
        let named = counts.iter().zip(test.class_names());
        let named = named.filter(|(count, _)| **count == most);
        let names: Vec<&str> = named.map(|(_, name)| name.as_str()).collect();
        let class = match names.as_slice() {
            [one] => format!("the most frequent class ({one})"),
            _ => "one of the most frequent classes".to_owned(),
        };
        Ok(format!(
            "To compare with: who always says {class} is right on {} of these test images.",
            percent(most as f64 / test.len().max(1) as f64)
        ))
    }

    fn data(&self, report: Report) -> Result<Report> {
        let (repetition, fold) = self.first_fold()?;
        let parts = self.parts(fold)?;
        let counts = [
            ("train", parts.train.class_counts()),
            ("validation", parts.validation.class_counts()),
            ("test", parts.test.class_counts()),
        ];
        let caption = format!(
            "Images per class in fold 1 of seed {}. Smaller label fractions keep that part of \
             each class's training images.",
            repetition.seed
        );
        let classes = self.task.labelled().class_names();
        let split = match self.task.is_split() {
            true => "The images came split".to_owned(),
            false => format!("{}", self.protocol.folds),
        };
        let groups = self.task.groups().map_or_else(String::new, |groups| {
            format!(
                " {} groups of images that belong together are kept together.",
                groups.count()
            )
        });
        let unlabelled = self
            .task
            .more_unlabelled()
            .map_or_else(String::new, |more| {
                format!(" {} more images without labels are used.", more.len())
            });
        let copies = self
            .protocol
            .enlargement
            .as_ref()
            .map_or_else(String::new, |how| {
                format!(
                    " Training images, and what self-supervision sees, are there with {} copies \
                     each: {how}. Validation and test images are not.",
                    how.copies_per_image()
                )
            });
        let report = report.section("Data").text(format!(
            "Labelled images: {}. {split}.{groups}{unlabelled}{copies}",
            self.task.source()
        ));
        let remarks = self.task.remarks().iter();
        let report = remarks.fold(report, |report, remark| report.text(remark.as_str()));
        Ok(report
            .table(Table::class_counts("images", caption, classes, &counts))
            .text(self.duplicates(fold)))
    }

    fn duplicates(&self, fold: &Split<Vec<usize>>) -> String {
        match (self.task.duplicates(), self.task.leaked(fold)) {
            (Some(report), Some(leaked)) if !report.is_clean() => format!(
                "Duplicates: {} groups of images are the same or nearly so (mirrored and turned \
                 copies included); {leaked} of {} test images of this fold have such a twin \
                 among the training or validation images. {}",
                report.groups.len(),
                fold.test.len(),
                match leaked {
                    0 => "",
                    _ => "They make the test too kind; --duplicates keep-together avoids it.",
                }
            ),
            (Some(_), _) => "Duplicates: none were found.".into(),
            (None, _) => "Duplicates were not looked for.".into(),
        }
    }

    fn views(&self, report: Report) -> Result<Report> {
        let (repetition, fold) = self.first_fold()?;
        let policy = &self.protocol.pretrain.policy;
        let train = Subset::new(self.task.labelled().clone(), fold.train.as_slice())?;
        let views = pictures::views(&train, policy, repetition.seed)?;
        let caption = "Left: training images. Right: views of each, as self-supervision sees them.";
        Ok(report.section("Views").image("views", views, caption))
    }

    /// What one arm's classifier does in fold 1 with the most labels, and how its features
    /// lie.
    fn arm(&self, report: Report, arm: &Arm) -> Result<Report> {
        let most = |(_, outcome): &&(_, Outcome)| outcome.train_images;
        let Some((cell, outcome)) = arm.results.cells.iter().rev().max_by_key(most) else {
            return Ok(report);
        };
        let name = slug(&arm.results.name);
        let what = format!("{}, {}", arm.results.name, outcome.headline().name());
        let (_, fold) = self.first_fold()?;
        let report = report.section(&arm.results.name).text(format!(
            "One cell in detail: fold {} of seed {}, {} of the labels ({} images), the figures of \
             {} on the test images.",
            cell.fold + 1,
            cell.seed,
            percent(cell.label_fraction),
            outcome.train_images,
            outcome.headline().name()
        ));
        let labels = self.parts(fold)?.test.labels("a report")?;
        let report = report
            .classification(&name, &what, outcome.headline_report())?
            .scores(
                &name,
                &what,
                outcome.headline_report(),
                outcome.headline_scores(),
                &labels,
            )?;
        let report = match &outcome.found {
            Found::Probes(found) => report.probe(&name, &arm.results.name, &found.linear)?,
            Found::Network(_) => report,
        };
        match &arm.features {
            Some(features) => self.embedding(report, &arm.results.name, features),
            None => Ok(report),
        }
    }

    fn embedding(&self, report: Report, arm: &str, features: &Features) -> Result<Report> {
        let (_, fold) = self.first_fold()?;
        let test = features.select(&fold.test)?;
        let title = format!("Features of the test images: {arm}");
        let map = embedding_plot(title, &test)?;
        let images = self.task.labelled().as_ref();
        let (strips, classes) = pictures::neighbours(images, features, &fold.train, &fold.test)?;
        let name = slug(arm);
        let map_caption = "The first two principal components of the features, by class.";
        let strips_caption = format!(
            "Left: test images ({}). Right: the training images whose features are most like \
             them, best first. Blue frames: the same class; orange frames: another.",
            classes.join(", ")
        );
        Ok(report
            .figure(format!("{name}-map"), map.render()?, map_caption)
            .image(format!("{name}-neighbours"), strips, strips_caption))
    }

    fn training(&self, report: Report) -> Result<Report> {
        if self.runs.is_empty() {
            return Ok(report);
        }
        let report = report.section("Training");
        self.runs.iter().try_fold(report, |report, (name, dir)| {
            match RunRecord::read(dir)?.metrics {
                Some(metrics) => Ok(report.curves(name, &slug(name), &metrics)?),
                None => Ok(report),
            }
        })
    }

    fn first_fold(&self) -> Result<(&Repetition, &Split<Vec<usize>>)> {
        let first = self.repetitions.first();
        first
            .and_then(|repetition| Some((repetition, repetition.folds.first()?)))
            .ok_or_else(|| Error::setting("folds", "at least one", "none"))
    }

    fn parts(&self, fold: &Split<Vec<usize>>) -> Result<Split<Subset>> {
        Ok(fold.clone().of(self.task.labelled().clone())?)
    }
}
