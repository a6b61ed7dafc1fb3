//! Files that are taken for checkpoints are called what they are, wherever they lie.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;

use crate::support::{Layout, append, float_variable, write_bundle};
use candle_core::Device;
use simclr_checkpoint::tensorflow::Bundle;
use simclr_checkpoint::{CheckpointFile, SourceFile, import};

const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 3\n";

fn error(path: &Path) -> String {
    SourceFile::open(path).unwrap_err().to_string()
}

#[test]
fn whatever_a_file_is_called_its_first_bytes_tell_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let shards = br#"{"metadata": {"total_size": 9}, "weight_map": {"conv1.weight": "a"}}"#;
    for (bytes, expected) in [
        (&b""[..], "the file is empty"),
        (POINTER, "a pointer of Git LFS"),
        (b"\xef\xbb\xbf\n<!doctype HTML>", "a web page"),
        (
            b"<?xml version=\"1.0\"?>\n<Error>",
            "a text file (it begins `<?xml version=\"1.0\"?><Error>`)",
        ),
        (
            b"{\"error\": \"gone\"}",
            "it begins `{\"error\": \"gone\"}`",
        ),
        (b"Not Found", "a text file (it begins `Not Found`)"),
        (shards, "a list of the parts of a checkpoint"),
        (b"\x93NUMPY\x01\0", "an array of NumPy"),
        (b"\x08\x07\x12\x07pytorch", "a graph of ONNX"),
        (b"\x82\xa6params\x81\xa0", "a file of MessagePack"),
        (b"\x1c\0\0\0TFL3\0\0\0\0", "a file of TensorFlow Lite"),
        (b"7z\xbc\xaf\x27\x1c", "an archive"),
    ] {
        for extension in ["safetensors", "pth", "ckpt", "index", "index.json", ""] {
            let path = folder.path().join("file").with_extension(extension);
            std::fs::write(&path, bytes).unwrap();
            let error = error(&path);
            assert!(error.contains(expected), "{extension}: {error}");
        }
        // Where a network in our format is expected, too.
        let path = folder.path().join("file.safetensors");
        let error = CheckpointFile::load(&path, &Device::Cpu).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn foreign_networks_in_place_of_ours_are_to_be_imported() {
    let folder = tempfile::tempdir().unwrap();
    let load = |path: &Path| {
        CheckpointFile::load(path, &Device::Cpu)
            .unwrap_err()
            .to_string()
    };
    let path = folder.path().join("network.pth");
    std::fs::write(&path, b"PK\x03\x04 and more").unwrap();
    for error in [load(&path), load(folder.path())] {
        assert!(error.contains("to be imported first"), "{error}");
    }
    std::fs::write(&path, b"\x40\0\0\0\0\0\0\0{\"a").unwrap();
    let error = load(&path);
    assert!(
        error.contains("cut off: a safetensors header of 64 bytes"),
        "{error}"
    );
}

#[test]
fn pointers_in_place_of_values_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("m");
    let values = [1.0; 64];
    write_bundle(
        &prefix,
        &[float_variable("a", &[64], &values)],
        Layout::default(),
    );
    let data = append(&prefix, ".data-00000-of-00001");
    std::fs::write(data, POINTER).unwrap();
    let error = Bundle::open(&prefix).unwrap_err().to_string();
    assert!(
        error.contains("m.data-00000-of-00001: a pointer of Git LFS"),
        "{error}"
    );
}

#[test]
fn archives_and_folders_say_what_to_import() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.zip");
    for (name, expected) in [
        ("model.weights.h5", "a file of Keras"),
        (
            "e/data/sample_inputs/model.pt",
            "a program of `torch.export`",
        ),
        ("runs/best.pth", "unpack it and import runs/best.pth"),
        ("a.npy", "it has no `data.pkl`, but a.npy"),
    ] {
        let mut archive = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
        let options = zip::write::SimpleFileOptions::default();
        archive.start_file(name, options).unwrap();
        archive.write_all(b"some bytes").unwrap();
        archive.finish().unwrap();
        assert!(error(&path).contains(expected), "{}", error(&path));
    }
    let model = folder.path().join("model.safetensors");
    std::fs::write(&model, b"").unwrap();
    let error = error(folder.path());
    assert!(
        error.contains(&format!("is named itself: {}", model.display())),
        "{error}"
    );
}

#[test]
fn one_part_of_a_network_is_called_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model-00001-of-00002.safetensors");
    let header = br#"{"__metadata__":{"format":"pt"}}"#;
    std::fs::write(&path, [&header.len().to_le_bytes()[..], header].concat()).unwrap();
    let error = import(&path).unwrap_err().to_string();
    assert!(
        error.contains("the file is part 1 of 2: import their index"),
        "{error}"
    );
}

#[test]
fn state_files_written_by_hand_are_understood() {
    let folder = tempfile::tempdir().unwrap();
    let variable = float_variable("a", &[1], &[1.0]);
    for name in ["m-1", "m-2"] {
        write_bundle(
            &folder.path().join(name),
            std::slice::from_ref(&variable),
            Layout::default(),
        );
    }
    let state = folder.path().join("checkpoint");
    for text in [
        "model_checkpoint_path: 'm-2'",
        "\u{feff}model_checkpoint_path: \"m-2\"",
        "model_checkpoint_path : \"m-2\"",
        "model_checkpoint_path: \"m-2.index\"",
    ] {
        std::fs::write(&state, text).unwrap();
        let bundle = Bundle::open(folder.path()).unwrap();
        assert_eq!(bundle.prefix().file_name().unwrap(), "m-2", "{text}");
    }
}
