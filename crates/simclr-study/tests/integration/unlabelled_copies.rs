//! Studies whose unlabelled images hold copies of labelled ones.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::Device;
use simclr_augment::DecodedImage;
use simclr_augment::ops::{Border, flip_left_right, rotate};
use simclr_data::{
    Dataset, DatasetExt, DuplicateSearch, InMemory, IntoDataset, Seed, SyntheticCores,
};
use simclr_model::Encoder;
use simclr_study::{Duplicates, Result, SeedRun, Study, Task};

use crate::common::protocol;

/// Labelled images, and as many more that are none of them.
const IMAGES: usize = 60;

fn pictures() -> Vec<DecodedImage> {
    let cores = SyntheticCores::new(2 * IMAGES, 96, Seed(1)).unwrap();
    InMemory::collect(&cores).unwrap().images().to_vec()
}

/// Half of the first pictures, of two classes, and the others as they are without labels.
struct Pools {
    labelled: Arc<dyn Dataset>,
    others: Vec<DecodedImage>,
}

fn pools() -> Pools {
    let mut pictures = pictures();
    let others = pictures.split_off(IMAGES);
    let labels = (0..IMAGES as u32).map(|index| index % 2).collect();
    let classes = ["crack", "none"].map(str::to_owned).to_vec();
    let labelled = InMemory::labelled(pictures, labels, classes).unwrap();
    Pools {
        labelled: labelled.shared(),
        others,
    }
}

impl Pools {
    /// Copies of the first labelled images, in turn as they are, mirrored, and turned by some
    /// angle; behind them the others.
    fn with_copies(&self, copies: usize) -> Arc<dyn Dataset> {
        let copy = |index: usize| {
            let image = self.labelled.decode(index).unwrap();
            match index % 3 {
                0 => image,
                1 => flip_left_right(&image.to_image()).to_decoded(),
                _ => {
                    let degrees = 20.0 + 7.0 * index as f32;
                    let turned = rotate(&image.to_image(), degrees, Border::Black);
                    turned.unwrap().to_decoded()
                }
            }
        };
        let copies = (0..copies).map(copy).chain(self.others.clone());
        InMemory::unlabelled(copies.collect()).shared()
    }

    fn task(&self, unlabelled: Arc<dyn Dataset>, duplicates: Duplicates) -> Task {
        let task = Task::new("cores", self.labelled.clone()).unwrap();
        let task = task.with_unlabelled(unlabelled);
        task.with_duplicate_search(&DuplicateSearch::default(), duplicates)
            .unwrap()
    }
}

/// Which of the unlabelled images self-supervision sees.
fn seen(task: &Task, run: &SeedRun) -> BTreeSet<usize> {
    let own = run.folds[0].train.len() + run.folds[0].validation.len();
    let pool = run.unlabelled(1.0).unwrap();
    let more = task.extra_unlabelled().unwrap();
    let index = |position: usize| {
        let image = pool.decode(position).unwrap();
        let mut all = 0..more.len();
        all.find(|&index| more.decode(index).unwrap() == image)
            .unwrap()
    };
    (own..pool.len()).map(index).collect()
}

fn probe(study: &mut Study) {
    let config = study.protocol().encoder().clone();
    let encoder =
        |_: &SeedRun| -> Result<_> { Ok(Encoder::initialize(&config, 3, &Device::Cpu)?.frozen()) };
    study.probe("untrained", encoder).unwrap();
}

fn read(dir: &Path, file: &str) -> String {
    fs::read_to_string(dir.join(file)).unwrap()
}

#[test]
fn copies_of_test_images_are_left_out_of_self_supervision_and_reported() {
    const COPIES: usize = 12;
    let pools = pools();
    let task = pools.task(pools.with_copies(COPIES), Duplicates::Warn);
    let found = task.duplicates().unwrap();
    assert_eq!(
        (found.groups.len(), found.leaks().count()),
        (COPIES, COPIES)
    );
    let dir = tempfile::tempdir().unwrap();
    let mut study = Study::open(dir.path(), protocol([Seed(1), Seed(2)]), task.clone()).unwrap();

    let mut counts = Vec::new();
    for run in study.seed_runs() {
        let test: BTreeSet<usize> = run.folds[0].test.iter().copied().collect();
        // The copy of the image i is the unlabelled image i.
        let copies = (0..COPIES).filter(|index| test.contains(index));
        let copies: BTreeSet<usize> = copies.collect();
        let all: BTreeSet<usize> = (0..COPIES + IMAGES).collect();
        assert_eq!(seen(&task, run), &all - &copies, "seed {}", run.seed.0);
        assert_eq!(task.copies_of_test_images(&run.folds[0]), copies);
        assert!(!copies.is_empty() && copies.len() < COPIES);
        counts.push(copies.len());
    }

    probe(&mut study);
    study.write_report().unwrap();
    let page = read(dir.path(), "report.html");
    counts.sort_unstable();
    counts.dedup();
    let counts: Vec<String> = counts.iter().map(usize::to_string).collect();
    let sentence = format!(
        "Self-supervision did not see {} of the 72 images without labels, which are copies of \
         test images.",
        counts.join(" to ")
    );
    assert!(page.contains(&sentence), "{sentence}");
    assert!(page.contains(
        "12 groups of images are identical or nearly so, 12 of them with images of both pools (4 \
         of the same pixels, 4 saved again, resized, mirrored or turned by quarters, 4 turned by \
         any angle)"
    ));
    let csv = read(dir.path(), "duplicates.csv");
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 1 + 2 * COPIES);
    assert_eq!(lines[0], "group,kind,pool,image,class");
    assert_eq!(
        lines[3],
        "2,\"saved again, resized, mirrored or turned by quarters\",labelled,image 1,none"
    );
    assert_eq!(lines[6], "3,turned by any angle,unlabelled,image 2,");
    let splits = read(dir.path(), "splits.csv");
    for run in study.seed_runs() {
        let row = |index: &usize| {
            format!(
                "image {index},unlabelled,copy of a test image,,{},,",
                run.seed.0
            )
        };
        let left_out = task.copies_of_test_images(&run.folds[0]);
        assert!(left_out.iter().map(row).all(|row| splits.contains(&row)));
    }
}

#[test]
fn nothing_changes_where_there_are_no_copies() {
    let pools = pools();
    let dir = tempfile::tempdir().unwrap();
    let study = |name: &str, duplicates: Duplicates| {
        let task = pools.task(pools.with_copies(0), duplicates);
        assert!(task.duplicates().is_none_or(|report| report.is_clean()));
        let mut study = Study::open(dir.path().join(name), protocol([Seed(1)]), task).unwrap();
        let pool = study.seed_runs()[0].unlabelled(0.5).unwrap();
        let images = (0..pool.len()).map(|index| pool.decode(index).unwrap());
        let images: Vec<DecodedImage> = images.collect();
        probe(&mut study);
        study.write_report().unwrap();
        let read = |file| read(&dir.path().join(name), file);
        let page = read("report.html");
        assert!(!page.contains("Self-supervision did not see"));
        (images, read("results.json"), read("splits.csv"))
    };
    assert!(study("searched", Duplicates::Warn) == study("ignored", Duplicates::Ignore));
    assert!(!dir.path().join("ignored/duplicates.csv").exists());
    let csv = read(&dir.path().join("searched"), "duplicates.csv");
    assert_eq!(csv.lines().count(), 1);
}

/// A set that counts how often an image of it is decoded.
struct Counting {
    images: Arc<dyn Dataset>,
    decoded: Arc<AtomicUsize>,
}

impl Dataset for Counting {
    fn len(&self) -> usize {
        self.images.len()
    }

    fn decode(&self, index: usize) -> simclr_data::Result<DecodedImage> {
        self.decoded.fetch_add(1, Ordering::Relaxed);
        self.images.decode(index)
    }

    fn content_digest(&self, index: usize) -> simclr_data::Result<[u8; 32]> {
        self.images.content_digest(index)
    }
}

#[test]
fn a_search_on_record_is_not_repeated_and_another_one_is_refused_by_name() {
    let pools = pools();
    let dir = tempfile::tempdir().unwrap();
    let decoded = Arc::new(AtomicUsize::new(0));
    let task = |copies: usize, duplicates: Duplicates| {
        let images = Counting {
            images: pools.with_copies(copies),
            decoded: decoded.clone(),
        };
        let task = Task::new("cores", pools.labelled.clone()).unwrap();
        let task = task.with_unlabelled(images.into_dataset());
        let search = DuplicateSearch::default();
        task.with_recorded_duplicate_search(&search, duplicates, dir.path())
            .unwrap()
    };
    let open = |task: Task| Study::open(dir.path(), protocol([Seed(1)]), task);
    let times = || decoded.swap(0, Ordering::Relaxed);

    let first = task(12, Duplicates::Warn);
    assert_eq!(times(), 72);
    let mut study = open(first.clone()).unwrap();
    probe(&mut study);
    drop(study);
    times();
    let again = task(12, Duplicates::Warn);
    assert_eq!(times(), 0);
    assert_eq!(again.duplicates(), first.duplicates());
    drop(open(again).unwrap());
    // A damaged record and one of other images are no record.
    let record = dir.path().join("duplicates.json");
    let whole = fs::read_to_string(&record).unwrap();
    fs::write(&record, whole.replacen("image 1", "image 7", 1)).unwrap();
    assert_eq!(task(12, Duplicates::Warn).duplicates(), first.duplicates());
    assert_eq!(times(), 72);
    fs::write(&record, whole).unwrap();
    assert!(task(0, Duplicates::Warn).duplicates().unwrap().is_clean());
    assert_eq!(times(), 60);

    // Self-supervision would see the copies, and the folds would be others.
    for (duplicates, what) in [
        (Duplicates::Ignore, "digest.duplicates"),
        (Duplicates::KeepTogether, "digest.groups"),
    ] {
        let error = open(task(12, duplicates)).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}
