//! `simclr label`.

mod context;
mod server;
mod session;
mod table;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use simclr_drillcore::read_tiles;

use crate::folders::resolved;
use crate::options::DecodeArguments;
use crate::outputs::check_output;
use crate::terminal::{AnyResult, say};
use context::Context;
use session::Session;

/// Shows images one after the other on a page for the browser, and writes the classes that they
/// are given.
///
/// The page is served to this machine alone. Keys 1 to 9 give a class, u takes the last one back, s
/// passes an image over. Every label is in the table as soon as it is given; the same command goes
/// on after them.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The images in their order: the `next.csv` of `simclr select`, or any table (CSV) with a
    /// column `image` or `tile`.
    #[arg(long)]
    queue: PathBuf,
    /// The folder that the images' paths are relative to [default: the table's].
    #[arg(long)]
    images: Option<PathBuf>,
    /// The classes, separated by commas [default: those in the table].
    #[arg(long, value_delimiter = ',')]
    classes: Vec<String>,
    /// The table (CSV) of labels, which names images relative to its own folder. One that is there
    /// already keeps its rows, also those of other images, and its columns.
    #[arg(long)]
    out: PathBuf,
    /// The `tiles.csv` of `simclr tiles`, to show a tile in its section. Give --apply-orientation if that
    /// command was given it.
    #[arg(long, requires = "sections")]
    tiles: Option<PathBuf>,
    /// The folder of the sections' photographs.
    #[arg(long, requires = "tiles")]
    sections: Option<PathBuf>,
    /// The port of the page; 0 takes one that is free.
    #[arg(long, default_value_t = 0)]
    port: u16,
    #[command(flatten)]
    decode: DecodeArguments,
}

impl Arguments {
    pub(crate) fn run(&self) -> AnyResult {
        self.check_out()?;
        let mut session = Session::open(
            &self.queue,
            self.images.as_deref(),
            &self.classes,
            &self.out,
        )?;
        session.decode = self.decode.options();
        if let (Some(tiles), Some(sections)) = (&self.tiles, &self.sections) {
            let photographs = self.decode.photographs(sections)?;
            session.context = Some(Context::new(read_tiles(tiles)?, &photographs)?);
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let labelled = server::serve(session, address, |address| {
            say(format_args!("label: open http://{address}/ in a browser"));
        })?;
        say(format_args!(
            "label: {labelled} images -> {}",
            self.out.display()
        ));
        Ok(())
    }

    /// Fails if labels would be written in the place of something else. The queue can take them if its
    /// images are named as theirs are: from the table's folder.
    fn check_out(&self) -> AnyResult {
        check_output(&self.out, [])?;
        let place = resolved(&self.out)?;
        if let Some(images) = &self.images
            && place == resolved(&self.queue)?
            && place.parent() != Some(&*resolved(images)?)
        {
            return Err(format!(
                "--out {} is the table of --queue, which names images from --images {}, while a table \
                 of labels names them from its own folder; take another file for --out",
                self.out.display(),
                images.display()
            )
            .into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Label {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn labels_take_the_place_of_the_queue_only_if_it_can_be_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().display();
        fs::create_dir(dir.path().join("cut")).unwrap();
        fs::write(dir.path().join("next.csv"), "image,class\n").unwrap();
        let queue = format!("label --queue {place}/next.csv");
        let check = |options: &str| {
            let line = format!("{queue} {options}");
            let label = Label::parse_from(line.split_whitespace());
            label
                .arguments
                .check_out()
                .map_err(|error| error.to_string())
        };
        let error = check(&format!(
            "--images {place}/cut --out {place}/cut/../next.csv"
        ));
        let error = error.unwrap_err();
        for expected in ["--out ", "next.csv is the table of --queue", "--images "] {
            assert!(error.contains(expected), "{error}");
        }
        for options in [
            format!("--out {place}/next.csv"),
            format!("--images {place}/cut/.. --out {place}/next.csv"),
            format!("--images {place}/cut --out {place}/labels.csv"),
        ] {
            assert_eq!(check(&options), Ok(()), "{options}");
        }
        let error = check(&format!("--out {place}/no/labels.csv")).unwrap_err();
        assert!(error.contains("its folder is not there"), "{error}");
    }
}
