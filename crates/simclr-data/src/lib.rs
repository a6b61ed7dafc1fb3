#![doc = include_str!("../README.md")]
#![warn(missing_debug_implementations)]

#[cfg(feature = "candle-datasets")]
pub mod benchmark;

mod augmented;
#[cfg(feature = "png")]
mod augmented_folder;
mod class_map;
mod class_names;
mod concatenated;
mod convert;
mod csv_table;
mod dataset;
mod decode;
mod dedup;
mod depth;
mod depth_position;
mod error;
mod extension;
mod facts;
mod folder;
mod grid;
mod image_files;
mod image_table;
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
pub use csv_table::{CsvRow, CsvTable, ImageRow, image_path};
pub use dataset::{Dataset, IntoDataset, check_class_count};
pub use decode::{
    DecodeOptions, RowReader, decode_bytes, decode_bytes_with, decode_file, decode_file_with,
};
pub use dedup::{DuplicateGroup, DuplicateImage, DuplicateKind, DuplicateReport, DuplicateSearch};
pub use depth::{DepthGuidance, DepthNeighbours};
pub use depth_position::DepthPosition;
pub use error::{Error, Result};
pub use extension::DatasetExt;
pub use facts::{DatasetFacts, content_digest, dataset_facts, dataset_facts_with_contents};
pub use folder::{ImageFolder, ImageFolderBuilder, Labels, ScanReport};
pub use grid::image_grid;
pub use image_files::{ImageFiles, joined_image_files};
pub use image_table::ImageTable;
pub use in_memory::InMemory;
pub use loader::{Batch, Batches, LastBatch, LoaderConfig, LoaderTimes, Order, Shard, ViewLoader};
pub use mapped::{Mapped, ResolvedClasses};
pub use offline_augmentation::OfflineAugmentation;
pub use partly_labelled::PartlyLabelled;
#[cfg(feature = "png")]
pub use save::save_png;
pub use simclr_augment::Seed;
pub use split::{Folds, Fractions, Groups, Split, grouped_split, stratified_split};
pub use subset::Subset;
pub use synthetic::{
    Disturbance, SectionInterval, SectionTruth, SyntheticCores, SyntheticHole, SyntheticHoleConfig,
    SyntheticTextures,
};
