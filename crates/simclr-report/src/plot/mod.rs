//! Figures as SVG: curves, confusion matrices, bars and scatter plots.
//!
//! The figures need no font and no display. They are on white, their colours
//! are Okabe and Ito's, which people with any form of colour blindness can tell
//! apart, and series differ by marker or dash as well, so they survive a
//! black-and-white printer.
//!
//! ```
//! use simclr_report::plot::{LineChart, Series};
//!
//! # fn main() -> simclr_report::Result<()> {
//! let figure = LineChart::new("Loss")
//!     .x_label("epoch")
//!     .y_label("NT-Xent")
//!     .series(Series::new("training", vec![(1.0, 5.1), (2.0, 4.2), (3.0, 3.9)]))
//!     .series(Series::new("validation", vec![(1.0, 5.0), (3.0, 4.1)]).markers())
//!     .render()?;
//! assert!(figure.as_str().starts_with("<svg"));
//! # Ok(())
//! # }
//! ```

/// Setters, each with its documentation.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*) => $field:ident = $value:expr;)*) => { $(
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
mod scatter;
mod style;

pub use crate::svg::Svg;
pub use bar_chart::BarChart;
pub use confusion::ConfusionPlot;
pub use curves::{
    BudgetPoint, Curve, LabelEfficiencyCurve, label_efficiency, precision_recall, reliability, roc,
};
pub use line_chart::{LineChart, Series};
pub use scatter::{ScatterGroup, ScatterPlot};
pub use style::OKABE_ITO;

#[cfg(test)]
mod test_support;
