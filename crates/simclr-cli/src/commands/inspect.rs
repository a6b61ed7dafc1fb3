//! `simclr inspect`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use simclr_checkpoint::tensorflow::Bundle;
use simclr_checkpoint::{
    Array, Error, PickleReader, SafetensorsReader, SourceFile, check_values, networks,
};

use crate::terminal::{AnyResult, complain, unless_closed, with_sources};

/// Lists what is in a checkpoint of TensorFlow or PyTorch, or in any safetensors file.
///
/// Fails if there is damage, also without --verify as far as the file's tables show.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A checkpoint's prefix, index or folder, a SavedModel's folder, a `.safetensors` file, or a
    /// file saved by PyTorch.
    path: PathBuf,
    /// Read every byte, compare every checksum and digest, and look for NaN, infinity and
    /// negative variances.
    #[arg(long)]
    verify: bool,
}

/// One line of the table.
struct Row {
    name: String,
    data_type: String,
    shape: Vec<usize>,
    bytes: u64,
    remark: String,
}

/// What a file holds.
struct Contents {
    heading: Vec<String>,
    rows: Vec<Row>,
    /// Damage, if values were read.
    errors: Vec<Error>,
    /// Whether the file has digests or checksums of its values.
    has_digest: bool,
}

impl Arguments {
    pub(crate) fn run(&self) -> AnyResult {
        let contents = self.inspect()?;
        for error in &contents.errors {
            complain(format_args!("DAMAGED: {}", with_sources(error)));
        }
        let printed = print(&contents, self.verify, &mut io::stdout().lock());
        unless_closed(printed)?;
        match contents.errors.len() {
            0 => Ok(()),
            1 => Err("the checkpoint is damaged: 1 error".into()),
            count => Err(format!("the checkpoint is damaged: {count} errors").into()),
        }
    }

    fn inspect(&self) -> Result<Contents, Error> {
        let source = SourceFile::open(&self.path)?;
        let mut contents = match &source {
            SourceFile::TensorFlow(bundle) => tensorflow(bundle, self.verify),
            SourceFile::Safetensors(file) => safetensors(file, self.verify),
            SourceFile::Pickle(file) => pickle(file, self.verify),
            // Formats of later versions.
            other => Contents {
                heading: vec![format!("{other:?}")],
                rows: Vec::new(),
                errors: Vec::new(),
                has_digest: false,
            },
        };
        for network in networks(&source) {
            contents
                .heading
                .push(format!("  network under `{network}`"));
        }
        Ok(contents)
    }
}

fn tensorflow(bundle: &Bundle, verify: bool) -> Contents {
    let mut errors = Vec::new();
    let mut rows = Vec::new();
    for (name, variable) in bundle.variables() {
        let mut checksums: Vec<String> = variable.checksums().map(|c| format!("{c:08x}")).collect();
        if variable.slice_count() > 1 {
            checksums.truncate(1);
            checksums.push(format!("... in {} slices", variable.slice_count()));
        }
        rows.push(Row {
            name: name.to_owned(),
            data_type: variable.data_type().to_string(),
            shape: variable.shape().to_vec(),
            bytes: variable.stored_bytes(),
            remark: checksums.join(" "),
        });
        if verify {
            let found = match variable.data_type().element() {
                Some(_) => damage(bundle.index(), name, bundle.read(name)),
                None => bundle.verify_variable(name).err(),
            };
            errors.extend(found);
        }
    }
    Contents {
        heading: vec![format!(
            "{}: TensorFlow checkpoint",
            bundle.prefix().display()
        )],
        rows,
        errors,
        has_digest: true,
    }
}

fn safetensors(file: &SafetensorsReader, verify: bool) -> Contents {
    let metadata = file.metadata().iter();
    let mut heading: Vec<String> = metadata.map(|(name, v)| format!("  {name}: {v}")).collect();
    heading.sort_unstable();
    heading.insert(0, format!("{}: safetensors", file.path().display()));
    let has_digest = file.metadata().contains_key("sha256");
    let mut rows = Vec::new();
    let mut errors = Vec::new();
    if verify {
        errors.extend(file.verify().err());
    }
    for (name, entry) in file.tensors() {
        rows.push(Row {
            name: name.clone(),
            data_type: entry.element.to_string(),
            shape: entry.shape.clone(),
            bytes: entry.byte_count(),
            remark: String::new(),
        });
        if verify {
            errors.extend(damage(file.path(), name, file.read(name)));
        }
    }
    Contents {
        heading,
        rows,
        errors,
        has_digest,
    }
}

fn pickle(file: &PickleReader, verify: bool) -> Contents {
    let mut rows = Vec::new();
    let mut errors = Vec::new();
    for (name, tensor) in file.tensors() {
        rows.push(Row {
            name: name.clone(),
            data_type: match tensor.element {
                Some(element) => element.to_string(),
                None => tensor.type_name.clone(),
            },
            shape: tensor.shape.clone(),
            bytes: tensor.byte_count(),
            remark: String::new(),
        });
        if verify && tensor.element.is_some() {
            errors.extend(damage(file.path(), name, file.read(name)));
        }
    }
    Contents {
        heading: vec![format!("{}: saved by PyTorch", file.path().display())],
        rows,
        errors,
        has_digest: true,
    }
}

/// What is wrong with a variable that was read.
fn damage(path: &Path, name: &str, read: Result<Array, Error>) -> Option<Error> {
    read.and_then(|array| check_values(path, name, &array.values))
        .err()
}

fn print(contents: &Contents, verify: bool, out: &mut impl Write) -> io::Result<()> {
    for line in &contents.heading {
        writeln!(out, "{line}")?;
    }
    let rows = &contents.rows;
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    writeln!(
        out,
        "{:<width$}  {:<9} {:>12}  {:<20} crc32c",
        "variable", "type", "bytes", "shape"
    )?;
    for row in rows {
        let shape = format!("{:?}", row.shape);
        writeln!(
            out,
            "{:<width$}  {:<9} {:>12}  {:<20} {}",
            row.name, row.data_type, row.bytes, shape, row.remark
        )?;
    }
    let total: u64 = rows.iter().map(|row| row.bytes).sum();
    writeln!(out, "{} variables, {total} bytes", rows.len())?;
    match (verify, contents.errors.len()) {
        (true, 0) if !contents.has_digest => writeln!(
            out,
            "every byte read: no damage found, but the file has no digest that would show a \
             changed value"
        ),
        (true, 0) => writeln!(out, "every byte read: no damage found"),
        (true, 1) => writeln!(out, "damaged: 1 error"),
        (true, count) => writeln!(out, "damaged: {count} errors"),
        (false, _) => writeln!(out, "tables are sound; values not read (--verify does)"),
    }
}
