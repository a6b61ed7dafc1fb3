//! Where in a photograph the core is.

use serde::{Deserialize, Serialize};
use simclr_augment::DecodedImage;

use super::mask::Mask;
use crate::error::{Result, check};

/// Where the core of a section is in its photograph. Lengths are in pixels of the photograph;
/// places along the core are counted from its top, along its axis.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CoreOutline {
    /// Column and row of the middle of the core's top.
    pub top: (f64, f64),
    /// The angle in degrees by which the core is turned; positive if its bottom lies further to
    /// the left than its top.
    pub tilt: f64,
    /// Width of the core.
    pub width: f64,
    /// From the top of the first piece to the bottom of the last.
    pub length: f64,
    /// Tops and bottoms of the pieces, without the gaps between them.
    pub pieces: Vec<(f64, f64)>,
    /// Whether both of the core's edges were found or given. Otherwise the picture's border
    /// takes the place of an edge: the photograph was cut to the core.
    pub has_edges: bool,
    /// Left and right end of what looks like another core beside this one, in columns halfway down
    /// the photograph: an outline is of one core.
    pub second_core: Option<(f64, f64)>,
    pub(super) mask: Mask,
}

impl CoreOutline {
    /// The outline of an upright core without gaps.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the crop is empty or not within the picture.
    pub fn of_crop(crop: Crop, picture: &DecodedImage) -> Result<Self> {
        Self::of_crop_in(crop, (picture.height(), picture.width()))
    }

    /// [`of_crop`](Self::of_crop) in a picture of so many rows and columns.
    pub(crate) fn of_crop_in(crop: Crop, (height, width): (usize, usize)) -> Result<Self> {
        let right = crop.left.saturating_add(crop.width);
        let bottom = crop.top.saturating_add(crop.height);
        let inside = crop.width > 0 && crop.height > 0;
        let expected = format!("a part of {width} x {height} pixels");
        check(
            inside && right <= width && bottom <= height,
            "crop",
            &expected,
            format!("{},{},{},{}", crop.left, crop.top, crop.width, crop.height),
        )?;
        Ok(Self {
            top: (crop.left as f64 + crop.width as f64 / 2.0, crop.top as f64),
            tilt: 0.0,
            width: crop.width as f64,
            length: crop.height as f64,
            pieces: vec![(0.0, crop.height as f64)],
            has_edges: true,
            second_core: None,
            mask: Mask::full(),
        })
    }

    /// Column and row of a point, `across` from the core's axis to the right and `along` from its
    /// top.
    pub fn locate(&self, across: f64, along: f64) -> (f64, f64) {
        let (sin, cos) = self.tilt.to_radians().sin_cos();
        let (column, row) = self.top;
        (
            column + cos * across - sin * along,
            row + sin * across + cos * along,
        )
    }

    /// The share of core between two places along it.
    pub fn core_fraction(&self, top: f64, bottom: f64) -> f64 {
        self.mask.fraction(top, bottom)
    }
}

/// A part of a picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    /// Columns to its left.
    pub left: usize,
    /// Rows above it.
    pub top: usize,
    /// Its width.
    pub width: usize,
    /// Its height.
    pub height: usize,
}

impl std::str::FromStr for Crop {
    type Err = String;

    /// `LEFT,TOP,WIDTH,HEIGHT`.
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Result<Vec<usize>, _> =
            text.split(',').map(|part| part.trim().parse()).collect();
        match numbers.as_deref() {
            Ok(&[left, top, width, height]) => Ok(Self {
                left,
                top,
                width,
                height,
            }),
            _ => Err(format!(
                "expected LEFT,TOP,WIDTH,HEIGHT in pixels, found {text}"
            )),
        }
    }
}
