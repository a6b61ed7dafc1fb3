//! Tables, plots and HTML reports of experiments: one file that needs no network, with each
//! figure and table in a file of its own beside it.
//!
//! Without features there are tables only, which print as Markdown and are written as CSV;
//! `plots` adds figures as SVG, `html` the report. Both are on by default.
//!
#![cfg_attr(not(all(feature = "html", feature = "plots")), doc = "```ignore")]
#![cfg_attr(all(feature = "html", feature = "plots"), doc = "```")]
//! # fn main() -> simclr_report::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! # let dir = dir.path();
//! use simclr_report::plot::{LineChart, Series};
//! use simclr_report::{Report, Table};
//!
//! let losses = Series::new("training", vec![(1.0, 5.1), (2.0, 4.2)]);
//! let loss = LineChart::new("Loss").x_label("epoch").series(losses).render()?;
//! let results = Table::new("results", "Accuracy on the test set.")
//!     .columns(["encoder", "accuracy"])
//!     .row(["untrained".into(), 0.41.into()])
//!     .row(["pretrained".into(), 0.77.into()]);
//! println!("{results}");
//!
//! let path = Report::new("Pretraining on cores", "Does it help at few labels?")
//!     .settings(&serde_json::json!({ "epochs": 2, "policy": { "size": 64 } }))?
//!     .section("Training")
//!     .figure("loss", loss, "The contrastive loss of the training images.")
//!     .section("Results")
//!     .table(results)
//!     .write(dir)?;
//! assert_eq!(path, dir.join("report.html"));
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "html")]
mod block;
#[cfg(feature = "html")]
mod builder;
mod error;
#[cfg(feature = "html")]
mod html;
#[cfg(feature = "plots")]
pub mod plot;
#[cfg(feature = "html")]
mod settings;
mod svg;
mod table;

#[cfg(feature = "html")]
pub use builder::Report;
pub use error::{Error, Result};
pub use svg::Svg;
pub use table::{Cell, Estimate, Table, percent};
