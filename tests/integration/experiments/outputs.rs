//! What a finished study leaves, read and checked.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// What a finished study leaves.
pub(crate) struct Outputs {
    pub(crate) results: Value,
    pub(crate) page: String,
}

impl Outputs {
    /// Reads the folder and checks what every study has: `methods` x `folds` x `labels`.
    pub(crate) fn read(dir: &Path, methods: &[&str], folds: usize, labels: usize) -> Self {
        let text = |file: &str| fs::read_to_string(dir.join(file)).unwrap();
        let outputs = Self {
            results: serde_json::from_str(&text("results.json")).unwrap(),
            page: text("report.html"),
        };
        let cells = fs::read_dir(dir.join("cells")).unwrap().count();
        assert_eq!(cells, methods.len() * folds * labels, "cells");
        for method in methods {
            assert!(
                outputs.page.contains(&format!("<h3>{method}</h3>")),
                "{method} has no section"
            );
            for accuracy in outputs.accuracies(method) {
                assert!((0.0..=1.0).contains(&accuracy), "{method}: {accuracy}");
            }
        }
        for section in ["Result", "Data", "Views", "Settings", "How to repeat it"] {
            assert!(
                outputs.page.contains(&format!(">{section}</h2>")),
                "no section \"{section}\""
            );
        }
        // A row per cell and classifier, and a title.
        let classifiers = outputs.results["cells"].as_array().unwrap().len();
        assert_eq!(text("results.csv").lines().count(), 1 + classifiers);
        assert!(text("epochs.csv").contains("val_f1_weighted,test_accuracy,test_f1_weighted"));
        let manifest = text("manifest.json");
        assert!(manifest.contains("synthetic sediment cores") && manifest.contains("digest"));
        outputs.check_summaries(folds);
        outputs.check_predictions(dir);
        outputs
    }

    /// Computes every mean and deviation again from the cells.
    fn check_summaries(&self, folds: usize) {
        let cells = self.results["cells"].as_array().unwrap();
        for summary in self.results["methods"].as_array().unwrap() {
            let same = |cell: &&Value| {
                let keys = ["method", "label_fraction", "classifier"];
                keys.iter().all(|key| cell[key] == summary[key])
            };
            let figures = cells.iter().filter(same).map(|cell| {
                let accuracy = cell["accuracy"].as_f64().unwrap();
                let right = accuracy * cell["test_images"].as_f64().unwrap();
                assert!((right - right.round()).abs() < 1e-9, "{cell}");
                accuracy
            });
            let figures: Vec<f64> = figures.collect();
            assert_eq!(figures.len(), folds, "{summary}");
            let mean = figures.iter().sum::<f64>() / folds as f64;
            let squares = figures.iter().map(|x| (x - mean).powi(2));
            let deviation = (squares.sum::<f64>() / (folds - 1) as f64).sqrt();
            let accuracy = &summary["accuracy"];
            for (found, expected) in [
                (&accuracy["mean"], mean),
                (&accuracy["standard_deviation"], deviation),
            ] {
                assert!(
                    (found.as_f64().unwrap() - expected).abs() < 1e-9,
                    "{summary}"
                );
            }
            let end = |index: usize| accuracy["interval"][index].as_f64().unwrap();
            assert!(
                0.0 <= end(0) && end(0) < mean && mean < end(1) && end(1) <= 1.0,
                "{summary}"
            );
        }
    }

    /// What the test images of each cell were taken for gives the cell's accuracy.
    fn check_predictions(&self, dir: &Path) {
        let mut right: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        let mut reader = csv::Reader::from_path(dir.join("predictions.csv")).unwrap();
        for row in reader.records() {
            let row = row.unwrap();
            let shares = row
                .iter()
                .skip(8)
                .map(|share| share.parse::<f64>().unwrap());
            assert!((shares.sum::<f64>() - 1.0).abs() < 1e-6, "{row:?}");
            let cell = [&row[4], &row[1], &row[2], &row[3]].join(" ");
            right
                .entry(cell)
                .or_default()
                .push(f64::from(u8::from(row[6] == row[7])));
        }
        for cell in self.results["cells"].as_array().unwrap() {
            if ["linear_probe", "nearest_neighbours"]
                .contains(&cell["classifier"].as_str().unwrap())
            {
                continue;
            }
            let (method, fold) = (
                cell["method"].as_str().unwrap(),
                cell["fold"].as_u64().unwrap(),
            );
            let key = format!(
                "{method} {} {fold} {}",
                cell["seed"],
                cell["label_fraction"].as_f64().unwrap()
            );
            let values = right.remove(&key).unwrap_or_default();
            assert!(!values.is_empty(), "{key} is not in the file");
            let accuracy = values.iter().sum::<f64>() / values.len() as f64;
            assert!(
                (accuracy - cell["accuracy"].as_f64().unwrap()).abs() < 1e-9,
                "{key}"
            );
        }
        assert!(right.is_empty(), "{:?}", right.keys());
        let splits = fs::read_to_string(dir.join("splits.csv")).unwrap();
        assert!(splits.starts_with("image,pool,part,fold,seed,group,labels_used_at\n"));
        assert!(splits.contains(",labelled,test,1,"));
    }

    /// The mean accuracies of a method, by label fraction.
    pub(crate) fn accuracies(&self, method: &str) -> Vec<f64> {
        let summaries = self.results["methods"].as_array().unwrap().iter();
        let means: Vec<f64> = summaries
            .filter(|summary| summary["method"] == method)
            .map(|summary| summary["accuracy"]["mean"].as_f64().unwrap())
            .collect();
        assert!(!means.is_empty(), "{method} is not in the results");
        means
    }
}
