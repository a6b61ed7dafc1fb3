//! A grid of cells, each recorded when it is finished.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};
use simclr_files::{read_json, remove_leftovers, write_json};

/// One point of the grid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// What is compared.
    pub arm: String,
    /// The seed of splits, budgets, weights and orders.
    pub seed: u64,
    /// The fold, from 0.
    pub fold: usize,
    /// The part of the training images whose labels are used.
    pub label_fraction: f64,
}

/// The finished cells of a study: a file each, complete or absent.
///
/// ```
/// use simclr_study::{Cell, Sweep};
///
/// # fn main() -> simclr_study::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let dir = dir.path().join("cells");
/// let sweep = Sweep::open(&dir)?;
/// let cells = Sweep::grid(&["untrained", "pretrained"], &[1, 2], 3, &[0.1, 1.0]);
/// assert_eq!(cells.len(), 2 * 2 * 3 * 2);
///
/// let work = || -> simclr_study::Result<f64> { Ok(0.5) };
/// let accuracy = sweep.finish(&cells[0], "network 7", work)?;
/// // Later, the work is not done again.
/// let work = || -> simclr_study::Result<f64> { unreachable!() };
/// let again = sweep.finish(&cells[0], "network 7", work)?;
/// assert_eq!(again, accuracy);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Sweep {
    dir: PathBuf,
}

/// What a cell's file holds.
#[derive(Serialize, Deserialize)]
struct Record<R> {
    cell: Cell,
    /// What was judged: the digest of a network, or a word for what makes it.
    subject: String,
    result: R,
}

impl Sweep {
    /// Opens the folder of the cells, making it if needed.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self> {
        let dir = dir.into();
        fs::create_dir_all(&dir).map_err(Error::io(&dir))?;
        remove_leftovers(&dir)?;
        Ok(Self { dir })
    }

    /// All cells of arms x seeds x folds x label fractions, the last one running fastest.
    pub fn grid(arms: &[&str], seeds: &[u64], folds: usize, label_fractions: &[f64]) -> Vec<Cell> {
        let mut cells = Vec::new();
        for arm in arms {
            for &seed in seeds {
                for fold in 0..folds {
                    cells.extend(label_fractions.iter().map(|&label_fraction| Cell {
                        arm: (*arm).to_owned(),
                        seed,
                        fold,
                        label_fraction,
                    }));
                }
            }
        }
        cells
    }

    /// The result of a cell: the recorded one, or what `work` returns, which is then
    /// recorded. `subject` says what is judged, such as a digest of the network, so that
    /// another one is not taken for it.
    ///
    /// # Errors
    /// Those of `work`; [`Error::StudyFile`] if the record is of another cell or subject;
    /// [`Error::Io`] and [`Error::Json`].
    pub fn finish<R, E>(
        &self,
        cell: &Cell,
        subject: &str,
        work: impl FnOnce() -> Result<R, E>,
    ) -> Result<R, E>
    where
        R: Serialize + DeserializeOwned,
        E: From<Error>,
    {
        let path = self.path(cell);
        if let Some(record) = read_json::<Record<R>>(&path).map_err(Error::from)? {
            record.check(&path, cell, subject)?;
            return Ok(record.result);
        }
        let record = Record {
            cell: cell.clone(),
            subject: subject.to_owned(),
            result: work()?,
        };
        write_json(&path, &record).map_err(Error::from)?;
        Ok(record.result)
    }

    /// Whether a cell is on record.
    pub fn is_finished(&self, cell: &Cell) -> bool {
        self.path(cell).is_file()
    }

    fn path(&self, cell: &Cell) -> PathBuf {
        let name = format!(
            "{}_seed-{}_fold-{}_labels-{}.json",
            slug(&cell.arm),
            cell.seed,
            cell.fold + 1,
            cell.label_fraction
        );
        self.dir.join(name)
    }
}

impl<R> Record<R> {
    fn check(&self, path: &Path, cell: &Cell, subject: &str) -> Result<()> {
        let differs = |what: &str, recorded: &str, now: &str| Error::StudyFile {
            path: path.to_owned(),
            reason: format!(
                "holds the result of another {what}, {recorded}, expected {now}; take another \
                 folder, or remove the file"
            ),
        };
        if self.cell != *cell {
            let (recorded, now) = (format!("{:?}", self.cell), format!("{cell:?}"));
            return Err(differs("cell", &recorded, &now));
        }
        if self.subject != subject {
            return Err(differs("network", &self.subject, subject));
        }
        Ok(())
    }
}

/// A name for files: what is not a letter or a digit becomes a dash.
pub(super) fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars().map(|c| c.to_ascii_lowercase()) {
        match c {
            c if c.is_ascii_alphanumeric() => slug.push(c),
            _ if slug.ends_with('-') || slug.is_empty() => {}
            _ => slug.push('-'),
        }
    }
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(arm: &str) -> Cell {
        Cell {
            arm: arm.into(),
            seed: 1,
            fold: 0,
            label_fraction: 0.05,
        }
    }

    #[test]
    fn an_interrupted_sweep_goes_on_where_it_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let cells = Sweep::grid(&["a", "b"], &[1], 2, &[1.0, 0.1]);
        let mut done = Vec::new();
        let mut pass = |fail_at: usize| -> Result<Vec<usize>> {
            let sweep = Sweep::open(dir.path().join("cells"))?;
            let work = |(index, cell): (usize, &Cell)| {
                sweep.finish(cell, "x", || {
                    if index == fail_at {
                        return Err(Error::setting("power", "some", "none"));
                    }
                    done.push(index);
                    Ok(index)
                })
            };
            cells.iter().enumerate().map(work).collect()
        };
        assert!(pass(5).is_err());
        assert_eq!(pass(usize::MAX).unwrap(), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(done, [0, 1, 2, 3, 4, 5, 6, 7], "each once");
    }

    #[test]
    fn another_network_is_not_taken_for_the_recorded_one() {
        let dir = tempfile::tempdir().unwrap();
        let sweep = Sweep::open(dir.path()).unwrap();
        sweep
            .finish(&cell("a"), "one", || -> Result<i32> { Ok(1) })
            .unwrap();
        let error = sweep
            .finish(&cell("a"), "two", || -> Result<i32> { Ok(2) })
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("one, expected two") && text.contains(".json"),
            "{text}"
        );
        // Two arms whose names make the same file name are told apart.
        assert_eq!(slug("A: b (c)"), "a-b-c");
        let error = sweep
            .finish(&cell("A."), "one", || -> Result<i32> { Ok(2) })
            .unwrap_err();
        assert!(error.to_string().contains("another cell"), "{error}");
    }
}
