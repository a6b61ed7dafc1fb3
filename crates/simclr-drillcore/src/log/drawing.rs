//! A log as a picture: depth, photographs, classes and confidence side by side.

use maud::{Markup, html};

use super::depth_log::DepthLog;

/// Okabe and Ito's colours, which people with any form of colour blindness can tell apart; patterns
/// tell classes apart without colours, and beyond eight.
const COLORS: [&str; 8] = [
    "#56b4e9", "#e69f00", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#999999",
];
const PATTERNS: [&str; 9] = [
    "",
    "M-2,2 l4,-4 M0,10 l10,-10 M8,12 l4,-4",
    "M2,2 h.1 M7,7 h.1",
    "M0,5 h10",
    "M5,0 v10",
    "M0,0 l10,10 M0,10 l10,-10",
    "M-2,8 l4,4 M0,0 l10,10 M8,-2 l4,4",
    "M0,5 h10 M5,0 v10",
    "M0,6 q2.5,-5 5,0 t5,0",
];

const LEGEND_TOP: f64 = 22.0;
const LEGEND_LINE: f64 = 20.0;
const HEADER: f64 = 24.0;
const AXIS: f64 = 62.0;
const PICTURES: f64 = 64.0;
const CLASSES: f64 = 70.0;
const CONFIDENCE: f64 = 120.0;
const SPACE: f64 = 12.0;

/// A photograph of a part of the core.
pub(super) struct StripPicture {
    pub(super) top: f64,
    pub(super) bottom: f64,
    /// The picture as a data URI.
    pub(super) data: String,
}

/// What of a log is drawn, and how large.
pub(super) struct Drawing<'a> {
    pub(super) log: &'a DepthLog,
    /// Keeps the names of its patterns apart from those of other drawings on the same page.
    pub(super) name: &'a str,
    pub(super) title: &'a str,
    /// Depth of the top and of the bottom in metres.
    pub(super) range: (f64, f64),
    pub(super) pixels_per_metre: f64,
    pub(super) pictures: &'a [StripPicture],
    /// True classes: top, bottom and class.
    pub(super) truth: &'a [(f64, f64, usize)],
}

impl Drawing<'_> {
    /// Where the columns begin, below the legend.
    fn top(&self) -> f64 {
        LEGEND_TOP + LEGEND_LINE * self.log.classes().len() as f64 + HEADER
    }

    fn y(&self, depth: f64) -> f64 {
        self.top()
            + (depth.clamp(self.range.0, self.range.1) - self.range.0) * self.pixels_per_metre
    }

    /// Top and height of an interval, if a part of it is drawn.
    fn span(&self, top: f64, bottom: f64) -> Option<(String, String)> {
        let (from, to) = (self.y(top), self.y(bottom));
        (to > from).then(|| (format!("{from:.2}"), format!("{:.2}", to - from)))
    }

    /// The picture as an SVG document.
    pub(super) fn svg(&self) -> String {
        let pictures = if self.pictures.is_empty() {
            0.0
        } else {
            PICTURES + SPACE
        };
        let truth = if self.truth.is_empty() {
            0.0
        } else {
            CLASSES + SPACE
        };
        let classes_x = AXIS + pictures;
        let truth_x = classes_x + CLASSES + SPACE;
        let confidence_x = truth_x + truth;
        let width = confidence_x + CONFIDENCE + 24.0;
        let (top, bottom) = (self.top(), self.y(self.range.1));
        let height = bottom + 22.0;
        let header = |x: f64, text: &str| html! { text x=(x) y=(top - 8.0) { (text) } };
        let view_box = format!("0 0 {width} {height:.0}");
        html! {
            svg xmlns="http://www.w3.org/2000/svg" viewBox=(view_box) width=(width)
                height=(format!("{height:.0}")) font-family="Helvetica, Arial, sans-serif" font-size="11" {
                title { (self.title) }
                (self.patterns())
                rect width="100%" height="100%" fill="#fff" {}
                text x="6" y="12" font-size="12" font-weight="bold" { (self.title) }
                (self.legend())
                (header(6.0, "depth (m)"))
                @if !self.pictures.is_empty() {
                    (header(AXIS, "core"))
                    @for picture in self.pictures {
                        @if let Some((y, height)) = self.span(picture.top, picture.bottom) {
                            image href=(picture.data) x=(AXIS) y=(y) width=(PICTURES) height=(height)
                                preserveAspectRatio="none" {}
                        }
                    }
                }
                (header(classes_x, "class"))
                @for bed in self.log.beds() {
                    (self.class_box(classes_x, bed.top, bed.bottom, bed.class))
                }
                rect x=(classes_x) y=(top) width=(CLASSES) height=(bottom - top) fill="none" stroke="#222" {}
                @if !self.truth.is_empty() {
                    (header(truth_x, "truth"))
                    @for &(top, bottom, class) in self.truth {
                        (self.class_box(truth_x, top, bottom, Some(class)))
                    }
                    rect x=(truth_x) y=(top) width=(CLASSES) height=(bottom - top) fill="none" stroke="#222" {}
                }
                (header(confidence_x, "confidence, 0 to 1"))
                (self.confidence(confidence_x, bottom))
                (self.axis())
            }
        }
        .into_string()
    }

    fn legend(&self) -> Markup {
        html! {
            @for (index, class) in self.log.classes().iter().enumerate() {
                @let y = LEGEND_TOP + LEGEND_LINE * index as f64;
                rect x="6" y=(y) width="26" height="14" fill=(format!("url(#{})", self.pattern(index)))
                    stroke="#222" stroke-width=".6" {}
                text x="40" y=(y + 11.0) { (class) }
            }
        }
    }

    fn class_box(&self, x: f64, top: f64, bottom: f64, class: Option<usize>) -> Markup {
        let shown = class.and_then(|class| Some((self.pattern(class), self.span(top, bottom)?)));
        html! {
            @if let Some((pattern, (y, height))) = shown {
                rect x=(x) y=(y) width=(CLASSES) height=(height)
                    fill=(format!("url(#{pattern})")) stroke="#222" stroke-width=".6" {}
            }
        }
    }

    /// Steps from 0 to 1, with holes where there are gaps.
    fn confidence(&self, x: f64, bottom: f64) -> Markup {
        let place = |confidence: f64| x + CONFIDENCE * confidence.clamp(0.0, 1.0);
        let mut path = String::new();
        let mut pen_down = false;
        for (top, bottom, confidence) in self.log.confidences() {
            let drawn = confidence.filter(|_| self.span(top, bottom).is_some());
            if let Some(confidence) = drawn {
                let (x, from, to) = (place(confidence), self.y(top), self.y(bottom));
                let begin = if pen_down { 'L' } else { 'M' };
                path.push_str(&format!("{begin}{x:.1},{from:.1}L{x:.1},{to:.1}"));
            }
            pen_down = drawn.is_some();
        }
        html! {
            @for share in [0.0, 0.5, 1.0] {
                line x1=(place(share)) x2=(place(share)) y1=(self.top()) y2=(bottom) stroke="#ddd" {}
                text x=(place(share)) y=(bottom + 13.0) text-anchor="middle" fill="#555" { (share) }
            }
            path d=(path) fill="none" stroke="#222" stroke-width="1.2" {}
        }
    }

    fn axis(&self) -> Markup {
        let (top, bottom) = self.range;
        let steps = [
            0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0,
        ];
        let wide_enough = |step: &&f64| **step * self.pixels_per_metre >= 28.0;
        let step = steps.iter().find(wide_enough).copied().unwrap_or(1000.0);
        let first = (top / step - 1e-9).ceil() as i64;
        let last = (bottom / step + 1e-9).floor() as i64;
        let digits = if step < 0.1 {
            2
        } else {
            usize::from(step < 1.0)
        };
        html! {
            line x1=(AXIS - 8.0) x2=(AXIS - 8.0) y1=(self.top()) y2=(self.y(bottom)) stroke="#222" {}
            @for depth in (first..=last).map(|index| index as f64 * step) {
                @let y = format!("{:.1}", self.y(depth));
                line x1=(AXIS - 12.0) x2=(AXIS - 8.0) y1=(y) y2=(y) stroke="#222" {}
                text x=(AXIS - 15.0) y=(format!("{:.1}", self.y(depth) + 4.0)) text-anchor="end" {
                    (format!("{depth:.digits$}"))
                }
            }
        }
    }

    /// The name of a class's pattern.
    fn pattern(&self, class: usize) -> String {
        format!("{}-class-{class}", self.name)
    }

    fn patterns(&self) -> Markup {
        html! {
            defs {
                @for class in 0..self.log.classes().len() {
                    pattern id=(self.pattern(class)) width="10" height="10" patternUnits="userSpaceOnUse" {
                        rect width="10" height="10" fill=(COLORS[class % COLORS.len()]) {}
                        path d=(PATTERNS[class % PATTERNS.len()]) fill="none" stroke="#222" stroke-width="1.4"
                            stroke-opacity=".7" stroke-linecap="round" {}
                    }
                }
            }
        }
    }
}
