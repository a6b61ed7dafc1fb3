//! TIFF and BigTIFF. Directory, strips and tiles, samples and colours are read here, since the
//! crates for TIFF get kinds of files wrong that geological images have (see the book's page on
//! images); each compression is a crate's.

mod chunk;
mod color;
mod compression;
mod directory;
mod fax;
mod jpeg;
mod layout;
mod page;
mod reason;
mod samples;
mod ycbcr;
mod ycbcr_conversion;

pub(super) use page::FORMAT;
