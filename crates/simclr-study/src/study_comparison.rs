//! Finished studies on the same test images, side by side.

use std::path::{Path, PathBuf};

use simclr_data::Seed;
use simclr_report::{Report, Table};
use simclr_train::run::RunFolder;

use crate::cell_result::CellResult;
use crate::comparison::{Comparison, MethodResults};
use crate::error::{Error, Result};
use crate::files;
use crate::recorded_study::RecordedStudy;
use crate::report::add_comparison;

/// The methods of several finished studies that have the same images, classes, seeds and folds, at
/// the label fractions that all of them have.
#[derive(Debug)]
pub struct StudyComparison {
    studies: Vec<RecordedStudy>,
    comparison: Comparison,
}

impl StudyComparison {
    /// Reads the folders of finished studies.
    ///
    /// A method that has the same name in several studies and says the same of each test image, as
    /// an untrained network does, stands once; otherwise the folder stands behind its name.
    ///
    /// # Errors
    /// Fewer than two folders, or one twice; a folder without a finished study; studies, by name,
    /// whose images, classes or folds differ, or that have no label fraction in common.
    pub fn read(dirs: &[PathBuf]) -> Result<Self> {
        let mut studies: Vec<RecordedStudy> = Vec::new();
        for dir in dirs {
            let study = RecordedStudy::read(dir)?;
            if let Some(first) = studies.first() {
                check_same_images(first, &study)?;
            }
            if studies
                .iter()
                .any(|other| is_same_folder(&other.dir, &study.dir))
            {
                return Err(Error::setting("studies", "each once", study.name()));
            }
            studies.push(study);
        }
        let [first, _, ..] = studies.as_slice() else {
            return Err(Error::setting("studies", "two or more", dirs.len()));
        };
        let mut fractions = first.label_fractions();
        fractions.retain(|fraction| {
            let mut others = studies.iter();
            others.all(|study| study.label_fractions().contains(fraction))
        });
        if fractions.is_empty() {
            let names: Vec<String> = studies.iter().map(RecordedStudy::name).collect();
            let expected = "one that all studies have";
            return Err(Error::setting(
                "label fraction",
                expected,
                format!("none in {}", names.join(", ")),
            ));
        }
        let methods = methods(&studies, &fractions);
        let cells = methods.iter().take(1).flat_map(|method| &method.cells);
        let images = cells.map(|(cell, _)| first.cell_images(cell)).collect();
        let comparison = Comparison::new(methods, images)?;
        Ok(Self {
            studies,
            comparison,
        })
    }

    /// The methods of all studies.
    pub fn comparison(&self) -> &Comparison {
        &self.comparison
    }

    /// Writes `report.html`, its figures and tables into the folder `dir`. Returns the path of the
    /// report.
    ///
    /// # Errors
    /// A folder that cannot be written to, or that holds a run or a study, whose report would be
    /// replaced.
    pub fn write_report(&self, dir: impl AsRef<Path>) -> Result<PathBuf> {
        let dir = dir.as_ref();
        if RunFolder::is_recorded_in(dir) {
            return Err(Error::StudyFile {
                path: dir.join(files::REPORT),
                reason: "belongs to the run or the study in this folder; take another one for the \
                         comparison"
                    .to_owned(),
            });
        }
        let question = "Which method is best on the same test images?";
        let report = Report::new("Comparison of studies", question);
        let report = add_comparison(report, &self.comparison, Vec::new(), &[])?;
        let caption = "The studies, whose test images and folds are the same.";
        let table = Table::new("studies", caption).columns(["folder", "study", "methods"]);
        let table = self.studies.iter().fold(table, |table, study| {
            let methods = study.methods.iter().map(|method| method.name.as_str());
            let methods: Vec<&str> = methods.collect();
            table.row([
                study.name().into(),
                study.title.as_str().into(),
                methods.join("; ").into(),
            ])
        });
        Ok(report.section("Studies").table(table).write(dir)?)
    }
}

fn is_same_folder(one: &Path, other: &Path) -> bool {
    let place = |dir: &Path| dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    place(one) == place(other)
}

/// The methods at some label fractions, with the number of images that have labels.
fn methods(studies: &[RecordedStudy], fractions: &[f64]) -> Vec<MethodResults> {
    // With the names that they have in their own studies.
    let mut methods: Vec<(&str, MethodResults)> = Vec::new();
    for study in studies {
        for recorded in &study.methods {
            let mut method = recorded.clone();
            method
                .cells
                .retain(|(cell, _)| fractions.contains(&cell.label_fraction));
            for (cell, result) in &mut method.cells {
                result.train_images = study.cell_images(cell).train.len();
            }
            let known = methods.iter().filter(|(name, _)| *name == recorded.name);
            let known: Vec<&MethodResults> = known.map(|(_, known)| known).collect();
            if known.iter().any(|known| says_the_same(known, &method)) {
                continue;
            }
            if !known.is_empty() {
                method.name = format!("{} ({})", method.name, study.name());
                for (cell, _) in &mut method.cells {
                    cell.method.clone_from(&method.name);
                }
            }
            methods.push((&recorded.name, method));
        }
    }
    methods.into_iter().map(|(_, method)| method).collect()
}

/// Whether two methods have the same results, whatever they are called.
fn says_the_same(one: &MethodResults, other: &MethodResults) -> bool {
    fn results(method: &MethodResults) -> impl Iterator<Item = (Seed, usize, f64, &CellResult)> {
        let cells = method.cells.iter();
        cells.map(|(cell, result)| (cell.seed, cell.fold, cell.label_fraction, result))
    }
    results(one).eq(results(other))
}

/// Fails, naming the studies, if their classes, images or folds differ.
fn check_same_images(first: &RecordedStudy, other: &RecordedStudy) -> Result<()> {
    let differ = |what: &str, expected: String, found: String| {
        let (first, other) = (first.name(), other.name());
        let expected = format!("the {what} of {first} ({expected})");
        Err(Error::setting(
            "studies to compare",
            expected,
            format!("{other} ({found})"),
        ))
    };
    if first.classes != other.classes {
        return differ(
            "classes",
            first.classes.join(", "),
            other.classes.join(", "),
        );
    }
    if first.digest != other.digest {
        let [first, other] = [first, other].map(|study| format!("digest {}", study.digest));
        return differ("images", first, other);
    }
    let parts = |study: &RecordedStudy| -> Vec<String> {
        let rows = study.splits.iter().filter_map(|row| {
            let fold = row.fold?;
            let (image, part, seed) = (&row.image, &row.part, row.seed);
            Some(format!("{image}: {part} in fold {fold} of seed {seed}"))
        });
        rows.collect()
    };
    let (ours, theirs) = (parts(first), parts(other));
    let longest = ours.len().max(theirs.len());
    match (0..longest).find(|&row| ours.get(row) != theirs.get(row)) {
        None => Ok(()),
        Some(row) => {
            let show = |parts: &[String]| parts.get(row).map_or("none", String::as_str).to_owned();
            differ("folds", show(&ours), show(&theirs))
        }
    }
}

#[cfg(test)]
mod tests {
    use simclr_data::{ClassMap, Dataset, DatasetExt, SyntheticCores};
    use simclr_eval::metrics::ClassificationReport;

    use super::*;
    use crate::{NetworkEvaluation, Study, Task, TrainingJob, paper};

    /// A finished study of 90 cores whose methods are wrong at every `n`th test image.
    fn study(dir: &Path, fractions: &[f64], seed: u64, methods: &[(&str, usize)]) -> PathBuf {
        let protocol = paper::tiny(paper::experiment_6()).with_label_fractions(fractions);
        let cores = SyntheticCores::new(90, 16, Seed(seed)).unwrap();
        let task = Task::new("cores", cores.shared()).unwrap();
        finish(Study::open(dir, protocol, task).unwrap(), methods)
    }

    fn finish(mut study: Study, methods: &[(&str, usize)]) -> PathBuf {
        for &(name, n) in methods {
            study
                .train(name, "made up", |job| evaluate(job, n))
                .unwrap();
        }
        study.write_report().unwrap();
        study.dir().to_owned()
    }

    fn evaluate(job: &TrainingJob, n: usize) -> Result<NetworkEvaluation> {
        let test = &job.split.test;
        let classes = test.class_names();
        let labels: Vec<u32> = (0..test.len()).map(|i| test.label(i).unwrap()).collect();
        let score = |(index, &label): (usize, &u32)| {
            let taken_for = (label as usize + usize::from(index % n == 0)) % classes.len();
            let classes = 0..classes.len();
            classes.map(move |class| f32::from(u8::from(class == taken_for)))
        };
        let test_scores: Vec<f32> = labels.iter().enumerate().flat_map(score).collect();
        let test = ClassificationReport::new(&test_scores, &labels, classes)?;
        Ok(NetworkEvaluation { test, test_scores })
    }

    fn refusal(dirs: &[PathBuf]) -> String {
        StudyComparison::read(dirs).unwrap_err().to_string()
    }

    #[test]
    fn the_methods_of_several_studies_stand_on_one_page() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let methods = [("untrained", 2), ("transfer", 4)];
        let first = study(&at("first"), &[1.0, 0.25, 0.1], 1, &methods);
        let methods = [("untrained", 2), ("transfer", 3), ("pretrained", 10)];
        let second = study(&at("second"), &[0.1, 1.0], 1, &methods);
        let studies = StudyComparison::read(&[first.clone(), second.clone()]).unwrap();
        let comparison = studies.comparison();
        assert_eq!(comparison.label_fractions(), [1.0, 0.1]);
        let names: Vec<_> = comparison
            .methods()
            .iter()
            .map(|method| &method.name)
            .collect();
        let other = format!("transfer ({})", second.display());
        assert_eq!(names, ["untrained", "transfer", &other, "pretrained"]);

        // The figures are those of the studies themselves.
        let protocol = paper::tiny(paper::experiment_6()).with_label_fractions([1.0, 0.25, 0.1]);
        let cores = SyntheticCores::new(90, 16, Seed(1)).unwrap();
        let task = Task::new("cores", cores.shared()).unwrap();
        let mut own = Study::open(&first, protocol, task).unwrap();
        for (name, n) in [("untrained", 2), ("transfer", 4)] {
            own.train(name, "made up", |job| evaluate(job, n)).unwrap();
        }
        let own = own.comparison().unwrap();
        for fraction in [1.0, 0.1] {
            let of = |comparison: &Comparison| {
                let accuracy = comparison.accuracy("transfer", fraction).unwrap();
                let paired = comparison
                    .paired("untrained", "transfer", fraction)
                    .unwrap();
                (accuracy, paired, comparison.train_images(fraction))
            };
            assert_eq!(of(comparison), of(&own));
        }

        // A copy of a study adds nothing, whether its methods stand under their names or another.
        let third = study(&at("third"), &[0.1, 1.0], 1, &methods);
        let studies_of = [first.clone(), second.clone(), third];
        let three = StudyComparison::read(&studies_of).unwrap();
        assert_eq!(three.comparison().methods().len(), names.len());

        let page = studies.write_report(at("page")).unwrap();
        let page = std::fs::read_to_string(page).unwrap();
        for part in [
            "pretrained&quot; is right on",
            "The others reach: &quot;",
            "<h2 id",
            "pretrained − untrained",
            "label-efficiency",
        ] {
            assert!(page.contains(part), "{part}");
        }
    }

    #[test]
    fn rows_are_of_the_images_that_they_name_in_whatever_order_they_stand() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let methods = [("untrained", 2), ("transfer", 4)];
        let studies = [
            study(&at("first"), &[1.0], 1, &methods),
            study(&at("second"), &[1.0], 1, &methods),
        ];
        let path = studies[1].join(files::PREDICTIONS);
        let table = std::fs::read_to_string(&path).unwrap();
        let (header, rows) = table.split_once('\n').unwrap();
        let rows: Vec<&str> = rows.lines().collect();
        let write = |rows: &[&str]| {
            let text = format!("{header}\n{}\n", rows.join("\n"));
            std::fs::write(&path, text).unwrap();
        };

        let mut reversed = rows.clone();
        reversed.reverse();
        write(&reversed);
        let both = StudyComparison::read(&studies).unwrap();
        // What differed would stand twice.
        assert_eq!(both.comparison().methods().len(), 2);

        write(&rows[1..]);
        let error = refusal(&studies);
        assert!(
            error.contains(files::PREDICTIONS) && error.contains("has no row"),
            "{error}"
        );
        let twice: Vec<&str> = rows.iter().chain(&rows[..1]).copied().collect();
        write(&twice);
        let error = refusal(&studies);
        assert!(error.contains("has a row too many"), "{error}");
    }

    #[test]
    fn studies_of_other_images_classes_or_folds_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let first = study(&at("first"), &[1.0], 1, &[("untrained", 2)]);
        let error = refusal(std::slice::from_ref(&first));
        assert!(error.contains("two or more, found 1"), "{error}");
        let error = refusal(&[first.clone(), first.clone()]);
        assert!(
            error.contains("each once, found") && error.contains("first"),
            "{error}"
        );
        let error = refusal(&[first.clone(), dir.path().join("./first")]);
        assert!(error.contains("each once"), "{error}");
        let error = refusal(&[first.clone(), at("nowhere")]);
        assert!(error.contains("nowhere"), "{error}");

        let fractions = study(&at("fractions"), &[0.5], 1, &[("untrained", 2)]);
        let error = refusal(&[first.clone(), fractions]);
        assert!(
            error.contains("label fraction") && error.contains("fractions"),
            "{error}"
        );
        let images = study(&at("images"), &[1.0], 2, &[("untrained", 2)]);
        let error = refusal(&[first.clone(), images]);
        assert!(
            error.contains("the images of") && error.contains("first"),
            "{error}"
        );

        let cores = SyntheticCores::new(90, 16, Seed(1)).unwrap();
        let task = Task::new("cores", cores.shared()).unwrap();
        let protocol = paper::tiny(paper::experiment_6()).with_label_fractions([1.0]);
        let binary = task.with_class_map(&ClassMap::binary("none")).unwrap();
        let binary = Study::open(at("binary"), protocol.clone(), binary).unwrap();
        let error = refusal(&[first.clone(), finish(binary, &[("untrained", 2)])]);
        assert!(
            error.contains("the classes of") && error.contains("binary"),
            "{error}"
        );
        let task = Task::new("cores", cores.shared()).unwrap();
        let seeds = Study::open(at("seeds"), protocol.with_seeds([Seed(7)]), task).unwrap();
        let error = refusal(&[first, finish(seeds, &[("untrained", 2)])]);
        assert!(
            error.contains("the folds of") && error.contains("seed 7"),
            "{error}"
        );
    }
}
