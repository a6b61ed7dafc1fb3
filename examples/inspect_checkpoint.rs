//! Lists what is in a checkpoint: any TensorFlow checkpoint, any safetensors file.
//!
//! `cargo run --release --example inspect_checkpoint -- PATH [--verify]`
//!
//! With `--verify` every byte is read and every checksum compared. Fails if the file is
//! damaged, also without it as far as its tables show.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use simclr::checkpoint::tensorflow::Bundle;
use simclr::checkpoint::{Error, SafetensorsReader};

#[path = "common/exit.rs"]
mod exit;

use exit::{show_warnings, with_sources};

/// Prints a table of a checkpoint's variables.
#[derive(Parser)]
struct Arguments {
    /// A checkpoint's prefix, index or folder, a SavedModel's folder or a `.safetensors` file.
    path: PathBuf,
    /// Read every byte and compare every checksum.
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
}

fn main() -> ExitCode {
    show_warnings();
    let arguments = Arguments::parse();
    let contents = match inspect(&arguments) {
        Ok(contents) => contents,
        Err(error) => {
            eprintln!("inspect_checkpoint: {}", with_sources(&error));
            return ExitCode::FAILURE;
        }
    };
    for error in &contents.errors {
        eprintln!("DAMAGED: {}", with_sources(error));
    }
    match print(&contents, arguments.verify, &mut io::stdout().lock()) {
        // Whoever reads the table (`| head`) may have seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("inspect_checkpoint: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::from(u8::from(!contents.errors.is_empty())),
    }
}

fn inspect(arguments: &Arguments) -> Result<Contents, Error> {
    let path = &arguments.path;
    let is_safetensors = path.extension().is_some_and(|e| e == "safetensors");
    if is_safetensors {
        safetensors(path, arguments.verify)
    } else {
        tensorflow(path, arguments.verify)
    }
}

fn tensorflow(path: &Path, verify: bool) -> Result<Contents, Error> {
    let bundle = Bundle::open(path)?;
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
            errors.extend(bundle.verify_variable(name).err());
        }
    }
    let heading = vec![format!(
        "{}: TensorFlow checkpoint",
        bundle.prefix().display()
    )];
    Ok(Contents {
        heading,
        rows,
        errors,
    })
}

/// Safetensors have no checksums: to verify is to read them.
fn safetensors(path: &Path, verify: bool) -> Result<Contents, Error> {
    let file = SafetensorsReader::open(path)?;
    let metadata = file.metadata().iter();
    let mut heading: Vec<String> = metadata.map(|(name, v)| format!("  {name}: {v}")).collect();
    heading.sort_unstable();
    heading.insert(0, format!("{}: safetensors", path.display()));
    let mut errors = Vec::new();
    let mut rows = Vec::new();
    for (name, entry) in file.tensors() {
        rows.push(Row {
            name: name.clone(),
            data_type: entry.element.to_string(),
            shape: entry.shape.clone(),
            bytes: entry.byte_count(),
            remark: String::new(),
        });
        if verify {
            errors.extend(file.read(name).err());
        }
    }
    Ok(Contents {
        heading,
        rows,
        errors,
    })
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
        (true, 0) => writeln!(out, "every byte read: no damage found"),
        (true, count) => writeln!(out, "{count} of {} variables are damaged", rows.len()),
        (false, _) => writeln!(out, "tables are sound; values not read (--verify does)"),
    }
}
