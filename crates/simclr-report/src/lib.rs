#![cfg_attr(all(feature = "html", feature = "plots"), doc = include_str!("../README.md"))]
#![cfg_attr(
    not(all(feature = "html", feature = "plots")),
    doc = "Tables that print as Markdown and are written as CSV; figures and reports are features."
)]

#[cfg(feature = "html")]
mod block;
#[cfg(feature = "html")]
mod builder;
mod error;
#[cfg(feature = "html")]
mod foreign;
#[cfg(feature = "html")]
mod html;
mod image_count;
#[cfg(feature = "plots")]
pub mod plot;
#[cfg(feature = "html")]
mod settings;
mod svg;
mod table;

#[cfg(feature = "html")]
pub use builder::Report;
pub use error::{Error, Result};
#[cfg(feature = "html")]
pub use foreign::check_foreign;
pub use image_count::ImageCount;
pub use svg::Svg;
pub use table::{Cell, Estimate, Table, percent, short_percent};
