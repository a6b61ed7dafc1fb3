use hayro_jpeg2000::{ColorSpace, ComponentData, DecodeSettings, DecoderContext, Image};
use simclr_augment::DecodedImage;

use super::codestream;
use super::format::Format;
use super::options::DecodeOptions;

pub(super) const FORMAT: Format = Format {
    name: "JPEG 2000",
    extensions: &["jp2", "j2k", "j2c", "jpc", "jpf", "jpx"],
    recognizes: |bytes| {
        bytes.starts_with(b"\0\0\0\x0CjP  \r\n\x87\n") || bytes.starts_with(b"\xFF\x4F\xFF\x51")
    },
    decode,
    orientation: |_| None,
    read_rows: None,
};

fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<DecodedImage, String> {
    let damaged = |error| format!("the JPEG 2000 file is damaged or of an unusual kind: {error}");
    let bytes = codestream::checked(bytes)?;
    // Without it, the part of a truncated file that is there is decoded, and the rest is blurred.
    let settings = DecodeSettings {
        strict: true,
        ..DecodeSettings::default()
    };
    let image = Image::new(bytes, &settings).map_err(damaged)?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    options.admit(width, height)?;
    let channels = match image.color_space() {
        ColorSpace::Gray
        | ColorSpace::Icc {
            num_channels: 1, ..
        } => 1,
        ColorSpace::RGB
        | ColorSpace::Icc {
            num_channels: 3, ..
        } => 3,
        other => {
            return Err(format!(
                "this kind of JPEG 2000 is not read: {} inks or channels",
                other.num_channels()
            ));
        }
    };
    let mut context = DecoderContext::default();
    let decoded = image.decode(&mut context).map_err(damaged)?;
    let mut pixels = vec![0; height * width * channels];
    let components = decoded.components();
    let is_full = |component: &ComponentData| component.samples().len() == height * width;
    if components.len() < channels || !components.iter().all(is_full) {
        return Err(format!(
            "the JPEG 2000 file is damaged: not all of its {channels} components have \
             {width} x {height} samples"
        ));
    }
    for (channel, component) in components.iter().take(channels).enumerate() {
        let bits = component.bit_depth();
        let places = pixels.iter_mut().skip(channel).step_by(channels);
        for (byte, sample) in places.zip(component.samples()) {
            *byte = to_byte(*sample, bits);
        }
    }
    let decoded = if channels == 1 {
        DecodedImage::from_gray(height, width, &pixels)
    } else {
        DecodedImage::new(height, width, pixels)
    };
    decoded.map_err(|error| error.to_string())
}

/// A sample of `bits` bits as one of 8: the upper eight, or scaled up to them.
fn to_byte(sample: f32, bits: u8) -> u8 {
    let largest = (1u64 << bits) - 1;
    let scale = if bits < 8 {
        255.0 / largest as f32
    } else {
        1.0
    };
    let value = ((sample * scale + 0.5) as u64).min(largest.max(255));
    (value >> bits.saturating_sub(8)) as u8
}
