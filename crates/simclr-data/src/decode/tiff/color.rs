use super::layout::Color;

/// Makes RGB of a row of pixels, whose channels are bytes.
pub(super) fn to_rgb(row: &[u8], color: &Color, rgb: &mut [u8]) {
    let pixels = row.chunks_exact(color.channels());
    for (pixel, rgb) in pixels.zip(rgb.as_chunks_mut().0) {
        *rgb = match (color, pixel) {
            (Color::Gray { is_white_zero }, &[value]) => {
                [if *is_white_zero { 255 - value } else { value }; 3]
            }
            (Color::Palette(colors), &[index]) => colors[usize::from(index)],
            (Color::Cmyk, &[cyan, magenta, yellow, black]) => {
                [cyan, magenta, yellow].map(|ink| uninked(ink, black))
            }
            (Color::YCbCr(..), &[y, cb, cr]) => ycbcr_to_rgb(y, cb, cr),
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

/// The conversion of JPEG and of ITU-R BT.601 with the full range.
fn ycbcr_to_rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    let rgb = [
        y + 1.402 * cr,
        y - 0.344_136 * cb - 0.714_136 * cr,
        y + 1.772 * cb,
    ];
    rgb.map(|value| value.round().clamp(0.0, 255.0) as u8)
}
