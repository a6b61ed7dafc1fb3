//! `simclr labels`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use simclr_labels::{LabelFormat, read_labels, write_labels};

use crate::terminal::{AnyResult, say};

/// Works on labels.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Converts labels from one program's form to another's: csv, folders, label-studio, labelme,
    /// coco. A table of predictions becomes pre-annotations of Label Studio.
    Convert {
        /// The labels: a file, or a folder.
        from: PathBuf,
        /// What to write: a file, or a folder. It must not exist yet.
        to: PathBuf,
        /// Form of the labels.
        #[arg(long)]
        from_format: LabelFormat,
        /// Form of what is written.
        #[arg(long)]
        to_format: LabelFormat,
        /// Where the images are, whose copies go into class folders.
        #[arg(long)]
        images: Option<PathBuf>,
    },
}

impl Arguments {
    pub(crate) fn run(&self) -> AnyResult {
        let Action::Convert {
            from,
            to,
            from_format,
            to_format,
            images,
        } = &self.action;
        if images.is_some() && *to_format != LabelFormat::Folders {
            return Err(format!("--images is for --to-format folders, not {to_format}").into());
        }
        let labels = read_labels(from, *from_format)?;
        write_labels(to, *to_format, &labels, images.as_deref())?;
        say(format_args!(
            "labels: {} images -> {}",
            labels.len(),
            to.display()
        ));
        Ok(())
    }
}
