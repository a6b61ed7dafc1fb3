//! The images of an experiment as options.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};
use simclr_data::{
    ClassMap, Concatenated, Dataset, DatasetExt, DuplicateSearch, Groups, ImageFolder, InMemory,
    Labels, Seed, Split, SyntheticCores, SyntheticTextures,
};
use simclr_study::{Duplicates, Task};

use crate::options::{FolderArguments, first_given};
use crate::terminal::{AnyResult, complain};

/// Side of the synthetic pictures in pixels.
const SYNTHETIC_SIDE: usize = 64;

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum DuplicatesName {
    /// Look for them, and say in the report what was found. Self-supervision sees no image of
    /// --unlabelled-dir that is a copy of a test image.
    Warn,
    /// Besides, keep those with labels together in one subset of every split.
    KeepTogether,
    /// Do not look for them.
    Ignore,
}

/// Where the images are, what they are labelled with, and which of them belong together.
#[derive(Debug, Clone, Args)]
pub(crate) struct ImageArguments {
    /// A folder with a folder of images per class, from which folds are cut. Given several
    /// times, as for several expeditions, the classes are those of all.
    #[arg(long, conflicts_with_all = ["train_dir", "val_dir", "test_dir"])]
    image_dir: Vec<PathBuf>,
    /// Training images in class folders, if they are split already.
    #[arg(long, requires_all = ["val_dir", "test_dir"])]
    #[arg(conflicts_with_all = ["split", "folds", "fold_fraction", "group_by"])]
    train_dir: Option<PathBuf>,
    /// Validation images in folders of the same classes.
    #[arg(long, requires = "train_dir")]
    val_dir: Option<PathBuf>,
    /// Test images in folders of the same classes.
    #[arg(long, requires = "train_dir")]
    test_dir: Option<PathBuf>,
    /// More images for self-supervision, in any folders; may be given several times.
    #[arg(long)]
    unlabelled_dir: Vec<PathBuf>,
    /// How many synthetic cores are photographed, where no folder is given.
    #[arg(long, default_value_t = 1200, conflicts_with_all = ["image_dir", "train_dir"])]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=100_000))]
    synthetic_images: usize,
    /// Tell this class from all the others.
    #[arg(long, conflicts_with = "regroup")]
    pub(crate) binary: Option<String>,
    /// A file with groups of classes: lines of the form `broken: crack, brecciated`.
    #[arg(long)]
    regroup: Option<PathBuf>,
    /// Keep images together whose file names agree in what this regular expression captures
    /// (leave-one-group-out: all of them test, or none).
    #[arg(long)]
    group_by: Option<String>,
    /// What is done about images that are there more than once, among those with and without
    /// labels.
    #[arg(long, value_enum, default_value = "warn")]
    duplicates: DuplicatesName,
    #[command(flatten)]
    folder: FolderArguments,
}

const NO_IMAGES: &str = "give --image-dir DIR (a folder of images per class) or --train-dir, \
                         --val-dir and --test-dir; or --preset tiny for synthetic images";

impl ImageArguments {
    /// All folders that are read.
    pub(crate) fn dirs(&self) -> impl Iterator<Item = &PathBuf> {
        let parts = [&self.train_dir, &self.val_dir, &self.test_dir];
        let image_dirs = self.image_dir.iter().chain(&self.unlabelled_dir);
        image_dirs.chain(parts.into_iter().flatten())
    }

    /// The images: folders, or synthetic cores.
    ///
    /// Of several folders each is a group if `by_folder`; synthetic cores are for where no folder
    /// is given and `synthetic` allows it. The study is, or will be, in `study_dir`.
    pub(crate) fn task(
        &self,
        study_dir: &Path,
        seed: Seed,
        by_folder: bool,
        synthetic: bool,
    ) -> AnyResult<Task> {
        let task = match (
            self.image_dir.as_slice(),
            &self.train_dir,
            &self.val_dir,
            &self.test_dir,
        ) {
            ([_, ..], ..) => self.task_of_folders(by_folder)?,
            (_, Some(train), Some(validation), Some(test)) => {
                let source = [train, validation, test].map(|dir| dir.display().to_string());
                let folders = [
                    self.folder(train, Labels::ClassFolders)?,
                    self.folder(validation, Labels::ClassFolders)?,
                    self.folder(test, Labels::ClassFolders)?,
                ];
                check_same_classes(&folders)?;
                let [train, validation, test] = folders.each_ref().map(DatasetExt::shared);
                let parts = Split {
                    train,
                    validation,
                    test,
                };
                with_remarks(Task::presplit(source.join(", "), parts)?, &folders)
            }
            _ if synthetic => return self.synthetic(seed),
            _ => return Err(NO_IMAGES.into()),
        };
        self.prepared(task, study_dir)
    }

    /// Fails if no folder is given where images cannot be synthetic.
    pub(crate) fn check_given(&self) -> AnyResult {
        if self.is_synthetic() {
            return Err(NO_IMAGES.into());
        }
        Ok(())
    }

    /// Whether the images are synthetic.
    pub(crate) fn is_synthetic(&self) -> bool {
        self.image_dir.is_empty() && self.train_dir.is_none()
    }

    fn synthetic(&self, seed: Seed) -> AnyResult<Task> {
        self.refuse_options_of_folders()?;
        let cores = SyntheticCores::new(self.synthetic_images, SYNTHETIC_SIDE, seed)?;
        // Each is looked at several times, and drawing takes as long as a training step.
        let cores = InMemory::collect(&cores)?;
        let source = format!("{} synthetic sediment cores", self.synthetic_images);
        self.labelled(Task::new(source, cores.shared())?)
    }

    /// Fails if something is asked for that only files have.
    fn refuse_options_of_folders(&self) -> AnyResult {
        let given = [
            ("--unlabelled-dir", !self.unlabelled_dir.is_empty()),
            ("--group-by", self.group_by.is_some()),
            (
                "--duplicates keep-together",
                matches!(self.duplicates, DuplicatesName::KeepTogether),
            ),
        ];
        match first_given(&given).or(self.folder.given()) {
            None => Ok(()),
            Some(option) => Err(format!(
                "{option} is for images in folders, and without --image-dir or --train-dir they \
                 are synthetic"
            )
            .into()),
        }
    }

    fn prepared(&self, mut task: Task, study_dir: &Path) -> AnyResult<Task> {
        if !self.unlabelled_dir.is_empty() {
            let folders = self.folders(&self.unlabelled_dir, Labels::Ignored)?;
            task = with_remarks(task, &folders).with_unlabelled(joined(&folders)?);
        }
        if let Some(pattern) = &self.group_by {
            let groups = Groups::by_pattern(task.images().as_ref(), pattern)?;
            task = task.with_groups(&groups)?;
        }
        let duplicates = match self.duplicates {
            DuplicatesName::Warn => Duplicates::Warn,
            DuplicatesName::KeepTogether => Duplicates::KeepTogether,
            DuplicatesName::Ignore => Duplicates::Ignore,
        };
        let search = DuplicateSearch::default();
        let task = task.with_recorded_duplicate_search(&search, duplicates, study_dir)?;
        if let Some(duplicates) = task.duplicates().filter(|report| !report.is_clean()) {
            complain(duplicates);
        }
        self.labelled(task)
    }

    /// The classes that are to be told apart.
    fn labelled(&self, task: Task) -> AnyResult<Task> {
        Ok(match (&self.binary, &self.regroup) {
            (Some(class), _) => task.with_class_map(&ClassMap::binary(class))?,
            (_, Some(file)) => task.with_class_map(&ClassMap::from_file(file)?)?,
            _ => task,
        })
    }

    /// Labelled images of one folder, or of several, each of which may be a group.
    fn task_of_folders(&self, by_folder: bool) -> AnyResult<Task> {
        let folders = self.folders(&self.image_dir, Labels::ClassFolders)?;
        let names: Vec<_> = self
            .image_dir
            .iter()
            .map(|dir| dir.display().to_string())
            .collect();
        let task = Task::new(names.join(", "), joined(&folders)?)?;
        let task = with_remarks(task, &folders);
        if !by_folder || folders.len() < 2 || self.group_by.is_some() {
            return Ok(task);
        }
        let of_folder = |(number, folder): (usize, &ImageFolder)| vec![number; folder.len()];
        let keys = folders.iter().enumerate().flat_map(of_folder);
        Ok(task.with_groups(&Groups::by_key(keys))?)
    }

    fn folders(&self, dirs: &[PathBuf], labels: Labels) -> AnyResult<Vec<ImageFolder>> {
        dirs.iter().map(|dir| self.folder(dir, labels)).collect()
    }

    fn folder(&self, dir: &Path, labels: Labels) -> AnyResult<ImageFolder> {
        Ok(self.folder.builder(dir).labels(labels).open()?)
    }

    /// Fails if unlabelled images are given where there is no self-supervision.
    pub(crate) fn refuse_unlabelled(&self) -> AnyResult {
        let reason = "this experiment has no self-supervision, so --unlabelled-dir would not be \
                      used";
        if self.unlabelled_dir.is_empty() {
            return Ok(());
        }
        Err(reason.into())
    }

    /// Synthetic pictures that have nothing to do with cores, for networks to start from.
    pub(crate) fn source_domain(&self, seed: Seed) -> AnyResult<Arc<dyn Dataset>> {
        let images = self.synthetic_images;
        let textures = SyntheticTextures::new(images, SYNTHETIC_SIDE, seed)?;
        Ok(InMemory::collect(&textures)?.shared())
    }
}

/// The images of one folder, or of several under the folders' names.
fn joined(folders: &[ImageFolder]) -> AnyResult<Arc<dyn Dataset>> {
    if let [folder] = folders {
        return Ok(folder.shared());
    }
    let last =
        |folder: &ImageFolder| Some(folder.root().file_name()?.to_string_lossy().into_owned());
    let names: BTreeSet<_> = folders.iter().map(last).collect();
    let full = |folder: &ImageFolder| folder.root().display().to_string();
    let are_distinct = names.len() == folders.len();
    let named = folders.iter().map(|folder| {
        let name = last(folder).filter(|_| are_distinct);
        (name.unwrap_or_else(|| full(folder)), folder.shared())
    });
    Ok(Concatenated::named(named)?.shared())
}

/// Fails unless all folders have the same classes.
fn check_same_classes(folders: &[ImageFolder]) -> AnyResult {
    let classes: BTreeSet<&String> = folders.iter().flat_map(Dataset::class_names).collect();
    for folder in folders {
        let is_missing = |class: &&&String| !folder.class_names().contains(class);
        let missing: Vec<&&String> = classes.iter().filter(is_missing).collect();
        if !missing.is_empty() {
            let (count, all, dir) = (missing.len(), classes.len(), folder.root().display());
            let reason = "training, validation and test images need the same class folders";
            return Err(format!(
                "{dir}: {count} of {all} classes are missing: {missing:?}; {reason}"
            )
            .into());
        }
    }
    Ok(())
}

/// Says in the task's report which files were left out; the folder has warned of them.
fn with_remarks(mut task: Task, folders: &[ImageFolder]) -> Task {
    for report in folders.iter().map(ImageFolder::report) {
        if !report.is_clean() {
            task = task.with_remark(format!("Files: {report}."));
        }
    }
    task
}
