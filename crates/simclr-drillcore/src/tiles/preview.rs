//! What was kept of a section, to look at.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use maud::{PreEscaped, html};
use simclr_augment::DecodedImage;

use super::cut::CutSection;
use crate::error::{Error, Result};

/// Width of the photograph in a preview, in pixels.
const WIDTH: f64 = 180.0;
const LEFT: f64 = 12.0;
const TOP: f64 = 44.0;
const KEPT: &str = "#0072b2";
const LEFT_OUT: &str = "#d55e00";

/// A picture of a section with the edges of the core, its pieces, the tiles that were kept and
/// those that were left out with the reason, as SVG.
///
/// # Errors
/// [`Error::Picture`] if the photograph cannot be encoded.
pub fn preview(name: &str, photograph: &DecodedImage, section: &CutSection) -> Result<String> {
    let outline = &section.outline;
    let scale = WIDTH / photograph.width() as f64;
    let height = photograph.height() as f64 * scale;
    let small = data_uri(name, &reduced(photograph, WIDTH as usize))?;
    let points = |corners: &[(f64, f64)]| {
        let point = |&(across, along): &(f64, f64)| {
            let (column, row) = outline.locate(across, along);
            format!("{:.1},{:.1}", LEFT + column * scale, TOP + row * scale)
        };
        corners.iter().map(point).collect::<Vec<_>>().join(" ")
    };
    let half = outline.width / 2.0;
    let box_of = |top: f64, bottom: f64, half: f64| {
        points(&[(-half, top), (half, top), (half, bottom), (-half, bottom)])
    };
    let inset = |index: usize| half * if index.is_multiple_of(2) { 0.96 } else { 0.88 };
    let kept = section.planned.iter().filter(|tile| tile.kept).count();
    let summary = format!(
        "{} px wide, turned {:.2}°; {kept} of {} squares kept{}",
        outline.width.round(),
        outline.tilt,
        section.planned.len(),
        if outline.has_edges {
            ""
        } else {
            "; cut to the core: no edges"
        }
    );
    let text_x = LEFT + WIDTH + 8.0;
    let reasons = section
        .planned
        .iter()
        .filter(|tile| !tile.kept)
        .map(|tile| {
            let (_, row) = outline.locate(0.0, tile.top + tile.side / 2.0);
            let reason = format!("left out: {:.0} % core", 100.0 * tile.core_fraction);
            (TOP + row * scale + 4.0, reason)
        });
    let reasons = spread(reasons.collect());
    let view_box = format!("0 0 {} {:.0}", text_x + 190.0, TOP + height + 12.0);
    let picture = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(view_box) width=(text_x + 190.0)
            font-family="Helvetica, Arial, sans-serif" font-size="12" {
            title { (name) }
            rect width="100%" height="100%" fill="#fff" {}
            text x=(LEFT) y="18" font-size="14" font-weight="bold" { (name) }
            text x=(LEFT) y="35" { (summary) }
            image href=(small) x=(LEFT) y=(TOP) width=(WIDTH) height=(format!("{height:.1}")) {}
            @for &(top, bottom) in &outline.pieces {
                polygon points=(box_of(top, bottom, half)) fill="none" stroke="#f0e442" stroke-width="1.5" {}
            }
            @for (index, tile) in section.planned.iter().enumerate() {
                polygon points=(box_of(tile.top, tile.top + tile.side, inset(index))) fill="none"
                    stroke=(if tile.kept { KEPT } else { LEFT_OUT }) stroke-width="2"
                    stroke-dasharray=[(!tile.kept).then_some("5 4")] {}
            }
            @for (y, reason) in &reasons {
                text x=(text_x) y=(format!("{y:.1}")) fill=(LEFT_OUT) { (reason) }
            }
        }
    };
    let PreEscaped(text) = picture;
    Ok(text)
}

/// Lines of text far enough apart to be read.
fn spread(mut lines: Vec<(f64, String)>) -> Vec<(f64, String)> {
    let mut lowest = f64::NEG_INFINITY;
    for (y, _) in &mut lines {
        *y = y.max(lowest + 13.0);
        lowest = *y;
    }
    lines
}

/// The picture at this width, by means of pixels.
fn reduced(photograph: &DecodedImage, width: usize) -> RgbImage {
    let width = width.min(photograph.width()) as u32;
    let height =
        (photograph.height() as u64 * u64::from(width) / photograph.width() as u64).max(1) as u32;
    RgbImage::from_fn(width, height, |x, y| {
        let range = |index: u32, count: u32, size: usize| {
            let at = |index: u32| (u64::from(index) * size as u64 / u64::from(count)) as usize;
            at(index)..at(index + 1).max(at(index) + 1)
        };
        let mut sums = [0u64; 3];
        let (rows, columns) = (
            range(y, height, photograph.height()),
            range(x, width, photograph.width()),
        );
        let count = (rows.len() * columns.len()) as u64;
        for row in rows {
            let line = &photograph.data()[row * photograph.width() * 3..];
            for pixel in line[columns.start * 3..columns.end * 3].chunks_exact(3) {
                (0..3).for_each(|channel| sums[channel] += u64::from(pixel[channel]));
            }
        }
        image::Rgb(sums.map(|sum| (sum / count) as u8))
    })
}

/// A picture inside of an SVG or a page, as JPEG.
pub(crate) fn data_uri(name: &str, picture: &RgbImage) -> Result<String> {
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, 80);
    picture
        .write_with_encoder(encoder)
        .map_err(|error| Error::picture(name, error))?;
    Ok(format!(
        "data:image/jpeg;base64,{}",
        BASE64_STANDARD.encode(bytes)
    ))
}
