use std::io::{BufRead, Cursor, Seek};

use png::{ColorType, Decoder, DecodingError, Limits, Reader, Transformations};
use simclr_augment::{DecodedImage, RowSink};

use super::content::Content;
use super::format::Format;
use super::options::DecodeOptions;
use super::orientation::{of_exif, of_exif_data};

pub(super) const FORMAT: Format = Format {
    name: "PNG",
    extensions: &["png", "apng"],
    recognizes: |bytes| bytes.starts_with(b"\x89PNG\r\n\x1a\n"),
    decode,
    orientation,
    read_rows: Some(read_rows),
};

/// As TensorFlow's `decode_png`: palettes are resolved, of 16 bits the upper eight count, and
/// alpha is dropped and not blended. Of an animation, the default picture.
fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<DecodedImage, String> {
    let mut reader = open(Cursor::new(bytes), options)?;
    let (height, width) = size(&reader);
    let size = reader
        .output_buffer_size()
        .ok_or("the picture is too large")?;
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).map_err(reason)?;
    // Up to the end marker, without which the file is truncated.
    reader.finish().map_err(reason)?;
    pixels.truncate(frame.buffer_size());
    let image = match frame.color_type {
        ColorType::Grayscale => DecodedImage::from_gray(height, width, &pixels),
        ColorType::GrayscaleAlpha => {
            keep_first(&mut pixels, 2, 1);
            DecodedImage::from_gray(height, width, &pixels)
        }
        ColorType::Rgba => {
            keep_first(&mut pixels, 4, 3);
            DecodedImage::new(height, width, pixels)
        }
        ColorType::Rgb | ColorType::Indexed => DecodedImage::new(height, width, pixels),
    };
    image.map_err(|error| error.to_string())
}

/// Keeps the first channels of each pixel, in place.
fn keep_first(pixels: &mut Vec<u8>, channels: usize, kept: usize) {
    let count = pixels.len() / channels;
    for pixel in 0..count {
        pixels.copy_within(pixel * channels..pixel * channels + kept, pixel * kept);
    }
    pixels.truncate(count * kept);
}

/// The rows that [`decode`] gives. An interlaced picture has none before its end.
fn read_rows(
    content: Content<'_>,
    options: &DecodeOptions,
    sink: &mut dyn RowSink,
) -> Result<(), String> {
    let mut reader = open(content.reader(), options)?;
    if reader.info().interlaced {
        let image = decode(&content.bytes()?, options)?;
        sink.begin(image.height(), image.width());
        sink.rows(image.data());
        return Ok(());
    }
    let (height, width) = size(&reader);
    sink.begin(height, width);
    let channels = reader.output_color_type().0.samples();
    let mut rgb = vec![0; width * 3];
    let mut count = 0;
    while let Some(row) = reader.next_row().map_err(reason)? {
        let pixels = row.data().chunks_exact(channels);
        for (pixel, rgb) in pixels.zip(rgb.chunks_exact_mut(3)) {
            match pixel {
                &[value] | &[value, _] => rgb.fill(value),
                _ => rgb.copy_from_slice(&pixel[..3]),
            }
        }
        sink.rows(&rgb);
        count += 1;
    }
    reader.finish().map_err(reason)?;
    if count == height {
        Ok(())
    } else {
        Err(format!(
            "the PNG file is damaged: it has {count} rows of {height}"
        ))
    }
}

/// Reads what comes before the pixels, which become bytes of grey or red, green and blue, and alpha.
fn open<R: BufRead + Seek>(input: R, options: &DecodeOptions) -> Result<Reader<R>, String> {
    // The limit is on what the decoder holds beside the picture, such as rows.
    let limits = Limits { bytes: usize::MAX };
    let mut decoder = Decoder::new_with_limits(input, limits);
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(reason)?;
    options.admit(header.width as usize, header.height as usize)?;
    let reader = decoder.read_info().map_err(reason)?;
    let info = reader.info();
    let palette = info.palette.as_ref().map_or(0, |palette| palette.len());
    if info.color_type == ColorType::Indexed && !palette.is_multiple_of(3) {
        return Err(format!(
            "the PNG file is damaged: its palette (chunk PLTE) has {palette} bytes, which is no \
             multiple of 3"
        ));
    }
    Ok(reader)
}

fn orientation(file: Content<'_>) -> Option<u8> {
    of_exif(file).or_else(|| {
        let mut decoder = Decoder::new(file.reader());
        decoder.set_ignore_text_chunk(true);
        decoder.set_ignore_iccp_chunk(true);
        let reader = decoder.read_info().ok()?;
        // Some writers copy the data as they are in JPEG files.
        let data = reader.info().exif_metadata.as_ref()?;
        of_exif_data(data.strip_prefix(b"Exif\0\0")?)
    })
}

fn size<R: BufRead + Seek>(reader: &Reader<R>) -> (usize, usize) {
    let info = reader.info();
    (info.height as usize, info.width as usize)
}

fn reason(error: DecodingError) -> String {
    let text = error.to_string();
    // Chunks are printed with all of their properties.
    let Some((before, chunk)) = text.split_once("ChunkType { type: ") else {
        return format!("the PNG file is damaged: {text}");
    };
    let (kind, after) = chunk.split_once(',').unwrap_or((chunk, ""));
    if kind == "CgBI" {
        return "this kind of PNG is not read: Apple's form for iPhones (chunk CgBI)".into();
    }
    let (_, after) = after.split_once('}').unwrap_or_default();
    format!("the PNG file is damaged: {before}{kind}{after}")
}
