//! Data sets whose images are those of other data sets.

/// The methods of [`Dataset`](crate::Dataset) about single images, forwarded to the set
/// and index that `self.locate(index)` finds.
macro_rules! forward_images {
    () => {
        fn name(&self, index: usize) -> String {
            match self.locate(index) {
                Some((set, index)) => set.name(index),
                None => format!("image {index}"),
            }
        }

        fn decode(&self, index: usize) -> $crate::Result<simclr_augment::DecodedImage> {
            match self.locate(index) {
                Some((set, index)) => set.decode(index),
                None => Err($crate::Error::Index {
                    index,
                    len: self.len(),
                }),
            }
        }

        fn content_digest(&self, index: usize) -> $crate::Result<[u8; 32]> {
            match self.locate(index) {
                Some((set, index)) => set.content_digest(index),
                None => Err($crate::Error::Index {
                    index,
                    len: self.len(),
                }),
            }
        }
    };
}

pub(crate) use forward_images;
