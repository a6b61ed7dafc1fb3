use candle_core::{Device, Tensor};
use simclr_augment::{CHANNELS, Image};

use crate::error::{Error, Result};

/// Images of one size as a tensor `[n, height, width, 3]`, f32, in the layout that the
/// networks take.
///
/// ```
/// use simclr_data::{Dataset, Seed, SyntheticCores, images_to_tensor};
///
/// let cores = SyntheticCores::new(4, 32, Seed(1))?;
/// let images = [cores.decode(0)?.to_image(), cores.decode(3)?.to_image()];
/// let batch = images_to_tensor(&images, &candle_core::Device::Cpu)?;
/// assert_eq!(batch.dims(), [2, 32, 32, 3]);
/// # Ok::<(), simclr_data::Error>(())
/// ```
///
/// # Errors
/// If there is no image or they differ in size, or the device refuses the tensor.
pub fn images_to_tensor(images: &[Image], device: &Device) -> Result<Tensor> {
    let size = |image: &Image| (image.height(), image.width());
    let Some(first) = images.first() else {
        let name = "the number of images in a tensor";
        return Err(Error::setting(name, "at least 1", 0));
    };
    let (height, width) = size(first);
    if let Some(other) = images.iter().find(|image| size(image) != size(first)) {
        let expected = format!("{height} x {width}, as that of the first");
        let found = format!("{} x {}", other.height(), other.width());
        return Err(Error::setting("the size of an image", expected, found));
    }
    let mut values = Vec::with_capacity(images.len() * height * width * CHANNELS);
    for image in images {
        values.extend_from_slice(image.data());
    }
    let shape = (images.len(), height, width, CHANNELS);
    Ok(Tensor::from_vec(values, shape, device)?)
}
