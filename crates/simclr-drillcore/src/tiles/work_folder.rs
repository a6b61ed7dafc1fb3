//! Where tiles are until all are there.

use std::fs;
use std::path::{Path, PathBuf};

use simclr_files::write_bytes;

use super::report::TilesReport;
use super::tile::to_csv;
use crate::error::{Error, Result};

/// The hidden folder in the one for tiles that an unfinished run writes to.
const UNFINISHED: &str = ".unfinished";
/// The folders that a run fills.
const FOLDERS: [&str; 2] = ["tiles", "previews"];

/// The folder for tiles, and that of an unfinished run in it.
pub(super) struct WorkFolder<'p> {
    out: &'p Path,
    path: PathBuf,
}

impl<'p> WorkFolder<'p> {
    /// Removes what an interrupted run has left. Nothing is made yet.
    ///
    /// # Errors
    /// If the folder holds tiles already.
    pub(super) fn new(out: &'p Path) -> Result<Self> {
        let table = out.join("tiles.csv");
        if table.exists() {
            let reason = "there are tiles in this folder already; choose another or remove it";
            return Err(Error::table(&table, None, reason));
        }
        let folders = FOLDERS.map(|name| out.join(name));
        if let Some(folder) = folders.iter().find(|folder| folder.exists()) {
            let reason = "there is such a folder, but no tiles.csv that lists what is in it; choose \
                          another place or remove it";
            return Err(Error::mismatch(folder.display().to_string(), reason));
        }
        let path = out.join(UNFINISHED);
        if path.exists() {
            fs::remove_dir_all(&path).map_err(simclr_files::Error::io(&path))?;
        }
        Ok(Self { out, path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the folders in their places, and then the tables.
    pub(super) fn finish(self, report: &TilesReport) -> Result<()> {
        for name in FOLDERS {
            let (from, to) = (self.path.join(name), self.out.join(name));
            fs::rename(&from, &to).map_err(simclr_files::Error::io(&to))?;
        }
        let listing = self.out.join("sections.csv");
        write_bytes(&listing, &to_csv(&listing, &report.sections)?)?;
        let table = self.out.join("tiles.csv");
        write_bytes(&table, &to_csv(&table, &report.tiles)?)?;
        Ok(fs::remove_dir_all(&self.path).map_err(simclr_files::Error::io(&self.path))?)
    }
}
