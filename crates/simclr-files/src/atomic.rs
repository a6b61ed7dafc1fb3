//! Files that are either complete or not there.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::digest::DigestWriter;
use crate::error::{Error, Result};

/// Bytes that are collected before they are written.
const BUFFER: usize = 1 << 18;

/// Temporary files are named `.<name>.<random>.tmp`, so that what a killed
/// process leaves behind can be told from everything else.
const SUFFIX: &str = ".tmp";

/// What a new file outlives. A process that is killed never leaves a part of one: the choice is
/// about the machine losing its power within the seconds in which the operating system brings
/// what was written to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Durability {
    /// A loss of power too: content and name are on the disk before the writer returns, and
    /// until then the old file is. For what cannot be made again, such as the state of a
    /// training run. Costs the time that the disk takes.
    Synchronized,
    /// The end of the process, not a loss of power shortly after: the content is left to the
    /// operating system, as `cp` and [`std::fs::copy`] leave it. For what can be made again, such
    /// as a conversion of a file that stays.
    Buffered,
}

/// Writes the file `path` by way of a temporary file in the same folder.
///
/// `write` fills the temporary file, which is then synchronised to the disk, if `durability`
/// wants it, and renamed to `path`. A reader sees the old content or the new one, never a part,
/// whatever happens to the process in between.
///
/// # Errors
/// [`Error::Io`] if the folder cannot be written to, and whatever `write`
/// returns; the old file, if any, stays as it was, and no temporary file is
/// left.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("note.txt");
/// use simclr_files::{Durability::Synchronized, Error, write_atomically};
///
/// let io = |reason| Error::Io { path: path.clone(), reason };
/// write_atomically(&path, Synchronized, |file| file.write_all(b"complete").map_err(io))?;
/// let failed = write_atomically(&path, Synchronized, |file| {
///     file.write_all(b"a ha").map_err(io)?;
///     Err(io(std::io::Error::other("the power is gone")))
/// });
/// assert!(failed.is_err());
/// assert_eq!(std::fs::read(&path)?, b"complete");
/// # Ok(())
/// # }
/// ```
pub fn write_atomically<E: From<Error>>(
    path: &Path,
    durability: Durability,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let path = &destination(path)?;
    let temporary = temporary_beside(path)?;
    // The file alone: the temporary one names itself in each error.
    let mut writer = BufWriter::with_capacity(BUFFER, temporary.as_file());
    write(&mut writer)?;
    writer.flush().map_err(Error::io(path))?;
    drop(writer);
    Ok(put_in_place(temporary, path, durability)?)
}

/// [`write_atomically`] for a file that holds its own digest: the place at the byte `digest_at`,
/// where `write` puts [`DIGEST_PLACEHOLDER`](crate::DIGEST_PLACEHOLDER), gets the digest of what
/// `write` has written. [`digest_around`](crate::digest_around) computes it again.
///
/// The digest is computed by another thread while the file is written.
///
/// # Errors
/// As [`write_atomically`].
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("note.txt");
/// use simclr_files::Durability::Buffered;
/// use simclr_files::{DIGEST_PLACEHOLDER, Error, digest_around, write_with_digest};
///
/// write_with_digest(&path, Buffered, 4, |file| {
///     write!(file, "note{DIGEST_PLACEHOLDER}complete").map_err(Error::io(&path))
/// })?;
/// let file = std::fs::read_to_string(&path)?;
/// assert_eq!(file[4..68], digest_around(file.as_bytes(), 4)?);
/// # Ok(())
/// # }
/// ```
pub fn write_with_digest<E: From<Error>>(
    path: &Path,
    durability: Durability,
    digest_at: u64,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let path = &destination(path)?;
    let temporary = temporary_beside(path)?;
    let mut writer = DigestWriter::new(temporary.as_file()).map_err(Error::io(path))?;
    write(&mut writer)?;
    let (mut file, digest) = writer.finish().map_err(Error::io(path))?;
    file.seek(SeekFrom::Start(digest_at))
        .and_then(|_| file.write_all(digest.as_bytes()))
        .map_err(Error::io(path))?;
    Ok(put_in_place(temporary, path, durability)?)
}

fn put_in_place(temporary: NamedTempFile, path: &Path, durability: Durability) -> Result<()> {
    if durability == Durability::Synchronized {
        temporary.as_file().sync_all().map_err(Error::io(path))?;
    }
    temporary
        .persist(path)
        .map_err(|error| Error::io(path)(error.error))?;
    match durability {
        Durability::Synchronized => sync_folder(path),
        Durability::Buffered => Ok(()),
    }
}

/// Writes a whole file at once, [synchronised](Durability::Synchronized).
///
/// # Errors
/// As [`write_atomically`].
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically(path, Durability::Synchronized, |file| {
        file.write_all(bytes).map_err(Error::io(path))
    })
}

/// Lets `write` make a whole file under a temporary name in the folder of
/// `path`, and renames it to `path`: for writers that want a path. The file is
/// [synchronised](Durability::Synchronized).
///
/// # Errors
/// As [`write_atomically`].
pub fn replace_atomically<E: From<Error>>(
    path: &Path,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let path = &destination(path)?;
    let temporary = temporary_beside(path)?;
    write(temporary.path())?;
    File::options()
        .write(true)
        .open(temporary.path())
        .and_then(|file| file.sync_all())
        .map_err(Error::io(path))?;
    temporary
        .persist(path)
        .map_err(|error| Error::io(path)(error.error))?;
    Ok(sync_folder(path)?)
}

/// Makes the folder `path`: `fill` writes into a temporary folder beside it, which is renamed to `path`
/// at the end, or removed if something failed.
///
/// # Errors
/// [`Error::Io`] if the folder cannot be made, or something that is no empty folder is there, and
/// whatever `fill` returns.
pub fn write_folder<E: From<Error>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let parent = folder_of(path);
    fs::create_dir_all(parent).map_err(Error::io(parent))?;
    let temporary = make_temporary(path, 0o777, |builder, folder| builder.tempdir_in(folder))?;
    fill(temporary.path())?;
    fs::rename(temporary.path(), path).map_err(Error::io(path))?;
    // It has another name now, so there is nothing left to remove.
    let _ = temporary.keep();
    Ok(())
}

/// Fails if no file could be written at `path`: for long work whose result is to go there. Nothing
/// is left behind.
///
/// # Errors
/// [`Error::Io`] if the folder is not there or cannot be written to, or if something is there that
/// is not a file.
pub fn check_destination(path: &Path) -> Result<()> {
    temporary_beside(&destination(path)?).map(drop)
}

/// Where the file `path` is written: what it links to, if it is a link. Devices, pipes and folders are
/// not replaced by files.
///
/// # Errors
/// [`Error::Io`] if something is there that is not a file.
fn destination(path: &Path) -> Result<PathBuf> {
    let not_a_file = || {
        let reason = "not a file, so nothing is written there";
        Error::io(path)(io::Error::other(reason))
    };
    let mut target = path.to_owned();
    // As many links as Linux follows.
    for _ in 0..40 {
        match fs::symlink_metadata(&target) {
            Ok(found) if found.is_symlink() => {
                let link = fs::read_link(&target).map_err(Error::io(path))?;
                target = folder_of(&target).join(link);
            }
            Ok(found) if !found.is_file() => return Err(not_a_file()),
            _ => return Ok(target),
        }
    }
    Err(not_a_file())
}

/// Removes what killed processes left half-written in the folder `dir`; what another process is
/// writing stays.
///
/// # Errors
/// [`Error::Io`] if the folder cannot be read or a file not be removed.
pub fn remove_leftovers(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir).map_err(Error::io(dir))? {
        let path = entry.map_err(Error::io(dir))?.path();
        let leftover = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with('.') && name.ends_with(SUFFIX));
        if leftover && path.is_file() && !is_being_written(&path) {
            fs::remove_file(&path).map_err(Error::io(&path))?;
        }
    }
    Ok(())
}

/// Writers hold a lock on their temporary file, which goes when they end, in whatever way.
fn is_being_written(path: &Path) -> bool {
    let lock = File::open(path).map(|file| file.try_lock());
    matches!(lock, Ok(Err(TryLockError::WouldBlock)))
}

/// Brings the new name to the disk. Where folders cannot be synchronised, the
/// file system sees to it.
fn sync_folder(path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        let folder = folder_of(path);
        let synchronised = File::open(folder).and_then(|folder| folder.sync_all());
        synchronised.map_err(Error::io(folder))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes something temporary in the folder of `path`, by a name that tells what it is for. It is
/// private by default, but becomes a result that others may read: with `mode` as permissions the
/// process's umask decides, as for anything new.
fn make_temporary<T>(
    path: &Path,
    mode: u32,
    make: impl FnOnce(&tempfile::Builder<'_, '_>, &Path) -> io::Result<T>,
) -> Result<T> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}.");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(SUFFIX);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    #[cfg(not(unix))]
    let _ = mode;
    let folder = folder_of(path);
    make(&builder, folder).map_err(|error| {
        // What the error says of the temporary file tells users nothing.
        let reason = match error.kind() {
            io::ErrorKind::NotFound => io::Error::new(error.kind(), "its folder is not there"),
            _ => error,
        };
        Error::io(path)(reason)
    })
}

fn temporary_beside(path: &Path) -> Result<NamedTempFile> {
    let temporary = make_temporary(path, 0o666, |builder, folder| builder.tempfile_in(folder))?;
    // Where a file system has no locks, the file is only less safe from `remove_leftovers`; on
    // Windows a lock would keep this process from writing to it by its path.
    #[cfg(unix)]
    let _ = temporary.as_file().try_lock();
    Ok(temporary)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_that_is_not_there_is_told_of_the_file_that_was_asked_for() {
        let path = Path::new("no/such/folder/value");
        let error = check_destination(path).unwrap_err().to_string();
        let expected = format!("{}: its folder is not there", path.display());
        assert_eq!(error, expected);
    }

    #[test]
    fn an_error_in_the_middle_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("value");
        fs::write(&path, "old").unwrap();
        for durability in [Durability::Synchronized, Durability::Buffered] {
            let error = write_atomically(&path, durability, |file| {
                file.write_all(b"ne").map_err(Error::io(&path))?;
                Err(Error::io(&path)(std::io::Error::other("stopped")))
            })
            .unwrap_err();
            assert!(error.to_string().contains("value: stopped"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), "old");
            assert_eq!(names(dir.path()), ["value"]);
        }
    }

    #[test]
    fn a_folder_is_complete_or_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/labels");
        let fill = |fails: bool| {
            write_folder(&path, |folder| {
                write_bytes(&folder.join("a"), b"whole")?;
                if fails {
                    return Err(Error::io(folder)(io::Error::other("stopped")));
                }
                Ok(())
            })
        };
        assert!(fill(true).is_err());
        assert_eq!(names(&dir.path().join("new")), Vec::<String>::new());
        fill(false).unwrap();
        assert_eq!(names(&path), ["a"]);
        assert!(fill(false).is_err(), "it is there already");
        assert_eq!(names(&dir.path().join("new")), ["labels"]);
    }

    #[test]
    #[cfg(unix)]
    fn links_are_followed_and_what_is_no_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (link, file) = (dir.path().join("link"), dir.path().join("file"));
        std::os::unix::fs::symlink("file", &link).unwrap();
        write_bytes(&link, b"first").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "first");
        write_bytes(&link, b"second").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "second");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(names(dir.path()), ["file", "link"]);

        let circle = dir.path().join("circle");
        std::os::unix::fs::symlink("circle", &circle).unwrap();
        for path in [dir.path(), Path::new("/dev/null"), &circle] {
            let error = write_bytes(path, b"lost").unwrap_err().to_string();
            assert!(error.contains("not a file"), "{error}");
            assert!(check_destination(path).is_err());
        }
        check_destination(&dir.path().join("new")).unwrap();
        let missing = dir.path().join("no folder/new");
        let error = check_destination(&missing).unwrap_err().to_string();
        assert!(error.contains("no folder"), "{error}");
        assert_eq!(names(dir.path()), ["circle", "file", "link"]);
    }

    #[test]
    fn what_was_written_is_there_whole_when_the_writer_returns() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("value");
        for durability in [Durability::Synchronized, Durability::Buffered] {
            let content = format!("{durability:?}");
            write_atomically(&path, durability, |file| {
                file.write_all(content.as_bytes()).map_err(Error::io(&path))
            })
            .unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert_eq!(names(dir.path()), ["value"]);
        }
    }

    #[test]
    fn a_failed_replacement_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weights");
        fs::write(&path, "old").unwrap();
        let failed = replace_atomically(&path, |temporary| {
            fs::write(temporary, "ne").map_err(Error::io(temporary))?;
            Err(Error::io(temporary)(std::io::Error::other("disk full")))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(dir.path()), ["weights"]);
    }

    #[test]
    fn leftovers_of_a_killed_process_go_and_everything_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            ".metrics.csv.a1b2c3.tmp",
            "notes.tmp",
            ".hidden",
            "config.json",
        ] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        remove_leftovers(dir.path()).unwrap();
        assert_eq!(names(dir.path()), [".hidden", "config.json", "notes.tmp"]);

        // What is being written is no leftover.
        let path = dir.path().join("value");
        for durability in [Durability::Synchronized, Durability::Buffered] {
            write_atomically(&path, durability, |_| remove_leftovers(dir.path())).unwrap();
            write_with_digest(&path, durability, 0, |_| remove_leftovers(dir.path())).unwrap();
        }
        assert!(path.exists());
    }

    #[cfg(unix)]
    #[test]
    fn files_are_as_readable_as_any_other_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (plain, atomic) = (dir.path().join("plain"), dir.path().join("atomic"));
        fs::write(&plain, "").unwrap();
        write_atomically(&atomic, Durability::Buffered, |_| Ok::<_, Error>(())).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&plain), mode(&atomic));
    }
}
