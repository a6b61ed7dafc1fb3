//! What has been labelled, and what is next.

use std::path::{Path, PathBuf};

use image::{DynamicImage, RgbImage};
use serde::Serialize;
use simclr_data::{CsvTable, DecodeOptions, decode_file_with};
use simclr_files::{FileFinder, normalized_name};

use super::context::Context;
use super::table::{LabelTable, resolved};
use crate::images::png;
use crate::terminal::AnyResult;

/// Pictures are at most so large, in pixels.
const LARGEST: u32 = 900;

/// Images with the classes that they have been given.
#[derive(Debug)]
pub(super) struct Session {
    images: Vec<Queued>,
    classes: Vec<String>,
    labels: LabelTable,
    /// What was labelled or passed over, the last at the end, with the class that it had before.
    history: Vec<(usize, String)>,
    passed_over: Vec<usize>,
    pub(super) context: Option<Context>,
    /// How images and sections are decoded.
    pub(super) decode: DecodeOptions,
}

#[derive(Debug)]
struct Queued {
    name: String,
    path: PathBuf,
    /// By which the image is found in the table of labels.
    key: PathBuf,
    remark: String,
}

/// What the page shows.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct State {
    /// The image that is asked about; none if all have been.
    pub(super) index: Option<usize>,
    pub(super) image: String,
    pub(super) remark: String,
    pub(super) classes: Vec<String>,
    pub(super) labelled: usize,
    pub(super) total: usize,
    pub(super) can_undo: bool,
    pub(super) has_context: bool,
}

impl Session {
    pub(super) fn open(
        queue: &Path,
        images: Option<&Path>,
        classes: &[String],
        out: &Path,
    ) -> AnyResult<Self> {
        let table = CsvTable::read(queue)?;
        let (queued, known) = queued(&table, queue, images)?;
        let classes = classes_of(classes, known)?;
        let names = queued.iter().map(|image| {
            let name = normalized_name(&image.name).into_owned();
            (name, image.path.clone())
        });
        let labels = LabelTable::open(out, &names.collect())?;
        Ok(Self {
            images: queued,
            classes,
            labels,
            history: Vec::new(),
            passed_over: Vec::new(),
            context: None,
            decode: DecodeOptions::default(),
        })
    }

    pub(super) fn labelled(&self) -> usize {
        let is_labelled = |image: &&Queued| !self.labels.class(&image.key).is_empty();
        self.images.iter().filter(is_labelled).count()
    }

    pub(super) fn state(&self) -> State {
        let is_open = |index: &usize| {
            let class = self.labels.class(&self.images[*index].key);
            class.is_empty() && !self.passed_over.contains(index)
        };
        let index = (0..self.images.len()).find(is_open);
        let image = index.and_then(|index| self.images.get(index));
        let has_context = image.is_some_and(|image| {
            let context = self.context.as_ref();
            context.is_some_and(|context| context.tile(&image.name).is_some())
        });
        State {
            index,
            image: image.map_or_else(String::new, |image| image.name.clone()),
            remark: image.map_or_else(String::new, |image| image.remark.clone()),
            classes: self.classes.clone(),
            labelled: self.labelled(),
            total: self.images.len(),
            can_undo: !self.history.is_empty(),
            has_context,
        }
    }

    /// Gives an image a class, or none: then it is passed over.
    pub(super) fn answer(&mut self, index: usize, class: Option<usize>) -> AnyResult {
        let image = self.images.get(index);
        let image = image.ok_or_else(|| format!("there is no image {index}"))?;
        let before = self.labels.class(&image.key).to_owned();
        match class {
            None => {
                self.labels.save()?;
                self.passed_over.push(index);
            }
            Some(class) => {
                let class = self.classes.get(class).ok_or("there is no such class")?;
                self.labels.give(&image.key, &image.path, class)?;
            }
        }
        self.history.push((index, before));
        Ok(())
    }

    /// Takes the last answer back.
    pub(super) fn undo(&mut self) -> AnyResult {
        let Some((last, before)) = self.history.last() else {
            return Ok(());
        };
        let image = &self.images[*last];
        self.labels.give(&image.key, &image.path, before)?;
        self.passed_over.retain(|index| index != last);
        self.history.pop();
        Ok(())
    }

    /// An image as PNG.
    pub(super) fn picture(&self, index: usize) -> AnyResult<Vec<u8>> {
        let image = self.images.get(index).ok_or("there is no such image")?;
        small_png(RgbImage::try_from(decode_file_with(
            &image.path,
            &self.decode,
        )?)?)
    }

    /// A tile in its section, as PNG.
    pub(super) fn section(&self, index: usize) -> AnyResult<Vec<u8>> {
        let image = self.images.get(index).ok_or("there is no such image")?;
        let context = self.context.as_ref().ok_or("there are no sections")?;
        small_png(context.picture(&image.name, &self.decode)?)
    }
}

/// The images of a table in their order, and the classes that it names.
fn queued(
    table: &CsvTable,
    path: &Path,
    folder: Option<&Path>,
) -> AnyResult<(Vec<Queued>, Vec<String>)> {
    let wrong = |reason: String| format!("{}: {reason}", path.display());
    let folder = folder
        .or(path.parent())
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    // Without links, so that the way from the table of labels to the images is the right one.
    let place = folder.canonicalize();
    let place = place.map_err(|error| format!("{}: {error}", folder.display()))?;
    let reason = table.column(&["reason"]);
    let (mut queued, mut known) = (Vec::new(), Vec::new());
    let mut finder = FileFinder::default();
    for row in table.images()? {
        let path = finder.find(&place, &row.image)?;
        if !path.is_file() {
            let (line, path) = (row.row.line(), folder.join(&row.image));
            let path = path.display();
            let reason = format!("line {line}: there is no image {path}; say --images DIR");
            return Err(wrong(reason).into());
        }
        known.extend(row.class.map(str::to_owned));
        let remark = reason.map_or("", |column| row.row.cell(column)).to_owned();
        queued.push(Queued {
            name: row.image,
            key: resolved(&path),
            path,
            remark,
        });
    }
    if queued.is_empty() {
        return Err(wrong("no image is listed".into()).into());
    }
    Ok((queued, known))
}

/// The classes to choose from: those that were given, or else those that are known.
fn classes_of(given: &[String], known: Vec<String>) -> AnyResult<Vec<String>> {
    let mut classes = if given.is_empty() {
        known
    } else {
        given.to_vec()
    };
    classes.retain(|class| !class.is_empty());
    if given.is_empty() {
        classes.sort();
    }
    classes.dedup();
    if classes.len() < 2 {
        return Err("say which classes there are: --classes a,b".into());
    }
    Ok(classes)
}

fn small_png(picture: RgbImage) -> AnyResult<Vec<u8>> {
    let mut picture = DynamicImage::ImageRgb8(picture);
    if picture.width().max(picture.height()) > LARGEST {
        picture = picture.thumbnail(LARGEST, LARGEST);
    }
    png(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_written_as_they_are_given_and_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let image = simclr_data::DecodedImage::new(2, 2, vec![7; 12]).unwrap();
        for name in ["a.png", "b.png", "c.png"] {
            simclr_data::save_png(&image, dir.path().join(name)).unwrap();
        }
        let (queue, out) = (dir.path().join("next.csv"), dir.path().join("labels.csv"));
        std::fs::write(&queue, "image,class,reason\na.png,,far\nb.png,,\nc.png,,\n").unwrap();
        let classes = ["soupy", "none"].map(str::to_owned);
        let open = || Session::open(&queue, None, &classes, &out);
        let written = || std::fs::read_to_string(&out).unwrap();

        let mut session = open().unwrap();
        let state = session.state();
        assert_eq!(
            (state.index, &*state.image, &*state.remark),
            (Some(0), "a.png", "far")
        );
        assert_eq!((state.classes, state.can_undo), (classes.to_vec(), false));
        session.answer(0, Some(1)).unwrap();
        session.answer(1, None).unwrap();
        assert_eq!(written(), "image,class\na.png,none\n");
        assert_eq!(session.state().index, Some(2));
        session.undo().unwrap();
        assert_eq!(session.state().index, Some(1));
        session.undo().unwrap();
        assert_eq!(
            (session.state().index, &*written()),
            (Some(0), "image,class\n")
        );
        session.answer(0, Some(0)).unwrap();
        assert!(session.answer(1, Some(2)).is_err() && session.answer(3, Some(0)).is_err());

        // The next session goes on, when this one is over.
        let error = open().unwrap_err().to_string();
        let expected = "labels.csv.lock: another process is writing this table";
        assert!(error.contains(expected), "{error}");
        drop(session);
        let mut session = open().unwrap();
        assert_eq!((session.labelled(), session.state().index), (1, Some(1)));
        session.answer(1, Some(0)).unwrap();
        session.answer(2, Some(0)).unwrap();
        assert_eq!(session.state().index, None);
        assert_eq!(session.picture(0).unwrap()[1..4], *b"PNG");

        drop(session);
        assert!(!dir.path().join("labels.csv.lock").exists());
        let error = Session::open(&queue, None, &[], &out)
            .unwrap_err()
            .to_string();
        assert!(error.contains("--classes"), "{error}");
    }

    #[test]
    fn what_another_program_writes_to_the_table_is_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let image = simclr_data::DecodedImage::new(2, 2, vec![7; 12]).unwrap();
        for name in ["a.png", "b.png"] {
            simclr_data::save_png(&image, dir.path().join(name)).unwrap();
        }
        let (queue, out) = (dir.path().join("next.csv"), dir.path().join("labels.csv"));
        std::fs::write(&queue, "image\na.png\nb.png\n").unwrap();
        let classes = ["x", "y"].map(str::to_owned);
        let open = || Session::open(&queue, None, &classes, &out).unwrap();
        let mut session = open();
        session.answer(0, Some(0)).unwrap();
        let theirs = "image,class\na.png,y\nother.png,x\n";
        std::fs::write(&out, theirs).unwrap();
        let before = session.state();
        for result in [
            session.answer(1, Some(0)),
            session.answer(1, None),
            session.undo(),
        ] {
            let error = result.unwrap_err().to_string();
            let expected = "labels.csv: another program has changed this table";
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(std::fs::read_to_string(&out).unwrap(), theirs);
        // Nothing counts as given or taken back that is not written.
        assert_eq!(session.state(), before);
        drop(session);
        let mut session = open();
        session.answer(1, Some(0)).unwrap();
        let both = format!("{theirs}b.png,x\n");
        assert_eq!(std::fs::read_to_string(&out).unwrap(), both);

        // Where nothing is left, nothing can be lost.
        std::fs::remove_file(&out).unwrap();
        session.undo().unwrap();
        assert_eq!(std::fs::read_to_string(&out).unwrap(), theirs);
    }

    #[test]
    fn images_are_found_whatever_the_unicode_form_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let (composed, decomposed) = ("K\u{f6}ln.png", "Ko\u{308}ln.png");
        let images = dir.path().join("images");
        std::fs::create_dir(&images).unwrap();
        let image = simclr_data::DecodedImage::new(2, 2, vec![7; 12]).unwrap();
        simclr_data::save_png(&image, images.join(decomposed)).unwrap();
        let (queue, out) = (dir.path().join("next.csv"), dir.path().join("labels.csv"));
        std::fs::write(&queue, format!("image\n{composed}\n")).unwrap();
        let classes = ["x", "y"].map(str::to_owned);
        // By its path from the table's folder, and by its name below the images' folder.
        for name in [&format!("images/{composed}"), composed] {
            std::fs::write(&out, format!("image,class\n{name},x\n")).unwrap();
            let session = Session::open(&queue, Some(&images), &classes, &out).unwrap();
            assert_eq!(session.labelled(), 1);
            assert_eq!(session.picture(0).unwrap()[1..4], *b"PNG");
        }
    }

    #[test]
    fn what_else_the_table_says_stays() {
        let dir = tempfile::tempdir().unwrap();
        let tiles = dir.path().join("tiles");
        std::fs::create_dir(&tiles).unwrap();
        let image = simclr_data::DecodedImage::new(2, 2, vec![7; 12]).unwrap();
        for name in ["a.png", "b.png", "c.png"] {
            simclr_data::save_png(&image, tiles.join(name)).unwrap();
        }
        let (queue, out) = (dir.path().join("next.csv"), dir.path().join("labels.csv"));
        std::fs::write(&queue, "image\nb.png\nc.png\na.png\n").unwrap();
        // An image that is not in the queue, one that has no class yet, and one by its name below
        // the images' folder.
        let table =
            "comment;Class;image;by\n\"far; up\";x;other/d.png;me\n?;;tiles/b.png;\n;x;a.png;\n";
        std::fs::write(&out, table).unwrap();
        let classes = ["x", "y"].map(str::to_owned);
        let open = || Session::open(&queue, Some(&tiles), &classes, &out);
        let written = || std::fs::read_to_string(&out).unwrap();
        let mut session = open().unwrap();
        assert_eq!((session.labelled(), session.state().index), (1, Some(0)));
        session.answer(0, Some(1)).unwrap();
        session.answer(1, Some(0)).unwrap();
        let begin = "comment;Class;image;by\n\"far; up\";x;other/d.png;me\n";
        let after = "?;y;tiles/b.png;\n;x;tiles/a.png;\n;x;tiles/c.png;\n";
        assert_eq!(written(), format!("{begin}{after}"));
        session.undo().unwrap();
        session.undo().unwrap();
        let undone = "?;;tiles/b.png;\n;x;tiles/a.png;\n";
        assert_eq!(written(), format!("{begin}{undone}"));
        session.answer(0, Some(1)).unwrap();
        session.answer(1, Some(0)).unwrap();
        assert_eq!(written(), format!("{begin}{after}"));
        drop(session);
        assert_eq!(open().unwrap().labelled(), 3);

        // A table elsewhere names the same files.
        std::fs::create_dir(dir.path().join("labels")).unwrap();
        let other = dir.path().join("labels/of-me.csv");
        let mut session = Session::open(&queue, Some(&tiles), &classes, &other).unwrap();
        session.answer(2, Some(1)).unwrap();
        let written = std::fs::read_to_string(&other).unwrap();
        assert_eq!(written, "image,class\n../tiles/a.png,y\n");
        let images = simclr_data::ImageTable::read(&other).unwrap();
        assert_eq!(simclr_data::Dataset::decode(&images, 0).unwrap(), image);

        std::fs::write(&out, "image,class\ntiles/d.png,x\ntiles/d.png,y\n").unwrap();
        let error = open().unwrap_err().to_string();
        assert!(
            error.contains("the class x in line 2 and the class y in line 3"),
            "{error}"
        );
        let error = Session::open(&queue, Some(&tiles), &classes, &dir.path().join("no/l.csv"));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("l.csv: its folder"), "{error}");
    }
}
