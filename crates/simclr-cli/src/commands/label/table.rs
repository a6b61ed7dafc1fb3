//! The table of labels, with whatever else stands in it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use simclr_data::{CsvTable, image_path};
use simclr_files::{Digest, FileFinder, normalized_name};

use crate::file_digest::file_digest;
use crate::outputs::{beside, open_alone};
use crate::terminal::AnyResult;

/// A table of images and classes. Its rows and columns stay as they are, but for the classes that
/// are given to images; images are named relative to the table's folder, as everything that reads
/// such a table expects.
#[derive(Debug)]
pub(super) struct LabelTable {
    path: PathBuf,
    /// The SHA-256 of the table as it was last read or written; none if it was not there.
    seen: Option<String>,
    /// Keeps other sessions away.
    _lock: Lock,
    /// The table's folder, absolute and without links.
    folder: PathBuf,
    separator: u8,
    headers: Vec<String>,
    image: usize,
    class: usize,
    rows: Vec<Row>,
    /// The rows of each image, by its [`resolved`] path.
    places: HashMap<PathBuf, Vec<usize>>,
}

#[derive(Debug)]
struct Row {
    cells: Vec<String>,
    /// Whether the row stays though its image has no class.
    stays: bool,
}

impl LabelTable {
    /// Reads the table if there is one. `names` are the files of images by their normalized names, for
    /// rows whose paths are relative to another folder than the table's.
    pub(super) fn open(path: &Path, names: &HashMap<String, PathBuf>) -> AnyResult<Self> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let folder = folder.canonicalize().map_err(|error| {
            let (path, folder) = (path.display(), folder.display());
            format!("{path}: its folder {folder}: {error}")
        })?;
        let lock = Lock::new(beside(&resolved(path), ".lock"))?;
        let mut table = Self {
            path: path.to_owned(),
            // Before it is read: what is changed in between counts as changed after.
            seen: digest(path)?,
            _lock: lock,
            folder,
            separator: b',',
            headers: ["image", "class"].map(str::to_owned).to_vec(),
            image: 0,
            class: 1,
            rows: Vec::new(),
            places: HashMap::new(),
        };
        // An empty file is as good as none.
        if path.exists() && path.metadata()?.len() > 0 {
            table.take_over(&CsvTable::read(path)?, names)?;
        }
        Ok(table)
    }

    fn take_over(&mut self, table: &CsvTable, names: &HashMap<String, PathBuf>) -> AnyResult {
        // That no image has two classes.
        table.images()?;
        self.separator = table.separator();
        self.headers = table.headers().to_vec();
        self.image = table.required(&CsvTable::IMAGE)?;
        self.class = table.required(&CsvTable::CLASS)?;
        let mut finder = FileFinder::default();
        for row in table.rows() {
            let mut cells = row.cells().to_vec();
            let name = image_path(row.cell(self.image));
            let mut file = finder.find(&self.folder, &name)?;
            let named = names.get(&*normalized_name(&name));
            if let Some(named) = named.filter(|_| !file.is_file()) {
                file.clone_from(named);
                cells[self.image] = self.name_of(named);
            }
            self.add(resolved(&file), Row { cells, stays: true });
        }
        Ok(())
    }

    fn add(&mut self, key: PathBuf, row: Row) {
        self.places.entry(key).or_default().push(self.rows.len());
        self.rows.push(row);
    }

    /// The class of an image; empty if it has none. `key` is its [`resolved`] path.
    pub(super) fn class(&self, key: &Path) -> &str {
        let places = self.places.get(key);
        let row = places.and_then(|places| self.rows.get(*places.first()?));
        row.map_or("", |row| row.cells[self.class].trim())
    }

    /// Gives an image a class, or none if it is empty, and writes the table. If that fails, the image
    /// has the class that it had before.
    pub(super) fn give(&mut self, key: &Path, file: &Path, class: &str) -> AnyResult {
        let before = self.class(key).to_owned();
        self.set_class(key, file, class);
        self.save()
            .inspect_err(|_| self.set_class(key, file, &before))
    }

    fn set_class(&mut self, key: &Path, file: &Path, class: &str) {
        if let Some(places) = self.places.get(key) {
            for &place in places {
                self.rows[place].cells[self.class] = class.to_owned();
            }
            return;
        }
        let mut cells = vec![String::new(); self.headers.len()];
        cells[self.image] = self.name_of(file);
        cells[self.class] = class.to_owned();
        let stays = false;
        self.add(key.to_owned(), Row { cells, stays });
    }

    /// The path of a file from the table's folder, with `/`.
    fn name_of(&self, file: &Path) -> String {
        let (from, to) = (self.folder.components(), file.components());
        let common = from.clone().zip(to.clone()).take_while(|(a, b)| a == b);
        let common = common.count();
        // On another drive there is no way to it.
        if common == 0 {
            return file.to_string_lossy().into_owned();
        }
        let up = from.skip(common).map(|_| "..".into());
        let down = to
            .skip(common)
            .map(|step| step.as_os_str().to_string_lossy());
        up.chain(down).collect::<Vec<_>>().join("/")
    }

    /// Writes the table, unless it says now what would be lost.
    pub(super) fn save(&mut self) -> AnyResult {
        let now = digest(&self.path)?;
        if now.is_some() && now != self.seen {
            let reason = "another program has changed this table since it was read, so nothing was \
                          written; finish, and start the command again: it goes on after what the \
                          table says now";
            return Err(format!("{}: {reason}", self.path.display()).into());
        }
        let mut writer = csv::WriterBuilder::new()
            .delimiter(self.separator)
            .from_writer(Vec::new());
        writer.write_record(&self.headers)?;
        for row in &self.rows {
            if row.stays || !row.cells[self.class].is_empty() {
                writer.write_record(&row.cells)?;
            }
        }
        let bytes = writer.into_inner().map_err(|error| error.to_string())?;
        simclr_files::write_bytes(&self.path, &bytes)?;
        self.seen = Some(Digest::of(&bytes).to_hex());
        Ok(())
    }
}

/// The SHA-256 of a file; none if it is not there.
fn digest(path: &Path) -> AnyResult<Option<String>> {
    path.exists().then(|| file_digest(path)).transpose()
}

/// A file beside the table, for as long as a session writes the table. The table itself is
/// replaced by each answer, and a lock on it with it.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    fn new(path: PathBuf) -> AnyResult<Self> {
        let file = open_alone(&path)?;
        Ok(Self { path, _file: file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // One that stays does no harm: nobody holds it.
        let _ = fs::remove_file(&self.path);
    }
}

/// A file's path without links, by which it is told from others; as it is if it is not there.
pub(super) fn resolved(file: &Path) -> PathBuf {
    file.canonicalize().unwrap_or_else(|_| file.to_owned())
}
