//! Our own files: what is written comes back, and damage is named.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use crate::random::Random;
use candle_core::{DType, Device, Tensor};
use simclr_checkpoint::{
    CheckpointFile, Error, FORMAT_VERSION, Metadata, SafetensorsReader, Source,
};

fn sample() -> CheckpointFile {
    let values: Vec<f32> = (0..70_001).map(|i| i as f32 * 0.25 - 7.0).collect();
    let tensor = |values: &[f32], dtype| {
        Tensor::new(values, &Device::Cpu)
            .unwrap()
            .to_dtype(dtype)
            .unwrap()
    };
    let few = values.get(..6).unwrap();
    let mut checkpoint = CheckpointFile::default();
    let tensors = &mut checkpoint.tensors;
    tensors.insert("large".into(), tensor(&values, DType::F32));
    let matrix = tensor(few, DType::F32).reshape((2, 3)).unwrap();
    tensors.insert("transposed".into(), matrix.t().unwrap());
    tensors.insert("half".into(), tensor(few, DType::F16));
    tensors.insert("brain".into(), tensor(few, DType::BF16));
    tensors.insert("double".into(), tensor(few, DType::F64));
    tensors.insert(
        "step".into(),
        Tensor::new(9_007_199_254_740_993i64, &Device::Cpu).unwrap(),
    );
    tensors.insert(
        "bytes".into(),
        Tensor::new(&[1u8, 2, 255], &Device::Cpu).unwrap(),
    );
    let empty = Tensor::zeros((0, 4), DType::F32, &Device::Cpu).unwrap();
    tensors.insert("empty".into(), empty);
    let source = Source::new("test")
        .with_name("sample")
        .with_global_step(i64::MAX)
        .with_moving_average(true);
    let schedule = serde_json::json!({"step": 12, "name": "7"});
    checkpoint.metadata = Metadata::default()
        .with_source(source)
        .with_extra("schedule", schedule);
    checkpoint.metadata.architecture = Some(serde_json::json!({"encoder": {"depth": 18}}));
    checkpoint.metadata.preprocessing = Some(Default::default());
    checkpoint
}

fn saved(folder: &Path) -> (PathBuf, Vec<u8>) {
    let path = folder.join("sample.safetensors");
    sample().save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    (path, bytes)
}

/// Writes the bytes and tells what loading says about them.
fn error_of(path: &Path, bytes: &[u8]) -> String {
    std::fs::write(path, bytes).unwrap();
    let error = CheckpointFile::load(path, &Device::Cpu).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("sample.safetensors"), "{text}");
    text
}

#[test]
fn what_is_saved_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = saved(folder.path());
    let before = sample();
    let after = CheckpointFile::load(&path, &Device::Cpu).unwrap();
    assert_eq!(after.metadata, before.metadata);
    assert_eq!(
        CheckpointFile::load_metadata(&path).unwrap(),
        before.metadata
    );
    assert!(after.tensors.keys().eq(before.tensors.keys()));
    for (name, tensor) in &before.tensors {
        let again = &after.tensors[name];
        assert_eq!(tensor.dtype(), again.dtype(), "{name}");
        assert_eq!(tensor.dims(), again.dims(), "{name}");
        let values = |t: &Tensor| {
            let flat = t.flatten_all().unwrap();
            match t.dtype() {
                DType::I64 => flat
                    .to_vec1::<i64>()
                    .unwrap()
                    .iter()
                    .map(|v| *v as u64)
                    .collect(),
                _ => {
                    let wide = flat.to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
                    wide.into_iter().map(f64::to_bits).collect::<Vec<u64>>()
                }
            }
        };
        assert_eq!(values(tensor), values(again), "{name}");
    }
}

#[test]
fn the_safetensors_library_reads_our_files() {
    let folder = tempfile::tempdir().unwrap();
    let (_, bytes) = saved(folder.path());
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.len(), sample().tensors.len());
    assert_eq!(file.tensor("transposed").unwrap().shape(), [3, 2]);
}

#[test]
fn the_same_content_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (_, first) = saved(folder.path());
    let (_, second) = saved(folder.path());
    assert!(first == second);
}

#[test]
fn every_truncation_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (path, bytes) = saved(folder.path());
    let header = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let lengths = (0..header + 64)
        .step_by(7)
        .chain([0, 7, 8, header, bytes.len() - 1]);
    for length in lengths {
        error_of(&path, bytes.get(..length).unwrap());
    }
    error_of(&path, &[&bytes[..], b"x"].concat());
}

#[test]
fn foreign_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sample.safetensors");
    assert!(error_of(&path, b"").contains("too short"));
    assert!(error_of(&path, &[0xff; 64]).contains("not a safetensors file"));
    assert!(error_of(&path, b"PK\x03\x04 this is a zip file, really").contains("safetensors"));
    let folder_as_file = CheckpointFile::load(folder.path(), &Device::Cpu).unwrap_err();
    assert!(
        folder_as_file.to_string().contains("folder"),
        "{folder_as_file}"
    );
    let missing = CheckpointFile::load(folder.path().join("none"), &Device::Cpu).unwrap_err();
    assert!(matches!(missing, Error::File(_)), "{missing}");
}

/// A file with this header and nothing behind it.
fn with_header(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

#[test]
fn headers_that_lie_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sample.safetensors");
    let headers = [
        r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
        r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
        r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#,
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615]}}"#,
        r#"{"a":{"dtype":"F33","shape":[0],"data_offsets":[0,0]}}"#,
        r#"{"a":7}"#,
        "[]",
    ];
    for header in headers {
        error_of(&path, &with_header(header));
    }
}

#[test]
fn versions_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sample.safetensors");
    let plain = error_of(&path, &with_header("{}"));
    assert!(plain.contains("not a simclr checkpoint"), "{plain}");
    let header = |version: &str| {
        with_header(&format!(
            r#"{{"__metadata__":{{"format":"simclr","format_version":"{version}"}}}}"#
        ))
    };
    let later = error_of(&path, &header(&(FORMAT_VERSION + 1).to_string()));
    assert!(
        later.contains(&format!("format version {}", FORMAT_VERSION + 1)),
        "{later}"
    );
    assert!(error_of(&path, &header("new")).contains("format_version"));
    std::fs::write(&path, header("1")).unwrap();
    assert!(CheckpointFile::load(&path, &Device::Cpu).is_ok());
    assert!(!SafetensorsReader::open(&path).unwrap().verify().unwrap());
    assert!(error_of(&path, &header("2")).contains("expected a digest"));
}

#[test]
fn any_changed_bit_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (path, bytes) = saved(folder.path());
    assert!(SafetensorsReader::open(&path).unwrap().verify().unwrap());
    // The whole header, and values here and there.
    let header = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    for at in (0..header).chain((header..bytes.len()).step_by(997)) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        let error = error_of(&path, &damaged);
        assert!(error.contains("sample.safetensors"), "byte {at}: {error}");
    }
    let mut values = bytes.clone();
    *values.last_mut().unwrap() ^= 1;
    let error = error_of(&path, &values);
    assert!(error.contains("damaged: its SHA-256 is"), "{error}");
}

#[test]
fn a_failed_save_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, bytes) = saved(folder.path());
    let mut wrong = sample();
    // The format has no place for this type.
    let odd = Tensor::zeros(3, DType::F8E4M3, &Device::Cpu).unwrap();
    wrong.tensors.insert("odd".into(), odd);
    let error = wrong.save(&path).unwrap_err().to_string();
    assert!(error.contains("odd"), "{error}");
    assert!(std::fs::read(&path).unwrap() == bytes);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// Bytes of the header are changed, and its length put right, so that the damage gets past
/// the first check.
#[test]
fn no_mutation_of_the_header_makes_the_loader_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sample.safetensors");
    let mut small = sample();
    small.tensors.remove("large");
    small.save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let length = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let (header, data) = bytes.get(8..).unwrap().split_at(length);
    let mut random = Random(0x5afe);
    let mut refused = 0;
    for _ in 0..2_000 {
        let mut header = header.to_vec();
        for _ in 0..=random.below(3) {
            let position = random.below(header.len());
            match random.below(3) {
                0 => header.insert(position, b"0123456789[]{}\"\\,:-e"[random.below(20)]),
                1 => drop(header.remove(position)),
                _ => header[position] ^= 1 << random.below(8),
            }
        }
        let length = (header.len() as u64).to_le_bytes();
        std::fs::write(&path, [&length[..], &header, data].concat()).unwrap();
        refused += usize::from(CheckpointFile::load(&path, &Device::Cpu).is_err());
        let _ = simclr_checkpoint::load_model(&path, &Device::Cpu);
        let _ = simclr_checkpoint::import(&path);
    }
    // Damage to the metadata's texts and to names is not seen by the format.
    assert!((200..2_000).contains(&refused), "{refused} of 2000 refused");
}
