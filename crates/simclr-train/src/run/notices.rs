//! `notices.json`: what was noticed while a run was going on.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use simclr_files::write_json;

use super::record::read_record;
use crate::error::Result;

/// Something about a run that its owner should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// After how many steps it was noticed.
    pub step: u64,
    /// What it is about, in a word or two.
    pub subject: String,
    /// What was found, and what to do.
    pub text: String,
}

/// The notices of a run, in their file as soon as there is one.
#[derive(Debug)]
pub struct Notices {
    path: PathBuf,
    content: Content,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    notices: Vec<Notice>,
}

impl Notices {
    /// Opens the file `path` with the notices up to and including step `last`.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) if it cannot be read or is damaged.
    pub fn open(path: impl Into<PathBuf>, last: u64) -> Result<Self> {
        let path = path.into();
        let mut content: Content = read_record(&path)?.unwrap_or_default();
        content.notices.retain(|notice| notice.step <= last);
        Ok(Self { path, content })
    }

    /// Adds a notice, unless it is there, and warns of it.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) if it cannot be written.
    pub fn add(&mut self, step: u64, subject: &str, text: impl Into<String>) -> Result<()> {
        let notice = Notice {
            step,
            subject: subject.to_owned(),
            text: text.into(),
        };
        if self.content.notices.contains(&notice) {
            return Ok(());
        }
        tracing::warn!("step {step}: {subject}: {}", notice.text);
        self.content.notices.push(notice);
        Ok(write_json(&self.path, &self.content)?)
    }

    /// The notices, oldest first.
    pub fn list(&self) -> &[Notice] {
        &self.content.notices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_kept_up_to_where_a_run_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notices.json");
        let mut notices = Notices::open(&path, 0).unwrap();
        assert!(!path.exists());
        for step in [3, 5, 5, 8] {
            notices.add(step, "collapse", format!("at {step}")).unwrap();
        }
        assert_eq!(notices.list().len(), 3);
        let steps = |last| {
            let notices = Notices::open(&path, last).unwrap();
            notices
                .list()
                .iter()
                .map(|notice| notice.step)
                .collect::<Vec<_>>()
        };
        assert_eq!((steps(5), steps(u64::MAX)), (vec![3, 5], vec![3, 5, 8]));
    }
}
