//! Offline augmentation of folders: what is written, and that nothing is half-written.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use simclr_data::{
    AugmentedDataset, Dataset, DuplicateSearch, Error, Groups, ImageFolder, OfflineAugmentation,
    Seed, SyntheticCores, save_png,
};
use simclr_testkit::seeds;

/// Ten cores, one of each class, at `cores/<class>/core<i>.png`.
fn cores(root: &Path) -> ImageFolder {
    let cores = SyntheticCores::new(10, 48, Seed(seeds::INPUTS)).unwrap();
    for index in 0..10 {
        let class = &cores.class_names()[cores.label(index).unwrap() as usize];
        let folder = root.join("cores").join(class);
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("core{index}.png"));
        save_png(&cores.decode(index).unwrap(), path).unwrap();
    }
    ImageFolder::labelled(root.join("cores")).unwrap()
}

/// The files below a folder, with their contents.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let images = ImageFolder::labelled(folder).unwrap();
    let names = (0..images.len()).map(|index| images.name(index));
    names
        .zip(images.paths().iter().map(|path| fs::read(path).unwrap()))
        .collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let name = |entry: Result<fs::DirEntry, _>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

#[test]
fn originals_are_taken_over_and_flips_are_added() {
    let root = tempfile::tempdir().unwrap();
    let folder = cores(root.path());
    let out = root.path().join("augmented");
    let written = OfflineAugmentation::default().write(&folder, &out).unwrap();
    assert_eq!((written.originals, written.copies), (10, 30));
    let augmented = contents(&out);
    assert_eq!(augmented.len(), 40);
    for (name, bytes) in contents(folder.root()) {
        assert!(augmented[&name] == bytes, "{name}");
    }

    let image = |name: &str| {
        let (folder, file) = name.split_once('/').unwrap();
        simclr_data::decode_file(out.join(folder).join(file)).unwrap()
    };
    let original = folder.name(0);
    let (image, mirrored) = (
        image(&original),
        image(&format!("{original}.left-right.png")),
    );
    let row = |image: &simclr_augment::DecodedImage| -> Vec<[u8; 3]> {
        let pixels = image.data()[..3 * image.width()].chunks_exact(3);
        pixels.map(|p| [p[0], p[1], p[2]]).collect()
    };
    let mut reversed = row(&image);
    reversed.reverse();
    assert_eq!(row(&mirrored), reversed);
    let mut folders = names(root.path());
    folders.sort();
    assert_eq!(folders, ["augmented", "cores"]);
}

#[test]
fn copies_are_found_as_duplicates_and_by_their_names() {
    let root = tempfile::tempdir().unwrap();
    let folder = cores(root.path());
    let out = root.path().join("augmented");
    OfflineAugmentation::default().write(&folder, &out).unwrap();
    let augmented = ImageFolder::labelled(&out).unwrap();
    let by_name = Groups::by_pattern(&augmented, r"^(core\d+)\.").unwrap();
    let found = DuplicateSearch::default().within(&augmented).unwrap();
    assert_eq!(by_name.count(), 10);
    assert_eq!(found.to_groups().unwrap(), by_name);
}

#[test]
fn heavier_copies_are_seeded_and_only_for_the_classes_asked_for() {
    let root = tempfile::tempdir().unwrap();
    let folder = cores(root.path());
    let write = |name: &str, seed| {
        let settings = OfflineAugmentation::heavier(Seed(seed))
            .with_copies(4)
            .with_classes(["crack", "soupy"]);
        let out = root.path().join(name);
        assert_eq!(settings.write(&folder, &out).unwrap().copies, 8);
        contents(&out)
    };
    let (first, again, other) = (write("a", 1), write("b", 1), write("c", 2));
    assert_eq!(first.len(), 18);
    assert!(first == again);
    assert!(first.keys().eq(other.keys()) && first != other);
    let copies = first.keys().filter(|name| name.contains(".copy"));
    assert!(
        copies
            .clone()
            .all(|n| n.starts_with("crack/") || n.starts_with("soupy/"))
    );
    assert_eq!(copies.count(), 8);
}

#[test]
fn nothing_is_overwritten_and_nothing_half_written_stays() {
    let root = tempfile::tempdir().unwrap();
    let folder = cores(root.path());
    let augmentation = OfflineAugmentation::default();
    let taken = root.path().join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("precious.txt"), "keep me").unwrap();
    let error = augmentation.write(&folder, &taken).unwrap_err().to_string();
    assert!(
        error.contains("taken") && error.contains("exists already"),
        "{error}"
    );
    assert_eq!(names(&taken), ["precious.txt"]);

    let inside = folder.root().join("augmented");
    let error = augmentation.write(&folder, inside).unwrap_err();
    assert!(error.to_string().contains("outside of"), "{error}");
    let nowhere = root.path().join("no/such/place");
    let error = augmentation.write(&folder, nowhere).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    let unknown = augmentation.clone().with_classes(["sopy"]);
    let error = unknown.write(&folder, root.path().join("out")).unwrap_err();
    assert!(error.to_string().contains("got sopy"), "{error}");

    // A damaged image is found half-way.
    fs::write(folder.root().join("soupy/zz.png"), "text").unwrap();
    let damaged = ImageFolder::labelled(folder.root()).unwrap();
    let error = augmentation
        .write(&damaged, root.path().join("out"))
        .unwrap_err();
    assert!(error.to_string().contains("zz.png"), "{error}");
    assert_eq!(names(root.path()), ["cores", "taken"]);
}

#[test]
fn a_copy_does_not_take_an_originals_name() {
    let root = tempfile::tempdir().unwrap();
    let folder = cores(root.path());
    let (class, file) = folder
        .name(0)
        .split_once('/')
        .map(|(c, f)| (c.to_owned(), f.to_owned()))
        .unwrap();
    let taken = folder
        .root()
        .join(&class)
        .join(format!("{file}.up-down.png"));
    fs::copy(&folder.paths()[0], taken).unwrap();
    let folder = ImageFolder::labelled(folder.root()).unwrap();
    let error = OfflineAugmentation::default().write(&folder, root.path().join("out"));
    assert!(error.unwrap_err().to_string().contains("up-down.png"));
    assert_eq!(names(root.path()), ["cores"]);
}

#[cfg(unix)]
#[test]
fn the_folder_is_as_readable_as_any_other_new_one() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    let folder = cores(root.path());
    let (out, plain) = (root.path().join("out"), root.path().join("plain"));
    OfflineAugmentation::default().write(&folder, &out).unwrap();
    fs::create_dir(&plain).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&out), mode(&plain));
}

#[test]
fn more_copies_than_can_be_counted_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let folder = cores(root.path());
    let how = |copies| OfflineAugmentation::default().with_copies(copies);
    for copies in [10_001, u32::MAX] {
        let expected = format!("copies must be at most 10000, got {copies}");
        let written = how(copies).write(&folder, root.path().join("out"));
        assert_eq!(written.unwrap_err().to_string(), expected);
        let augmented = AugmentedDataset::new(folder.clone(), &[0], how(copies));
        assert_eq!(augmented.unwrap_err().to_string(), expected);
    }
    let augmented = AugmentedDataset::new(folder, &[0], how(10_000)).unwrap();
    assert_eq!(augmented.with_copies(&[0]).len(), 1 + 3 + 10_000);
}
