//! What was kept of a section, to look at.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use maud::{PreEscaped, html};
use simclr_augment::{DecodedImage, RowSource};

use super::cut::CutSection;
use super::plan::PlannedTile;
use super::thumbnail::Thumbnail;
use crate::error::{Error, Result};
use crate::outline::CoreOutline;

/// Width of the photograph in a preview, in pixels.
pub(super) const WIDTH: f64 = 180.0;
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
    let mut thumbnail = Thumbnail::new(WIDTH as usize);
    let Ok(()) = photograph.read_rows(&mut thumbnail);
    let size = (photograph.height(), photograph.width());
    let thumbnail = thumbnail.finish(name)?;
    draw(name, &thumbnail, size, &section.outline, &section.planned)
}

/// The preview of a photograph of `size` rows and columns.
pub(super) fn draw(
    name: &str,
    thumbnail: &RgbImage,
    size: (usize, usize),
    outline: &CoreOutline,
    planned: &[PlannedTile],
) -> Result<String> {
    let scale = WIDTH / size.1 as f64;
    let height = size.0 as f64 * scale;
    let small = data_uri(name, thumbnail)?;
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
    let kept = planned.iter().filter(|tile| tile.kept).count();
    let summary = format!(
        "{} px wide, turned {:.2}°; {kept} of {} squares kept{}",
        outline.width.round(),
        outline.tilt,
        planned.len(),
        if outline.has_edges {
            ""
        } else {
            "; cut to the core: no edges"
        }
    );
    let text_x = LEFT + WIDTH + 8.0;
    let reasons = planned.iter().filter(|tile| !tile.kept).map(|tile| {
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
            @for (index, tile) in planned.iter().enumerate() {
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
