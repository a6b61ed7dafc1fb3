//! What a first reading of a photograph gives.

use image::RgbImage;
use simclr_augment::RowSink;

use super::preview::WIDTH;
use super::thumbnail::Thumbnail;
use crate::error::{Error, Result};
use crate::outline::{CoreOutline, Crop, Reduced};

/// A photograph at the sizes at which its core is looked for and at which it is shown.
pub(super) struct Overview {
    /// Rows and columns of the photograph.
    pub(super) size: (usize, usize),
    /// Unless a crop says where the core is.
    reduced: Option<Reduced>,
    thumbnail: Thumbnail,
}

impl Overview {
    pub(super) fn new(crop: Option<Crop>) -> Self {
        Self {
            size: (0, 0),
            reduced: crop.is_none().then(Reduced::default),
            thumbnail: Thumbnail::new(WIDTH as usize),
        }
    }

    /// Where the core is; frees what it is looked for in.
    pub(super) fn outline(&mut self, section: &str, crop: Option<Crop>) -> Result<CoreOutline> {
        match (crop, self.reduced.take()) {
            (None, Some(reduced)) => CoreOutline::find_in(section, reduced),
            (Some(crop), _) => CoreOutline::of_crop_in(crop, self.size),
            (None, None) => Err(Error::mismatch(section, "its core was looked for before")),
        }
    }

    pub(super) fn thumbnail(self, section: &str) -> Result<RgbImage> {
        self.thumbnail.finish(section)
    }
}

impl RowSink for Overview {
    fn begin(&mut self, height: usize, width: usize) {
        self.size = (height, width);
        if let Some(reduced) = &mut self.reduced {
            reduced.begin(height, width);
        }
        self.thumbnail.begin(height, width);
    }

    fn rows(&mut self, rgb: &[u8]) {
        if let Some(reduced) = &mut self.reduced {
            reduced.rows(rgb);
        }
        self.thumbnail.rows(rgb);
    }
}
