//! Duplicates are found, whatever was done to them, and nothing else is.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{ImageFormat, RgbImage};
use simclr_augment::DecodedImage;
use simclr_augment::ops::{Border, rotate};
use simclr_data::{
    Dataset, DatasetExt, DuplicateKind, DuplicateReport, DuplicateSearch, Error, Fractions,
    ImageFolder, InMemory, Seed, Split, SyntheticCores,
};
use simclr_testkit::seeds;

fn cores(count: usize, size: usize) -> Vec<DecodedImage> {
    let cores = SyntheticCores::new(count, size, Seed(seeds::INPUTS)).unwrap();
    InMemory::collect(&cores).unwrap().images().to_vec()
}

fn picture(image: &DecodedImage) -> RgbImage {
    RgbImage::try_from(image.clone()).unwrap()
}

fn decoded(picture: RgbImage) -> DecodedImage {
    DecodedImage::try_from(picture).unwrap()
}

/// As read back from a JPEG file of this quality.
fn compressed(image: &DecodedImage, quality: u8) -> DecodedImage {
    let mut bytes = Cursor::new(Vec::new());
    let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
    picture(image).write_with_encoder(encoder).unwrap();
    let read = image::load_from_memory_with_format(bytes.get_ref(), ImageFormat::Jpeg);
    decoded(read.unwrap().to_rgb8())
}

fn brightened(image: &DecodedImage) -> DecodedImage {
    let brighter = |&byte: &u8| (f32::from(byte) * 1.1 + 5.0).min(255.0) as u8;
    let data = image.data().iter().map(brighter).collect();
    DecodedImage::new(image.height(), image.width(), data).unwrap()
}

fn groups(images: Vec<DecodedImage>) -> Vec<(DuplicateKind, Vec<usize>)> {
    let report = DuplicateSearch::default()
        .within(&InMemory::unlabelled(images))
        .unwrap();
    let members = |group: &simclr_data::DuplicateGroup| {
        let images = group.images.iter().map(|image| image.index);
        (group.kind, images.collect())
    };
    report.groups.iter().map(members).collect()
}

#[test]
fn different_cores_are_not_duplicates() {
    for size in [32, 96] {
        assert_eq!(groups(cores(300, size)), [], "{size} px");
    }
}

#[test]
fn copies_are_found_whatever_was_done_to_them() {
    let originals = cores(40, 96);
    let first = &originals[0];
    let resized = |size| {
        decoded(imageops::resize(
            &picture(first),
            size,
            size,
            FilterType::Triangle,
        ))
    };
    let kinds = [
        ("the same", first.clone()),
        ("JPEG 90", compressed(first, 90)),
        ("JPEG 40", compressed(first, 40)),
        ("half the size", resized(48)),
        ("half as large again", resized(144)),
        ("brighter", brightened(first)),
        (
            "mirrored",
            decoded(imageops::flip_horizontal(&picture(first))),
        ),
        ("upside down", decoded(imageops::rotate180(&picture(first)))),
        (
            "a quarter turn",
            decoded(imageops::rotate90(&picture(first))),
        ),
        (
            "mirrored, turned and compressed",
            compressed(
                &decoded(imageops::rotate270(&imageops::flip_vertical(&picture(
                    first,
                )))),
                80,
            ),
        ),
    ];
    for (kind, copy) in kinds {
        let mut images = originals.clone();
        images.push(copy);
        let expected = match kind {
            "the same" => DuplicateKind::SamePixels,
            _ => DuplicateKind::NearCopy,
        };
        assert_eq!(groups(images), [(expected, vec![0, 40])], "{kind}");
    }
}

/// Turned by `degrees` within black corners, which are kept or cropped to `kept` of the side.
fn turned(image: &DecodedImage, degrees: f32, kept: f32) -> DecodedImage {
    let turned = rotate(&image.to_image(), degrees, Border::Black).unwrap();
    let picture = picture(&turned.to_decoded());
    let side = (picture.width() as f32 * kept) as u32;
    let first = (picture.width() - side) / 2;
    decoded(imageops::crop_imm(&picture, first, first, side, side).to_image())
}

#[test]
fn copies_turned_by_any_angle_are_found() {
    let originals = cores(60, 96);
    assert_eq!(groups(originals.clone()), []);
    let mirrored = |index: usize| decoded(imageops::flip_vertical(&picture(&originals[index])));
    let mut images = originals.clone();
    images.push(turned(&originals[1], 37.0, 1.0));
    images.push(turned(&mirrored(11), 200.0, 1.0));
    images.push(compressed(&turned(&originals[17], -75.0, 0.7), 80));
    let expected = [[1, 60], [11, 61], [17, 62]];
    let expected = expected.map(|pair| (DuplicateKind::TurnedCopy, pair.to_vec()));
    assert_eq!(groups(images.clone()), expected);
    let images = InMemory::unlabelled(images);
    for strict in [
        DuplicateSearch::default().with_orientations(false),
        DuplicateSearch::default().with_correlation(1.0),
    ] {
        assert!(strict.within(&images).unwrap().is_clean());
    }
}

#[test]
fn most_cores_are_found_again_after_compression() {
    let originals = cores(100, 96);
    let copies = originals.iter().map(|image| compressed(image, 75));
    let found = groups(originals.iter().cloned().chain(copies).collect());
    let right =
        |(_, members): &&(DuplicateKind, Vec<usize>)| matches!(members[..], [a, b] if a + 100 == b);
    let right = found.iter().filter(right).count();
    assert_eq!(right, found.len(), "a core was taken for another");
    assert!(right >= 97, "{right} of 100");
}

#[test]
fn orientations_can_be_told_apart() {
    let mut images = cores(5, 64);
    images.push(decoded(imageops::flip_horizontal(&picture(&images[2]))));
    let images = InMemory::unlabelled(images);
    let strict = DuplicateSearch::default().with_orientations(false);
    assert!(strict.within(&images).unwrap().is_clean());
    assert!(
        !DuplicateSearch::default()
            .within(&images)
            .unwrap()
            .is_clean()
    );
}

fn save(image: &DecodedImage, path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    picture(image)
        .save_with_format(path, ImageFormat::Png)
        .unwrap();
}

/// Train and test folders with a copied, a mirrored and a wrongly labelled image.
fn leaking_folders(root: &Path) -> Split<ImageFolder> {
    let images = cores(13, 64);
    for (index, image) in images.iter().enumerate().take(12) {
        let part = ["train", "validation", "test"][index % 3];
        let class = ["crack", "none"][index / 3 % 2];
        save(image, &root.join(format!("{part}/{class}/{index}.png")));
    }
    save(&images[0], &root.join("test/crack/copied.png"));
    let mirrored = decoded(imageops::flip_horizontal(&picture(&images[1])));
    save(&mirrored, &root.join("test/crack/mirrored.png"));
    save(&images[12], &root.join("train/crack/twice.png"));
    save(&images[12], &root.join("train/none/twice.png"));
    let open = |part| ImageFolder::labelled(root.join(part)).unwrap();
    Split {
        train: open("train"),
        validation: open("validation"),
        test: open("test"),
    }
}

#[test]
fn leaks_between_parts_and_wrong_labels_are_named() {
    let root = tempfile::tempdir().unwrap();
    let split = leaking_folders(root.path());
    let report = DuplicateSearch::default().across(&split).unwrap();
    assert_eq!((report.groups.len(), report.images), (3, 16));
    assert_eq!((report.leaks().count(), report.conflicts().count()), (2, 1));
    let text = report.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    assert_eq!(
        lines,
        [
            "3 of 16 images are duplicates of others; groups: 3, in more than one part: 2, \
             of more than one class: 1",
            "train: crack/0.png = test: crack/copied.png",
            "validation: crack/1.png ~ test: crack/mirrored.png",
            "train: crack/twice.png = train: none/twice.png",
        ]
    );
    assert!(matches!(report.to_groups(), Err(Error::Setting { .. })));
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(
        serde_json::from_str::<DuplicateReport>(&json).unwrap(),
        report
    );

    let train = DuplicateSearch::default().within(&split.test).unwrap();
    assert_eq!(train.to_string(), "no duplicates among 6 images");
}

#[test]
fn duplicates_can_be_kept_together() {
    // Twenty cores, and each once more in its mirror image.
    let originals = cores(20, 64);
    let mirrored = originals
        .iter()
        .map(|i| decoded(imageops::flip_horizontal(&picture(i))));
    let images: Vec<_> = originals.iter().cloned().chain(mirrored).collect();
    let labels = (0..40).map(|i| i % 2).collect();
    let set = InMemory::labelled(images, labels, vec!["a".into(), "b".into()]).unwrap();
    let search = DuplicateSearch::default();
    let fractions = Fractions {
        train: 0.5,
        validation: 0.2,
    };

    let torn = set.split(fractions, Seed(seeds::SPLITS)).unwrap();
    assert!(search.across(&torn).unwrap().leaks().count() > 5);

    let groups = search.within(&set).unwrap().to_groups().unwrap();
    assert_eq!((groups.len(), groups.count()), (40, 20));
    let kept = set
        .split_grouped(&groups, fractions, Seed(seeds::SPLITS))
        .unwrap();
    assert_eq!(search.across(&kept).unwrap().leaks().count(), 0);
    assert_eq!(kept.train.class_counts(), [10, 10]);
}

#[test]
fn a_set_of_equal_images_is_one_group() {
    let images = vec![cores(1, 32).remove(0); 1000];
    assert_eq!(
        groups(images),
        [(DuplicateKind::SamePixels, (0..1000).collect())]
    );
    assert_eq!(groups(Vec::new()), []);
}

#[test]
fn bad_settings_and_unreadable_images_are_named() {
    let set = InMemory::unlabelled(cores(2, 32));
    for bad in [
        DuplicateSearch::default().with_hash_distance(64),
        DuplicateSearch::default().with_difference(f32::NAN),
        DuplicateSearch::default().with_correlation(0.0),
    ] {
        assert!(matches!(bad.within(&set), Err(Error::Setting { .. })));
    }
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("broken.png"), "text").unwrap();
    let folder = ImageFolder::unlabelled(root.path()).unwrap();
    let error = DuplicateSearch::default().within(&folder).unwrap_err();
    assert!(error.to_string().contains("broken.png"), "{error}");
    assert_eq!(folder.shared().len(), 1);
}
