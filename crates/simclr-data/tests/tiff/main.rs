//! TIFF files of every kind, written here, and what their pixels are.
#![cfg(feature = "tiff")]
#![allow(clippy::unwrap_used)]

mod compression;
mod file;
mod refused;
mod samples;
