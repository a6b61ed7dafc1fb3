//! Networks saved by PyTorch: the files.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::pickle::{Pickle, View};
use candle_core::{Device, Tensor};
use proptest::prelude::*;
use simclr_checkpoint::{
    CheckpointFile, Error, PickleReader, SafetensorsReader, Source, export_torchvision, import,
    save_model,
};
use simclr_model::{ResNetConfig, SimClr, SimClrConfig};

/// Name, shape and values.
type Named = (String, Vec<usize>, Vec<f32>);

/// A network in our format, and its tensors with torchvision's names.
fn network(folder: &Path) -> (CheckpointFile, Vec<Named>) {
    let config = SimClrConfig::new(ResNetConfig::depth(18)).with_classes(4);
    let model = SimClr::initialize(&config, 3, &Device::Cpu).unwrap();
    let (ours, theirs) = (
        folder.join("ours.safetensors"),
        folder.join("theirs.safetensors"),
    );
    save_model(&ours, &model, Source::default()).unwrap();
    export_torchvision(&ours, &theirs).unwrap();
    let file = SafetensorsReader::open(&theirs).unwrap();
    let tensors = file.tensors().iter().map(|(name, entry)| {
        let values = file.read(name).unwrap().values.into_f32();
        (name.clone(), entry.shape.clone(), values)
    });
    (
        CheckpointFile::load(&ours, &Device::Cpu).unwrap(),
        tensors.collect(),
    )
}

/// A dictionary of these tensors, each in a storage of its own, and the storages.
fn dictionary(tensors: &[Named]) -> (Vec<(String, View)>, Vec<Vec<f32>>) {
    let named = tensors.iter().enumerate();
    let views = named.map(|(number, (name, shape, _))| (name.clone(), View::new(number, shape)));
    let storages = tensors.iter().map(|(_, _, values)| values.clone());
    (views.collect(), storages.collect())
}

/// The values of a convolution with the channels last, and the strides that say so.
fn channels_last(view: &mut View, values: &mut Vec<f32>) {
    let [out, input, height, width] = view.shape[..] else {
        return;
    };
    let shape = (out, input, height, width);
    let tensor = Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
    let permuted = tensor.permute((0, 2, 3, 1)).unwrap();
    *values = permuted.flatten_all().unwrap().to_vec1().unwrap();
    view.strides = vec![height * width * input, 1, width * input, input];
}

#[test]
fn a_pickled_network_is_the_same_as_the_one_in_safetensors() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, tensors) = network(folder.path());
    let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (mut views, mut storages) = dictionary(&tensors);
    for (outer, name) in [
        ("", "network.pth"),
        ("state_dict", "network.pth.tar"),
        ("net", "network"),
        ("channels last", "last.ckpt"),
    ] {
        let path = folder.path().join(name);
        if outer == "channels last" {
            for ((_, view), values) in views.iter_mut().zip(&mut storages) {
                channels_last(view, values);
            }
        }
        let mut pickle = Pickle::new();
        if outer.is_empty() {
            pickle.tensors(&views);
        } else {
            pickle.bytes(b"}(").text("epoch").integer(7);
            // Some scripts keep the best accuracy as a tensor.
            pickle.text("best_acc1").tensor(&View::new(0, &[1]));
            pickle.text(outer).tensors(&views).bytes(b"u");
        }
        pickle.write(&path, &storages);
        let imported = import(&path).unwrap();
        assert_eq!(
            imported.config.encoder,
            ResNetConfig::depth(18)
                .torchvision()
                .with_identity_shortcuts(false)
        );
        let loaded = imported.load(&Device::Cpu).unwrap();
        assert_eq!(loaded.tensors.len(), tensors.len());
        for (name, tensor) in &loaded.tensors {
            assert_eq!(tensor.dims(), ours.tensors[name].dims(), "{name}");
            assert_eq!(flat(tensor), flat(&ours.tensors[name]), "{name}");
        }
    }
}

/// Files that Python's own pickler wrote, by protocol (`tests/data/objects.py`).
fn objects(protocol: usize) -> PathBuf {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    data.join(format!("objects-{protocol}.pth"))
}

#[test]
fn tensors_are_found_in_whatever_objects_there_are() {
    let whole = [0., 1., 2., 3., 4., 5.];
    let expected: [(&str, Option<&[f32]>); 10] = [
        ("complex", None),
        ("foreign.list.1", Some(&whole)),
        ("history.1", Some(&whole)),
        ("module.conv1.count", Some(&[7.])),
        ("module.conv1.weight", Some(&whole)),
        ("scores.3.0", Some(&[4., 6.])),
        ("settings.deep.weight", Some(&whole)),
        ("state_dict.weight", Some(&[0., 3., 1., 4., 2., 5.])),
        ("typed", Some(&whole)),
        ("untyped", Some(&whole)),
    ];
    for protocol in 2..=5 {
        let file = PickleReader::open(objects(protocol)).unwrap();
        let names = file.tensors().keys().map(String::as_str);
        assert!(names.eq(expected.map(|(name, _)| name)), "{protocol}");
        for (name, values) in expected {
            let read = file.read(name).map(|array| array.values.into_f32());
            match values {
                Some(values) => assert_eq!(read.unwrap(), values, "{protocol}: {name}"),
                None => assert!(matches!(read, Err(Error::Unsupported { .. })), "{name}"),
            }
        }
    }
    // Protocol 0 has no tensors that refer to anything outside.
    assert!(PickleReader::open(objects(0)).unwrap().tensors().is_empty());
}

/// A file of PyTorch's with this pickle and one storage of twelve values.
fn with_pickle(folder: &Path, bytes: &[u8]) -> PathBuf {
    let path = folder.join("object.pth");
    Pickle(bytes.to_vec()).write(&path, &[vec![0.5; 12]]);
    path
}

#[test]
fn depth_costs_nothing_and_claims_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let depth = 200_000;
    let lists = [
        b"\x80\x02".to_vec(),
        vec![b']'; depth],
        vec![b'a'; depth - 1],
    ]
    .concat();
    let file = PickleReader::open(with_pickle(folder.path(), &lists)).unwrap();
    assert!(file.tensors().is_empty());
    // Each one twice in the next: 2^60 paths to the innermost one.
    let mut doubled = Pickle::new();
    doubled.tensor(&View::new(0, &[3]));
    for _ in 0..60 {
        doubled.bytes(b"2\x86");
    }
    let file = PickleReader::open(with_pickle(folder.path(), &doubled.0)).unwrap();
    assert_eq!(file.tensors().len(), 2);

    let view = View::new(0, &[3, 4]);
    let everywhere = View {
        strides: vec![0, 0],
        shape: vec![1 << 20, 1 << 20],
        ..view.clone()
    };
    for wrong in [
        View {
            offset: 1,
            ..view.clone()
        },
        View {
            strides: vec![4, 2],
            ..view.clone()
        },
        View {
            strides: vec![usize::MAX >> 33, 1],
            ..view.clone()
        },
        View {
            storage: 1,
            ..view.clone()
        },
        everywhere,
    ] {
        let mut pickle = Pickle::new();
        pickle
            .bytes(b"}(")
            .text("weight")
            .tensor(&wrong)
            .bytes(b"u");
        let file = PickleReader::open(with_pickle(folder.path(), &pickle.0)).unwrap();
        let error = file.read("weight").unwrap_err().to_string();
        assert!(
            error.contains("object.pth: tensor `weight`: "),
            "{wrong:?}: {error}"
        );
    }
}

#[test]
fn expanded_views_are_read_in_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let expanded = |count: usize| {
        let view = View {
            strides: vec![4, 0, 1],
            ..View::new(0, &[3, count, 4])
        };
        let mut pickle = Pickle::new();
        pickle.tensor(&view);
        let path = with_pickle(folder.path(), &pickle.0);
        PickleReader::open(path).unwrap().read("")
    };
    assert_eq!(expanded(3).unwrap().values.len(), 36);
    let error = expanded(1 << 20).unwrap_err().to_string();
    assert!(
        error.contains("shape [3, 1048576, 4] with strides [4, 0, 1]"),
        "{error}"
    );
}

#[test]
fn parameters_of_kinds_that_are_not_read_are_named_with_their_kind() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tensors) = network(folder.path());
    let (views, storages) = dictionary(&tensors);
    let quantized = b"ctorch._utils\n_rebuild_qtensor\n((X\x07\0\0\0storagectorch\nQInt8Storage\n\
        X\x01\0\0\0\x30X\x03\0\0\0cpuK\x01tQK\0(K@K\x03K\x07K\x07t(K\x01K\x01K\x01K\x01tNtR";
    let meta = b"ctorch._utils\n_rebuild_meta_tensor_no_storage\n(ctorch\nfloat32\n(K@K\x03K\x07K\x07t(t\x89tR";
    let sparse = b"ctorch._utils\n_rebuild_sparse_tensor\n(ctorch.serialization\n_get_layout\n(NNctorch\nSize\n\
        (K@K\x03K\x07K\x07t\x85RttR";
    let array = b"cnumpy._core.multiarray\n_reconstruct\n)R(K\x01(K@K\x03K\x07K\x07tN\x89Ntb";
    for (value, kind) in [
        (&quantized[..], "QInt8Storage"),
        (meta, "the meta device"),
        (sparse, "sparse layout"),
        (array, "NumPy's ndarray"),
    ] {
        let path = folder.path().join("network.pth");
        let mut pickle = Pickle::new();
        pickle.tensors(&views).bytes(b"(").text("conv1.weight");
        pickle.bytes(value).bytes(b"u").write(&path, &storages);
        let error = import(&path).unwrap_err().to_string();
        let expected = format!("parameter `conv1.weight` is not supported: it is of {kind}");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn changed_values_are_noticed_by_the_archives_checksum() {
    let folder = tempfile::tempdir().unwrap();
    let mut pickle = Pickle::new();
    pickle.tensor(&View::new(0, &[12]));
    let path = with_pickle(folder.path(), &pickle.0);
    assert_eq!(
        PickleReader::open(&path)
            .unwrap()
            .read("")
            .unwrap()
            .values
            .len(),
        12
    );
    let mut bytes = std::fs::read(&path).unwrap();
    let half = 0.5f32.to_le_bytes().repeat(12);
    let at = bytes
        .windows(half.len())
        .position(|window| window == half)
        .unwrap();
    bytes[at + 5] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = PickleReader::open(&path)
        .unwrap()
        .read("")
        .unwrap_err()
        .to_string();
    assert!(error.to_lowercase().contains("checksum"), "{error}");
}

/// Opens and reads everything; what is wrong is an error.
fn exercise(path: &Path) {
    if let Ok(file) = PickleReader::open(path) {
        for name in file.tensors().keys() {
            let _ = file.read(name);
        }
    }
    let _ = import(path);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_pickle_makes_the_reader_panic(
        protocol in 2..6usize,
        changes in proptest::collection::vec((0..4000usize, 0..256usize), 1..6),
        cut in 0..4000usize,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut archive = zip::ZipArchive::new(std::fs::File::open(objects(protocol)).unwrap()).unwrap();
        let mut bytes = Vec::new();
        std::io::copy(&mut archive.by_name("objects/data.pkl").unwrap(), &mut bytes).unwrap();
        for (at, value) in changes {
            let count = bytes.len();
            bytes[at % count] = value as u8;
        }
        if cut % 3 == 0 {
            bytes.truncate(cut);
        }
        exercise(&with_pickle(folder.path(), &bytes));
    }

    #[test]
    fn no_archive_makes_the_reader_panic(
        changes in proptest::collection::vec((0..2000usize, 0..256usize), 1..4),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("object.pth");
        let mut bytes = std::fs::read(objects(2)).unwrap();
        for (at, value) in changes {
            let count = bytes.len();
            bytes[at % count] = value as u8;
        }
        std::fs::write(&path, bytes).unwrap();
        exercise(&path);
    }

    #[test]
    fn no_operations_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let folder = tempfile::tempdir().unwrap();
        exercise(&with_pickle(folder.path(), &bytes));
    }
}

#[test]
fn damaged_pickles_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.pth");
    let error = || import(&path).err().unwrap().to_string();
    std::fs::write(&path, b"").unwrap();
    assert!(error().contains("network.pth"), "{}", error());
    std::fs::write(&path, b"PK\x03\x04 and no more").unwrap();
    assert!(error().contains("network.pth"), "{}", error());
    Pickle::new().tensors(&[]).write(&path, &[]);
    assert!(error().contains("the file has no tensors"), "{}", error());
    let (_, tensors) = network(folder.path());
    let (views, storages) = dictionary(&tensors);
    Pickle::new().tensors(&views).write(&path, &storages);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(error().contains("network.pth"), "{}", error());
}

#[test]
fn archives_of_others_are_called_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let write_zip = |path: &Path, names: &[&str]| {
        let options = zip::write::SimpleFileOptions::default();
        let mut archive = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
        for name in names {
            archive.start_file(*name, options).unwrap();
            archive.write_all(b"some bytes").unwrap();
        }
        archive.finish().unwrap();
    };
    let checkpoint: &[&str] = &[
        "checkpoint",
        "m.ckpt-1.index",
        "m.ckpt-1.data-00000-of-00001",
    ];
    for (names, extensions, expected) in [
        (
            checkpoint,
            &["zip", "ckpt", "pth"][..],
            "a zipped TensorFlow checkpoint is not supported: unpack it",
        ),
        (
            &["m/saved_model.pb"],
            &["zip"],
            "a zipped SavedModel is not supported: unpack it",
        ),
        (
            &["m/data.pkl", "m/constants.pkl"],
            &["pt"],
            "a TorchScript module is not supported",
        ),
        (&["a.npy"], &["npz"], "not of PyTorch's"),
    ] {
        for extension in extensions {
            let path = folder.path().join("file").with_extension(extension);
            write_zip(&path, names);
            let error = import(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}

#[test]
fn files_of_other_formats_are_called_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let number = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    let legacy = "saved by PyTorch before 1.6";
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    for (bytes, expected) in [
        ([&b"\x80\x02"[..], number].concat(), legacy),
        (
            [&b"\x80\x04\x95\x0d\0\0\0\0\0\0\0"[..], number].concat(),
            legacy,
        ),
        (b"L119547037146038801333356L\n.".to_vec(), legacy),
        (
            b"\x80\x04}.".to_vec(),
            "a pickle not written by `torch.save`",
        ),
        (tar, "an archive is not supported: unpack it"),
        (
            b"\x1f\x8b\x08".to_vec(),
            "an archive is not supported: unpack it",
        ),
        (b"\x89HDF\r\n\x1a\n".to_vec(), "HDF5"),
        (
            b"version https://git-lfs.github.com/spec/v1\n".to_vec(),
            "git lfs pull",
        ),
        (b"<!DOCTYPE html>".to_vec(), "a web page"),
    ] {
        for name in ["file.pth", "file.pth.tar", "file.ckpt", "file"] {
            let path = folder.path().join(name);
            std::fs::write(&path, &bytes).unwrap();
            let error = import(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{name}: {error}");
        }
    }
}

/// The second entry of such a file's directory lies where a directory of that size would begin if
/// nothing stood between it and the end of the archive (PyTorch 2.15 saved it).
#[test]
fn a_file_whose_first_entry_has_a_name_of_30_bytes_is_read() {
    let path = objects(0).with_file_name("name_of_21_characters.pth");
    let weight = PickleReader::open(path).unwrap().read("weight").unwrap();
    assert_eq!(weight.values.into_f32(), [0., 1., 2., 3., 4., 5.]);
}
