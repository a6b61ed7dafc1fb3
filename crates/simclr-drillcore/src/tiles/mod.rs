//! Section photographs to square tiles of the core's width.

mod cut;
mod cutter;
mod folder;
mod output;
mod overview;
mod plan;
mod preview;
mod report;
mod settings;
mod thumbnail;
mod tile;
mod work_folder;

pub use cut::{CutSection, cut_section};
pub use folder::TileRun;
pub use plan::{PlannedTile, plan_tiles};
pub(crate) use preview::data_uri;
pub use preview::preview;
pub use report::{SectionOutcome, TilesReport};
pub use settings::{Scale, TileSettings};
pub use tile::{Tile, read_tiles, tiles_of_hole};
pub(crate) use tile::{holes, to_csv};
