//! Writes a name-based TensorFlow checkpoint of any official architecture with made-up values,
//! to try the importer on large files without downloading them.
//!
//! `cargo run --release -p simclr-checkpoint --example synthetic_checkpoint -- DIR r152_3x_sk1`
#![allow(clippy::unwrap_used)]

#[path = "../tests/integration/support.rs"]
mod support;

use std::path::Path;

use simclr_model::{ResNetConfig, SimClrConfig};

/// `r152_3x_sk1` in parts.
fn parse(name: &str) -> Option<SimClrConfig> {
    let mut parts = name.split('_');
    let depth = parts.next()?.strip_prefix('r')?.parse().ok()?;
    let width = parts.next()?.strip_suffix('x')?.parse().ok()?;
    let sk_ratio = match parts.next()? {
        "sk0" => 0.0,
        "sk1" => 0.0625,
        _ => return None,
    };
    let encoder = ResNetConfig::depth(depth)
        .with_width_multiplier(width)
        .with_sk_ratio(sk_ratio);
    Some(SimClrConfig::new(encoder).with_classes(1000))
}

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, name] = arguments.as_slice() else {
        eprintln!("usage: synthetic_checkpoint DIR r50_1x_sk0");
        return std::process::ExitCode::FAILURE;
    };
    let Some(config) = parse(name) else {
        eprintln!("{name}: expected something like r50_1x_sk0");
        return std::process::ExitCode::FAILURE;
    };
    std::fs::create_dir_all(folder).unwrap();
    support::write_network(&Path::new(folder).join("model.ckpt-1"), &config);
    std::process::ExitCode::SUCCESS
}
