//! Tables of images: in every form of CSV, with classes and depths, and joined with folders.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use simclr_data::{
    ClassMap, Concatenated, CsvTable, Dataset, DatasetExt, DecodedImage, DepthPosition, ImageFiles,
    ImageFolder, ImageRow, ImageTable, Result, image_path, joined_image_files, save_png,
};

fn read(bytes: &[u8]) -> Result<CsvTable> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("labels.csv");
    std::fs::write(&path, bytes).unwrap();
    CsvTable::read(&path)
}

fn rows(bytes: &[u8]) -> Vec<(u64, String, Option<String>)> {
    let table = read(bytes).unwrap();
    let images = table.images().unwrap();
    let row = |row: &ImageRow| {
        (
            row.row.line(),
            row.image.clone(),
            row.class.map(str::to_owned),
        )
    };
    images.iter().map(row).collect()
}

fn in_utf16(text: &str, bytes: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(bytes).collect()
}

#[test]
fn tables_of_every_program_say_the_same() {
    let plain = "image,class\ncrack/a.png,Riß\nb.png,\n";
    let expected = [
        (2, "crack/a.png".to_owned(), Some("Riß".to_owned())),
        (3, "b.png".to_owned(), None),
    ];
    assert_eq!(rows(plain.as_bytes()), expected);
    for same in [
        plain.replace(',', ";"),
        plain.replace(',', "\t"),
        plain.replace('\n', "\r\n"),
        format!("\u{feff}{plain}"),
        plain.replace("image,class", " Image,CLASS "),
        plain.replace("image,class", "\"Tile\",\"Label\""),
        plain.replace("crack/", ".\\crack\\"),
        // A spreadsheet's empty columns and rows.
        plain.replace('\n', ",,\n") + ",,,\n,,,\n",
        plain.to_owned() + ",,\n",
    ] {
        assert_eq!(rows(same.as_bytes()), expected, "{same}");
    }
    assert_eq!(rows(&in_utf16(plain, u16::to_le_bytes)), expected);
    assert_eq!(rows(&in_utf16(plain, u16::to_be_bytes)), expected);
    // The first line is none of the table, but one of the file.
    let named = format!("sep=;\r\n{}", plain.replace(',', ";"));
    let lines: Vec<u64> = rows(named.as_bytes()).iter().map(|row| row.0).collect();
    assert_eq!(lines, [3, 4]);
}

#[test]
fn other_files_are_refused_with_the_place_and_the_reason() {
    let refused = |bytes: &[u8], expected: &str| {
        let images = read(bytes).and_then(|table| table.images().map(|rows| rows.len()));
        let message = images.unwrap_err().to_string();
        let place = message.find("labels.csv: ");
        let reason = place.map(|place| &message[place + 12..]);
        assert_eq!(reason, Some(expected));
    };
    let utf8 = "save the table as CSV in UTF-8";
    refused(
        b"image,class\na.png,Ri\xdf\n",
        &format!("line 2 is not in UTF-8; {utf8}"),
    );
    let mut cut = in_utf16("image,class\n", u16::to_le_bytes);
    cut.pop();
    refused(&cut, &format!("begins as UTF-16, but is damaged; {utf8}"));
    refused(
        b"file;class\na.png;x\n",
        "no column `image` or `tile`; there are file, class",
    );
    refused(b"", "no column `image` or `tile`; there are none");
    refused(b"image,class\n,x\n", "line 2 names no image");
    refused(
        b"image,class\na.png\n",
        "line 2 has 1 cells, but the header has 2",
    );
    refused(
        b"image,class\na.png,x,y\n",
        "line 2 has 3 cells, but the header has 2",
    );
}

#[test]
fn an_image_has_one_class() {
    let table = |rows: &str| rows_or_message(format!("image,class\n{rows}").as_bytes());
    for same in ["./a.png", ".\\a.png", "b/../a.png", "a.png "] {
        assert_eq!(table(&format!("a.png,x\n{same},x\nc.png,y\n")), Ok(2));
        let message = table(&format!("a.png,x\nc.png,y\n{same},y\n")).unwrap_err();
        let expected = "a.png has the class x in line 2 and the class y in line 4";
        assert!(message.ends_with(expected), "{message}");
    }
    let message = table("a.png,\na.png,y\n").unwrap_err();
    let expected = "a.png has no class in line 2 and the class y in line 3";
    assert!(message.ends_with(expected), "{message}");
    for other in ["../a.png", "/a.png", "A.png", "b/a.png"] {
        assert_eq!(table(&format!("a.png,x\n{other},y\n")), Ok(2));
    }
}

fn rows_or_message(bytes: &[u8]) -> Result<usize, String> {
    let table = read(bytes).map_err(|error| error.to_string())?;
    let rows = table.images().map_err(|error| error.to_string())?;
    Ok(rows.len())
}

#[test]
fn paths_keep_their_roots() {
    for (path, expected) in [
        (r"C:\cores\.\a.png", "C:/cores/a.png"),
        (r"\\nas\cores\a.png", "//nas/cores/a.png"),
        ("/cores//a.png", "/cores/a.png"),
        ("../a.png", "../a.png"),
        ("", ""),
        ("ä", "ä"),
    ] {
        assert_eq!(image_path(path), expected);
    }
}

#[test]
fn a_table_gives_labels_to_the_images_that_have_a_class() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tiles.csv");
    let image = DecodedImage::new(2, 2, vec![7; 12]).unwrap();
    for name in ["a.png", "b.png", "c.png"] {
        save_png(&image, dir.path().join(name)).unwrap();
    }
    let rows = "tile,section,class\na.png,1,soupy\nb.png,1,\nc.png,1,none\n./a.png,1,soupy\n";
    std::fs::write(&path, rows).unwrap();
    let images = ImageTable::read(&path).unwrap();
    assert_eq!(images.class_names(), ["none", "soupy"]);
    let labels: Vec<_> = (0..4).map(|index| images.label(index)).collect();
    assert_eq!(labels, [Some(1), None, Some(0), None]);
    assert_eq!(images.decode(1).unwrap(), image);
    let labelled = images.labelled().unwrap();
    assert_eq!(labelled.labels("a test").unwrap(), [1, 0]);
    assert_eq!((images.len(), &*labelled.name(1)), (3, "c.png"));
    let soupy = labelled.filtered(|index| index == 0).unwrap();
    assert_eq!(
        (soupy.len(), soupy.class_names()),
        (1, &["soupy".to_owned()][..])
    );
}

#[test]
fn depths_come_from_the_table() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tiles.csv");
    let positions = |rows: &str| -> Result<Vec<_>> {
        std::fs::write(&path, rows).unwrap();
        let images = ImageTable::read(&path)?;
        let images = images.unlabelled();
        assert!(images.class_names().is_empty());
        Ok((0..images.len())
            .map(|index| images.position(index))
            .collect())
    };
    let at = |hole: &str, depth| {
        let hole = hole.to_owned();
        Some(DepthPosition { hole, depth })
    };
    // As `simclr tiles` writes them: with depths, with offsets alone, and with neither.
    let header =
        "tile,section,hole,top_offset_cm,bottom_offset_cm,top_depth_m,bottom_depth_m,class\n";
    let rows = "a.png,1H-1,U1,10,20,1.5,1.7,x\nb.png,1H-2,,10,20,,,\nc.png,1H-3,U1,,,,,x\n";
    let found = positions(&format!("{header}{rows}")).unwrap();
    let [Some(first), second, third] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(first.hole, "U1");
    assert!((first.depth - 1.6).abs() < 1e-12);
    assert_eq!((second, third), (&at("1H-2", 0.15), &None));
    let one_hole = positions("image,depth_m\na.png,3\nb.png,4\n").unwrap();
    assert_eq!(one_hole[1], at(&path.display().to_string(), 4.0));
    for wrong in ["deep", "NaN", "-999.25", "1e30"] {
        let error = positions(&format!("image,depth_m\na.png,1\nb.png,{wrong}\n"));
        let message = error.unwrap_err().to_string();
        assert!(
            message.contains(&format!("line 3: depth_m is {wrong}")),
            "{message}"
        );
    }
}

#[test]
fn depths_have_decimal_commas_where_these_part_no_cells() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tiles.csv");
    let depth = |rows: &str| -> Result<Option<f64>> {
        std::fs::write(&path, rows).unwrap();
        let position = ImageTable::read(&path)?.position(0);
        Ok(position.map(|position| position.depth))
    };
    for rows in [
        "image;depth_m\na.png;3,25\n",
        "image\tdepth_m\na.png\t3,25\n",
        "image;top_depth_m;bottom_depth_m\na.png;3;3,5\n",
        "image;section;top_offset_cm;bottom_offset_cm\na.png;1H;324,5;325,5\n",
        "image,depth_m\na.png,3.25\n",
    ] {
        assert_eq!(depth(rows).unwrap(), Some(3.25), "{rows}");
    }
    for (rows, expected) in [
        (
            "image;depth_m\na.png;1.234,5\n",
            "line 2: depth_m is 1.234,5; expected a number without separators between thousands",
        ),
        (
            "image;top_depth_m;bottom_depth_m\na.png;3,25;3.5\n",
            "line 2: bottom_depth_m is 3.5; expected a decimal comma",
        ),
        (
            "image,depth_m\na.png,\"3,25\"\n",
            "line 2: depth_m is 3,25; expected a number",
        ),
    ] {
        let error = depth(rows).unwrap_err().to_string();
        let expected = format!("{}: {expected}", path.display());
        assert!(error.starts_with(&expected), "{error}");
    }
}

/// A letter and its accent as one character, and as two.
const COMPOSED: &str = "K\u{f6}ln";
const DECOMPOSED: &str = "Ko\u{308}ln";

#[test]
fn images_are_found_in_either_unicode_form() {
    for (written, on_disk) in [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)] {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(on_disk);
        std::fs::create_dir(&folder).unwrap();
        let image = DecodedImage::new(2, 2, vec![7; 12]).unwrap();
        save_png(&image, folder.join(format!("{on_disk}.png"))).unwrap();
        let path = dir.path().join("labels.csv");
        let name = format!("{written}/{written}.png");
        std::fs::write(&path, format!("image,class\n{name},x\n")).unwrap();
        let table = ImageTable::read(&path).unwrap();
        assert_eq!((table.name(0), table.decode(0).unwrap()), (name, image));
        let sources: Vec<Arc<dyn ImageFiles>> = vec![
            Arc::new(table.unlabelled()),
            Arc::new(ImageFolder::unlabelled(dir.path()).unwrap()),
        ];
        assert_eq!(joined_image_files(sources).unwrap().1, 1);
    }
}

#[test]
fn two_names_that_differ_in_their_unicode_form_alone_are_refused() {
    let forms = format!(
        "{COMPOSED}.png (composed, NFC) and {DECOMPOSED}.png (decomposed, NFD) differ only in the \
         Unicode form of their letters"
    );
    let rows = format!("image,class\n{COMPOSED}.png,x\n{DECOMPOSED}.png,x\n");
    let message = rows_or_message(rows.as_bytes()).unwrap_err();
    let expected = format!("lines 2 and 3: {forms}");
    assert!(message.ends_with(&expected), "{message}");
    // A class is one class.
    let rows = format!("image,class\na.png,{COMPOSED}\nb.png,{DECOMPOSED}\n");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("labels.csv");
    std::fs::write(&path, rows).unwrap();
    assert_eq!(ImageTable::read(&path).unwrap().class_names(), [COMPOSED]);
}

// Elsewhere the file system takes the two for one file.
#[cfg(target_os = "linux")]
#[test]
fn two_files_that_differ_in_their_unicode_form_alone_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let image = DecodedImage::new(2, 2, vec![7; 12]).unwrap();
    let path = dir.path().join("labels.csv");
    std::fs::write(&path, format!("image,class\n{COMPOSED}.png,x\n")).unwrap();
    let classes = dir.path().join("classes");
    for name in [COMPOSED, DECOMPOSED] {
        save_png(&image, dir.path().join(format!("{name}.png"))).unwrap();
        std::fs::create_dir_all(classes.join(name)).unwrap();
        save_png(&image, classes.join(name).join("a.png")).unwrap();
    }
    let table = ImageTable::read(&path).unwrap_err().to_string();
    let folder = ImageFolder::labelled(&classes).unwrap_err().to_string();
    for message in [table, folder] {
        for expected in [
            "(composed, NFC)",
            "(decomposed, NFD) ",
            "differ only in the Unicode",
        ] {
            assert!(message.contains(expected), "{message}");
        }
    }
}

#[test]
fn classes_have_one_name_in_either_unicode_form() {
    let dir = tempfile::tempdir().unwrap();
    let image = DecodedImage::new(2, 2, vec![7; 12]).unwrap();
    let folder = |root: &str, class: &str| {
        for class in [class, "none"] {
            let class = dir.path().join(root).join(class);
            std::fs::create_dir_all(&class).unwrap();
            save_png(&image, class.join("a.png")).unwrap();
        }
        ImageFolder::labelled(dir.path().join(root))
            .unwrap()
            .shared()
    };
    let (one, other) = (folder("one", DECOMPOSED), folder("other", COMPOSED));
    let map = ClassMap::binary(COMPOSED).apply(one.clone()).unwrap();
    assert_eq!(map.class_names(), [DECOMPOSED, "other"]);
    let groups = ClassMap::parse(&format!("all: none, {COMPOSED}")).unwrap();
    assert_eq!(groups.apply(one.clone()).unwrap().class_names(), ["all"]);

    let both = Concatenated::new([one.clone(), other.clone()]).unwrap();
    assert_eq!(both.class_names(), [DECOMPOSED, "none"]);
    let named = [("1".to_owned(), one), ("2".to_owned(), other)];
    let both = Concatenated::named(named).unwrap();
    assert_eq!(both.class_names(), [DECOMPOSED, "none"]);
    let labels: Vec<_> = (0..4).map(|index| both.label(index)).collect();
    assert_eq!(labels, [Some(0), Some(1), Some(0), Some(1)]);
}

#[test]
fn other_tables_are_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tiles.csv");
    let refused = |rows: &str, expected: &str| {
        std::fs::write(&path, rows).unwrap();
        let images = ImageTable::read(&path).and_then(|images| images.labelled());
        let message = images.unwrap_err().to_string();
        assert!(message.contains("tiles.csv"), "{message}");
        assert!(message.contains(expected), "{message}");
    };
    refused("tile,class\na.png,\n", "no image with a class");
    refused(
        "file,class\na.png,x\n",
        "no column `image` or `tile`; there are file, class",
    );
    refused(
        "image,class\na.png,x\n./a.png,y\n",
        "a.png has the class x in line 2 and the class y in line 3",
    );
    for (second, is_same) in [("1.50", true), ("1.6", false), ("", false)] {
        let rows = format!("image,depth_m\na.png,1.5\nb.png,1\n./a.png,{second}\n");
        std::fs::write(&path, rows).unwrap();
        match ImageTable::read(&path) {
            Ok(images) => assert!(is_same && images.len() == 2),
            Err(error) => {
                let expected = "a.png has two depths, in lines 2 and 4";
                assert!(!is_same && error.to_string().contains(expected), "{error}");
            }
        }
    }
    refused("image\na.png\n", "a column `class` or `label`");
    refused("image,class\n", "lists no image");
    refused("image,class\na.png,x\n,y\n", "line 3 names no image");
    assert!(ImageTable::read(dir.path().join("none.csv")).is_err());
}

#[test]
fn a_file_counts_once_however_it_is_given() {
    let dir = tempfile::tempdir().unwrap();
    let tiles = dir.path().join("tiles");
    std::fs::create_dir(&tiles).unwrap();
    let image = DecodedImage::new(2, 2, vec![7; 12]).unwrap();
    for name in ["a.png", "b.png", "c.png"] {
        save_png(&image, tiles.join(name)).unwrap();
    }
    let table = dir.path().join("tiles.csv");
    std::fs::write(&table, "tile,depth_m\ntiles/b.png,3\ntiles/a.png,4\n").unwrap();
    let folder = || -> Arc<dyn ImageFiles> { Arc::new(ImageFolder::unlabelled(&tiles).unwrap()) };
    let table: Arc<dyn ImageFiles> = Arc::new(ImageTable::read(&table).unwrap());

    let (images, repeated) = joined_image_files(vec![folder(), folder()]).unwrap();
    assert_eq!((images.len(), repeated), (3, 3));
    let (images, repeated) = joined_image_files(vec![table, folder()]).unwrap();
    let names: Vec<String> = (0..images.len()).map(|index| images.name(index)).collect();
    assert_eq!(names, ["tiles/b.png", "tiles/a.png", "c.png"]);
    assert_eq!(repeated, 2);
    assert_eq!(images.position(1).map(|at| at.depth), Some(4.0));
    assert_eq!(images.decode(2).unwrap(), image);
}
