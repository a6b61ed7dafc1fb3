//! The files that commands write.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use simclr_data::decode_file;
use simclr_files::check_destination;
use simclr_report::check_foreign;
use simclr_study::Study;
use simclr_train::run::RunFolder;

use crate::folders::resolved;
use crate::terminal::AnyResult;

/// Fails before there is any work if a file cannot be written there, if it is one of the `others` that
/// the command reads or writes, or if it would replace an image or a part of a run or a study.
pub(crate) fn check_output<'a>(
    out: &Path,
    others: impl IntoIterator<Item = &'a Path>,
) -> AnyResult {
    check_destination(out)?;
    let place = resolved(out)?;
    for other in others {
        if resolved(other).is_ok_and(|other| other == place) {
            let reason = "this command reads the file that it would replace, or writes it already; take another name";
            return Err(format!("{}: {reason}", out.display()).into());
        }
    }
    if place.is_file() && decode_file(&place).is_ok() {
        let reason =
            "this is an image, which would be replaced by something else; take another name";
        return Err(format!("{}: {reason}", out.display()).into());
    }
    if Study::is_file_of_record(&place) {
        let reason = "this is a file of the run or study in its folder; take another name";
        return Err(format!("{}: {reason}", out.display()).into());
    }
    Ok(())
}

/// [`check_output`] for a command that also writes a run's folder, which may be new.
pub(crate) fn check_output_beside_run<'a>(
    out: &Path,
    run: &Path,
    others: impl IntoIterator<Item = &'a Path>,
) -> AnyResult {
    // A file in the run's folder is the run's own, or may be there as soon as the folder is.
    let (place, run) = (resolved(out)?, resolved(run)?);
    if place == run || place.parent() == Some(&run) && RunFolder::has_own_name(&place, &[]) {
        let reason = "the run that this command makes has this name itself; take another one";
        return Err(format!("--out {}: {reason}", out.display()).into());
    }
    check_output(out, others)
}

/// The path of a file with `ending` behind its name.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}

/// Opens the file beside a table that one process at a time may have while it writes the table.
pub(crate) fn open_alone(file: &Path) -> AnyResult<File> {
    let mut options = OpenOptions::new();
    let opened = options.create(true).write(true).truncate(false).open(file);
    let opened = opened.map_err(|error| format!("{}: {error}", file.display()))?;
    match opened.try_lock() {
        Err(TryLockError::WouldBlock) => {
            let reason = "another process is writing this table";
            Err(format!("{}: {reason}", file.display()).into())
        }
        // Where a file system has no locks, nobody is kept away.
        _ => Ok(opened),
    }
}

/// Fails before there is any work if a command's `report.html` would replace a page of somebody
/// else's, or the report of a run or a study. `option` names the folder on the command line.
pub(crate) fn check_report(option: &str, dir: &Path) -> AnyResult {
    let page = dir.join("report.html");
    if page.exists() && RunFolder::is_recorded_in(dir) {
        let reason =
            "a run or a study is recorded in this folder, and its report would be replaced";
        return Err(format!("{option} {}: {reason}; take another folder", dir.display()).into());
    }
    Ok(check_foreign(page)?)
}

/// What a folder has of `parts` without the page that a command writes beside them, so that it is
/// somebody else's.
pub(crate) fn foreign_part<'p>(dir: &Path, page: &str, parts: &[&'p str]) -> Option<&'p str> {
    let mut parts = parts.iter().copied();
    parts.find(|part| dir.join(part).exists() && !dir.join(page).exists())
}

/// Fails if a folder has a [`foreign_part`], which would be replaced.
pub(crate) fn check_parts(option: &str, dir: &Path, page: &str, parts: &[&str]) -> AnyResult {
    match foreign_part(dir, page, parts) {
        None => Ok(()),
        Some(part) => Err(format!(
            "{option} {}: {part} is there without {page}, so it is not of this command, and might be \
             replaced; take another folder",
            dir.display()
        )
        .into()),
    }
}
