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

        $crate::located::forward_contents!();
    };
}

/// As [`forward_images`], for a set that names its images itself.
macro_rules! forward_contents {
    () => {
        fn decode(&self, index: usize) -> $crate::Result<simclr_augment::DecodedImage> {
            let len = self.len();
            let (set, index) = self
                .locate(index)
                .ok_or($crate::Error::Index { index, len })?;
            set.decode(index)
        }

        fn content_digest(&self, index: usize) -> $crate::Result<[u8; 32]> {
            let len = self.len();
            let (set, index) = self
                .locate(index)
                .ok_or($crate::Error::Index { index, len })?;
            set.content_digest(index)
        }

        fn position(&self, index: usize) -> Option<$crate::DepthPosition> {
            let (set, index) = self.locate(index)?;
            set.position(index)
        }
    };
}

pub(crate) use {forward_contents, forward_images};
