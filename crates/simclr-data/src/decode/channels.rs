/// Keeps the first channels of each pixel, in place.
pub(super) fn keep_first(pixels: &mut Vec<u8>, channels: usize, kept: usize) {
    let count = pixels.len() / channels;
    for pixel in 0..count {
        pixels.copy_within(pixel * channels..pixel * channels + kept, pixel * kept);
    }
    pixels.truncate(count * kept);
}
