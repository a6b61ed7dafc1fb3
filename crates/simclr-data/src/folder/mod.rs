mod file_digests;
mod image_folder;
mod report;
mod scan;

pub use image_folder::{ImageFolder, ImageFolderBuilder, Labels};
pub use report::ScanReport;
