mod file_digests;
mod image_folder;
mod scan;

pub use image_folder::{ImageFolder, ImageFolderBuilder, Labels};
pub use scan::ScanReport;
