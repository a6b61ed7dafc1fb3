//! Image data sets for SimCLR: folders, splits, folds, label budgets, duplicate search, the
//! loader of augmented views, and synthetic core images.
//!
//! A set of images is anything that implements [`Dataset`]:
//!
//! * [`ImageFolder`]: class folders, or any folder without labels;
//! * [`SyntheticCores`]: sediment cores with ten kinds of drilling disturbance, drawn on
//!   demand, so that everything runs without data; [`SyntheticTextures`]: another domain,
//!   to transfer from;
//! * [`InMemory`]: decoded images; with the feature `candle-datasets`, the module
//!   `benchmark` reads CIFAR-10 and MNIST into it;
//! * [`Subset`] and [`Mapped`]: some images of a set, or the same with other classes;
//! * [`Concatenated`]: sets with the same classes as one;
//! * [`AugmentedDataset`]: a set and altered copies of its images;
//! * [`PartlyLabelled`]: images with labels and images without.
//!
//! [`DatasetExt`] splits, reduces and regroups them, [`Folds`] cross-validates, and
//! [`ViewLoader`] makes batches of augmented views on threads of its own. Everything
//! random depends on a [`Seed`] and on nothing else.
//!
//! [`DuplicateSearch`] finds images that are the same, or nearly so, within a set and
//! across the parts of a split; [`Groups`] keeps them, and images of the same core or well,
//! in one part.
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

#![warn(missing_debug_implementations)]

#[cfg(feature = "candle-datasets")]
pub mod benchmark;

mod augmented;
#[cfg(feature = "png")]
mod augmented_folder;
mod class_map;
mod concatenated;
mod convert;
mod dataset;
mod decode;
mod dedup;
mod error;
mod extension;
mod facts;
mod folder;
mod grid;
mod in_memory;
mod loader;
mod located;
mod mapped;
mod offline_augmentation;
mod partly_labelled;
#[cfg(feature = "png")]
mod save;
mod setters;
mod split;
mod streams;
mod subset;
mod synthetic;

pub use candle_core;
pub use simclr_augment::DecodedImage;

pub use augmented::AugmentedDataset;
#[cfg(feature = "png")]
pub use augmented_folder::AugmentedFolder;
pub use class_map::ClassMap;
pub use concatenated::Concatenated;
pub use convert::images_to_tensor;
pub use dataset::{Dataset, IntoDataset};
pub use decode::{decode_bytes, decode_file};
pub use dedup::{DuplicateGroup, DuplicateImage, DuplicateReport, DuplicateSearch};
pub use error::{Error, Result};
pub use extension::DatasetExt;
pub use facts::{DatasetFacts, content_digest, dataset_facts, dataset_facts_with_contents};
pub use folder::{ImageFolder, ImageFolderBuilder, Labels, ScanReport};
pub use grid::image_grid;
pub use in_memory::InMemory;
pub use loader::{Batch, Batches, LastBatch, LoaderConfig, LoaderTimes, Order, ViewLoader};
pub use mapped::{Mapped, ResolvedClasses};
pub use offline_augmentation::OfflineAugmentation;
pub use partly_labelled::PartlyLabelled;
#[cfg(feature = "png")]
pub use save::save_png;
pub use simclr_augment::Seed;
pub use split::{Folds, Fractions, Groups, Split, grouped_split, stratified_split};
pub use subset::Subset;
pub use synthetic::{Disturbance, SyntheticCores, SyntheticTextures};
