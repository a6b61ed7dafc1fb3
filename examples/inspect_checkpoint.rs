//! Lists what is in a checkpoint: any TensorFlow checkpoint, any safetensors file.
//!
//! `cargo run --release --example inspect_checkpoint -- PATH [--verify]`
//!
//! With `--verify` every byte is read and every checksum compared. Fails if the file is
//! damaged, also without it as far as its tables show.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use simclr::checkpoint::tensorflow::Bundle;
use simclr::checkpoint::{Error, SafetensorsReader};

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

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("inspect_checkpoint: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool, Error> {
    let path = &arguments.path;
    let is_safetensors = path.extension().is_some_and(|e| e == "safetensors");
    let (rows, errors) = match is_safetensors {
        true => safetensors(path, arguments.verify)?,
        false => tensorflow(path, arguments.verify)?,
    };
    print(&rows);
    for error in &errors {
        eprintln!("DAMAGED: {error}");
    }
    match (arguments.verify, errors.len()) {
        (true, 0) => println!("every byte read: no damage found"),
        (true, count) => println!("{count} of {} variables are damaged", rows.len()),
        (false, _) => println!("tables are sound; values not read (--verify does)"),
    }
    Ok(errors.is_empty())
}

fn tensorflow(path: &Path, verify: bool) -> Result<(Vec<Row>, Vec<Error>), Error> {
    let bundle = Bundle::open(path)?;
    println!("{}: TensorFlow checkpoint", bundle.prefix().display());
    let mut errors = Vec::new();
    let mut rows = Vec::new();
    for (name, variable) in bundle.variables() {
        let mut checksums: Vec<String> = variable.checksums().map(|c| format!("{c:08x}")).collect();
        if variable.part_count() > 1 {
            checksums.truncate(1);
            checksums.push(format!("... in {} parts", variable.part_count()));
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
    Ok((rows, errors))
}

/// Safetensors have no checksums: to verify is to read them.
fn safetensors(path: &Path, verify: bool) -> Result<(Vec<Row>, Vec<Error>), Error> {
    let file = SafetensorsReader::open(path)?;
    println!("{}: safetensors", path.display());
    let mut metadata: Vec<_> = file.metadata().iter().collect();
    metadata.sort_unstable();
    for (name, value) in metadata {
        println!("  {name}: {value}");
    }
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
    Ok((rows, errors))
}

fn print(rows: &[Row]) {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    println!(
        "{:<width$}  {:<6} {:>12}  {:<20} crc32c",
        "variable", "type", "bytes", "shape"
    );
    for row in rows {
        let shape = format!("{:?}", row.shape);
        println!(
            "{:<width$}  {:<6} {:>12}  {:<20} {}",
            row.name, row.data_type, row.bytes, shape, row.remark
        );
    }
    let total: u64 = rows.iter().map(|row| row.bytes).sum();
    println!("{} variables, {total} bytes", rows.len());
}
