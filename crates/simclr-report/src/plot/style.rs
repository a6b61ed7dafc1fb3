//! Colours, sizes and the width of words.

use std::collections::VecDeque;

use plotters::prelude::RGBColor;

/// Okabe and Ito's palette, darkest against white first.
pub const OKABE_ITO: [(&str, RGBColor); 8] = [
    ("blue", RGBColor(0, 114, 178)),
    ("vermilion", RGBColor(213, 94, 0)),
    ("bluish green", RGBColor(0, 158, 115)),
    ("reddish purple", RGBColor(204, 121, 167)),
    ("black", RGBColor(0, 0, 0)),
    ("orange", RGBColor(230, 159, 0)),
    ("sky blue", RGBColor(86, 180, 233)),
    ("yellow", RGBColor(240, 228, 66)),
];

// `style.css` finds the colours by their values, and gives each another on a dark page. Files of
// figures, which go into papers, stay as they are.

/// Text and axes.
pub(super) const INK: RGBColor = RGBColor(34, 34, 34);
/// Less important text.
pub(super) const FAINT_INK: RGBColor = RGBColor(96, 96, 96);
/// Grid lines.
pub(super) const GRID: RGBColor = RGBColor(226, 226, 226);

/// Fonts that are as wide as [`text_width`] says, as far as there are any.
pub(super) const FONT: &str = "Helvetica, Arial, 'Liberation Sans', sans-serif";

/// The colour of the series or class `index`: the palette, then its darker
/// shades, then from the start again.
pub(super) fn colour(index: usize) -> RGBColor {
    let RGBColor(red, green, blue) = OKABE_ITO[index % OKABE_ITO.len()].1;
    let dark = (index / OKABE_ITO.len()) % 2 == 1;
    let shade = |channel: u8| if dark { channel / 2 } else { channel };
    RGBColor(shade(red), shade(green), shade(blue))
}

/// Font sizes in pixels.
pub(super) const TITLE_SIZE: f64 = 16.0;
pub(super) const BODY_SIZE: f64 = 13.5;
pub(super) const SMALL_SIZE: f64 = 12.0;

/// What the share of a cell is shown by: as opaque as the share is large.
pub(super) const HEAT: RGBColor = RGBColor(8, 81, 156);

/// From this share on, text on [`HEAT`] is light.
pub(super) const DARK_SHARE: f64 = 0.77;

/// The width in pixels of `text`, from the widths of Helvetica's characters
/// with a little to spare. The layout has to come out right without a font.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    let em: f64 = text.chars().map(character_width).sum();
    (em * size * 1.05).ceil()
}

/// In em.
fn character_width(character: char) -> f64 {
    match character {
        'i' | 'j' | 'l' | '\'' => 0.23,
        ' ' | '.' | ',' | ':' | ';' | '!' | '|' | '/' | 'f' | 't' | 'I' | '[' | ']' => 0.28,
        '(' | ')' | '-' | 'r' | '"' => 0.35,
        'c' | 'k' | 's' | 'v' | 'x' | 'y' | 'z' | 'J' | '*' => 0.5,
        'w' | 'C' | 'D' | 'H' | 'N' | 'R' | 'U' => 0.73,
        'G' | 'O' | 'Q' => 0.78,
        'm' | 'M' | '%' => 0.87,
        'W' | '@' => 1.0,
        'A'..='Z' | '&' => 0.67,
        _ if character.is_ascii() => 0.56,
        // Whatever else people name their classes in.
        _ => 1.0,
    }
}

/// `text` in at most `width` pixels, with an ellipsis for what is lost. That is the middle:
/// what names differ in often stands at their end.
pub(super) fn fit(text: &str, width: f64, size: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let mut begin: Vec<char> = text.chars().collect();
    let mut end: VecDeque<char> = begin.drain(begin.len() / 2..).collect();
    loop {
        // As much from either side of the middle.
        if begin.len() > end.len() {
            begin.pop();
        } else {
            end.pop_front();
        }
        let candidate: String = begin.iter().chain(&['…']).chain(&end).collect();
        if (begin.is_empty() && end.is_empty()) || text_width(&candidate, size) <= width {
            return candidate;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_has_a_twin_on_a_dark_page() {
        let style = include_str!("../style.css");
        let roles = [INK, FAINT_INK, GRID, HEAT, RGBColor(255, 255, 255)];
        for RGBColor(red, green, blue) in roles.into_iter().chain((0..16).map(colour)) {
            let selector = format!("=\"#{red:02X}{green:02X}{blue:02X}\"]");
            assert!(style.contains(&selector), "{selector}");
        }
    }

    #[test]
    fn words_that_fit_stay_and_others_are_cut_to_fit() {
        assert_eq!(fit("crack", 100.0, BODY_SIZE), "crack");
        let cut = fit("brecciated and biscuited", 80.0, BODY_SIZE);
        assert!(cut.starts_with("brec") && cut.ends_with("ited"), "{cut}");
        assert!(text_width(&cut, BODY_SIZE) <= 80.0);
        assert_eq!(fit("crack", 1.0, BODY_SIZE), "…");
    }
}
