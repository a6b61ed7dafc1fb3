//! Images that a command is given, and pictures that it gives.

use std::ffi::OsStr;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::{DynamicImage, ImageFormat};
use simclr_data::{
    CsvRow, CsvTable, Dataset, ImageFiles, ImageFolder, ImageTable, Labels, image_path,
    joined_image_files,
};

use crate::terminal::{AnyResult, complain};

/// Images with labels: a folder with a folder per class, or a table of images and classes.
pub(crate) fn labelled(path: &Path) -> AnyResult<Arc<dyn Dataset>> {
    if path.is_dir() {
        return Ok(Arc::new(ImageFolder::labelled(path)?));
    }
    let images = ImageTable::read(path)?;
    if images.class_names().is_empty() {
        let table = CsvTable::read(path)?;
        let reason = table.no_classes(table.required(&CsvTable::CLASS)?);
        return Err(format!("{}: {reason}", path.display()).into());
    }
    let images = images.labelled()?;
    check_files(path, &images, 0..images.len())?;
    Ok(Arc::new(images))
}

/// Fails if a file of a table's images is not there: it would end the work when its turn comes.
pub(crate) fn check_files(
    table: &Path,
    images: &ImageTable,
    indices: impl IntoIterator<Item = usize>,
) -> AnyResult {
    let is_missing = |file: &PathBuf| matches!(file.try_exists(), Ok(false));
    let missing = |index| Some((index, images.file(index).filter(is_missing)?));
    let mut missing = indices.into_iter().filter_map(missing);
    let Some((index, file)) = missing.next() else {
        return Ok(());
    };
    let more = match missing.count() {
        0 => String::new(),
        more => format!(", nor those of {more} more rows"),
    };
    let (name, rows) = (images.name(index), CsvTable::read(table)?);
    let column = rows.required(&CsvTable::IMAGE)?;
    let is_its = |row: &&CsvRow| image_path(row.cell(column)) == name;
    let line = rows.rows().iter().find(is_its).map_or(0, CsvRow::line);
    let (table, file) = (table.display(), file.display());
    Err(format!("{table}: line {line} names {name}, but there is no file {file}{more}").into())
}

/// The images of one folder or of several, or of tables of images, without labels, each file once.
pub(crate) fn unlabelled(sources: &[PathBuf]) -> AnyResult<Arc<dyn Dataset>> {
    let open = |path: &PathBuf| -> AnyResult<Arc<dyn ImageFiles>> {
        if path.is_file() {
            let images = ImageTable::read(path)?.unlabelled();
            check_files(path, &images, 0..images.len())?;
            Ok(Arc::new(images))
        } else {
            Ok(Arc::new(ImageFolder::unlabelled(path)?))
        }
    };
    let mut opened = sources.iter().map(open).collect::<AnyResult<Vec<_>>>()?;
    if opened.len() == 1
        && let Some(source) = opened.pop()
    {
        return Ok(source);
    }
    let (images, repeated) = joined_image_files(opened)?;
    if repeated > 0 {
        complain(format_args!(
            "warning: {repeated} images are given more than once and count once"
        ));
    }
    Ok(Arc::new(images))
}

/// The images of a folder, searched to the bottom.
pub(crate) fn of_folder(path: &Path, skip_unreadable: bool) -> AnyResult<ImageFolder> {
    let images = ImageFolder::builder(path).labels(Labels::Ignored);
    Ok(images.skip_unreadable(skip_unreadable).open()?)
}

/// Removes the pictures of a report that was in its folder before, `PREFIX-NUMBER.png`: a shorter
/// one that follows would leave some of them.
pub(crate) fn remove_pictures(report: &Path, prefixes: &[&str]) -> AnyResult {
    let pictures = report.join("figures");
    if !pictures.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(&pictures)? {
        let path = entry?.path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let is_picture = |prefix: &&str| {
            let rest = name
                .strip_prefix(prefix)
                .and_then(|name| name.strip_prefix('-'));
            let number = rest.and_then(|rest| rest.strip_suffix(".png"));
            number.is_some_and(|number| number.parse::<u32>().is_ok())
        };
        if prefixes.iter().any(is_picture) {
            fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(())
}

/// A picture as the bytes of a PNG file.
pub(crate) fn png(picture: impl Into<DynamicImage>) -> AnyResult<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_images_that_are_not_there_or_have_no_class_are_refused_by_line_and_column() {
        let dir = tempfile::tempdir().unwrap();
        let table = dir.path().join("labels.csv");
        image::RgbImage::new(8, 8)
            .save(dir.path().join("a.png"))
            .unwrap();
        let read = |text: &str| {
            fs::write(&table, text).unwrap();
            (labelled(&table), unlabelled(std::slice::from_ref(&table)))
        };
        let refused = |found: AnyResult<Arc<dyn Dataset>>, expected: &str| {
            let error = found.err().unwrap().to_string();
            assert!(
                error.contains("labels.csv: ") && error.contains(expected),
                "{error}"
            );
        };
        let (one, other) = read("image,Label\na.png,x\n\n./sub\\b.png,y\nc.png,y\n");
        let expected = "line 4 names sub/b.png, but there is no file ";
        refused(other, expected);
        refused(one, expected);
        let (both, _) = read("image,Label\na.png,x\nb.png,y\nc.png,y\n");
        refused(both, "/b.png, nor those of 1 more rows");
        // Without a class, an image is not among those with one.
        let (one, other) = read("image,Label\na.png,x\nc.png,\n");
        assert_eq!(one.unwrap().len(), 1);
        refused(other, "line 3 names c.png");
        let (one, other) = read("image,Label\na.png,\n");
        refused(one, "the column `Label` is empty in all of the 1 rows");
        assert_eq!(other.unwrap().len(), 1);
        refused(
            read("image\na.png\n").0,
            "no column `class` or `label`; there are image",
        );
    }

    #[test]
    fn pictures_of_an_older_report_go_and_everything_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        remove_pictures(dir.path(), &["image"]).unwrap();
        let figures = dir.path().join("figures");
        fs::create_dir(&figures).unwrap();
        let names = [
            "image-2.png",
            "section-13.png",
            "image-x.png",
            "my-image-4.png",
            "core-3.png",
        ];
        for name in names {
            fs::write(figures.join(name), "").unwrap();
        }
        remove_pictures(dir.path(), &["image", "section"]).unwrap();
        let left = names.map(|name| figures.join(name).exists());
        assert_eq!(left, [false, false, true, true, true]);
    }
}
