//! Labels through the files of every format.
#![allow(clippy::unwrap_used)]

use std::fs;

use proptest::prelude::*;
use simclr_labels::{Label, LabelFormat, read_labels, write_labels};

fn labels() -> [Label; 3] {
    [
        Label::new("a.png", "soupy"),
        Label::new("b.png", "up, \"arching\""),
        Label::new("c.png", "none"),
    ]
}

#[test]
fn what_could_not_be_read_again_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let sure = |confidence| Label {
        confidence: Some(confidence),
        ..Label::new("a.png", "soupy")
    };
    let wrong = [
        (vec![], "no image has a class"),
        (vec![Label::new("a.png", "")], "without a name"),
        (vec![sure(2.0)], "between 0 and 1"),
        (vec![sure(f64::NAN)], "between 0 and 1"),
        (
            vec![Label::new("a.png", "x"), Label::new("a.png", "y")],
            "has the classes x and y",
        ),
    ];
    for format in LabelFormat::ALL {
        for (labels, expected) in &wrong {
            let path = dir.path().join(format.to_string());
            let error = write_labels(&path, format, labels, Some(dir.path())).unwrap_err();
            assert!(error.to_string().contains(expected), "{format}: {error}");
            assert!(!path.exists());
        }
    }
}

#[test]
fn labels_come_back_from_every_format() {
    let dir = tempfile::tempdir().unwrap();
    let image = simclr_data::DecodedImage::new(2, 2, vec![7; 12]).unwrap();
    for name in ["a.png", "b.png", "c.png"] {
        simclr_data::save_png(&image, dir.path().join(name)).unwrap();
    }
    for format in LabelFormat::ALL {
        assert_eq!(format.to_string().parse(), Ok(format));
        let path = dir.path().join(format.to_string());
        write_labels(&path, format, &labels(), Some(dir.path())).unwrap();
        let found = read_labels(&path, format).unwrap();
        if format == LabelFormat::Folders {
            let expected = [
                Label::new("none/c.png", "none"),
                Label::new("soupy/a.png", "soupy"),
                Label::new("up, \"arching\"/b.png", "up, \"arching\""),
            ];
            assert_eq!(found, expected);
        } else {
            assert_eq!(found, labels(), "{format}");
        }
        let error = write_labels(&path, format, &labels(), None).unwrap_err();
        assert!(error.to_string().contains("exists already"), "{error}");
    }
}

fn utf8(text: &str) -> Vec<u8> {
    text.into()
}

fn utf16_le(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn utf16_be(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

#[test]
fn texts_are_read_in_every_encoding() {
    let dir = tempfile::tempdir().unwrap();
    let encodings: [fn(&str) -> Vec<u8>; 3] = [utf8, utf16_le, utf16_be];
    for format in LabelFormat::ALL {
        if format == LabelFormat::Folders {
            continue;
        }
        for (number, encode) in encodings.iter().enumerate() {
            let path = dir.path().join(format!("{format}-{number}"));
            write_labels(&path, format, &labels(), None).unwrap();
            let files = match fs::read_dir(&path) {
                Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
                Err(_) => vec![path.clone()],
            };
            for file in files {
                let text = fs::read_to_string(&file).unwrap();
                fs::write(&file, encode(&format!("\u{feff}{text}"))).unwrap();
            }
            assert_eq!(read_labels(&path, format).unwrap(), labels(), "{format}");
        }
    }
}

#[test]
fn a_table_without_classes_is_refused_by_its_column() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("labels.csv");
    let empty = "the column `Label` is empty in all of the 2 rows";
    for (text, reason) in [
        ("image,Label\na.png,\nb.png, \n", empty),
        ("image,Label\n", "the table has no rows"),
    ] {
        fs::write(&path, text).unwrap();
        let error = read_labels(&path, LabelFormat::Csv)
            .unwrap_err()
            .to_string();
        let expected = format!("labels.csv: no image has a class: {reason}");
        assert!(error.ends_with(&expected), "{error}");
    }
}

#[test]
fn predictions_keep_their_confidence_as_pre_annotations() {
    let dir = tempfile::tempdir().unwrap();
    let table = dir.path().join("predictions.csv");
    fs::write(
        &table,
        "image,class,confidence,second\na.png,none,0.75,x\nb.png,,0.3,x\n",
    )
    .unwrap();
    let predictions = read_labels(&table, LabelFormat::Csv).unwrap();
    assert_eq!(predictions[0].confidence, Some(0.75));
    assert_eq!(predictions.len(), 1);
    for format in [
        LabelFormat::LabelStudio,
        LabelFormat::Csv,
        LabelFormat::Coco,
    ] {
        let path = dir.path().join(format.to_string());
        write_labels(&path, format, &predictions, None).unwrap();
        assert_eq!(read_labels(&path, format).unwrap(), predictions);
    }
    fs::write(&table, "image,class,confidence\na.png,none,75\n").unwrap();
    let error = read_labels(&table, LabelFormat::Csv)
        .unwrap_err()
        .to_string();
    assert!(error.contains("line 2: expected a confidence"), "{error}");

    fs::write(&table, "image;class;confidence\na.png;none;0,75\n").unwrap();
    let predictions = read_labels(&table, LabelFormat::Csv).unwrap();
    assert_eq!(predictions[0].confidence, Some(0.75));
    fs::write(&table, "image;class;confidence\na.png;none;0.000,75\n").unwrap();
    let error = read_labels(&table, LabelFormat::Csv)
        .unwrap_err()
        .to_string();
    let expected = "predictions.csv: line 2: confidence is 0.000,75; expected a number without";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn of_several_annotations_of_one_class_a_persons_counts_or_the_surest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("coco.json");
    let mut dataset = serde_json::json!({
        "images": [{"id": "a", "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "categories": [{"id": 1, "name": "x"}],
        "annotations": [
            {"image_id": "a", "category_id": 1, "score": 0.25},
            {"image_id": "a", "category_id": 1, "score": 0.75},
            {"image_id": 2, "category_id": 1, "score": 0.5},
            {"image_id": 2, "category_id": 1, "score": null},
        ],
    });
    let mut read = |score: Option<serde_json::Value>| {
        if let Some(score) = score {
            dataset["annotations"][0]["score"] = score;
        }
        fs::write(&path, dataset.to_string()).unwrap();
        read_labels(&path, LabelFormat::Coco)
    };
    let surest = Label {
        confidence: Some(0.75),
        ..Label::new("a.png", "x")
    };
    assert_eq!(read(None).unwrap(), [surest, Label::new("b.png", "x")]);
    for (score, expected) in [
        (
            "high".into(),
            "a.png: expected a number as `score`, found \"high\"",
        ),
        (75.into(), "a.png: expected a confidence between 0 and 1"),
    ] {
        let error = read(Some(score)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn images_are_copied_whatever_the_unicode_form_of_their_names() {
    let (composed, decomposed) = ("K\u{f6}ln.png", "Ko\u{308}ln.png");
    let dir = tempfile::tempdir().unwrap();
    let images = dir.path().join("images");
    fs::create_dir(&images).unwrap();
    fs::write(images.join(decomposed), "here").unwrap();
    let labels = [Label::new(composed, "x")];
    let out = dir.path().join("folders");
    write_labels(&out, LabelFormat::Folders, &labels, Some(&images)).unwrap();
    assert_eq!(fs::read(out.join("x").join(composed)).unwrap(), b"here");

    let table = dir.path().join("labels.csv");
    let tasks = format!(
        r#"[{{"image": "{composed}", "choice": "x"}}, {{"image": "{decomposed}", "choice": "x"}}]"#
    );
    fs::write(&table, tasks).unwrap();
    let error = read_labels(&table, LabelFormat::LabelStudio)
        .unwrap_err()
        .to_string();
    let expected =
        format!("{composed} (composed, NFC) and {decomposed} (decomposed, NFD) differ only");
    assert!(error.contains(&expected), "{error}");
    for format in [LabelFormat::Folders, LabelFormat::LabelMe] {
        let twins = [
            Label::new(composed, "x"),
            Label::new(format!("y/{decomposed}"), "x"),
        ];
        let error = write_labels(dir.path().join("new"), format, &twins, Some(&images));
        assert!(error.is_err(), "{format}");
    }
}

#[test]
fn files_that_macos_adds_to_those_of_labelme_are_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| fs::write(dir.path().join(name), text).unwrap();
    write(
        "a.json",
        br#"{"imagePath": "..\\a.png", "flags": {"soupy": true}}"#,
    );
    write(
        "b.JSON",
        br#"{"imagePath": "b.png", "flags": {"none": true}}"#,
    );
    write("._a.json", b"\0\x05\x16\x07\0");
    write(".DS_Store", b"\0\0\0\x01Bud1");
    let expected = [Label::new("../a.png", "soupy"), Label::new("b.png", "none")];
    assert_eq!(
        read_labels(dir.path(), LabelFormat::LabelMe).unwrap(),
        expected
    );
}

#[test]
fn numbers_of_coco_are_the_same_in_every_notation() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("coco.json");
    let text = r#"{"images": [{"id": "7", "file_name": "a.png"}, {"id": 70, "file_name": "b.png"}],
        "categories": [{"id": 1, "name": "soupy"}],
        "annotations": [{"image_id": 7, "category_id": 1.0}, {"image_id": 70.0, "category_id": "1"}]}"#;
    fs::write(&path, text).unwrap();
    let expected = ["a.png", "b.png"].map(|image| Label::new(image, "soupy"));
    assert_eq!(read_labels(&path, LabelFormat::Coco).unwrap(), expected);
}

#[test]
fn what_contradicts_itself_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("labels");
    for (format, content, expected) in [
        (
            LabelFormat::Csv,
            "image,class\na.png,x\n./a.png,y\n",
            "a.png has the class x in line 2 and the class y in line 3",
        ),
        (
            LabelFormat::Csv,
            "image,class\na.png,\n",
            "no image has a class",
        ),
        (
            LabelFormat::Csv,
            "file;class\na.png;x\n",
            "no column `image` or `tile`; there are file, class",
        ),
        (
            LabelFormat::Csv,
            "image\na.png\n",
            "no column `class` or `label`; there are image",
        ),
        (
            LabelFormat::LabelStudio,
            r#"[{"image": "a.png", "choice": "x"}, {"image": "./a.png", "choice": "y"}]"#,
            "a.png has the classes x and y",
        ),
        (LabelFormat::LabelStudio, "[", "EOF"),
        (LabelFormat::Coco, "[]", "there is no list `images`"),
        (
            LabelFormat::Coco,
            r#"{"images": [{"id": 1, "file_name": "a.png"}], "categories": [],
                "annotations": [{"image_id": 1, "category_id": 7}]}"#,
            "category 7",
        ),
        (
            LabelFormat::Coco,
            r#"{"images": [{"id": 1, "file_name": "a.png"}, {"id": 1, "file_name": "b.png"}],
                "categories": [], "annotations": []}"#,
            "the image 1 is called a.png and b.png",
        ),
        (
            LabelFormat::Coco,
            r#"{"images": [], "categories": [{"id": 1, "name": "x"}, {"id": 1, "name": "y"}],
                "annotations": []}"#,
            "the category 1 is called x and y",
        ),
        (
            LabelFormat::Coco,
            r#"{"images": [], "categories": [], "annotations": [{"category_id": 7}]}"#,
            "an annotation has no `image_id`",
        ),
    ] {
        fs::write(&path, content).unwrap();
        let error = read_labels(&path, format).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn nothing_is_copied_if_an_image_cannot_be() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.png"), "").unwrap();
    fs::create_dir(dir.path().join("more")).unwrap();
    fs::write(dir.path().join("more/a.png"), "").unwrap();
    let path = dir.path().join("folders");
    for (labels, expected) in [
        (
            [Label::new("a.png", "x"), Label::new("b.png", "x")],
            "there is no image",
        ),
        (
            [Label::new("a.png", "x"), Label::new("more/a.png", "x")],
            "have one name",
        ),
        (
            [Label::new("a.png", "x"), Label::new("more/a.png", "../y")],
            "name of a folder",
        ),
    ] {
        let error = write_labels(&path, LabelFormat::Folders, &labels, Some(dir.path()));
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!path.exists());
    }
    let labels = [Label::new("a.png", "x"), Label::new("more/a.png", "x")];
    let error = write_labels(&path, LabelFormat::LabelMe, &labels, None).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("two images would have the file a.json")
    );
}

#[cfg(unix)]
#[test]
fn a_folder_is_complete_or_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let images = dir.path().join("images");
    let out = dir.path().join("out/folders");
    fs::create_dir(&images).unwrap();
    fs::write(images.join("a.png"), "a").unwrap();
    fs::write(images.join("b.png"), "b").unwrap();
    // The first copy is made, the second cannot be: no file has so long a name.
    let long = "x".repeat(300);
    let labels = [Label::new("a.png", "a"), Label::new("b.png", long)];
    let error = write_labels(&out, LabelFormat::Folders, &labels, Some(&images));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("out/folders/xxx"), "{error}");
    let left = || fs::read_dir(dir.path().join("out")).unwrap().count();
    assert_eq!(left(), 0);

    // The same command goes through when the reason is gone.
    let labels = [Label::new("a.png", "a"), Label::new("b.png", "b")];
    write_labels(&out, LabelFormat::Folders, &labels, Some(&images)).unwrap();
    assert_eq!(fs::read(out.join("b/b.png")).unwrap(), b"b");
    assert_eq!(left(), 1);
    let mode = |path: &std::path::Path| {
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions())
    };
    assert_eq!(mode(&out), mode(&images));
}

proptest! {
    #[test]
    fn any_bytes_are_labels_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("labels");
        fs::write(&path, bytes).unwrap();
        for format in LabelFormat::ALL {
            // Whatever it says, it says it without a panic.
            if let Ok(labels) = read_labels(&path, format) {
                prop_assert!(!labels.is_empty());
            }
        }
    }
}
