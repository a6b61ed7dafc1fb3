//! Damaged bundles are errors, and never a panic.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use crate::bundle::{open_and_verify, parts, read_entries, some_floats};
use crate::random::Random;
use crate::support::{
    self, Layout, Written, append, float_variable, string_variable, variant_variable, write_bundle,
};
use candle_core::Device;
use simclr_checkpoint::import;
use simclr_checkpoint::tensorflow::Bundle;
use tempfile::TempDir;

impl Random {
    /// Changes, inserts, removes or repeats a few bytes.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let position = self.below(bytes.len());
            match self.below(6) {
                0 => bytes.truncate(position),
                1 => bytes.insert(position, self.below(256) as u8),
                2 if !bytes.is_empty() => drop(bytes.remove(position)),
                3 => {
                    let piece = bytes[position..]
                        .iter()
                        .take(9)
                        .copied()
                        .collect::<Vec<_>>();
                    bytes.splice(position..position, piece);
                }
                4 if !bytes.is_empty() => bytes[position] = [0, 0x7f, 0x80, 0xff][self.below(4)],
                _ if !bytes.is_empty() => bytes[position] ^= 1 << self.below(8),
                _ => {}
            }
        }
    }
}

/// Rounds of each of the tests below; more for a long search by the environment variable.
fn mutations() -> usize {
    let rounds = std::env::var("SIMCLR_MUTATIONS").ok();
    rounds.map_or(1_000, |rounds| rounds.parse().unwrap())
}

fn sample_graph() -> support::Graph {
    let mut graph = support::Graph::default();
    for path in [
        "model/resnet_model/block_groups/0",
        "model/supervised_head/linear_layer",
    ] {
        let node = graph.node_at(path.split('/'));
        let key = format!("{path}/.ATTRIBUTES/VARIABLE_VALUE");
        let values = &mut graph.nodes[node].values;
        values.push(("resnet/conv2d_8/kernel".into(), key));
        let slots = &mut graph.nodes[node].slots;
        slots.push((node, "Momentum".into(), node));
    }
    graph
}

fn sample_variables() -> Vec<Written> {
    let values = some_floats(60);
    let mut split = float_variable("p/w", &[10, 6], &values);
    let bytes = split.parts[0].bytes.clone();
    split.parts = parts(&bytes, 4, &[10, 6], &[4, 2], 2);
    vec![
        float_variable("base_model/conv2d/kernel", &[1, 1, 6, 10], &values),
        float_variable("base_model/conv2d_1/kernel", &[60], &values),
        float_variable("base_model/scalar", &[], &values[..1]),
        split,
        string_variable("strings", &[b"a", b"", b"bcd"]),
        variant_variable("variants", &[b"a", b"bcd"]),
        sample_graph().written(),
    ]
}

/// A sound checkpoint in two data files, in a folder of its own.
struct Sample {
    _folder: TempDir,
    prefix: PathBuf,
}

impl Sample {
    fn new(layout: Layout) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path().join("m");
        write_bundle(&prefix, &sample_variables(), layout);
        Self {
            _folder: folder,
            prefix,
        }
    }

    fn index(&self) -> Vec<u8> {
        std::fs::read(append(&self.prefix, ".index")).unwrap()
    }

    /// Asks everything of the checkpoint with this index in place of its own.
    fn exercise(&self, index: &[u8]) {
        std::fs::write(append(&self.prefix, ".index"), index).unwrap();
        exercise(&self.prefix);
    }
}

/// Several small blocks.
const SMALL_BLOCKS: Layout = Layout {
    shards: 2,
    block_size: 100,
    restart_interval: 16,
    snappy: false,
};

/// Everything that can be asked of a checkpoint, without expectations.
fn exercise(path: &Path) {
    if let Ok(imported) = import(path) {
        let _ = imported.load(&Device::Cpu);
    }
    if let Ok(bundle) = Bundle::open(path) {
        let names: Vec<String> = bundle
            .variables()
            .map(|(name, _)| name.to_owned())
            .collect();
        for name in names {
            let _ = bundle.read(&name);
            let _ = bundle.read_strings(&name);
        }
        let _ = bundle.object_graph();
        let _ = bundle.verify();
    }
}

/// Damage behind correct checksums: keys and values are changed before the table is made.
#[test]
fn no_mutation_of_the_content_makes_the_reader_panic() {
    let sample = Sample::new(SMALL_BLOCKS);
    let entries = read_entries(&sample.prefix);
    let mut random = Random(0x5eed);
    for round in 0..mutations() {
        let mut entries = entries.clone();
        for _ in 0..=random.below(2) {
            let which = random.below(entries.len());
            let (key, value) = &mut entries[which];
            match random.below(4) {
                0 => random.mutate(key),
                _ => random.mutate(value),
            }
        }
        if random.below(4) == 0 {
            entries.sort();
        }
        let snappy = round % 2 == 0;
        let layout = Layout {
            snappy,
            ..SMALL_BLOCKS
        };
        sample.exercise(&support::table(&entries, layout));
    }
}

/// Damage anywhere in the file, footer and blocks included.
#[test]
fn no_mutation_of_the_files_makes_the_reader_panic() {
    let sample = Sample::new(SMALL_BLOCKS);
    let index = sample.index();
    let mut random = Random(0xface);
    for _ in 0..mutations() {
        let mut damaged = index.clone();
        random.mutate(&mut damaged);
        sample.exercise(&damaged);
    }
}

/// Blocks whose entries are arbitrary bytes, behind a correct checksum and a correct footer.
#[test]
fn no_block_makes_the_reader_panic() {
    let sample = Sample::new(Layout {
        shards: 2,
        ..Default::default()
    });
    let index = sample.index();
    let footer = &index[index.len() - 48..];
    let mut random = Random(0xb10c);
    for _ in 0..mutations() {
        let mut body = index[..index.len() - 48].to_vec();
        let length = random.below(400);
        body.truncate(length);
        random.mutate(&mut body);
        let compression = random.below(3) as u8;
        let mut file = body;
        file.push(compression);
        let crc = support::mask(crc32c::crc32c(&file));
        let size = file.len() as u64 - 1;
        file.extend(crc.to_le_bytes());
        let mut handles = vec![0, 0, 0];
        support::push_varint(&mut handles, size);
        handles.resize(40, 0);
        file.extend(handles);
        file.extend(&footer[40..]);
        sample.exercise(&file);
    }
}

/// A file that claims much and has little: nothing large may be allocated for it.
#[test]
fn claims_are_checked_before_memory_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("m");
    let huge = 1i64 << 61;
    for (data_type, shape, size, expected) in [
        (1, &[huge, huge][..], 64, "m.index: a: 64 bytes for f32"),
        (1, &[huge, huge, 0], 64, "m.index: a: 64 bytes for f32"),
        (1, &[-1], 64, "axis of size -1"),
        (1, &[1 << 40], 1 << 42, "more than all data files have"),
        (7, &[huge], 64, "elements in 64 bytes"),
    ] {
        let entry = support::entry(data_type, shape, (0, 0, size), 0);
        let entries = [
            (Vec::new(), support::header(1, 0, 0)),
            (b"a".to_vec(), entry.0),
        ];
        std::fs::write(append(&prefix, ".data-00000-of-00001"), [0; 64]).unwrap();
        let index = support::table(&entries, Layout::default());
        std::fs::write(append(&prefix, ".index"), index).unwrap();
        let text = open_and_verify(&prefix).unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
    }
}
