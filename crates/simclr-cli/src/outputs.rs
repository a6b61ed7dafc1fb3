//! The files that commands write.

use std::path::Path;

use simclr_files::check_destination;
use simclr_report::check_foreign;
use simclr_train::run::RunFolder;

use crate::terminal::AnyResult;

/// Fails before there is any work if a file cannot be written there, or if it is one of those that
/// the command reads.
pub(crate) fn check_output<'a>(out: &Path, read: impl IntoIterator<Item = &'a Path>) -> AnyResult {
    check_destination(out)?;
    let Ok(place) = out.canonicalize() else {
        // Nothing is there yet.
        return Ok(());
    };
    let is_read = |path: &Path| path.canonicalize().is_ok_and(|read| read == place);
    if read.into_iter().any(is_read) {
        let reason = "this command reads the file that it would replace; take another name for it";
        return Err(format!("{}: {reason}", out.display()).into());
    }
    Ok(())
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
