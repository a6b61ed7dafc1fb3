//! TIFF files of every kind, written here, and what their pixels are.
#![cfg(feature = "tiff")]
#![allow(clippy::unwrap_used)]

mod color;
mod compression;
mod file;
mod pages;
mod refused;
mod samples;
mod tall;
