//! What has been labelled, and what is next.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use image::{DynamicImage, Rgb, RgbImage, imageops};
use serde::Serialize;
use simclr_data::{ImageFolder, decode_file};
use simclr_drillcore::Tile;
use simclr_labels::{Label, LabelFormat, read_labels};

use crate::images::png;
use crate::terminal::AnyResult;

/// Pictures are at most so large, in pixels.
const LARGEST: u32 = 900;

/// Images with the classes that they have been given.
#[derive(Debug)]
pub(super) struct Session {
    images: Vec<Queued>,
    classes: Vec<String>,
    labels: BTreeMap<usize, String>,
    /// What was labelled or passed over, the last at the end.
    history: Vec<usize>,
    passed_over: Vec<usize>,
    out: PathBuf,
    pub(super) context: Option<Context>,
}

#[derive(Debug)]
struct Queued {
    name: String,
    path: PathBuf,
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
        let wrong = |reason: String| format!("{}: {reason}", queue.display());
        let mut reader = csv::Reader::from_path(queue).map_err(|error| wrong(error.to_string()))?;
        let headers = reader.headers()?.clone();
        let column = |names: &[&str]| headers.iter().position(|header| names.contains(&header));
        let image = column(&["image", "tile"])
            .ok_or_else(|| wrong("no column `image` or `tile`".into()))?;
        let known = column(&["class", "label"]);
        let reason = column(&["reason"]);
        let folder = images.unwrap_or(queue.parent().unwrap_or(Path::new("")));
        let (mut queued, mut found) = (Vec::new(), Vec::new());
        for record in reader.records() {
            let record = record.map_err(|error| wrong(error.to_string()))?;
            let cell =
                |column: Option<usize>| column.and_then(|c| record.get(c)).unwrap_or_default();
            let name = cell(Some(image)).to_owned();
            let path = folder.join(&name);
            if !path.is_file() {
                let reason = format!("there is no image {}; say --images DIR", path.display());
                return Err(wrong(reason).into());
            }
            found.push(cell(known).to_owned());
            queued.push(Queued {
                name,
                path,
                remark: cell(reason).to_owned(),
            });
        }
        if queued.is_empty() {
            return Err(wrong("no image is listed".into()).into());
        }
        let mut all: Vec<String> = if classes.is_empty() {
            found
        } else {
            classes.to_vec()
        };
        all.retain(|class| !class.is_empty());
        if classes.is_empty() {
            all.sort();
        }
        all.dedup();
        if all.len() < 2 {
            return Err("say which classes there are: --classes a,b".into());
        }
        let labels = labelled(&queued, out)?;
        Ok(Self {
            images: queued,
            classes: all,
            labels,
            history: Vec::new(),
            passed_over: Vec::new(),
            out: out.to_owned(),
            context: None,
        })
    }

    pub(super) fn labelled(&self) -> usize {
        self.labels.len()
    }

    pub(super) fn state(&self) -> State {
        let is_open =
            |index: &usize| !self.labels.contains_key(index) && !self.passed_over.contains(index);
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
            labelled: self.labels.len(),
            total: self.images.len(),
            can_undo: !self.history.is_empty(),
            has_context,
        }
    }

    /// Gives an image a class, or none: then it is passed over.
    pub(super) fn answer(&mut self, index: usize, class: Option<usize>) -> AnyResult {
        if index >= self.images.len() {
            return Err(format!("there is no image {index}").into());
        }
        match class {
            None => self.passed_over.push(index),
            Some(class) => {
                let class = self.classes.get(class).ok_or("there is no such class")?;
                self.labels.insert(index, class.clone());
            }
        }
        self.history.push(index);
        self.save()
    }

    /// Takes the last answer back.
    pub(super) fn undo(&mut self) -> AnyResult {
        let Some(last) = self.history.pop() else {
            return Ok(());
        };
        self.labels.remove(&last);
        self.passed_over.retain(|index| *index != last);
        self.save()
    }

    fn save(&self) -> AnyResult {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["image", "class"])?;
        for (&index, class) in &self.labels {
            writer.write_record([&self.images[index].name, class])?;
        }
        let bytes = writer.into_inner().map_err(|error| error.to_string())?;
        Ok(simclr_files::write_bytes(&self.out, &bytes)?)
    }

    /// An image as PNG.
    pub(super) fn picture(&self, index: usize) -> AnyResult<Vec<u8>> {
        let image = self.images.get(index).ok_or("there is no such image")?;
        small_png(RgbImage::try_from(decode_file(&image.path)?)?)
    }

    /// A tile in its section, as PNG.
    pub(super) fn section(&self, index: usize) -> AnyResult<Vec<u8>> {
        let image = self.images.get(index).ok_or("there is no such image")?;
        let context = self.context.as_ref().ok_or("there are no sections")?;
        small_png(context.picture(&image.name)?)
    }
}

/// The labels of an earlier session.
fn labelled(images: &[Queued], out: &Path) -> AnyResult<BTreeMap<usize, String>> {
    // A table without any label is as good as none.
    if !out.exists() || std::fs::read_to_string(out)?.lines().count() < 2 {
        return Ok(BTreeMap::new());
    }
    let labels: Vec<Label> = read_labels(out, LabelFormat::Csv)?;
    let index: HashMap<&str, usize> = (0..)
        .zip(images)
        .map(|(i, image)| (image.name.as_str(), i))
        .collect();
    let mut found = BTreeMap::new();
    for label in labels {
        let Some(&index) = index.get(label.image.as_str()) else {
            return Err(format!(
                "{}: {} is not in the queue; take another file for these labels",
                out.display(),
                label.image
            )
            .into());
        };
        found.insert(index, label.class);
    }
    Ok(found)
}

fn small_png(picture: RgbImage) -> AnyResult<Vec<u8>> {
    let mut picture = DynamicImage::ImageRgb8(picture);
    if picture.width().max(picture.height()) > LARGEST {
        picture = picture.thumbnail(LARGEST, LARGEST);
    }
    png(picture)
}

/// Where tiles lie in photographs of sections.
#[derive(Debug)]
pub(super) struct Context {
    tiles: Vec<Tile>,
    /// The photograph of each section.
    photographs: HashMap<String, PathBuf>,
}

impl Context {
    pub(super) fn new(tiles: Vec<Tile>, sections: &Path) -> AnyResult<Self> {
        let photographs = ImageFolder::unlabelled(sections)?;
        let named = photographs.paths().iter().filter_map(|path| {
            let name = path.file_stem()?.to_string_lossy().into_owned();
            Some((name, path.clone()))
        });
        Ok(Self {
            tiles,
            photographs: named.collect(),
        })
    }

    /// The tile of an image, by its file's name.
    fn tile(&self, image: &str) -> Option<&Tile> {
        let name = |path: &str| path.rsplit('/').next().map(str::to_owned);
        self.tiles
            .iter()
            .find(|tile| name(&tile.tile) == name(image))
    }

    /// The tile with as much core above and below, in a frame.
    fn picture(&self, image: &str) -> AnyResult<RgbImage> {
        let tile = self.tile(image).ok_or("the image is no tile")?;
        let path = self.photographs.get(&tile.section);
        let path = path.ok_or_else(|| format!("there is no photograph of {}", tile.section))?;
        let photograph = RgbImage::try_from(decode_file(path)?)?;
        let (top, height) = (tile.top as u32, tile.height as u32);
        let above = height.min(top);
        let below = (2 * height).min(photograph.height().saturating_sub(top));
        let mut part = imageops::crop_imm(
            &photograph,
            0,
            top - above,
            photograph.width(),
            above + below,
        )
        .to_image();
        frame(
            &mut part,
            tile.left as u32,
            above,
            tile.width as u32,
            height,
        );
        Ok(part)
    }
}

/// Draws a frame around a box.
fn frame(picture: &mut RgbImage, left: u32, top: u32, width: u32, height: u32) {
    let thickness = (picture.width() / 150).max(2);
    let (right, bottom) = (left + width, top + height);
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let inside = (left..right).contains(&x) && (top..bottom).contains(&y);
        let deep = x >= left + thickness
            && x + thickness < right
            && y >= top + thickness
            && y + thickness < bottom;
        if inside && !deep {
            *pixel = Rgb([230, 120, 0]);
        }
    }
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

        // The next session goes on.
        let mut session = open().unwrap();
        assert_eq!((session.labelled(), session.state().index), (1, Some(1)));
        session.answer(1, Some(0)).unwrap();
        session.answer(2, Some(0)).unwrap();
        assert_eq!(session.state().index, None);
        assert_eq!(session.picture(0).unwrap()[1..4], *b"PNG");

        std::fs::write(&out, "image,class\nd.png,x\n").unwrap();
        assert!(
            open()
                .unwrap_err()
                .to_string()
                .contains("d.png is not in the queue")
        );
        let error = Session::open(&queue, None, &[], &out)
            .unwrap_err()
            .to_string();
        assert!(error.contains("--classes"), "{error}");
    }
}
