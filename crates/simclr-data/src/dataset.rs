use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use simclr_augment::DecodedImage;

use crate::depth_position::DepthPosition;
use crate::error::{Error, Result};

/// Images by index, with labels if there are any.
///
/// Loaders, splits and evaluations see images through this trait alone, so a set of your
/// own (a database, an archive, a camera's memory) needs only [`len`](Self::len) and
/// [`decode`](Self::decode); a labelled one also [`class_names`](Self::class_names) and
/// [`label`](Self::label). Images are decoded on worker threads, hence `Send + Sync`.
/// Errors of your own are returned with [`Error::other`].
///
/// `&D`, `Box<D>` and `Arc<D>` are data sets if `D` is one, and forward every method.
///
/// ```
/// use simclr_data::{Dataset, DecodedImage, Error, IntoDataset, Result};
///
/// struct Archive(Vec<Vec<u8>>);
///
/// impl Dataset for Archive {
///     fn len(&self) -> usize {
///         self.0.len()
///     }
///
///     fn decode(&self, index: usize) -> Result<DecodedImage> {
///         let bytes = self.0.get(index).ok_or_else(|| Error::other("no such entry"))?;
///         simclr_data::decode_bytes(&self.name(index), bytes)
///     }
/// }
///
/// let archive = Archive(vec![b"not an image".to_vec()]).into_dataset();
/// assert_eq!(archive.name(0), "image 0");
/// assert_eq!(archive.decode(1).unwrap_err().to_string(), "no such entry");
/// ```
pub trait Dataset: Send + Sync {
    /// How many images there are.
    fn len(&self) -> usize;

    /// The image itself.
    ///
    /// # Errors
    /// If the image cannot be read, or `index` is past the end. The message names the
    /// image.
    fn decode(&self, index: usize) -> Result<DecodedImage>;

    /// The class names in label order. Default: empty, for images without labels.
    fn class_names(&self) -> &[String] {
        &[]
    }

    /// The label of an image: an index into [`class_names`](Self::class_names), or `None`
    /// if the image has no label or does not exist. Default: `None`.
    fn label(&self, index: usize) -> Option<u32> {
        let _ = index;
        None
    }

    /// What to call an image in messages and tables, such as its path. Default:
    /// `image 0`, `image 1` and so on.
    fn name(&self, index: usize) -> String {
        format!("image {index}")
    }

    /// Where an image was taken along a hole, or `None` if that is not known. Default: `None`.
    fn position(&self, index: usize) -> Option<DepthPosition> {
        let _ = index;
        None
    }

    /// Whether there is no image at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// SHA-256 of an image's content, whatever its name and label: the key of caches.
    ///
    /// By default that of its size and pixels; a folder takes the file's bytes, which
    /// costs no decoding. The same pixels may therefore have different digests in
    /// different kinds of sets, but different pixels never the same.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    fn content_digest(&self, index: usize) -> Result<[u8; 32]> {
        Ok(pixel_digest(&self.decode(index)?))
    }

    /// All labels in order.
    ///
    /// # Errors
    /// If an image has no label, or one without a class. `operation` says in the message
    /// what the labels were needed for.
    fn labels(&self, operation: &'static str) -> Result<Vec<u32>> {
        labels_one_by_one(self, operation)
    }

    /// How many images each class has, in label order; images without a label are not
    /// counted.
    fn class_counts(&self) -> Vec<usize> {
        let labels = (0..self.len()).filter_map(|index| self.label(index));
        count_labels(self.class_names().len(), labels)
    }
}

/// The number of images and the classes.
impl fmt::Debug for dyn Dataset + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataset")
            .field("len", &self.len())
            .field("class_names", &self.class_names())
            .finish_non_exhaustive()
    }
}

/// Fails for fewer than two classes: every classifier is right about images of one class.
///
/// # Errors
/// [`Error::Setting`].
pub fn check_class_count(names: &[String]) -> Result<()> {
    if names.len() < 2 {
        let found = format!("{} ({})", names.len(), names.join(", "));
        return Err(Error::setting(
            "classes",
            "at least two, to be told apart",
            found,
        ));
    }
    Ok(())
}

/// The label of each image, asked for one by one.
pub(crate) fn labels_one_by_one<D>(dataset: &D, operation: &'static str) -> Result<Vec<u32>>
where
    D: Dataset + ?Sized,
{
    let classes = dataset.class_names().len();
    let label_of = |index| match dataset.label(index) {
        None => Err(Error::Unlabelled {
            operation,
            name: dataset.name(index),
        }),
        Some(label) if label as usize >= classes => Err(Error::Label {
            name: dataset.name(index),
            label,
            classes,
        }),
        Some(label) => Ok(label),
    };
    (0..dataset.len()).map(label_of).collect()
}

/// How many of the labels belong to each class.
pub(crate) fn count_labels(classes: usize, labels: impl IntoIterator<Item = u32>) -> Vec<usize> {
    let mut counts = vec![0; classes];
    for label in labels {
        if let Some(count) = counts.get_mut(label as usize) {
            *count += 1;
        }
    }
    counts
}

/// SHA-256 of an image's size and pixels.
pub(crate) fn pixel_digest(image: &DecodedImage) -> [u8; 32] {
    let mut digest = Sha256::new();
    for side in [image.height(), image.width()] {
        digest.update((side as u64).to_le_bytes());
    }
    digest.update(image.data());
    digest.finalize().into()
}

/// Methods that call those of the same name of what `self` points to.
macro_rules! forward {
    ($($method:ident($($argument:ident: $type:ty)?) -> $output:ty;)*) => {$(
        fn $method(&self, $($argument: $type)?) -> $output {
            (**self).$method($($argument)?)
        }
    )*};
}

macro_rules! forward_to_pointee {
    ($($pointer:ty),*) => {$(
        impl<D: Dataset + ?Sized> Dataset for $pointer {
            forward! {
                len() -> usize;
                decode(index: usize) -> Result<DecodedImage>;
                class_names() -> &[String];
                label(index: usize) -> Option<u32>;
                name(index: usize) -> String;
                position(index: usize) -> Option<DepthPosition>;
                is_empty() -> bool;
                content_digest(index: usize) -> Result<[u8; 32]>;
                labels(operation: &'static str) -> Result<Vec<u32>>;
                class_counts() -> Vec<usize>;
            }
        }
    )*};
}

forward_to_pointee!(&D, Box<D>, Arc<D>);

/// Anything that can be shared as a data set: every [`Dataset`] by value, and
/// `Arc<dyn Dataset>` itself. Loaders and training runs take `impl IntoDataset`.
pub trait IntoDataset {
    /// The set behind a shared pointer.
    fn into_dataset(self) -> Arc<dyn Dataset>;
}

impl<D: Dataset + 'static> IntoDataset for D {
    fn into_dataset(self) -> Arc<dyn Dataset> {
        Arc::new(self)
    }
}
