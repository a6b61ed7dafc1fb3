//! The integration tests of the crate, in one program.

mod benchmark;
mod both_ways;
mod dataset;
mod decode;
mod duplicates;
mod folder;
mod groups;
mod loader;
mod offline_augmentation;
mod rows;
mod splits;
mod synthetic;
mod tables;
mod tiff;
