//! Writing event files.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Cursor, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::proto::{Content, Event, Image, Summary, Value, What};
use crate::record::{frame, read_events};

/// What the names of event files begin with; TensorBoard looks for `tfevents` in them.
const PREFIX: &str = "events.out.tfevents.";

/// Appends to an event file of its own in a run's folder.
///
/// Each call writes whole records, so a run that is killed loses at most the last of them.
#[derive(Debug)]
pub struct EventWriter {
    file: File,
    path: PathBuf,
    /// The last step of each tag.
    last_steps: BTreeMap<String, i64>,
}

impl EventWriter {
    /// Begins a file in a run's folder, for a session that begins after `steps_taken` steps.
    ///
    /// The files of earlier sessions stay. A session that goes back to a checkpoint repeats steps
    /// that they hold already, to the bit: these are left out. With no steps taken the run is a
    /// new one, and the event files of the one that was there before are removed.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Damaged`] if an event file of an earlier session is.
    pub fn open(dir: impl AsRef<Path>, steps_taken: u64) -> Result<Self> {
        let dir = dir.as_ref();
        let mut last_steps = BTreeMap::new();
        for path in event_files(dir)? {
            if steps_taken == 0 {
                fs::remove_file(&path).map_err(Error::io(&path))?;
            } else {
                collect_last_steps(&read_events(&path)?, &mut last_steps);
            }
        }
        let (file, path) = create(dir)?;
        let mut writer = Self {
            file,
            path,
            last_steps,
        };
        writer.write(0, What::FileVersion("brain.Event:2".to_owned()))?;
        Ok(writer)
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes numbers that belong to a step, as f32, the format's type. What stands before a slash
    /// in a tag is the group under which TensorBoard shows it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn scalars(&mut self, step: u64, values: &[(impl AsRef<str>, f64)]) -> Result<()> {
        let values = values.iter();
        let values = values.map(|(tag, value)| (tag.as_ref(), Content::Scalar(*value as f32)));
        self.summary(step, values.collect())
    }

    /// Writes a picture that belongs to a step: its width and height in pixels, and its pixels row
    /// by row, three bytes (RGB) each.
    ///
    /// # Errors
    /// [`Error::Image`] if there are more or fewer bytes; [`Error::Io`].
    pub fn image(
        &mut self,
        step: u64,
        tag: &str,
        (width, height): (u32, u32),
        pixels: &[u8],
    ) -> Result<()> {
        let mut encoded = Cursor::new(Vec::new());
        let expected = u64::from(width) * u64::from(height) * 3;
        let fits = expected == pixels.len() as u64;
        let format = image::ImageFormat::Png;
        let colour = image::ExtendedColorType::Rgb8;
        let (sides, found) = ((width, height), pixels.len());
        let wrong = || Error::Image {
            tag: tag.to_owned(),
            width: sides.0,
            height: sides.1,
            expected,
            found,
        };
        let (Ok(wide), Ok(high), true) = (i32::try_from(width), i32::try_from(height), fits) else {
            return Err(wrong());
        };
        image::write_buffer_with_format(&mut encoded, pixels, width, height, colour, format)
            .map_err(|_| wrong())?;
        let image = Image {
            height: high,
            width: wide,
            colorspace: 3,
            encoded: encoded.into_inner(),
        };
        self.summary(step, vec![(tag, Content::Image(image))])
    }

    /// Writes the values whose tags have none of this step or a later one.
    fn summary(&mut self, step: u64, values: Vec<(&str, Content)>) -> Result<()> {
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        let mut summary = Summary::default();
        for (tag, content) in values {
            if self.last_steps.get(tag).is_none_or(|last| *last < step) {
                self.last_steps.insert(tag.to_owned(), step);
                summary.value.push(Value {
                    tag: tag.to_owned(),
                    content: Some(content),
                });
            }
        }
        if summary.value.is_empty() {
            return Ok(());
        }
        self.write(step, What::Summary(summary))
    }

    fn write(&mut self, step: i64, what: What) -> Result<()> {
        let event = Event {
            wall_time: seconds(),
            step,
            what: Some(what),
        };
        let record = frame(&event);
        self.file.write_all(&record).map_err(Error::io(&self.path))
    }
}

/// Seconds since 1970.
fn seconds() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// The event files of a folder, in the order in which TensorBoard reads them.
fn event_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::io(dir))? {
        let entry = entry.map_err(Error::io(dir))?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

fn collect_last_steps(events: &[Event], last_steps: &mut BTreeMap<String, i64>) {
    for event in events {
        if let Some(What::Summary(summary)) = &event.what {
            for value in &summary.value {
                let last = last_steps.entry(value.tag.clone()).or_insert(event.step);
                *last = event.step.max(*last);
            }
        }
    }
}

/// A new file with a name that sorts behind those of earlier sessions.
fn create(dir: &Path) -> Result<(File, PathBuf)> {
    let second = seconds() as u64;
    let mut number = 0u32;
    loop {
        let path = dir.join(format!("{PREFIX}{second:010}.simclr.{number:04}"));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(Error::io(&path)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The steps and values of a tag in all event files of a folder.
    fn series(dir: &Path, tag: &str) -> Vec<(i64, f32)> {
        let mut points = Vec::new();
        for path in event_files(dir).unwrap() {
            for event in read_events(path).unwrap() {
                let Some(What::Summary(summary)) = event.what else {
                    continue;
                };
                for value in summary.value.into_iter().filter(|value| value.tag == tag) {
                    if let Some(Content::Scalar(scalar)) = value.content {
                        points.push((event.step, scalar));
                    }
                }
            }
        }
        points
    }

    #[test]
    fn a_run_that_goes_on_repeats_no_step() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        // Killed after step 5, with a checkpoint at step 3 and a part of a record at the end.
        let mut first = EventWriter::open(dir, 0).unwrap();
        for step in 1..=5 {
            first
                .scalars(step, &[("loss", step as f64), ("rate", 0.5)])
                .unwrap();
        }
        first.file.write_all(&[40, 0, 0]).unwrap();
        drop(first);
        let mut second = EventWriter::open(dir, 3).unwrap();
        for step in 4..=7 {
            second.scalars(step, &[("loss", step as f64)]).unwrap();
        }
        second.scalars(5, &[("epoch/loss", 5.0)]).unwrap();
        let expected: Vec<_> = (1..=7).map(|step| (step, step as f32)).collect();
        assert_eq!(series(dir, "loss"), expected);
        assert_eq!(series(dir, "epoch/loss"), [(5, 5.0)]);
        assert_eq!(event_files(dir).unwrap().len(), 2);
        // The run begins anew.
        EventWriter::open(dir, 0).unwrap();
        assert_eq!(event_files(dir).unwrap().len(), 1);
        assert!(series(dir, "loss").is_empty());
    }

    #[test]
    fn an_image_is_a_png_of_its_size() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::open(dir.path(), 0).unwrap();
        let pixels = [255, 0, 0, 0, 0, 255];
        writer.image(1, "views", (2, 1), &pixels).unwrap();
        let events = read_events(writer.path()).unwrap();
        let Some(What::Summary(summary)) = &events[1].what else {
            panic!("{events:?}");
        };
        let Some(Content::Image(image)) = &summary.value[0].content else {
            panic!("{summary:?}");
        };
        assert_eq!((image.width, image.height, image.colorspace), (2, 1, 3));
        let decoded = image::load_from_memory(&image.encoded).unwrap();
        assert_eq!(decoded.to_rgb8().into_raw(), pixels);
        let error = writer.image(2, "views", (2, 2), &pixels).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("12 bytes of 2 x 2 pixels, found 6"),
            "{error}"
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let error = EventWriter::open("/nowhere/at/all", 0).unwrap_err();
        assert!(error.to_string().contains("nowhere"), "{error}");
    }
}
