//! The finished cells of a study on disk.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use simclr_files::{read_json, remove_leftovers, write_json};
use simclr_train::run::arithmetic;

use crate::cell::Cell;
use crate::error::{Error, Result};

/// The finished cells of a study: a file each, complete or absent.
///
/// ```
/// use simclr_data::Seed;
/// use simclr_study::{Cell, CellStore};
///
/// # fn main() -> simclr_study::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let dir = dir.path().join("cells");
/// let store = CellStore::open(&dir)?;
/// let cells = Cell::grid(&["untrained", "pretrained"], &[Seed(1), Seed(2)], 3, &[0.1, 1.0]);
/// assert_eq!(cells.len(), 2 * 2 * 3 * 2);
///
/// let compute = || -> simclr_study::Result<f64> { Ok(0.5) };
/// let accuracy = store.get_or_compute(&cells[0], "network 7", compute)?;
/// // Later, it is read back.
/// let compute = || -> simclr_study::Result<f64> { unreachable!() };
/// let again = store.get_or_compute(&cells[0], "network 7", compute)?;
/// assert_eq!(again, accuracy);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct CellStore {
    dir: PathBuf,
}

/// What a cell's file holds.
#[derive(Serialize, Deserialize)]
struct Record<R> {
    cell: Cell,
    #[serde(alias = "subject")]
    model_fingerprint: String,
    /// Instruction set and precision; cells of earlier versions do not know them.
    arithmetic: Option<String>,
    result: R,
}

impl CellStore {
    /// Opens the folder of the cells, making it if needed.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self> {
        let dir = dir.into();
        fs::create_dir_all(&dir).map_err(Error::io(&dir))?;
        remove_leftovers(&dir)?;
        Ok(Self { dir })
    }

    /// The result of a cell: the recorded one, or what `compute` returns, which is then
    /// recorded. `model_fingerprint` identifies the network that is evaluated, such as a
    /// digest of its parameters or of everything that decides its training, so that the
    /// result of another network is never taken for it.
    ///
    /// # Errors
    /// Those of `compute`; [`Error::StudyFile`] if the record is of another cell or network;
    /// [`Error::File`].
    pub fn get_or_compute<R, E>(
        &self,
        cell: &Cell,
        model_fingerprint: &str,
        compute: impl FnOnce() -> Result<R, E>,
    ) -> Result<R, E>
    where
        R: Serialize + DeserializeOwned,
        E: From<Error>,
    {
        let path = self.path(cell);
        if let Some(record) = read(&path)? {
            record.check(&path, cell, model_fingerprint)?;
            return Ok(record.result);
        }
        let record = Record {
            cell: cell.clone(),
            model_fingerprint: model_fingerprint.to_owned(),
            arithmetic: Some(arithmetic().map_err(Error::from)?),
            result: compute()?,
        };
        write_json(&path, &record).map_err(Error::from)?;
        Ok(record.result)
    }

    fn path(&self, cell: &Cell) -> PathBuf {
        self.dir.join(cell.file_name())
    }
}

fn read<R: DeserializeOwned>(path: &Path) -> Result<Option<Record<R>>> {
    let advice = "remove the file, and the cell is computed again";
    Ok(read_json(path).map_err(simclr_files::Error::advise(advice))?)
}

impl<R> Record<R> {
    fn check(&self, path: &Path, cell: &Cell, model_fingerprint: &str) -> Result<()> {
        let differs = |what: &str, recorded: &str, expected: &str| Error::StudyFile {
            path: path.to_owned(),
            reason: format!(
                "holds the result of another {what}, {recorded}, expected {expected}; take \
                 another folder, or remove the file"
            ),
        };
        if self.cell != *cell {
            let (recorded, expected) = (format!("{:?}", self.cell), format!("{cell:?}"));
            return Err(differs("cell", &recorded, &expected));
        }
        if self.model_fingerprint != model_fingerprint {
            return Err(differs(
                "network",
                &self.model_fingerprint,
                model_fingerprint,
            ));
        }
        let arithmetic = arithmetic()?;
        match &self.arithmetic {
            Some(recorded) if *recorded != arithmetic => {
                Err(differs("arithmetic", recorded, &arithmetic))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simclr_data::Seed;

    #[test]
    fn an_interrupted_study_goes_on_where_it_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let cells = Cell::grid(&["a", "b"], &[Seed(1)], 2, &[1.0, 0.1]);
        let mut computed = Vec::new();
        let mut pass = |fail_at: usize| -> Result<Vec<usize>> {
            let store = CellStore::open(dir.path().join("cells"))?;
            let result = |(index, cell): (usize, &Cell)| {
                store.get_or_compute(cell, "x", || {
                    if index == fail_at {
                        return Err(Error::setting("power", "some", "none"));
                    }
                    computed.push(index);
                    Ok(index)
                })
            };
            cells.iter().enumerate().map(result).collect()
        };
        assert!(pass(5).is_err());
        assert_eq!(pass(usize::MAX).unwrap(), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(computed, [0, 1, 2, 3, 4, 5, 6, 7], "each once");
    }

    #[test]
    fn another_network_or_cell_is_refused_and_earlier_field_names_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let store = CellStore::open(dir.path()).unwrap();
        let [cell, like] = ["a", "A."].map(|method| Cell {
            method: method.into(),
            seed: Seed(1),
            fold: 0,
            label_fraction: 0.05,
        });
        let earlier = r#"{"cell": {"arm": "a", "seed": 1, "fold": 0, "label_fraction": 0.05},
            "subject": "one", "result": 1}"#;
        fs::write(store.path(&cell), earlier).unwrap();
        let get = |cell: &Cell, fingerprint: &str| {
            let result = store.get_or_compute(cell, fingerprint, || -> Result<i32> { Ok(2) });
            result.map_err(|error| error.to_string())
        };
        assert_eq!(get(&cell, "one"), Ok(1));
        let error = get(&cell, "two").unwrap_err();
        assert!(
            error.contains("one, expected two") && error.contains(".json"),
            "{error}"
        );
        let error = get(&like, "one").unwrap_err();
        assert!(error.contains("another cell"), "{error}");

        fs::remove_file(store.path(&cell)).unwrap();
        assert_eq!(get(&cell, "one"), Ok(2));
        let text = fs::read_to_string(store.path(&cell)).unwrap();
        fs::write(
            store.path(&cell),
            text.replace("\"result\": 2", "\"result\": 3"),
        )
        .unwrap();
        let error = get(&cell, "one").unwrap_err();
        assert!(
            error.contains("damaged") && error.contains("computed again"),
            "{error}"
        );
    }
}
