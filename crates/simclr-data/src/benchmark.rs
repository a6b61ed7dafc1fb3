//! CIFAR-10 and MNIST from a local folder, read by candle-datasets.
//!
//! ```no_run
//! use simclr_data::{Dataset, benchmark};
//!
//! let cifar = benchmark::cifar10("cifar-10-batches-bin/")?;
//! println!("{} to train on, {} to test on", cifar.train.len(), cifar.test.len());
//! # Ok::<(), simclr_data::Error>(())
//! ```

use std::io::Read;
use std::path::Path;

use candle_core::{DType, Tensor};
use candle_datasets::vision;
use simclr_augment::DecodedImage;

use crate::error::{Error, Result};
use crate::in_memory::InMemory;

/// The two parts in which such sets are published.
#[derive(Debug, Clone)]
pub struct TrainTest {
    /// What to learn from.
    pub train: InMemory,
    /// What to report on.
    pub test: InMemory,
}

/// CIFAR-10's class names in label order.
const CIFAR10_CLASSES: &str = "airplane automobile bird cat deer dog frog horse ship truck";

/// CIFAR-10 in its binary form: `data_batch_1.bin` to `data_batch_5.bin` and
/// `test_batch.bin`, 10,000 images each, 32 x 32 colour.
///
/// Files: <https://www.cs.toronto.edu/~kriz/cifar.html>. Reading them takes about
/// 1.5 GB for a moment (the floats of candle-datasets); 180 MB stay.
///
/// # Errors
/// If a file is missing, too short or holds a wrong label. The message names it.
pub fn cifar10(folder: impl AsRef<Path>) -> Result<TrainTest> {
    const BYTES: u64 = 10_000 * (1 + 32 * 32 * 3);
    let folder = folder.as_ref();
    let train = (1..=5).map(|number| format!("data_batch_{number}.bin"));
    for file in train.chain(["test_batch.bin".to_owned()]) {
        let path = folder.join(file);
        let bytes = file_size(&path)?;
        if bytes < BYTES {
            return Err(too_short(&path, BYTES, bytes));
        }
    }
    let loaded = vision::cifar::load_dir(folder)?;
    let classes = CIFAR10_CLASSES.split(' ').map(String::from);
    convert(&loaded, classes.collect())
}

/// MNIST in its original form: `train-images-idx3-ubyte`,
/// `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
/// `t10k-labels-idx1-ubyte`, 28 x 28 grey, unzipped.
///
/// Files: <http://yann.lecun.com/exdb/mnist/>. Fashion-MNIST has the same form.
///
/// # Errors
/// If a file is missing, not of this form or too short. The message names it.
pub fn mnist(folder: impl AsRef<Path>) -> Result<TrainTest> {
    let folder = folder.as_ref();
    for part in ["train", "t10k"] {
        check_idx::<3>(&folder.join(format!("{part}-images-idx3-ubyte")), 2051)?;
        check_idx::<1>(&folder.join(format!("{part}-labels-idx1-ubyte")), 2049)?;
    }
    let loaded = vision::mnist::load_dir(folder)?;
    let digits = (0..10).map(|digit: u32| digit.to_string());
    convert(&loaded, digits.collect())
}

/// A set that candle-datasets has loaded, in our form. Images are `[n, 3, h, w]` or
/// `[n, h * h]` (grey, square), f32 in [0, 1].
///
/// # Errors
/// If the images have another shape, or a label has no class.
pub fn convert(loaded: &vision::Dataset, classes: Vec<String>) -> Result<TrainTest> {
    let part = |images: &Tensor, labels: &Tensor| {
        let image = |index| to_image(&images.get(index)?);
        let images = (0..images.dim(0)?).map(image).collect::<Result<_>>()?;
        let labels = labels.to_dtype(DType::U32)?.to_vec1()?;
        InMemory::labelled(images, labels, classes.clone())
    };
    Ok(TrainTest {
        train: part(&loaded.train_images, &loaded.train_labels)?,
        test: part(&loaded.test_images, &loaded.test_labels)?,
    })
}

fn to_image(image: &Tensor) -> Result<DecodedImage> {
    let bytes = |values: Tensor| -> Result<Vec<u8>> {
        let values: Vec<f32> = values.flatten_all()?.to_vec1()?;
        Ok(values.iter().map(|v| (v * 255.0).round() as u8).collect())
    };
    match *image.dims() {
        [3, height, width] => {
            let data = bytes(image.permute((1, 2, 0))?)?;
            Ok(DecodedImage::new(height, width, data)?)
        }
        [pixels] if pixels.isqrt().pow(2) == pixels => {
            let side = pixels.isqrt();
            Ok(DecodedImage::from_gray(side, side, &bytes(image.clone())?)?)
        }
        ref other => {
            let (expected, found) = ("[3, height, width] or [side * side]", format!("{other:?}"));
            Err(Error::setting("the shape of an image", expected, found))
        }
    }
}

fn file_size(path: &Path) -> Result<u64> {
    let metadata = std::fs::metadata(path).map_err(|source| Error::io(path, source))?;
    Ok(metadata.len())
}

fn too_short(path: &Path, expected: u64, got: u64) -> Error {
    let reason = format!("{expected} bytes were expected, but the file has {got}");
    Error::unreadable(path.display(), reason)
}

/// Fails unless a file begins with `magic` and is as long as its `AXES` lengths say.
fn check_idx<const AXES: usize>(path: &Path, magic: u32) -> Result<()> {
    let bytes = file_size(path)?;
    let mut header = vec![0; 4 * (1 + AXES)];
    let header_bytes = header.len() as u64;
    if bytes < header_bytes {
        return Err(too_short(path, header_bytes, bytes));
    }
    std::fs::File::open(path)
        .and_then(|mut file| file.read_exact(&mut header))
        .map_err(|source| Error::io(path, source))?;
    let (words, _) = header.as_chunks::<4>();
    let mut words = words
        .iter()
        .map(|word| u64::from(u32::from_be_bytes(*word)));
    let found = words.next().unwrap_or_default();
    if found != u64::from(magic) {
        let reason = format!("not an IDX file of this kind: it begins with {found}, not {magic}");
        return Err(Error::unreadable(path.display(), reason));
    }
    let values = words.fold(1, u64::saturating_mul);
    let expected = values.saturating_add(header_bytes);
    if bytes < expected {
        return Err(too_short(path, expected, bytes));
    }
    Ok(())
}
