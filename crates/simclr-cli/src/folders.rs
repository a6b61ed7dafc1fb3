//! The folder that a program works in.

use crate::terminal::{AnyResult, complain};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Fails if the folder to write to is a folder of images, or lies in one: what is written would be
/// read as images the next time. `option` is what names the folder on the command line.
pub fn check_outside<'a>(
    option: &str,
    dir: &Path,
    image_dirs: impl IntoIterator<Item = &'a (impl AsRef<Path> + ?Sized + 'a)>,
) -> AnyResult {
    check_no_file(option, dir)?;
    let place = resolved(dir)?;
    for images in image_dirs {
        let images = images.as_ref();
        if place.starts_with(resolved(images)?) {
            return Err(format!(
                "{option} {} lies in {}, a folder of images, which what is written would join; take a folder \
                 outside of it",
                dir.display(),
                images.display()
            )
            .into());
        }
    }
    Ok(())
}

/// The absolute path without links, also of a file or folder that is not there yet.
pub(crate) fn resolved(path: &Path) -> AnyResult<PathBuf> {
    match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found.map_err(|error| format!("{}: {error}", path.display()).into()),
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Of a path that ends in `..` nothing can be said before its folder is there.
    let name = path.file_name();
    let name = name.ok_or_else(|| format!("{} is not there, and has no name", path.display()))?;
    Ok(resolved(parent)?.join(name))
}

/// Fails if the folder to write to is a file, or a device.
fn check_no_file(option: &str, dir: &Path) -> AnyResult {
    if dir.exists() && !dir.is_dir() {
        let reason = "this is a file, but a folder to write to was expected";
        return Err(format!("{option} {}: {reason}", dir.display()).into());
    }
    Ok(())
}

/// Moves a folder aside, if it is there, so that the work starts anew. Nothing is deleted. Fails if
/// it holds one of the files and folders that the work needs.
pub fn move_aside<'a>(
    dir: &Path,
    needed: impl IntoIterator<Item = &'a (impl AsRef<Path> + ?Sized + 'a)>,
) -> AnyResult {
    if !dir.exists() {
        return Ok(());
    }
    let place = resolved(dir)?;
    for path in needed {
        let path = path.as_ref();
        if resolved(path)?.starts_with(&place) {
            return Err(format!(
                "--fresh would move {} aside with {} in it, which is needed; take another folder",
                dir.display(),
                path.display()
            )
            .into());
        }
    }
    let name = dir
        .file_name()
        .ok_or("--fresh needs a --model-dir with a name")?;
    let aside = (1u32..)
        .map(|number| {
            let mut name = name.to_owned();
            name.push(format!(".before-{number}"));
            dir.with_file_name(name)
        })
        .find(|aside| !aside.exists())
        .ok_or("no name is free")?;
    fs::rename(dir, &aside).map_err(|error| format!("{}: {error}", dir.display()))?;
    complain(format_args!(
        "{} was moved to {}",
        dir.display(),
        aside.display()
    ));
    Ok(())
}
