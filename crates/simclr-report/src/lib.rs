//! The report of an experiment: one HTML file that needs no network, with each
//! figure and table in a file of its own beside it.
//!
//! ```
//! # fn main() -> simclr_train::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! # let dir = dir.path();
//! use simclr_train::plot::{LineChart, Series};
//! use simclr_train::report::{Report, Table};
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

mod builder;
mod classification;
mod html;
mod probe;
mod scores;
mod settings;
mod training;

pub use crate::table::{Cell, Table};
pub use builder::Report;
