//! How sections are cut.

use serde::{Deserialize, Serialize};

use crate::error::{Result, check};
use crate::outline::Crop;
use crate::setters::setters;

/// How pixels become centimetres.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Scale {
    /// The core in the picture is as long as the table of depths says. Without a length there
    /// are no offsets in centimetres.
    #[default]
    FromLength,
    /// So many pixels are a centimetre in every picture.
    PixelsPerCm(f64),
    /// The core is so many centimetres wide.
    CoreWidthCm(f64),
}

/// How sections are cut into tiles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TileSettings {
    /// Side of the tiles in pixels. They show a square as wide as the core and are made smaller, but
    /// never larger, than they are in the photograph. Default: 256.
    pub side: usize,
    /// The share of its side by which a tile overlaps the one above it, 0 to 0.9. Default: 0.
    pub overlap: f64,
    /// Tiles with a smaller share of core are left out, 0 to 1. Default: 0.8.
    pub min_core_fraction: f64,
    /// Where the core is in every picture. Default: it is looked for in each.
    pub crop: Option<Crop>,
    /// How pixels become centimetres. Default: by the sections' lengths.
    pub scale: Scale,
    /// The share of a tile that its class has to cover. Default: 0.75.
    pub min_class_share: f64,
}

impl Default for TileSettings {
    fn default() -> Self {
        Self {
            side: 256,
            overlap: 0.0,
            min_core_fraction: 0.8,
            crop: None,
            scale: Scale::default(),
            min_class_share: 0.75,
        }
    }
}

impl TileSettings {
    setters! {
        with_side(side: usize);
        with_overlap(overlap: f64);
        with_min_core_fraction(min_core_fraction: f64);
        with_crop(crop: Option<Crop>);
        with_scale(scale: Scale);
        with_min_class_share(min_class_share: f64);
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) for one that is out of range.
    pub fn validate(&self) -> Result<()> {
        check(
            (8..=4096).contains(&self.side),
            "side",
            "8 to 4096 pixels",
            self.side,
        )?;
        check(
            (0.0..=0.9).contains(&self.overlap),
            "overlap",
            "0 to 0.9",
            self.overlap,
        )?;
        for (name, share) in [
            ("min-core-fraction", self.min_core_fraction),
            ("min-class-share", self.min_class_share),
        ] {
            check((0.0..=1.0).contains(&share), name, "0 to 1", share)?;
        }
        let (Scale::PixelsPerCm(scale) | Scale::CoreWidthCm(scale)) = self.scale else {
            return Ok(());
        };
        check(
            scale > 0.0 && scale.is_finite(),
            "scale",
            "a number above 0",
            scale,
        )
    }
}
