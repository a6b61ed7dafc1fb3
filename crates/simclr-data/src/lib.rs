//! Images for SimCLR: folders, splits, folds, label budgets, the view loader and a
//! synthetic set of core images.
//!
//! A set of images is anything that implements [`Dataset`]. [`ImageFolder`] reads
//! class folders or unlabelled ones, [`InMemory`] holds decoded images.
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

mod class_map;
mod dataset;
mod error;
mod extension;
mod folder;
mod loader;
mod seed;
mod split;

pub use class_map::{ClassMap, Mapped, ResolvedClasses};
pub use dataset::{Dataset, InMemory, Subset};
pub use error::{Error, Result};
pub use extension::DatasetExt;
pub use folder::{ImageFolder, ImageFolderBuilder, Labels, ScanReport, decode_file};
pub use loader::{Batch, Batches, LastBatch, LoaderConfig, LoaderTimes, Order, ViewLoader};
pub use seed::Seed;
pub use split::{Folds, Fractions, Split, label_budget, stratified_split, unlabelled_fraction};
