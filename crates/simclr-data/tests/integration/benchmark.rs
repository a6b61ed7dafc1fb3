//! CIFAR-10 and MNIST from files that the tests write.
#![cfg(feature = "candle-datasets")]
#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use simclr_data::{Dataset, benchmark};
use tempfile::TempDir;

fn idx(magic: u32, lengths: &[u32], values: &[u8]) -> Vec<u8> {
    let words = std::iter::once(&magic).chain(lengths);
    let mut bytes: Vec<u8> = words.flat_map(|word| word.to_be_bytes()).collect();
    bytes.extend(values);
    bytes
}

fn mnist_files(root: &Path) {
    for (part, count) in [("train", 3u32), ("t10k", 2)] {
        let pixels: Vec<u8> = (0..count * 784).map(|i| (i % 256) as u8).collect();
        let labels: Vec<u8> = (0..count as u8).map(|i| 9 - i).collect();
        let images = idx(2051, &[count, 28, 28], &pixels);
        fs::write(root.join(format!("{part}-images-idx3-ubyte")), images).unwrap();
        let labels = idx(2049, &[count], &labels);
        fs::write(root.join(format!("{part}-labels-idx1-ubyte")), labels).unwrap();
    }
}

#[test]
fn mnist_is_read() {
    let root = TempDir::new().unwrap();
    mnist_files(root.path());
    let sets = benchmark::mnist(root.path()).unwrap();
    assert_eq!((sets.train.len(), sets.test.len()), (3, 2));
    assert_eq!(sets.train.labels("a test").unwrap(), [9, 8, 7]);
    assert_eq!(sets.train.class_names()[9], "9");
    let image = sets.train.decode(1).unwrap();
    assert_eq!((image.height(), image.width()), (28, 28));
    assert_eq!(image.data()[3..6], [(785 % 256) as u8; 3]);
}

#[test]
fn wrong_mnist_files_are_named() {
    let root = TempDir::new().unwrap();
    mnist_files(root.path());
    let path = root.path().join("t10k-images-idx3-ubyte");
    let whole = fs::read(&path).unwrap();
    // Claims of more values than memory has must not be believed.
    let absurd = idx(2051, &[u32::MAX, u32::MAX, u32::MAX], &[]);
    for content in [&whole[..whole.len() - 1], b"text", b"", &[0; 20], &absurd] {
        fs::write(&path, content).unwrap();
        let error = benchmark::mnist(root.path()).unwrap_err().to_string();
        assert!(error.contains("t10k-images-idx3-ubyte"), "{error}");
    }
    fs::remove_file(&path).unwrap();
    let error = benchmark::mnist(root.path()).unwrap_err().to_string();
    assert!(error.contains("t10k-images-idx3-ubyte"), "{error}");
}

#[test]
fn cifar10_is_read() {
    let root = TempDir::new().unwrap();
    let names = (1..=5).map(|n| format!("data_batch_{n}.bin"));
    for name in names.chain(["test_batch.bin".to_owned()]) {
        let mut file = File::create(root.path().join(name)).unwrap();
        // A frog whose red channel is a ramp; the other 9,999 images are zeros.
        let mut first = vec![6u8];
        first.extend((0..1024u32).map(|i| (i % 256) as u8));
        file.write_all(&first).unwrap();
        file.set_len(10_000 * 3073).unwrap();
    }
    let sets = benchmark::cifar10(root.path()).unwrap();
    assert_eq!((sets.train.len(), sets.test.len()), (50_000, 10_000));
    assert_eq!(sets.train.class_names()[6], "frog");
    assert_eq!(
        (sets.train.label(10_000), sets.train.label(10_001)),
        (Some(6), Some(0))
    );
    let image = sets.test.decode(0).unwrap();
    assert_eq!((image.height(), image.width()), (32, 32));
    assert_eq!(image.data()[33 * 3..34 * 3], [33, 0, 0]);

    File::options()
        .write(true)
        .open(root.path().join("data_batch_3.bin"))
        .unwrap()
        .set_len(100)
        .unwrap();
    let error = benchmark::cifar10(root.path()).unwrap_err().to_string();
    assert!(
        error.contains("data_batch_3.bin") && error.contains("30730000"),
        "{error}"
    );
}
