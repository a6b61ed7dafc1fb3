//! The bundle reader: recorded files, files written here, and damaged files.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::bundle::{TYPES, bytes_of, open_and_verify, read_entries, some_floats};
use crate::support::{
    self, Layout, Written, append, float_variable, string_variable, variant_variable, write_bundle,
};
use candle_core::{DType, Device};
use simclr_checkpoint::tensorflow::{Bundle, DataType};
use simclr_checkpoint::{CanonicalNames, Error, Values, import};

fn toy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/checkpoints/toy")
}

/// Small checkpoints that TensorFlow 2.15 wrote.
fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

#[test]
fn integers_beyond_the_precision_of_doubles_are_exact() {
    let bundle = open_and_verify(&toy().join("good")).unwrap();
    let step = bundle.read("global_step").unwrap();
    assert_eq!(step.values, Values::I64(vec![9_007_199_254_740_993]));
    assert_eq!(step.shape, [0usize; 0]);
}

#[test]
fn slices_in_two_files_are_put_together() {
    let bundle = open_and_verify(&data().join("sliced")).unwrap();
    let array = bundle.read("p/w").unwrap();
    assert_eq!(array.shape, [10, 6]);
    assert_eq!(array.values, Values::F32(some_floats(60)));
    assert_eq!(bundle.get("p/w").unwrap().slice_count(), 3);
    let strings = bundle.read_strings("strings").unwrap();
    assert_eq!(strings, [&b"a"[..], b"", b"bcd"]);
}

#[test]
fn the_slots_of_tensorflows_sgd_are_velocities() {
    let bundle = open_and_verify(&data().join("sgd")).unwrap();
    let graph = bundle.object_graph().unwrap().unwrap();
    let slots = graph.variables().iter().filter_map(|variable| {
        let (original, word) = variable.slot.as_ref()?;
        assert_eq!(word, "momentum");
        Some((
            graph.variables()[*original].key.clone(),
            variable.key.clone(),
        ))
    });
    let mut originals: Vec<_> = graph
        .variables()
        .iter()
        .map(|v| v.full_name.as_str())
        .collect();
    originals.sort_unstable();
    assert!(originals.contains(&"conv2d_8/kernel"), "{originals:?}");
    let conv = "model/resnet_model/initial_conv_relu_max_pool/0/conv2d/kernel";
    let gamma = "model/resnet_model/initial_conv_relu_max_pool/1/bn/gamma";
    let value = |path: &str| format!("{path}/.ATTRIBUTES/VARIABLE_VALUE");
    let velocity = |path: &str| value(&format!("{path}/.OPTIMIZER_SLOT/optimizer/momentum"));
    let expected = [conv, gamma].map(|path| (value(path), velocity(path)));
    assert_eq!(slots.collect::<BTreeMap<_, _>>(), BTreeMap::from(expected));

    let names = CanonicalNames::of(&bundle).unwrap();
    let slot = |name: &str| (name.to_owned(), "velocity".to_owned());
    let expected = BTreeMap::from([
        (slot("base_model/conv2d/kernel"), velocity(conv)),
        (
            slot("base_model/batch_normalization/gamma"),
            velocity(gamma),
        ),
    ]);
    assert_eq!(names.slots, expected);
    let values = bundle.read(&velocity(gamma)).unwrap().values;
    assert_eq!(values, Values::F32(vec![-1.0; 3]));
}

/// The tests below read what the writer beside them wrote: it writes what TensorFlow does.
#[test]
fn the_writer_of_these_tests_writes_tensorflows_entries() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("m");
    let same = |written: &[Written], shards: usize, theirs: &Path| {
        write_bundle(
            &prefix,
            written,
            Layout {
                shards,
                ..Layout::default()
            },
        );
        assert_eq!(read_entries(&prefix), read_entries(theirs));
        for shard in 0..shards {
            let suffix = format!(".data-{shard:05}-of-{shards:05}");
            let read = |prefix: &Path| std::fs::read(append(prefix, &suffix)).unwrap();
            assert_eq!(read(&prefix), read(theirs));
        }
    };

    let good = toy().join("good/toy");
    let bundle = Bundle::open(&good).unwrap();
    let written = bundle.variables().map(|(name, variable)| {
        let array = bundle.read(name).unwrap();
        let number = TYPES
            .iter()
            .find(|kind| kind.1 == array.values.element_type());
        let mut written = float_variable(name, variable.shape(), &[]);
        written.data_type = number.unwrap().0;
        written.parts[0].bytes = bytes_of(&array.values);
        written
    });
    same(&written.collect::<Vec<_>>(), 1, &good);
    // Small tables are one block each: then all of the file is the same.
    let index = |prefix: &Path| std::fs::read(append(prefix, ".index")).unwrap();
    assert_eq!(index(&prefix), index(&good));

    let part = |start: [i64; 2], size: [i64; 2], whole: [bool; 2], values: &[f32], shard| {
        let mut part = float_variable("p/w", &[], values).parts.remove(0);
        let extent = |axis: usize| (!whole[axis]).then_some((start[axis], size[axis]));
        part.extents = vec![extent(0), extent(1)];
        part.shard = shard;
        part
    };
    let partitioned = toy().join("good_partitioned/toy");
    let Values::F32(values) = Bundle::open(&partitioned)
        .unwrap()
        .read("p/w")
        .unwrap()
        .values
    else {
        unreachable!("p/w is of f32");
    };
    let mut variable = float_variable("p/w", &[10, 6], &[]);
    let rows = [(0, 4), (4, 3), (7, 3)].map(|(start, count)| {
        let values = &values[6 * start..6 * (start + count)];
        part([start as i64, 0], [count as i64, 6], [false; 2], values, 0)
    });
    variable.parts = rows.to_vec();
    same(std::slice::from_ref(&variable), 1, &partitioned);

    let values = some_floats(60);
    let columns = |from: usize, to: usize| -> Vec<f32> {
        let rows = values[24..].chunks(6);
        rows.flat_map(|row| &row[from..to]).copied().collect()
    };
    variable.parts = vec![
        part([0, 0], [4, 6], [false, true], &values[..24], 0),
        part([4, 0], [6, 2], [false; 2], &columns(0, 2), 1),
        part([4, 2], [6, 4], [false; 2], &columns(2, 6), 1),
    ];
    let strings = string_variable("strings", &[b"a", b"", b"bcd"]);
    same(&[variable, strings], 2, &data().join("sliced"));
}

#[test]
fn every_recorded_damage_is_named_with_its_file() {
    let expected = [
        ("bad_magic", "toy.index: not a checkpoint index"),
        ("empty_index", "toy.index: 0 bytes"),
        (
            "flipped_byte_data",
            "toy.data-00000-of-00001: a/float: checksum",
        ),
        (
            "flipped_byte_index",
            "toy.index: data block at offset 0: checksum",
        ),
        ("missing_shard", "toy.data-00000-of-00001: No such file"),
        (
            "offset_past_end",
            "toy.data-00000-of-00001: h/scalar_float: 4 bytes from offset 16383",
        ),
        (
            "size_not_matching_shape",
            "toy.index: h/scalar_float: 9 bytes for f32 of shape []",
        ),
        (
            "truncated_data",
            "toy.data-00000-of-00001: f/uint8: 6 bytes from offset 178",
        ),
        ("truncated_index", "toy.index: not a checkpoint index"),
        ("wrong_shard_count", "toy.data-00000-of-00003: No such file"),
    ];
    for (name, text) in expected {
        let error = open_and_verify(&toy().join("bad").join(name))
            .unwrap_err()
            .to_string();
        assert!(error.contains(text), "{name}: {error}");
    }
}

#[test]
fn a_checkpoint_is_found_by_any_of_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("model.ckpt-7");
    write_bundle(
        &prefix,
        &[float_variable("a", &[1], &[7.0])],
        Layout::default(),
    );
    let value = |path: &Path| {
        Bundle::open(path)
            .unwrap()
            .read("a")
            .unwrap()
            .values
            .to_f64()
    };
    let index = append(&prefix, ".index");
    let data = append(&prefix, ".data-00000-of-00001");
    let graph = append(&prefix, ".meta");
    std::fs::write(&graph, "").unwrap();
    for path in [folder.path(), &prefix, &index, &data, &graph] {
        assert_eq!(value(path), [7.0], "{}", path.display());
    }

    let other = folder.path().join("model.ckpt-8");
    write_bundle(
        &other,
        &[float_variable("a", &[1], &[8.0])],
        Layout::default(),
    );
    let error = Bundle::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("2 checkpoints"), "{error}");

    // The state file decides, even if it names the place where the files used to be.
    let state = folder.path().join("checkpoint");
    for place in [
        "",
        "/somewhere/else/",
        "gone/",
        "C:\\\\runs\\\\",
        "C:\\runs\\new\\",
    ] {
        let text = format!(
            "model_checkpoint_path: \"{place}model.ckpt-7\"\n\
             all_model_checkpoint_paths: \"{place}model.ckpt-8\"\n"
        );
        std::fs::write(&state, text).unwrap();
        assert_eq!(value(folder.path()), [7.0], "{place}");
        assert_eq!(value(&state), [7.0], "{place}");
    }
    std::fs::write(&state, "model_checkpoint_path: \"model.ckpt-9\"\n").unwrap();
    let error = Bundle::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("model.ckpt-9"), "{error}");

    let saved_model = folder.path().join("saved");
    std::fs::create_dir_all(saved_model.join("variables")).unwrap();
    let prefix = saved_model.join("variables/variables");
    write_bundle(
        &prefix,
        &[float_variable("a", &[1], &[9.0])],
        Layout::default(),
    );
    assert_eq!(value(&saved_model), [9.0]);
    assert_eq!(value(&saved_model.join("variables")), [9.0]);
    std::fs::write(saved_model.join("saved_model.pb"), "").unwrap();
    assert_eq!(value(&saved_model.join("saved_model.pb")), [9.0]);

    // As the official networks are laid out.
    let official = folder.path().join("r50_1x_sk0");
    std::fs::create_dir(&official).unwrap();
    std::fs::rename(&saved_model, official.join("saved_model")).unwrap();
    assert_eq!(value(&official), [9.0]);
}

#[test]
fn folders_of_windows_and_the_first_format_are_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("checkpoint");
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let variable = float_variable("a", &[1], &[5.0]);
    write_bundle(&inner.join("m.ckpt-1"), &[variable], Layout::default());
    std::fs::write(&state, "model_checkpoint_path: \"inner\\\\m.ckpt-1\"\r\n").unwrap();
    let found = simclr_checkpoint::tensorflow::locate(folder.path()).unwrap();
    assert_eq!(found, inner.join("m.ckpt-1"));

    // One table with everything in it, as TensorFlow wrote before 2016.
    let old = folder.path().join("old.ckpt");
    let table = support::table(&[(Vec::new(), vec![1])], Layout::default());
    std::fs::write(&old, table).unwrap();
    std::fs::write(
        &state,
        "model_checkpoint_path: \"C:\\\\runs\\\\old.ckpt\"\n",
    )
    .unwrap();
    for path in [old.as_path(), folder.path(), &state] {
        let error = import(path).err().unwrap().to_string();
        assert!(
            error.contains("old.ckpt: a TensorFlow checkpoint of the first format (V1)"),
            "{error}"
        );
    }
}

#[test]
fn state_files_name_bytes_that_are_not_ascii_in_octal() {
    let folder = tempfile::tempdir().unwrap();
    let variable = float_variable("a", &[1], &[5.0]);
    for name in ["m", "k\u{e4}fer"] {
        let prefix = folder.path().join(name);
        write_bundle(&prefix, std::slice::from_ref(&variable), Layout::default());
    }
    let state = folder.path().join("checkpoint");
    std::fs::write(&state, "model_checkpoint_path: \"k\\303\\244fer\"\n").unwrap();
    let found = simclr_checkpoint::tensorflow::locate(folder.path()).unwrap();
    assert_eq!(found, folder.path().join("k\u{e4}fer"));
    for broken in ["k\\30", "k\\309fer", "\\", "\\303"] {
        let text = format!("model_checkpoint_path: \"{broken}\"\n");
        std::fs::write(&state, text).unwrap();
        let error = Bundle::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("checkpoint: "), "{error}");
    }
}

#[test]
fn strings_come_back_and_damage_to_them_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("m");
    let strings: [&[u8]; 4] = [b"", b"core", &[0xff; 300], b"x"];
    let variables = [
        string_variable("none", &[]),
        string_variable("some", &strings),
        variant_variable("objects", &[b"first", b"", &[7; 200]]),
    ];
    write_bundle(&prefix, &variables, Layout::default());
    let bundle = open_and_verify(&prefix).unwrap();
    assert_eq!(bundle.read_strings("some").unwrap(), strings);
    assert!(bundle.read_strings("none").unwrap().is_empty());
    assert_eq!(
        bundle.get("objects").unwrap().data_type(),
        DataType::Variant
    );
    for name in ["some", "objects"] {
        let error = bundle.read(name).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    }

    let data = append(&prefix, ".data-00000-of-00001");
    let bytes = std::fs::read(&data).unwrap();
    for position in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[position] ^= 0x10;
        std::fs::write(&data, damaged).unwrap();
        let error = open_and_verify(&prefix).unwrap_err().to_string();
        assert!(
            error.contains("m.data-00000-of-00001: "),
            "{position}: {error}"
        );
    }

    // Bytes behind the last string, and no bytes at all for no strings, as some writers do.
    let mut longer = string_variable("some", &strings);
    longer.parts[0].bytes.push(0);
    longer.parts[0].checksum = longer.parts[0]
        .checksum
        .map(|crc| crc32c::crc32c_append(crc, &[0]));
    write_bundle(&prefix, &[longer], Layout::default());
    let error = open_and_verify(&prefix).unwrap_err().to_string();
    assert!(error.contains("some: broken string lengths"), "{error}");
    let mut none = string_variable("none", &[]);
    none.parts[0].bytes.clear();
    none.parts[0].checksum = None;
    write_bundle(&prefix, &[none], Layout::default());
    open_and_verify(&prefix).unwrap();
}

#[test]
fn partitioned_strings_are_verified() {
    let folder = tempfile::tempdir().unwrap();
    let mut whole = string_variable("s", &[b"one", b"two", b"three"]);
    let mut parts = [
        string_variable("s", &[b"one"]),
        string_variable("s", &[b"two", b"three"]),
    ]
    .map(|part| part.parts.into_iter().next().unwrap());
    parts[0].extents = vec![Some((0, 1))];
    parts[1].extents = vec![Some((1, 2))];
    parts[1].shard = 1;
    whole.parts = parts.to_vec();
    let layout = Layout {
        shards: 2,
        ..Default::default()
    };
    let prefix = folder.path().join("m");
    write_bundle(&prefix, std::slice::from_ref(&whole), layout);
    let bundle = open_and_verify(&prefix).unwrap();
    let error = bundle.read_strings("s").unwrap_err().to_string();
    assert!(error.contains("strings in 2 slices"), "{error}");
    whole.parts[1].bytes[0] ^= 1;
    write_bundle(&prefix, &[whole], layout);
    assert!(open_and_verify(&prefix).is_err());
}

#[test]
fn headers_of_other_machines_and_versions_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("m");
    write_bundle(
        &prefix,
        &[float_variable("a", &[1], &[1.0])],
        Layout::default(),
    );
    let mut entries = read_entries(&prefix);
    for (shards, endianness, min_consumer, expected) in [
        (1, 1, 0, "m.index: byte order is not supported"),
        (1, 0, 2, "asks for a reader of version 2"),
        (0, 0, 0, "m.index: 0 data files"),
        (-1, 0, 0, "m.index: -1 data files"),
        (i64::from(i32::MAX), 0, 0, "m.data-00000-of-2147483647"),
    ] {
        entries[0].1 = support::header(shards, endianness, min_consumer);
        let index = support::table(&entries, Layout::default());
        std::fs::write(append(&prefix, ".index"), index).unwrap();
        let text = open_and_verify(&prefix).unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn what_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = Bundle::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("no checkpoint"), "{error}");
    let missing = folder.path().join("nothing");
    let error = Bundle::open(&missing).unwrap_err().to_string();
    let named = format!("{}: no such file or folder", missing.display());
    assert!(
        error.starts_with(&named) && error.contains("nothing.index"),
        "{error}"
    );
    for name in ["nowhere.safetensors", "nowhere.pth"] {
        let missing = folder.path().join(name);
        let error = import(&missing).unwrap_err();
        assert!(
            matches!(&error, Error::File(simclr_files::Error::Io { path, .. }) if *path == missing),
            "{error}"
        );
        assert!(!error.to_string().contains(".index"), "{error}");
    }
    let bundle = Bundle::open(toy().join("good")).unwrap();
    let error = bundle.read("x/float").unwrap_err();
    assert!(matches!(&error, Error::NotFound { .. }));
    assert!(error.to_string().contains("there are a/float"), "{error}");
}

#[test]
fn odd_types_are_listed_and_refused_when_read() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("m");
    let mut complex = float_variable("complex", &[1], &[1.0, 2.0]);
    complex.data_type = 8;
    write_bundle(&prefix, std::slice::from_ref(&complex), Layout::default());
    let bundle = open_and_verify(&prefix).unwrap();
    let data_type = bundle.get("complex").unwrap().data_type();
    assert_eq!(data_type, DataType::Other(8));
    assert_eq!(data_type.to_string(), "complex64");
    let error = bundle.read("complex").unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");

    complex.parts[0].bytes.pop();
    write_bundle(&prefix, std::slice::from_ref(&complex), Layout::default());
    let error = open_and_verify(&prefix).unwrap_err().to_string();
    assert!(
        error.contains("7 bytes for complex64 of shape [1]"),
        "{error}"
    );
    for unknown in [0, 33, 101, -5] {
        complex.data_type = unknown;
        write_bundle(&prefix, std::slice::from_ref(&complex), Layout::default());
        let error = open_and_verify(&prefix).unwrap_err().to_string();
        assert!(
            error.contains(&format!("m.index: complex: type {unknown}")),
            "{error}"
        );
    }
}

#[test]
fn types_that_candle_lacks_become_wider() {
    let bundle = Bundle::open(toy().join("good")).unwrap();
    let dtype = |name: &str| {
        let tensor = bundle
            .read(name)
            .unwrap()
            .into_tensor(&Device::Cpu)
            .unwrap();
        tensor.dtype()
    };
    assert_eq!(dtype("a/float"), DType::F32);
    assert_eq!(dtype("b/bf16"), DType::BF16);
    assert_eq!(dtype("g/bool"), DType::U8);
    assert_eq!(dtype("j/int8"), DType::I16);
}
