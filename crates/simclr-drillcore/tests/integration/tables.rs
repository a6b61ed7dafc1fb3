//! Tables as programs for tables save them, and what they are about.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

use simclr_drillcore::{
    ColumnMap, DepthTable, IntervalTable, Predictions, Result, intervals_by_depth, read_tables,
    read_tiles, stay_from_intervals, tiles_of_hole,
};

/// A folder with a file of this name.
fn file(name: &str, content: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, content).unwrap();
    (dir, path)
}

fn depths(content: impl AsRef<[u8]>) -> Result<DepthTable> {
    let (_dir, path) = file("sections.csv", content);
    DepthTable::read(&path, &ColumnMap::default())
}

fn tops(content: impl AsRef<[u8]>) -> Vec<f64> {
    let table = depths(content).unwrap();
    table.sections().iter().map(|section| section.top).collect()
}

#[test]
fn errors_name_the_line_whatever_ends_it() {
    let rows = [
        "name,top (m),\"length\n(m)\"",
        "\"BH1\n(dry)\",0,1",
        "",
        "BH2,deep,1",
    ];
    for end in ["\n", "\r\n", "\r"] {
        let error = depths(rows.join("\n").replace('\n', end)).unwrap_err();
        let expected = "sections.csv, line 6: `top (m)` is deep; expected a number";
        assert!(error.to_string().ends_with(expected), "{end:?}: {error}");
    }
    let uneven = depths("name,top\r\nBH1,0\r\nBH2,1,5\r\n").unwrap_err();
    let expected = "line 3: the row has 3 cells, and the header has 2";
    assert!(uneven.to_string().ends_with(expected), "{uneven}");
    let (_dir, path) = file("tiles.csv", "tile,section\r\na.png,BH1\r\nb.png\r\n");
    let error = read_tiles(&path).unwrap_err().to_string();
    assert!(error.contains("tiles.csv, line 2: "), "{error}");
}

#[test]
fn tables_of_excel_are_read() {
    let plain = "name;top (m);length (m)\nBH1;0;1\nBH2;2;1\n";
    assert_eq!(tops(plain), [0.0, 2.0]);
    assert_eq!(tops(format!("sep=;\r\n{plain}")), [0.0, 2.0]);
    assert_eq!(tops(format!("\u{feff}\"sep=;\"\n{plain}")), [0.0, 2.0]);
    let padded = "name,top (m),length (m),,\nBH1,0,1,,\n,,,,\nBH2,2,1\nBH3,4,1,,,\n,,\n";
    assert_eq!(tops(padded), [0.0, 2.0, 4.0]);
    // The separator of the header's names, and not one in a name.
    assert_eq!(tops("name;\"top, (m), (MD)\"\nBH1;3\n"), [3.0]);

    let error = depths(format!("sep=;\n{plain}BH3;x;1\n")).unwrap_err();
    assert!(error.to_string().contains("line 5: "), "{error}");
    assert!(depths("sep=;\n").is_err());
}

#[test]
fn utf_16_is_read_and_what_is_none_is_refused() {
    let text = "\u{feff}name\ttop (m)\nK\u{f6}ln-1\t3\n";
    let units: Vec<u16> = text.encode_utf16().collect();
    let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    for bytes in [&little, &big] {
        let table = depths(bytes).unwrap();
        assert_eq!(table.find("K\u{f6}ln-1_dry").unwrap().top, 3.0);
    }
    let error = depths(&little[..little.len() - 1]).unwrap_err().to_string();
    assert!(
        error.contains("UTF-16") && error.contains("CSV UTF-8"),
        "{error}"
    );
    let error = depths(b"name,top\nK\xf6ln,3\n").unwrap_err().to_string();
    assert!(error.contains("line 2: the text is not UTF-8"), "{error}");
}

#[test]
fn units_are_those_of_the_header() {
    for (header, top) in [
        ("top depth (ft MD)", 3.048),
        ("Top depth [feet below KB]", 3.048),
        ("top depth (')", 3.048),
        ("top depth (m CSF-A)", 10.0),
        ("top depth (km)", 10_000.0),
        ("top depth", 10.0),
    ] {
        let found = tops(format!("name,{header}\nBH1,10\n"));
        assert!((found[0] - top).abs() < 1e-9, "{header}: {found:?}");
    }
    let error = depths("sep=,\nname,top depth (fathoms)\nBH1,10\n").unwrap_err();
    let expected = "sections.csv, line 2: `top depth (fathoms)` has no known unit in its brackets; \
                    known units are m, km, dm, cm, mm, ft, inch";
    assert!(error.to_string().ends_with(expected), "{error}");
}

#[test]
fn a_class_stays_as_the_thickness_of_intervals_says() {
    // Beds of 6 cm, of two classes and of three.
    for (classes, expected) in [
        (vec!["x", "y"], (1.0 + f64::exp(-2.0 / 6.0)) / 2.0),
        (
            vec!["x", "y", "z"],
            (1.0 + 2.0 * f64::exp(-1.5 / 6.0)) / 3.0,
        ),
    ] {
        let beds = (0..12).zip(classes.iter().cycle());
        let beds = beds.map(|(bed, class)| format!("{},{},{class}\n", 6 * bed, 6 * bed + 6));
        let table = format!("top (cm),bottom (cm),class\n{}", beds.collect::<String>());
        let (_dir, path) = file("intervals.csv", table);
        let table = IntervalTable::read(&path, &ColumnMap::default()).unwrap();
        let stay = stay_from_intervals(&table);
        assert!((stay - expected).abs() < 1e-9, "{stay}, not {expected}");
    }
}

#[test]
fn a_named_column_has_to_be_in_one_of_the_tables() {
    let (dir, depths) = file("depths.csv", "photo,From\nBH1,1\n");
    let intervals = dir.path().join("intervals.csv");
    fs::write(&intervals, "top,bottom,What\n1,2,crack\n").unwrap();
    let map = |named: &[&str]| {
        let maps = named.iter().map(|text| text.parse::<ColumnMap>().unwrap());
        maps.fold(ColumnMap::default(), ColumnMap::and)
    };
    let read = |map: &ColumnMap| read_tables(Some(&depths), &[&intervals], map);
    let (table, labels) = read(&map(&["top=From", "class=What"])).unwrap();
    assert_eq!(table.unwrap().sections()[0].top, 1.0);
    assert_eq!(labels[0].intervals()[0].class, "crack");

    let error = read(&map(&["top=From", "class=Kind"]))
        .unwrap_err()
        .to_string();
    for expected in [
        "depths.csv, line 1: no column `Kind`; there are photo, From",
        "intervals.csv, where there are top, bottom, What",
    ] {
        assert!(error.contains(expected), "{error}");
    }
    let error = read(&map(&["top=From"])).unwrap_err().to_string();
    assert!(
        error.contains("name it with --column class=HEADER"),
        "{error}"
    );
    // Alone, a table has to have it.
    let error = IntervalTable::read(&intervals, &map(&["top=From", "class=What"]));
    assert!(error.unwrap_err().to_string().contains("no column `From`"));
}

const TILES: &str = "tile,section,hole,left,top,width,height,tilt,top_offset_cm,bottom_offset_cm,\
                     top_depth_m,bottom_depth_m,core_fraction,class\n\
                     a.png,BH1,A,0,0,9,9,0,0,10,5,5.1,1,\n\
                     b.png,BH1-2,B,0,0,9,9,0,0,10,7,7.1,1,\n";

#[test]
fn a_log_is_of_one_hole() {
    let (dir, path) = file("tiles.csv", TILES);
    let tiles = read_tiles(&path).unwrap();
    let table = dir.path().join("predictions.csv");
    fs::write(&table, "image,p_x,p_y\na.png,0.25,0.75\nb.png,1,0\n").unwrap();
    let both = Predictions::read(&table).unwrap();
    let error = both.of_tiles(&tiles).unwrap_err().to_string();
    assert!(error.contains("A, B; choose one with --hole"), "{error}");

    let of_b = tiles_of_hole(&tiles, "B").unwrap();
    let (predicted, without) = both.of_tiles(&of_b).unwrap();
    assert_eq!((predicted.len(), predicted[0].top, without), (1, 7.0, 0));
    let error = tiles_of_hole(&tiles, "C").unwrap_err().to_string();
    assert_eq!(error, "C: no tile is of this hole; there are A, B");

    // Tiles of other holes that have no prediction are gaps as before.
    fs::write(&table, "image,p_x,p_y\na.png,0.25,0.75\n").unwrap();
    let one = Predictions::read(&table).unwrap();
    assert_eq!(one.of_tiles(&tiles).unwrap().1, 1);
}

#[test]
fn a_class_that_was_withheld_is_no_evidence() {
    let (dir, path) = file("tiles.csv", TILES);
    let tiles = read_tiles(&path).unwrap();
    let table = dir.path().join("predictions.csv");
    let read = |rows: &str| {
        fs::write(&table, format!("image,class,p_x,p_y\n{rows}")).unwrap();
        Predictions::read(&table).unwrap()
    };
    // The tile of the other hole has no class.
    let one = read("a.png,,0.45,0.55\nb.png,x,1,0\n");
    let (predicted, without) = one.of_tiles(&tiles[1..]).unwrap();
    assert_eq!((predicted.len(), without), (1, 0));
    assert_eq!((one.withheld(&tiles), one.withheld(&tiles[1..])), (1, 0));
    let error = one.of_tiles(&tiles[..1]).unwrap_err().to_string();
    let expected = "tiles: none of 1 has a class; of 1 it was withheld";
    assert_eq!(error, expected);

    let same_hole: Vec<_> = tiles
        .iter()
        .cloned()
        .map(|mut tile| {
            tile.hole = None;
            tile
        })
        .collect();
    let (predicted, without) = one.of_tiles(&same_hole).unwrap();
    assert_eq!((predicted.len(), predicted[0].top, without), (1, 7.0, 1));
}

#[test]
fn the_truth_is_that_of_the_section_and_of_the_hole() {
    let (_dir, path) = file("tiles.csv", TILES);
    let tiles = read_tiles(&path).unwrap();
    let read = |content: &str| {
        let (_dir, path) = file("truth.csv", content);
        IntervalTable::read(&path, &ColumnMap::default()).unwrap()
    };
    // The photograph BH1-2 is of the section BH1-2 and not of BH1.
    let sections = read("name,top offset,bottom offset,class\nBH1-2,0,10,y\nBH1,0,10,x\n");
    let truth = intervals_by_depth(&sections, &tiles);
    assert_eq!(
        truth,
        [(5.0, 5.1, "x".to_owned()), (7.0, 7.1, "y".to_owned())]
    );
    let truth = intervals_by_depth(&sections, &tiles[1..]);
    assert_eq!(truth, [(7.0, 7.1, "y".to_owned())]);

    let holes = read("hole,top,bottom,class\nA,5,6,x\nB,5,6,y\n");
    let truth = intervals_by_depth(&holes, &tiles[..1]);
    assert_eq!(truth, [(5.0, 6.0, "x".to_owned())]);
    holes.check_tiles(&tiles).unwrap();
    let error = holes.check_tiles(&tiles[1..]).unwrap_err().to_string();
    assert!(
        error.contains("5 to 6 m of A, 5 to 6 m of B; there are BH1-2 (7.00 to 7.10 m of B)"),
        "{error}"
    );
}

#[test]
fn numbers_have_decimal_commas_where_these_part_no_cells() {
    let table = depths("name;top (cm);length (m)\nBH1;325,5;1,5\nBH2;900;1\n").unwrap();
    let found = &table.sections()[0];
    assert!((found.top - 3.255).abs() < 1e-12);
    assert_eq!(found.length, Some(1.5));
    assert_eq!(tops("name\ttop\nBH1\t3,25\n"), [3.25]);
    assert_eq!(tops("sep=;\nname;top\nBH1;3,25\n"), [3.25]);
    assert_eq!(tops("name;top\nBH1;3.25\n"), [3.25]);

    let (_dir, path) = file("intervals.csv", "top;bottom;class\n1,5;2,25;crack\n");
    let intervals = IntervalTable::read(&path, &ColumnMap::default()).unwrap();
    let found = &intervals.intervals()[0];
    assert_eq!((found.top, found.bottom), (1.5, 2.25));

    for (rows, expected) in [
        (
            "name;top (m)\nBH1;1.234,5\n",
            "line 2: `top (m)` is 1.234,5; expected a number without separators between thousands",
        ),
        (
            "name;top (m)\nBH1;3,25\nBH2;1.234\n",
            "line 3: `top (m)` is 1.234; expected a decimal comma, as in the numbers above",
        ),
        (
            "name;top (m)\nBH1;3.25\nBH2;4,5\n",
            "line 3: `top (m)` is 4,5; expected a decimal point, as in the numbers above",
        ),
        (
            "name;top (m)\nBH1;-999,25\n",
            "line 2: `top (m)` is -999,25, which stands for a missing value",
        ),
        // Where commas part cells, nothing else is a decimal comma.
        (
            "name,top (m)\nBH1,\"3,25\"\n",
            "line 2: `top (m)` is 3,25; expected a number",
        ),
    ] {
        let error = depths(rows).unwrap_err().to_string();
        let expected = format!("sections.csv, {expected}");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn what_simclr_wrote_is_read_as_a_spreadsheet_saves_it_again() {
    let predictions = "image,p_x,p_y\na.png,0.25,0.75\nb.png,1,0\n";
    let spreadsheet = |text: &str| {
        text.replace(',', ";")
            .replace('.', ",")
            .replace(",png", ".png")
    };
    let read = |tiles: &[u8], predictions: &[u8]| {
        let (dir, path) = file("tiles.csv", tiles);
        let table = dir.path().join("predictions.csv");
        fs::write(&table, predictions).unwrap();
        let tiles = read_tiles(&path).unwrap();
        (tiles, Predictions::read(&table).unwrap())
    };
    let expected = read(TILES.as_bytes(), predictions.as_bytes());
    assert_eq!(expected.0[0].bottom_depth_m, Some(5.1));
    let [tiles, table] = [TILES, predictions].map(spreadsheet);
    assert!(tiles.contains(";5;5,1;1;\n") && table.contains("a.png;0,25;0,75\n"));
    let rows = ";".repeat(13);
    let variants = [
        [tiles.clone(), table.clone()],
        [
            format!("sep=;\r\n{tiles}{rows}\n"),
            format!("\u{feff}{table};;\n"),
        ],
        [tiles.replace(';', "\t"), table.replace(';', "\t")],
    ];
    for [tiles, table] in variants {
        assert_eq!(
            read(tiles.as_bytes(), table.as_bytes()),
            expected,
            "{tiles}{table}"
        );
        let utf16 = |text: &str| -> Vec<u8> {
            let units =
                std::iter::once(0xfeff).chain(text.trim_start_matches('\u{feff}').encode_utf16());
            units.flat_map(u16::to_le_bytes).collect()
        };
        assert_eq!(read(&utf16(&tiles), &utf16(&table)), expected);
    }

    let (_dir, path) = file("tiles.csv", tiles.replace(";5,1;", ";1.005,1;"));
    let error = read_tiles(&path).unwrap_err().to_string();
    let expected = "tiles.csv, line 2: `bottom_depth_m` is 1.005,1; expected a number without";
    assert!(error.contains(expected), "{error}");
    for (rows, expected) in [
        (
            "a.png;0,25;much",
            "line 2: `p_y` is `much`; expected a number",
        ),
        ("a.png;0,25;", "line 2: `p_y` is ``; expected a number"),
        (
            "a.png;0,25;75",
            "line 2: `p_y` is `75`; expected a probability between 0 and 1",
        ),
        ("a.png;0,25;0,7", "have the sum 0.950; expected 1"),
        (
            "a.png;0,25;0.75",
            "`p_y` is `0.75`; expected a decimal comma",
        ),
        ("a.png;1;0\nx/a.png;1;0", "line 3: x/a.png is there twice"),
        ("", "there are no predictions in the table"),
    ] {
        let (_dir, path) = file("predictions.csv", format!("image;p_x;p_y\n{rows}\n"));
        let error = Predictions::read(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// A letter and its accent as one character, and as two.
const COMPOSED: &str = "K\u{f6}ln";
const DECOMPOSED: &str = "Ko\u{308}ln";

#[test]
fn names_are_one_in_either_unicode_form() {
    for (one, other) in [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)] {
        let table = depths(format!("name,top\n{one}-1,3\n{one},4\n")).unwrap();
        let found = table.find(&format!("{other}-1_dry")).unwrap();
        assert_eq!(
            (found.name.as_str(), found.top),
            (&*format!("{one}-1"), 3.0)
        );
        assert!(table.find("Ko").is_err());
        // The halves of a section, in two forms.
        let error = depths(format!("name,top\n{one}-1,3\n{other}-1,4\n")).unwrap_err();
        let expected = format!("{one}-1 begins at 4 m, but at 3 m in line 2");
        assert!(error.to_string().contains(&expected), "{error}");

        let read = |content: String| {
            let (_dir, path) = file("intervals.csv", content);
            IntervalTable::read(&path, &ColumnMap::default())
        };
        let header = "name,top offset,bottom offset,class";
        let table = read(format!("{header}\n{one},0,25,x\n{other},25,75,x\n")).unwrap();
        assert_eq!(table.class_of(other, (0.0, 1.0), None), Some(("x", 0.75)));
        let error = read(format!("{header}\n{one},0,5,x\n{other},2,9,y\n")).unwrap_err();
        assert!(error.to_string().contains("overlaps"), "{error}");

        let rows = TILES.replace("a.png", &format!("{one}.png"));
        let (dir, path) = file("tiles.csv", rows.replace(",A,", &format!(",{one},")));
        let tiles = read_tiles(&path).unwrap();
        let table = dir.path().join("predictions.csv");
        fs::write(&table, format!("image,p_x,p_y\nx/{other}.png,1,0\n")).unwrap();
        let predictions = Predictions::read(&table).unwrap();
        assert_eq!(predictions.of_tiles(&tiles).unwrap().0.len(), 1);
        assert_eq!(tiles_of_hole(&tiles, other).unwrap().len(), 1);
        let holes = read(format!("hole,top,bottom,class\n{other},5,6,x\n")).unwrap();
        holes.check_tiles(&tiles[..1]).unwrap();
    }
    let rows = format!("image,p_x,p_y\n{COMPOSED}.png,1,0\n{DECOMPOSED}.png,1,0\n");
    let (_dir, path) = file("predictions.csv", rows);
    let error = Predictions::read(&path).unwrap_err().to_string();
    let expected = format!(
        "line 3: {COMPOSED}.png (composed, NFC) and {DECOMPOSED}.png (decomposed, NFD) differ only"
    );
    assert!(error.contains(&expected), "{error}");
}
