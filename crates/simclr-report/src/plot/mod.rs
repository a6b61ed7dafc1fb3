//! Figures as SVG: curves, confusion matrices, bars and scatter plots.
//!
//! The figures need no font and no display, and say in words what they show, for
//! screen readers. They are on white (a report changes that on a dark page), their
//! colours are Okabe and Ito's, which people with any form of colour blindness can tell
//! apart, and series differ by marker or dash as well, so they survive a
//! black-and-white printer.

/// Setters, each with its documentation.
macro_rules! setters {
    ($(
        $(#[$doc:meta])*
        $name:ident($($argument:ident: $type:ty),*) => $field:ident = $value:expr;
    )*) => { $(
        $(#[$doc])*
        pub fn $name(mut self, $($argument: $type),*) -> Self {
            self.$field = $value;
            self
        }
    )* };
}

mod axis;
mod bar_chart;
mod canvas;
mod confusion;
mod curves;
mod legend;
mod line_chart;
#[cfg(feature = "html")]
mod named_rows;
mod scatter;
mod style;

pub use crate::svg::Svg;
pub use bar_chart::BarChart;
pub use confusion::ConfusionPlot;
pub use curves::{
    BudgetPoint, Curve, LabelEfficiencyCurve, ReliabilityBin, label_efficiency, precision_recall,
    reliability, roc,
};
pub use line_chart::{LineChart, Series, small_multiples};
#[cfg(feature = "html")]
pub use named_rows::named_rows;
pub use scatter::{ScatterGroup, ScatterPlot};
pub use style::OKABE_ITO;

#[cfg(test)]
mod test_support;
