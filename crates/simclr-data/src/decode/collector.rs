use simclr_augment::{DecodedImage, RowSink};

/// A picture that is put together from its rows.
#[derive(Default)]
pub(super) struct Collector {
    height: usize,
    width: usize,
    pixels: Vec<u8>,
    /// Why there is no memory for it.
    failure: Option<String>,
}

impl Collector {
    pub(super) fn finish(self) -> Result<DecodedImage, String> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let image = DecodedImage::new(self.height, self.width, self.pixels);
        image.map_err(|error| error.to_string())
    }
}

impl RowSink for Collector {
    fn begin(&mut self, height: usize, width: usize) {
        (self.height, self.width) = (height, width);
        let bytes = height.saturating_mul(width).saturating_mul(3);
        let reserved = self.pixels.try_reserve_exact(bytes);
        self.failure = reserved
            .err()
            .map(|error| format!("the picture is too large for the memory: {error}"));
    }

    fn rows(&mut self, rgb: &[u8]) {
        if self.failure.is_none() {
            self.pixels.extend_from_slice(rgb);
        }
    }
}
