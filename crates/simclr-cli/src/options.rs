//! Options that programs share.

use std::path::Path;

use clap::Args;
use simclr_data::{DecodeOptions, ImageFolder, ImageFolderBuilder, Labels};

use crate::terminal::AnyResult;

/// How image files are decoded.
#[derive(Args, Debug, Clone, Copy)]
pub struct DecodeArguments {
    /// The most pixels that a picture may have.
    #[arg(long, default_value_t = DecodeOptions::default().max_pixels)]
    max_pixels: u64,
    /// Turn pictures as their files ask, by EXIF's or TIFF's orientation.
    #[arg(long)]
    apply_orientation: bool,
}

/// How a folder of image files is read.
#[derive(Args, Debug, Clone, Copy)]
pub struct FolderArguments {
    /// Leave out images that cannot be read, and list them.
    #[arg(long)]
    pub skip_unreadable: bool,
    #[command(flatten)]
    decode: DecodeArguments,
}

impl DecodeArguments {
    /// The options as the library has them.
    pub fn options(self) -> DecodeOptions {
        DecodeOptions::default()
            .with_max_pixels(self.max_pixels)
            .with_apply_orientation(self.apply_orientation)
    }

    /// A folder of sections' photographs.
    pub(crate) fn photographs(self, dir: &Path) -> AnyResult<ImageFolder> {
        let photographs = ImageFolder::builder(dir).labels(Labels::Ignored);
        Ok(photographs.decode_options(self.options()).open()?)
    }
}

impl FolderArguments {
    /// The builder of a folder's images.
    pub fn builder(self, dir: &Path) -> ImageFolderBuilder {
        ImageFolder::builder(dir)
            .skip_unreadable(self.skip_unreadable)
            .decode_options(self.decode.options())
    }

    /// The first option that is for image files and was given.
    pub fn given(self) -> Option<&'static str> {
        let DecodeOptions {
            max_pixels,
            apply_orientation,
            ..
        } = self.decode.options();
        let given = [
            ("--skip-unreadable", self.skip_unreadable),
            ("--apply-orientation", apply_orientation),
            (
                "--max-pixels",
                max_pixels != DecodeOptions::default().max_pixels,
            ),
        ];
        first_given(&given)
    }
}

/// The first of these options that is given.
pub(crate) fn first_given(options: &[(&'static str, bool)]) -> Option<&'static str> {
    let first = options.iter().find(|(_, is_given)| *is_given);
    first.map(|(option, _)| *option)
}

/// A length in metres, from a number with its unit.
pub(crate) fn metres(text: &str) -> Result<f64, String> {
    let units = [("cm", 0.01), ("mm", 0.001), ("m", 1.0)];
    let (number, unit) = units
        .iter()
        .find_map(|(unit, metres)| Some((text.strip_suffix(unit)?, metres)))
        .ok_or_else(|| format!("{text} has no unit: write 5cm, 50mm or 0.05m"))?;
    let number: f64 = number
        .trim()
        .parse()
        .map_err(|_| format!("{text} is no length; write 5cm, for example"))?;
    Ok(number * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_units() {
        assert_eq!(metres("5cm"), Ok(0.05));
        assert_eq!(metres("50 mm"), Ok(0.05));
        assert_eq!(metres("10m"), Ok(10.0));
        assert!(metres("5").is_err() && metres("xcm").is_err());
    }
}
