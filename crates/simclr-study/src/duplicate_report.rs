//! What the search for duplicates found, in words and as `duplicates.csv`.

use simclr_data::{Dataset, DuplicateKind, DuplicateReport, Split};
use simclr_report::{ImageCount, Table};

use crate::error::Result;
use crate::files::DUPLICATES_TABLE;
use crate::study::Study;

impl Study {
    /// What those need to know who read only what was found: sentences, none if there is nothing
    /// to say.
    pub(crate) fn duplicates_found(&self) -> Vec<String> {
        let mut found = Vec::new();
        if let (Some(left_out), Some(images)) = (self.left_out(), self.task.extra_unlabelled()) {
            found.push(format!(
                "Self-supervision did not see {left_out} of the {} images without labels, which \
                 are copies of test images.",
                images.len()
            ));
        }
        let folds = || self.seed_runs.iter().flat_map(|run| &run.folds);
        let leaked = folds().filter_map(|fold| self.task.leaked_test_images(fold));
        let leaked: usize = leaked.sum();
        if leaked > 0 {
            let tested: usize = folds().map(|fold| fold.test.len()).sum();
            found.push(format!(
                "{leaked} of {tested} test images, all folds together, have a copy among the \
                 training or validation images, which inflates accuracy."
            ));
        }
        found
    }

    /// How many images without labels self-supervision does not see, if any: a number, or a range
    /// where test images differ.
    fn left_out(&self) -> Option<ImageCount> {
        let folds = self.seed_runs.iter().filter_map(|run| run.folds.first());
        let counts = folds.map(|fold| self.task.copies_of_test_images(fold).len());
        Some(ImageCount::of(counts)).filter(|count| count.most > 0)
    }

    /// How many images without labels there are, and how many of them are used.
    pub(crate) fn unlabelled_in_words(&self) -> String {
        let Some(images) = self.task.extra_unlabelled() else {
            return String::new();
        };
        let left_out = self.left_out().map_or_else(String::new, |left_out| {
            format!(", but for {left_out} that are copies of test images")
        });
        format!(
            " {} more images without labels are used{left_out}.",
            images.len()
        )
    }

    /// What was searched, what was found, and what that means for a fold.
    pub(crate) fn duplicates_in_words(&self, fold: &Split<Vec<usize>>) -> String {
        let search = (self.task.duplicates(), self.task.leaked_test_images(fold));
        let (Some(duplicates), Some(leaked)) = search else {
            return "Duplicates: not searched for.".into();
        };
        if duplicates.is_clean() {
            return "Duplicates: none were found.".into();
        }
        let between = match duplicates.leaks().count() {
            0 => String::new(),
            leaks => format!(", {leaks} of them with images of both pools"),
        };
        let consequence = match leaked {
            0 => "",
            _ => " This inflates test accuracy; --duplicates keep-together avoids it.",
        };
        format!(
            "Duplicates: {} groups of images are identical or nearly so{between} ({}); {DUPLICATES_TABLE} \
             lists them. {leaked} of {} test images of this fold have a duplicate among the \
             training or validation images.{consequence}",
            duplicates.groups.len(),
            kinds(duplicates),
            fold.test.len(),
        )
    }

    /// Writes `duplicates.csv`, a row per image that has a duplicate, if they were searched for.
    pub(crate) fn write_duplicates(&self) -> Result<()> {
        let Some(duplicates) = self.task.duplicates() else {
            return Ok(());
        };
        let columns = ["group", "kind", "pool", "image", "class"];
        let mut table = Table::new("duplicates", "").columns(columns);
        for (number, group) in (1..).zip(&duplicates.groups) {
            for image in &group.images {
                table = table.row([
                    u64::into(number),
                    name(group.kind).into(),
                    image.part.as_str().into(),
                    image.name.as_str().into(),
                    image.class.as_deref().unwrap_or_default().into(),
                ]);
            }
        }
        Ok(table.save_csv(&self.dir().join(DUPLICATES_TABLE))?)
    }
}

/// How many groups of each kind there are.
fn kinds(duplicates: &DuplicateReport) -> String {
    let kinds = [
        DuplicateKind::SamePixels,
        DuplicateKind::NearCopy,
        DuplicateKind::TurnedCopy,
    ];
    let count = |kind| {
        let groups = duplicates.groups.iter();
        (
            groups.filter(|group| group.kind == kind).count(),
            name(kind),
        )
    };
    let counts = kinds.map(count).into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts
        .map(|(count, kind)| format!("{count} {kind}"))
        .collect();
    counts.join(", ")
}

fn name(kind: DuplicateKind) -> &'static str {
    match kind {
        DuplicateKind::SamePixels => "of the same pixels",
        DuplicateKind::NearCopy => "saved again, resized, mirrored or turned by quarters",
        DuplicateKind::TurnedCopy => "turned by any angle",
        _ => "of another kind",
    }
}
