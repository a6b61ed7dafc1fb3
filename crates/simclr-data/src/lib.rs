//! Images for SimCLR: folders, splits, folds, label budgets, the view loader and a
//! synthetic set of core images.
//!
//! A set of images is anything that implements [`Dataset`]:
//!
//! * [`ImageFolder`]: class folders, or any folder without labels;
//! * [`SyntheticCores`]: sediment cores with ten kinds of drilling disturbance, drawn
//!   on demand, so that everything runs without data; [`SyntheticTextures`]: something
//!   quite different, to transfer from;
//! * [`InMemory`]: decoded images; with the feature `candle-datasets`, the module
//!   `benchmark` reads CIFAR-10 and MNIST into it;
//! * [`Subset`] and [`Mapped`]: some images of a set, or the same with other classes;
//! * [`Concatenated`]: sets with the same classes as one;
//! * [`Enlarged`]: a set and altered copies of its images;
//! * [`PartlyLabelled`]: images with labels and images without.
//!
//! [`DatasetExt`] splits, reduces and regroups them, [`Folds`] cross-validates, and
//! [`ViewLoader`] makes batches of augmented views on threads of its own. Everything
//! random depends on a [`Seed`] and on nothing else.
//!
//! [`DuplicateSearch`] finds images that are the same, or nearly so, within a set and
//! across the parts of a split; [`Groups`] keeps them, and pictures of the same core or
//! well, in one part.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use simclr_data::{Dataset, DatasetExt, Fractions, ImageFolder, Seed};
//!
//! # let folder = tempfile::tempdir()?;
//! # for class in ["crack", "none"] {
//! #     std::fs::create_dir(folder.path().join(class))?;
//! #     for i in 0..20 {
//! #         image::RgbImage::new(8, 6).save(folder.path().join(class).join(format!("{i}.png")))?;
//! #     }
//! # }
//! # let folder = folder.path();
//! let cores = ImageFolder::labelled(folder)?;
//! assert_eq!(cores.class_names(), ["crack", "none"]);
//!
//! let split = cores.split(Fractions { train: 0.1, validation: 0.05 }, Seed(1))?;
//! assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (4, 2, 34));
//! assert_eq!(split.train.decode(0)?.width(), 8);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "candle-datasets")]
pub mod benchmark;
mod class_map;
mod concatenated;
mod dataset;
mod enlarged;
mod error;
mod extension;
mod facts;
mod folder;
mod grid;
mod hygiene;
mod loader;
mod partly_labelled;
mod seed;
mod split;
mod synthetic;

pub use class_map::{ClassMap, Mapped, ResolvedClasses};
pub use concatenated::Concatenated;
pub use dataset::{Dataset, InMemory, Subset};
pub use enlarged::Enlarged;
pub use error::{Error, Result};
pub use extension::DatasetExt;
pub use facts::{DatasetFacts, content_digest, dataset_facts, dataset_facts_with_contents};
pub use folder::{
    EnlargedFolder, FolderEnlargement, ImageFolder, ImageFolderBuilder, Labels, ScanReport,
    decode_file,
};
pub use grid::{image_grid, save_png};
pub use hygiene::{DuplicateGroup, DuplicateImage, DuplicateReport, DuplicateSearch};
pub use loader::{Batch, Batches, LastBatch, LoaderConfig, LoaderTimes, Order, ViewLoader};
pub use partly_labelled::PartlyLabelled;
pub use seed::Seed;
pub use split::{
    Folds, Fractions, Groups, Split, grouped_split, label_budget, stratified_split,
    unlabelled_fraction,
};
pub use synthetic::{Disturbance, SyntheticCores, SyntheticTextures};
