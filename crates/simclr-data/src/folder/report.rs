use std::fmt;
use std::path::{Path, PathBuf};

/// What was left out of a folder, and why.
///
/// Printed, it is one line that names the first few files of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScanReport {
    /// Image files of zero bytes.
    pub empty: Vec<PathBuf>,
    /// Files that are not images by their name's ending; hidden files are not listed.
    pub ignored: Vec<PathBuf>,
    /// Images that cannot be read, with the reason, if skipping them was asked for, and links that
    /// lead back to a folder above.
    pub unreadable: Vec<(PathBuf, String)>,
    /// Images beside the class folders, where all images need a label.
    pub outside: Vec<PathBuf>,
    /// Images beside the class folders, where labels were looked for and these images have none.
    /// They are not left out.
    pub unlabelled: Vec<PathBuf>,
    /// Hidden files that are named like images, and folders of the system's, such as `__MACOSX` of
    /// archives and `@eaDir` of network storage.
    pub hidden: Vec<PathBuf>,
    /// Images that ask to be turned, by EXIF's or TIFF's orientation, and are not. They are not
    /// left out, and not printed with the report; see
    /// [`DecodeOptions::apply_orientation`](crate::DecodeOptions::apply_orientation).
    pub oriented: Vec<PathBuf>,
}

impl ScanReport {
    /// Whether nothing was left out, and there is nothing else to print.
    pub fn is_clean(&self) -> bool {
        let Self {
            empty,
            ignored,
            outside,
            unlabelled,
            hidden,
            ..
        } = self;
        let lists = [empty, ignored, outside, unlabelled, hidden];
        self.unreadable.is_empty() && lists.iter().all(|list| list.is_empty())
    }

    /// What was left out below a folder.
    pub(super) fn below(&self, folder: &Path) -> Self {
        let mut report = self.clone();
        let Self {
            empty,
            ignored,
            unreadable,
            outside,
            unlabelled,
            hidden,
            oriented,
        } = &mut report;
        for list in [empty, ignored, outside, unlabelled, hidden, oriented] {
            list.retain(|path| path.starts_with(folder));
        }
        unreadable.retain(|(path, _)| path.starts_with(folder));
        report
    }
}

impl fmt::Display for ScanReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_clean() {
            return write!(f, "no file was left out");
        }
        let unreadable: Vec<PathBuf> = self.unreadable.iter().map(|(p, _)| p.clone()).collect();
        let mut separator = "";
        for (before, after, paths) in [
            ("left out ", "empty", &self.empty),
            ("left out ", "unreadable", &unreadable),
            ("left out ", "of another type", &self.ignored),
            ("left out ", "outside of the class folders", &self.outside),
            ("left out ", "hidden", &self.hidden),
            (
                "",
                "outside of the class folders without a label",
                &self.unlabelled,
            ),
        ] {
            if !paths.is_empty() {
                let files = if paths.len() == 1 { "file" } else { "files" };
                let (count, first) = (paths.len(), first_few(paths));
                write!(f, "{separator}{before}{count} {files} {after} ({first})")?;
                separator = "; ";
            }
        }
        Ok(())
    }
}

/// The first few paths, for a message.
pub(super) fn first_few(paths: &[PathBuf]) -> String {
    const SHOWN: usize = 3;
    let shown = paths.iter().take(SHOWN);
    let shown: Vec<String> = shown.map(|path| path.display().to_string()).collect();
    let more = if paths.len() > SHOWN { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}
