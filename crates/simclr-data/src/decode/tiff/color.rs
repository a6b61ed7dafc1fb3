use super::layout::{Color, Layout};

/// Makes RGB of a row of pixels, whose channels are bytes.
pub(super) fn to_rgb(row: &mut [u8], layout: &Layout, rgb: &mut [u8]) {
    let color = layout.decompressed_color();
    let pixels = row.chunks_exact_mut(layout.channels());
    for (pixel, rgb) in pixels.zip(rgb.as_chunks_mut().0) {
        let pixel = if layout.is_premultiplied {
            divided(pixel)
        } else {
            &*pixel
        };
        *rgb = match (color, pixel) {
            (Color::Gray { is_white_zero }, &[value]) => {
                [if *is_white_zero { 255 - value } else { value }; 3]
            }
            (Color::Palette(colors), &[index]) => colors[usize::from(index)],
            (Color::Cmyk, &[cyan, magenta, yellow, black]) => {
                [cyan, magenta, yellow].map(|ink| uninked(ink, black))
            }
            (Color::YCbCr(..), &[y, cb, cr]) => match &layout.conversion {
                Some(conversion) => conversion.rgb(y, cb, cr),
                None => [y, cb, cr],
            },
            (_, rest) => std::array::from_fn(|channel| rest[channel]),
        };
    }
}

/// What an ink and black leave of white, as Pillow and libtiff compute it.
fn uninked(ink: u8, black: u8) -> u8 {
    let left = 255 - u32::from(black);
    let product = u32::from(ink) * left + 128;
    (left - (((product >> 8) + product) >> 8)) as u8
}

/// The colours of a pixel without the alpha that they have been multiplied by, as Pillow computes
/// them. Without any alpha they are left as they are.
fn divided(pixel: &mut [u8]) -> &[u8] {
    let Some((alpha, colors)) = pixel.split_last_mut() else {
        return &[];
    };
    if *alpha > 0 {
        for color in &mut *colors {
            *color = (255 * u32::from(*color) / u32::from(*alpha)).min(255) as u8;
        }
    }
    colors
}
