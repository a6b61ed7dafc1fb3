use std::path::Path;

use super::format::Format;

/// The formats that are compiled in.
pub(super) const FORMATS: &[Format] = &[
    super::jpeg::FORMAT,
    #[cfg(feature = "png")]
    super::png::FORMAT,
    #[cfg(feature = "tiff")]
    super::tiff::FORMAT,
    #[cfg(feature = "bmp")]
    super::bmp::FORMAT,
    #[cfg(feature = "webp")]
    super::webp::FORMAT,
    #[cfg(feature = "jpeg2000")]
    super::jpeg2000::FORMAT,
];

/// The names of the formats that are compiled in, for messages.
pub(crate) fn readable_formats() -> String {
    let names: Vec<&str> = FORMATS.iter().map(|format| format.name).collect();
    names.join(", ")
}

/// Whether a file's name ends like that of an image that can be read.
pub(crate) fn has_image_extension(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| {
        let mut known = FORMATS.iter().flat_map(|format| format.extensions);
        known.any(|known| known.eq_ignore_ascii_case(extension))
    })
}
