//! A picture whose rows have names.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maud::html;

use super::style::{FONT, SMALL_SIZE, text_width};
use crate::svg::Svg;

/// Space between names and picture, in pixels.
const SPACE: f64 = 8.0;

/// A picture, the bytes of a PNG file of `(width, height)` pixels, with names to the left of its
/// rows, which are equally high.
///
/// ```
/// use simclr_report::plot::named_rows;
///
/// let png = b"the bytes of a picture of two rows";
/// let figure = named_rows(png, (300, 100), &["crack".into(), "none".into()]);
/// assert!(figure.as_str().contains(">crack</text>"));
/// ```
pub fn named_rows(png: &[u8], (width, height): (usize, usize), names: &[String]) -> Svg {
    let widths = names.iter().map(|name| text_width(name, SMALL_SIZE));
    let left = widths.fold(0.0, f64::max).ceil() + SPACE;
    let row = height as f64 / names.len().max(1) as f64;
    let (full_width, middle) = (left + width as f64, |index: usize| {
        row * (index as f64 + 0.5)
    });
    let link = format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png));
    let figure = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(full_width) height=(height)
            viewBox={ "0 0 " (full_width) " " (height) } {
            @for (index, name) in names.iter().enumerate() {
                text x=(left - SPACE) y=(middle(index)) text-anchor="end" dominant-baseline="central"
                    font-family=(FONT) font-size=(SMALL_SIZE) fill="#222222" { (name) }
            }
            image x=(left) y="0" width=(width) height=(height) href=(link) {}
        }
    };
    Svg::new(figure.into_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::test_support::assert_well_formed;

    #[test]
    fn names_stand_in_the_middles_of_their_rows_and_are_text() {
        let figure = named_rows(b"png", (60, 90), &["a < b".into(), "c".into(), "d".into()]);
        assert_well_formed(figure.as_str());
        for part in [
            "y=\"15\"",
            "y=\"45\"",
            "y=\"75\"",
            ">a &lt; b</text>",
            "base64,cG5n",
        ] {
            assert!(figure.as_str().contains(part), "{part}");
        }
    }
}
