//! Folders of real files: every format, every kind of damage.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::{
    DynamicImage, GrayImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage,
};
use simclr_data::{Dataset, DecodeOptions, Error, ImageFolder, Labels, decode_file};
use tempfile::TempDir;

fn gradient(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([x as u8 * 5, y as u8 * 7, (x + y) as u8])
    })
}

fn write(root: &TempDir, path: &str, content: &[u8]) {
    let path = root.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn png(width: u32, height: u32) -> Vec<u8> {
    encoded(gradient(width, height), ImageFormat::Png)
}

/// Two classes of two images each.
fn two_classes() -> TempDir {
    let root = TempDir::new().unwrap();
    for path in [
        "none/b.png",
        "none/a.png",
        "crack/z.png",
        "crack/deeper/y.png",
    ] {
        write(&root, path, &png(9, 7));
    }
    root
}

fn message<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn class_folders_are_read_in_sorted_order() {
    let root = two_classes();
    let folder = ImageFolder::labelled(root.path()).unwrap();
    assert_eq!(folder.class_names(), ["crack", "none"]);
    let names: Vec<_> = (0..folder.len()).map(|i| folder.name(i)).collect();
    assert_eq!(
        names,
        [
            "crack/z.png",
            "crack/deeper/y.png",
            "none/a.png",
            "none/b.png"
        ]
    );
    assert_eq!(folder.labels("a test").unwrap(), [0, 0, 1, 1]);
    assert_eq!(folder.class_counts(), [2, 2]);
    assert!(folder.report().is_clean());
    assert!(matches!(
        folder.decode(4),
        Err(Error::Index { index: 4, len: 4 })
    ));
}

#[test]
fn class_folders_can_be_used_without_labels() {
    let root = two_classes();
    write(&root, "loose.png", &png(3, 3));
    let folder = ImageFolder::unlabelled(root.path()).unwrap();
    assert_eq!(folder.len(), 5);
    assert_eq!(folder.label(0), None);
    assert!(folder.class_names().is_empty());
    assert!(message(folder.labels("a probe")).starts_with("a probe needs labels"));
}

#[test]
fn labels_are_detected() {
    let root = two_classes();
    assert!(ImageFolder::open(root.path()).unwrap().is_labelled());
    write(&root, "LICENSE", b"text");
    assert!(ImageFolder::open(root.path()).unwrap().is_labelled());
    write(&root, "loose.png", &png(3, 3));
    assert!(!ImageFolder::open(root.path()).unwrap().is_labelled());
    assert!(
        !ImageFolder::open(root.path().join("none"))
            .unwrap()
            .is_labelled()
    );
}

#[test]
fn hidden_empty_and_foreign_files_are_left_out() {
    let root = two_classes();
    write(&root, "none/.hidden.png", b"not an image");
    write(&root, ".git/config.png", b"not an image");
    write(&root, "none/empty.jpg", b"");
    write(&root, "crack/notes.txt", b"text");
    write(&root, "LICENSE", b"text");
    let folder = ImageFolder::labelled(root.path()).unwrap();
    assert_eq!(folder.len(), 4);
    let report = folder.report();
    assert_eq!(report.empty, [root.path().join("none/empty.jpg")]);
    assert_eq!(
        report.ignored,
        [
            root.path().join("LICENSE"),
            root.path().join("crack/notes.txt")
        ]
    );
    let line = report.to_string();
    assert!(
        line.contains("left out 1 file empty (") && line.contains("empty.jpg"),
        "{line}"
    );
    assert!(
        line.contains("left out 2 files of another type ("),
        "{line}"
    );
}

#[test]
fn every_format_and_depth_is_decoded() {
    let root = TempDir::new().unwrap();
    let rgb = gradient(11, 6);
    let exact = rgb.as_raw().clone();
    for (name, format) in [
        ("a.png", ImageFormat::Png),
        ("a.bmp", ImageFormat::Bmp),
        ("a.TIF", ImageFormat::Tiff),
    ] {
        write(&root, name, &encoded(rgb.clone(), format));
        let image = decode_file(root.path().join(name)).unwrap();
        assert_eq!((image.height(), image.width()), (6, 11), "{name}");
        assert_eq!(image.data(), exact, "{name}");
    }

    write(&root, "a.jpg", &encoded(rgb.clone(), ImageFormat::Jpeg));
    let image = decode_file(root.path().join("a.jpg")).unwrap();
    let largest = image
        .data()
        .iter()
        .zip(&exact)
        .map(|(a, b)| a.abs_diff(*b))
        .max()
        .unwrap();
    assert!(largest < 60, "{largest}");

    // The content decides, not the name.
    write(&root, "a.jpeg", &encoded(rgb.clone(), ImageFormat::Png));
    assert_eq!(
        decode_file(root.path().join("a.jpeg")).unwrap().data(),
        exact
    );
}

#[test]
fn gray_alpha_and_sixteen_bits_become_rgb_bytes() {
    let root = TempDir::new().unwrap();
    let decode = |name: &str, bytes: Vec<u8>| {
        write(&root, name, &bytes);
        decode_file(root.path().join(name)).unwrap().into_data()
    };
    let gray = GrayImage::from_fn(3, 1, |x, _| Luma([x as u8 * 100]));
    for (name, format) in [("g.png", ImageFormat::Png), ("g.tif", ImageFormat::Tiff)] {
        assert_eq!(
            decode(name, encoded(gray.clone(), format)),
            [0, 0, 0, 100, 100, 100, 200, 200, 200]
        );
    }
    let gray_jpeg = decode(
        "g.jpg",
        encoded(GrayImage::from_pixel(9, 9, Luma([77])), ImageFormat::Jpeg),
    );
    assert!(gray_jpeg.iter().all(|v| v.abs_diff(77) <= 1));

    // Alpha is dropped and not blended.
    let transparent = RgbaImage::from_pixel(1, 1, Rgba([10, 20, 30, 0]));
    assert_eq!(
        decode("alpha.png", encoded(transparent, ImageFormat::Png)),
        [10, 20, 30]
    );

    let deep = ImageBuffer::<Rgb<u16>, _>::from_pixel(1, 1, Rgb([0, 128 * 257, 65535u16]));
    for (name, format) in [
        ("deep.png", ImageFormat::Png),
        ("deep.tiff", ImageFormat::Tiff),
    ] {
        assert_eq!(decode(name, encoded(deep.clone(), format)), [0, 128, 255]);
    }
    let deep_gray = ImageBuffer::<Luma<u16>, _>::from_pixel(1, 1, Luma([200 * 257u16]));
    assert_eq!(
        decode("deep_gray.tif", encoded(deep_gray, ImageFormat::Tiff)),
        [200, 200, 200]
    );
}

#[test]
fn wrong_folders_are_named() {
    let root = TempDir::new().unwrap();
    let missing = root.path().join("nowhere");
    let says = |result: Result<ImageFolder, Error>, path: &Path, words: &str| {
        let error = result.unwrap_err();
        let reason = matches!(&error, Error::Folder { path: p, reason } if p == path && reason.contains(words));
        assert!(reason, "{error}");
    };
    says(
        ImageFolder::unlabelled(&missing),
        &missing,
        "no such folder",
    );
    says(ImageFolder::labelled(&missing), &missing, "no such folder");

    write(&root, "file.png", &png(2, 2));
    let file = root.path().join("file.png");
    says(ImageFolder::open(&file), &file, "this is a file");
    let loose = ImageFolder::labelled(root.path());
    says(loose, root.path(), "no class folders here");
}

#[test]
fn folders_without_images_are_named() {
    let root = TempDir::new().unwrap();
    let text = message(ImageFolder::open(root.path()));
    assert!(
        text.contains(&root.path().display().to_string()) && text.contains("no images"),
        "{text}"
    );

    write(&root, "notes.txt", b"text");
    write(&root, "empty.png", b"");
    let text = message(ImageFolder::unlabelled(root.path()));
    assert!(
        text.contains("notes.txt") && text.contains("empty.png"),
        "{text}"
    );
}

#[test]
fn a_class_without_images_is_named() {
    let root = two_classes();
    fs::create_dir(root.path().join("soupy")).unwrap();
    let text = message(ImageFolder::labelled(root.path()));
    assert!(
        text.contains("class 'soupy' has no images; the folder is empty"),
        "{text}"
    );

    write(&root, "soupy/.DS_Store", b"icons");
    let text = message(ImageFolder::labelled(root.path()));
    assert!(
        text.contains("hidden files") && text.contains(".DS_Store"),
        "{text}"
    );

    write(&root, "soupy/only.jpg", b"");
    let text = message(ImageFolder::labelled(root.path()));
    assert!(
        text.contains("soupy") && text.contains("only.jpg"),
        "{text}"
    );
}

/// One damaged file of each kind, and what its message has to say.
fn damaged_files() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let whole = gradient(64, 64);
    let truncated = |format| {
        let bytes = encoded(whole.clone(), format);
        bytes[..bytes.len() / 2].to_vec()
    };
    vec![
        ("cut.jpg", truncated(ImageFormat::Jpeg), "truncated"),
        ("cut.png", truncated(ImageFormat::Png), "damaged"),
        ("cut.tif", truncated(ImageFormat::Tiff), "damaged"),
        (
            "cut.bmp",
            truncated(ImageFormat::Bmp),
            "the BMP file is truncated",
        ),
        ("text.jpg", b"this is not an image".to_vec(), "not an image"),
        (
            "other.png",
            b"GIF89a\x01\x00\x01\x00\x00\x00\x00;".to_vec(),
            "it is a GIF picture",
        ),
        (
            "phone.jpg",
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".to_vec(),
            "it is a HEIF picture",
        ),
        (
            "film.jpg",
            b"\0\0\0\x14ftypqt  \0\0\0\0".to_vec(),
            "it is a film",
        ),
        (
            "page.jpg",
            b"<!DOCTYPE html><html></html>".to_vec(),
            "it is a web page",
        ),
        (
            "pointer.png",
            b"version https://git-lfs.github.com/spec/v1\n".to_vec(),
            "it is a pointer of Git LFS",
        ),
        ("zeros.jpg", vec![0; 100], "it is zeros"),
        ("start.jpg", vec![0xFF, 0xD8, 0xFF], "truncated"),
    ]
}

#[test]
fn damaged_files_are_errors_that_name_them() {
    for (name, content, reason) in damaged_files() {
        let root = two_classes();
        write(&root, &format!("none/{name}"), &content);
        let folder = ImageFolder::labelled(root.path()).unwrap();
        let index = (0..folder.len())
            .find(|&i| folder.name(i).ends_with(name))
            .unwrap();
        let decoding = message(folder.decode(index));
        assert!(
            decoding.contains(name) && decoding.contains(reason),
            "{decoding}"
        );

        let verified = ImageFolder::builder(root.path()).verify(true).open();
        assert_eq!(message(verified), decoding);
    }
}

#[test]
fn damaged_files_can_be_skipped_and_are_listed() {
    let root = two_classes();
    let damaged = damaged_files();
    for (name, content, _) in &damaged {
        write(&root, &format!("crack/{name}"), content);
    }
    let folder = ImageFolder::builder(root.path())
        .skip_unreadable(true)
        .open()
        .unwrap();
    assert_eq!(folder.len(), 4);
    assert_eq!(folder.labels("a test").unwrap(), [0, 0, 1, 1]);
    let unreadable = &folder.report().unreadable;
    let count = damaged.len();
    assert_eq!(unreadable.len(), count);
    for (name, _, reason) in damaged {
        assert!(
            unreadable
                .iter()
                .any(|(p, r)| p.ends_with(Path::new(name)) && r.contains(reason))
        );
    }
    assert!(
        folder
            .report()
            .to_string()
            .contains(&format!("left out {count} files unreadable"))
    );
}

#[test]
fn skipping_everything_is_still_an_error() {
    let root = two_classes();
    write(&root, "soupy/bad.png", b"text");
    let builder = ImageFolder::builder(root.path()).skip_unreadable(true);
    let text = message(builder.clone().labels(Labels::ClassFolders).open());
    assert!(
        text.contains("class 'soupy' has no images") && text.contains("bad.png"),
        "{text}"
    );
    let text = message(
        ImageFolder::builder(root.path().join("soupy"))
            .skip_unreadable(true)
            .open(),
    );
    assert!(
        text.contains("no images here") && text.contains("bad.png"),
        "{text}"
    );
}

#[test]
fn a_jpeg_with_a_thumbnail_is_complete_only_with_its_own_end() {
    // An APP1 segment that holds a whole small JPEG, as cameras write it.
    let thumbnail = encoded(gradient(8, 8), ImageFormat::Jpeg);
    let photo = encoded(gradient(40, 40), ImageFormat::Jpeg);
    let mut bytes = photo[..2].to_vec();
    bytes.extend([0xFF, 0xE1]);
    bytes.extend((thumbnail.len() as u16 + 2).to_be_bytes());
    bytes.extend(&thumbnail);
    bytes.extend(&photo[2..]);
    let root = TempDir::new().unwrap();
    write(&root, "whole.jpg", &bytes);
    assert_eq!(
        decode_file(root.path().join("whole.jpg")).unwrap().width(),
        40
    );
    write(&root, "cut.jpg", &bytes[..bytes.len() - 20]);
    assert!(message(decode_file(root.path().join("cut.jpg"))).contains("truncated"));
}

#[cfg(unix)]
#[test]
fn links_that_lead_back_or_nowhere_are_errors() {
    use std::os::unix::fs::symlink;
    let root = two_classes();
    symlink(root.path(), root.path().join("none/loop")).unwrap();
    let text = message(ImageFolder::unlabelled(root.path()));
    assert!(text.contains("this link leads back to"), "{text}");

    let root = two_classes();
    symlink(
        root.path().join("gone.png"),
        root.path().join("none/dangling.png"),
    )
    .unwrap();
    assert!(message(ImageFolder::unlabelled(root.path())).contains("dangling.png"));
}

#[cfg(unix)]
#[test]
fn what_cannot_be_read_is_counted_and_can_be_skipped() {
    let root = two_classes();
    let pipe = root.path().join("none/pipe.png");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    std::os::unix::fs::symlink("gone", root.path().join("crack/dangling.png")).unwrap();
    write(&root, "soupy/a.png", &png(3, 3));

    let text = message(ImageFolder::labelled(root.path()));
    let expected = "dangling.png: this link leads to nothing (gone); 1 more cannot be read either";
    assert!(text.ends_with(expected), "{text}");
    let folder = ImageFolder::builder(root.path()).skip_unreadable(true);
    let folder = folder.open().unwrap();
    assert_eq!((folder.len(), folder.class_names().len()), (5, 3));
    let text = folder.report().to_string();
    assert!(text.contains("left out 2 files unreadable"), "{text}");
    // It takes an image's place after the folder was listed, and reading it would never end.
    let reason = message(decode_file(&pipe));
    assert!(reason.ends_with("pipe.png: not a regular file"), "{reason}");
}

#[test]
fn pictures_beside_the_class_folders_are_named() {
    let root = two_classes();
    write(&root, "cover.png", &png(3, 3));
    let folder = ImageFolder::labelled(root.path()).unwrap();
    assert_eq!(folder.len(), 4);
    let text = folder.report().to_string();
    assert!(
        text.starts_with("left out 1 file outside of the class folders ("),
        "{text}"
    );

    // Where labels are not required, the others keep theirs.
    let folder = ImageFolder::open(root.path()).unwrap();
    let labels: Vec<_> = (0..5).map(|index| folder.label(index)).collect();
    assert_eq!(labels, [None, Some(0), Some(0), Some(1), Some(1)]);
    assert!(!folder.is_labelled());
    let text = folder.report().to_string();
    let expected = "1 file outside of the class folders without a label (";
    assert!(
        text.starts_with(expected) && text.contains("cover.png"),
        "{text}"
    );
    let text = message(folder.labels("a probe"));
    assert!(text.contains("cover.png"), "{text}");
}

#[test]
fn what_macos_adds_to_archives_is_no_class() {
    let root = two_classes();
    write(&root, "__MACOSX/crack/._000.png", b"");
    write(&root, "none/._000.png", b"resource fork");
    let folder = ImageFolder::labelled(root.path()).unwrap();
    assert_eq!((folder.len(), folder.class_names().len()), (4, 2));
    let text = folder.report().to_string();
    assert!(text.starts_with("left out 2 files hidden ("), "{text}");
    assert!(
        text.contains("__MACOSX") && text.contains("._000.png"),
        "{text}"
    );
}

#[test]
fn folders_of_systems_and_network_storage_are_no_classes() {
    let root = two_classes();
    for folder in [
        "@eaDir",
        "#recycle",
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
        "Network Trash Folder",
        "Temporary Items",
        "found.000",
        "FOUND.012",
        ".Trash-1000",
        ".AppleDouble",
    ] {
        std::fs::create_dir(root.path().join(folder)).unwrap();
    }
    write(&root, "none/@eaDir/000.png/thumbnail.png", &png(3, 3));
    let folder = ImageFolder::labelled(root.path()).unwrap();
    assert_eq!((folder.len(), folder.class_names().len()), (4, 2));
    let hidden = &folder.report().hidden;
    assert!(hidden.contains(&root.path().join("@eaDir")), "{hidden:?}");
    assert_eq!(ImageFolder::unlabelled(root.path()).unwrap().len(), 4);
}

/// A class is never left out: its folder is listed, as by whoever has all rights, or the error.
#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_listed_is_an_error_even_where_images_are_skipped() {
    use std::os::unix::fs::PermissionsExt;
    let root = two_classes();
    let closed = root.path().join("crack");
    let set_mode = |mode| {
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode(0o000);
    let is_open = std::fs::read_dir(&closed).is_ok();
    let folder = |skip| {
        let folder = ImageFolder::builder(root.path()).skip_unreadable(skip);
        folder.open()
    };
    let (strict, skipping) = (folder(false), folder(true));
    set_mode(0o755);
    if is_open {
        let images = [strict, skipping].map(|folder| folder.unwrap().len());
        assert_eq!(images, [4, 4]);
        return;
    }
    let text = message(skipping);
    assert!(
        text.contains("crack: this folder cannot be listed"),
        "{text}"
    );
    assert!(message(strict).contains("crack: "));
}

#[cfg(unix)]
#[test]
fn names_that_are_not_utf8_stay_different() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let root = two_classes();
    let bytes: [(&[u8], &[u8]); 2] = [(b"caf\xE8", b"\xFF.png"), (b"caf\xE9", b"\xFE.png")];
    for (class, image) in bytes {
        let class = root.path().join(OsStr::from_bytes(class));
        // Not every file system has such names.
        if fs::create_dir(&class).is_err() {
            return;
        }
        fs::write(class.join(OsStr::from_bytes(image)), png(3, 3)).unwrap();
    }
    let folder = ImageFolder::labelled(root.path()).unwrap();
    assert_eq!(folder.class_names()[..2], [r"caf\xe8", r"caf\xe9"]);
    assert_eq!(folder.name(0), r"caf\xe8/\xff.png");
    assert_eq!(folder.name(1), r"caf\xe9/\xfe.png");
}

#[test]
fn images_that_ask_to_be_turned_are_counted() {
    let root = TempDir::new().unwrap();
    // A TIFF file of 40,000 x 1 pixels whose directory lies behind them, upside down.
    let start = 8 + 40_000u32;
    let mut tiff = [b"II*\0", &start.to_le_bytes()[..], &[7; 40_000]].concat();
    let tags = [
        (256, 40_000),
        (257, 1),
        (258, 8),
        (262, 1),
        (273, 8),
        (274, 3),
        (279, 40_000),
    ];
    tiff.extend((tags.len() as u16).to_le_bytes());
    for (tag, value) in tags {
        tiff.extend([tag as u16, 4].map(u16::to_le_bytes).concat());
        tiff.extend([1, value as u32].map(u32::to_le_bytes).concat());
    }
    write(&root, "a.tif", &tiff);
    // Its directory lies beyond what is read of a file's beginning.
    tiff.splice(8..8, [7; 40_000]);
    tiff[4..8].copy_from_slice(&(start + 40_000).to_le_bytes());
    write(&root, "b.tif", &tiff);
    write(&root, "c.png", &png(3, 3));

    let open = |turn| {
        let options = DecodeOptions::default().with_apply_orientation(turn);
        ImageFolder::builder(root.path())
            .decode_options(options)
            .open()
            .unwrap()
    };
    let folder = open(false);
    let oriented = ["a.tif", "b.tif"].map(|name| root.path().join(name));
    assert_eq!(folder.report().oriented, oriented);
    assert!(folder.report().is_clean());
    assert_eq!(folder.decode(0).unwrap().width(), 40_000);
    let turned = open(true);
    assert!(turned.report().oriented.is_empty());
    assert_ne!(
        turned.content_digest(0).unwrap(),
        folder.content_digest(0).unwrap()
    );
}

#[test]
fn a_file_that_has_gone_since_it_was_listed_is_named() {
    let root = two_classes();
    let folder = ImageFolder::labelled(root.path()).unwrap();
    fs::remove_file(root.path().join("none/a.png")).unwrap();
    let text = message(folder.decode(2));
    assert!(text.contains("a.png"), "{text}");
    assert!(matches!(folder.decode(2), Err(Error::Io { .. })));
}
