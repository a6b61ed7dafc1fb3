//! Photographs with known cores, to tiles.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use simclr_augment::{DecodedImage, RowSink, RowSource};
use simclr_drillcore::{
    ColumnMap, CoreOutline, Crop, DepthTable, Error, IntervalTable, Scale, TileRun, TileSettings,
    cut_section, preview, read_tiles,
};

/// A core of beds on a dark tray, turned by `tilt` degrees, with a gap, beside a white ruler.
struct Scene {
    size: (usize, usize),
    top: (f64, f64),
    width: f64,
    length: f64,
    tilt: f64,
    gap: (f64, f64),
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            size: (1700, 240),
            top: (104.0, 60.0),
            width: 120.0,
            length: 1500.0,
            tilt: 0.0,
            gap: (620.0, 680.0),
        }
    }
}

impl Scene {
    fn picture(&self) -> DecodedImage {
        let (height, width) = self.size;
        let (sin, cos) = self.tilt.to_radians().sin_cos();
        let mut pixels = Vec::new();
        for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column)))
        {
            let (x, y) = (
                column as f64 + 0.5 - self.top.0,
                row as f64 + 0.5 - self.top.1,
            );
            let (across, along) = (cos * x + sin * y, cos * y - sin * x);
            let grain = ((row * 37 + column * 101) % 23) as f64;
            let in_gap = (self.gap.0..self.gap.1).contains(&along);
            let is_core =
                across.abs() <= self.width / 2.0 && (0.0..self.length).contains(&along) && !in_gap;
            let ruler = (205..230).contains(&column);
            let value = match (is_core, ruler) {
                (true, _) => 110.0 + 40.0 * (along / 31.0).sin() + grain,
                (_, true) => {
                    if row % 20 < 2 {
                        20.0
                    } else {
                        235.0
                    }
                }
                _ => 28.0 + 0.2 * grain,
            };
            pixels.extend([value as u8, (0.9 * value) as u8, (0.8 * value) as u8]);
        }
        DecodedImage::new(height, width, pixels).unwrap()
    }
}

#[test]
fn the_core_is_found_straight_or_turned() {
    for tilt in [0.0, 0.8, -1.5] {
        let scene = Scene {
            tilt,
            top: (104.0 + 750.0 * f64::to_radians(tilt).sin(), 60.0),
            ..Scene::default()
        };
        let outline = CoreOutline::find("core", &scene.picture()).unwrap();
        let close = |a: f64, b: f64, tolerance: f64| (a - b).abs() <= tolerance;
        // One per cent of the width, and two pixels along the core.
        assert!(close(outline.width, scene.width, 1.2), "{outline:?}");
        assert!(
            close(outline.top.0, scene.top.0, 1.2),
            "{tilt}: {:?}",
            outline.top
        );
        assert!(
            close(outline.top.1, scene.top.1, 2.0),
            "{tilt}: {:?}",
            outline.top
        );
        assert!(close(outline.tilt, tilt, 0.1), "{tilt}: {}", outline.tilt);
        let expected = [(0.0, scene.gap.0), (scene.gap.1, scene.length)];
        assert_eq!(outline.pieces.len(), 2, "{:?}", outline.pieces);
        for (piece, expected) in outline.pieces.iter().zip(expected) {
            assert!(
                close(piece.0, expected.0, 2.0) && close(piece.1, expected.1, 2.0),
                "{piece:?}"
            );
        }
        assert!(outline.has_edges);
    }
}

#[test]
fn a_second_core_in_the_photograph_is_named() {
    let one = Scene::default();
    let two = Scene {
        width: 100.0,
        ..Scene::default()
    };
    let pictures = [one.picture(), two.picture()];
    let row = 3 * one.size.1;
    let rows = pictures
        .each_ref()
        .map(|picture| picture.data().chunks(row));
    let [left, right] = rows;
    let pixels = left
        .zip(right)
        .flat_map(|(left, right)| [left, right].concat());
    let both = DecodedImage::new(one.size.0, 2 * one.size.1, pixels.collect()).unwrap();

    let outline = CoreOutline::find("core", &both).unwrap();
    assert!((outline.top.0 - one.top.0).abs() <= 1.2, "{outline:?}");
    let (left, right) = outline.second_core.unwrap();
    let middle = one.size.1 as f64 + two.top.0;
    assert!((left - (middle - 50.0)).abs() <= 1.2, "{left}");
    assert!((right - (middle + 50.0)).abs() <= 1.2, "{right}");
    let single = CoreOutline::find("core", &one.picture()).unwrap();
    assert_eq!(single.second_core, None);
}

#[test]
fn what_is_no_core_is_refused() {
    let even = DecodedImage::filled(1500, 200, [90; 3]).unwrap();
    let noise = (0..400 * 300 * 3)
        .map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let noise = DecodedImage::new(400, 300, noise).unwrap();
    let lying = DecodedImage::filled(200, 1500, [90; 3]).unwrap();
    for (picture, expected) in [
        (even, "of one colour"),
        (noise, "no two long parallel edges"),
        (lying, "has to be turned"),
    ] {
        let error = CoreOutline::find("x", &picture).unwrap_err();
        assert!(
            matches!(error, Error::NoCore { .. }) && error.to_string().contains(expected),
            "{error}"
        );
    }
}

#[test]
fn tiles_fill_the_pieces_and_leave_the_gap() {
    let scene = Scene::default();
    let section = cut_section(
        "core",
        &scene.picture(),
        &TileSettings::default().with_side(64),
    )
    .unwrap();
    assert_eq!(
        section.tiles.len(),
        section.planned.iter().filter(|tile| tile.kept).count()
    );
    let (gap_top, gap_bottom) = scene.gap;
    for tile in section.planned.iter().filter(|tile| tile.kept) {
        let bottom = tile.top + tile.side;
        assert!(
            bottom <= gap_top + 3.0 || tile.top >= gap_bottom - 3.0,
            "{tile:?}"
        );
        assert!(tile.core_fraction > 0.95, "{tile:?}");
    }
    // Flush with the ends of both pieces.
    let reaches = |end: f64| {
        section
            .planned
            .iter()
            .any(|tile| (tile.top + tile.side - end).abs() < 3.0)
    };
    assert!(reaches(gap_top) && reaches(scene.length));
    assert!(
        section
            .tiles
            .iter()
            .all(|tile| tile.dimensions() == (64, 64))
    );

    let half = TileSettings::default().with_overlap(0.5);
    assert!(
        cut_section("core", &scene.picture(), &half)
            .unwrap()
            .tiles
            .len()
            > 20
    );
    let crop = Crop {
        left: 44,
        top: 60,
        width: 120,
        height: 600,
    };
    let cropped = cut_section(
        "core",
        &scene.picture(),
        &TileSettings::default().with_crop(Some(crop)),
    )
    .unwrap();
    assert_eq!(cropped.tiles.len(), 5);
    let outside = Crop { left: 200, ..crop };
    assert!(
        cut_section(
            "core",
            &scene.picture(),
            &TileSettings::default().with_crop(Some(outside))
        )
        .is_err()
    );
}

#[test]
fn a_folder_gets_tables_previews_and_no_halves() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let read = |path: &Path| {
        let even = path.ends_with("403-U1A-1H-2-A.jpg");
        Ok::<_, std::io::Error>(if even {
            DecodedImage::filled(1700, 240, [90; 3]).unwrap()
        } else {
            Scene::default().picture()
        })
    };
    let photographs = ["403-U1A-1H-1-A.jpg", "403-U1A-1H-2-A.jpg"].map(PathBuf::from);
    let run = TileRun::default().with_settings(
        TileSettings::default()
            .with_scale(Scale::PixelsPerCm(20.0))
            .with_side(32),
    );
    let report = run.cut(&photographs, &out, read, |_| ()).unwrap();
    assert_eq!(report.sections.len(), 2);
    assert!(
        report.sections[1].note.contains("no core was found"),
        "{:?}",
        report.sections[1]
    );
    let tiles = read_tiles(&out.join("tiles.csv")).unwrap();
    assert_eq!(tiles, report.tiles);
    assert!((tiles[1].top_offset_cm.unwrap() - 6.0).abs() < 0.1);
    assert!(tiles.iter().all(|tile| out.join(&tile.tile).exists()));
    let preview = std::fs::read_to_string(out.join("previews/403-U1A-1H-1-A.svg")).unwrap();
    assert!(preview.contains("data:image/jpeg;base64,") && preview.contains("polygon"));

    let again = run.cut(&photographs, &out, read, |_| ()).unwrap_err();
    assert!(
        again
            .to_string()
            .contains("there are tiles in this folder already"),
        "{again}"
    );
    let twins = ["a/x.png", "b/x.png"].map(PathBuf::from);
    let other = dir.path().join("other");
    assert!(
        run.cut(&twins, &other, read, |_| ())
            .unwrap_err()
            .to_string()
            .contains("two photographs have this name")
    );
    let none = run
        .cut(&photographs[1..], &other, read, |_| ())
        .unwrap_err();
    assert!(
        none.to_string().contains("not one in 1 photographs"),
        "{none}"
    );
    assert!(!other.exists());
}

#[test]
fn tables_name_photographs_in_either_unicode_form() {
    let dir = tempfile::tempdir().unwrap();
    let read = |_: &Path| Ok::<_, std::io::Error>(Scene::default().picture());
    let (composed, decomposed) = ("K\u{f6}ln", "Ko\u{308}ln");
    let (depths, classes) = (dir.path().join("d.csv"), dir.path().join("i.csv"));
    std::fs::write(&depths, format!("name,top,length\n{composed},3,1\n")).unwrap();
    let rows = format!("name,top offset,bottom offset,class\n{composed},0,100,x\n");
    std::fs::write(&classes, rows).unwrap();
    let map = ColumnMap::default();
    let run = TileRun::default()
        .with_settings(TileSettings::default().with_side(32))
        .with_depths(Some(DepthTable::read(&depths, &map).unwrap()))
        .with_intervals(Some(IntervalTable::read(&classes, &map).unwrap()));
    let path = PathBuf::from(format!("{decomposed}.jpg"));
    let out = dir.path().join("out");
    let report = run
        .cut(std::slice::from_ref(&path), &out, read, |_| ())
        .unwrap();
    let tile = &report.tiles[0];
    assert_eq!(
        (&*tile.section, tile.class.as_deref()),
        (decomposed, Some("x"))
    );
    assert!(tile.top_depth_m.is_some_and(|depth| depth >= 3.0));

    let parts = [1, 2].map(|part| PathBuf::from(format!("{decomposed}-{part}.jpg")));
    let report = run.cut(&parts, &dir.path().join("parts"), read, |_| ());
    let warnings = report.unwrap().warnings;
    let expected = format!("{decomposed}-1, {decomposed}-2 ({composed})");
    assert!(warnings.len() == 2 && warnings.iter().all(|one| one.ends_with(&expected)));

    let other = PathBuf::from(format!("{composed}.jpg"));
    let error = run.cut(&[path, other], &dir.path().join("other"), read, |_| ());
    let error = error.unwrap_err().to_string();
    let expected = format!(
        "{decomposed} (decomposed, NFD) and {composed} (composed, NFC) differ only in the Unicode form"
    );
    assert!(error.contains(&expected), "{error}");
}

#[test]
fn tiles_of_an_interrupted_run_are_in_no_later_one() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let photographs = ["a.png", "b.png"].map(PathBuf::from);
    let run = |overlap: f64| {
        let settings = TileSettings::default().with_side(32);
        TileRun::default().with_settings(settings.with_overlap(overlap))
    };
    let damaged = |path: &Path| match path.ends_with("b.png") {
        true => Err(std::io::Error::other("the disk is gone")),
        false => Ok(Scene::default().picture()),
    };
    run(0.5)
        .cut(&photographs, &out, damaged, |_| ())
        .unwrap_err();
    let left = contents(&out);
    assert!(left.len() > 12 && left.keys().all(|path| path.starts_with(".unfinished")));

    let whole = |_: &Path| Ok::<_, std::io::Error>(Scene::default().picture());
    let report = run(0.0).cut(&photographs, &out, whole, |_| ()).unwrap();
    let is_tile = |path: &&PathBuf| path.extension().is_some_and(|end| end == "png");
    assert_eq!(
        contents(&out).keys().filter(is_tile).count(),
        report.tiles.len()
    );
    assert!(!out.join(".unfinished").exists());

    // Tiles that no table lists are somebody's.
    std::fs::remove_file(out.join("tiles.csv")).unwrap();
    let error = run(0.0).cut(&photographs, &out, whole, |_| ()).unwrap_err();
    assert!(
        error.to_string().contains("no tiles.csv that lists"),
        "{error}"
    );
}

/// A picture that is read by so many rows at a time, up to a row that is damaged.
struct Banded {
    picture: DecodedImage,
    rows: usize,
    damaged: Option<usize>,
}

impl RowSource for Banded {
    type Error = std::io::Error;

    fn read_rows(&self, sink: &mut dyn RowSink) -> std::io::Result<()> {
        let (height, width) = (self.picture.height(), self.picture.width());
        sink.begin(height, width);
        let good = self.damaged.unwrap_or(height) * width * 3;
        for rows in self.picture.data()[..good].chunks(self.rows * width * 3) {
            sink.rows(rows);
        }
        if self.damaged.is_some() {
            return Err(std::io::Error::other("the rest is damaged"));
        }
        Ok(())
    }
}

/// All files below a folder, by their path in it.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let inside = path.strip_prefix(folder).unwrap().to_owned();
                files.insert(inside, std::fs::read(&path).unwrap());
            }
        }
    }
    files
}

#[test]
fn reading_by_rows_gives_the_files_that_the_whole_gives() {
    let dir = tempfile::tempdir().unwrap();
    let plain = TileSettings::default().with_side(40);
    let crop = "30,50,130,1600".parse().unwrap();
    let cases = [
        (0.0, plain.clone()),
        (0.8, plain.clone().with_overlap(0.75)),
        (-1.5, plain.clone().with_min_core_fraction(0.0)),
        (2.5, plain.clone().with_side(500)),
        (0.3, plain.with_crop(Some(crop)).with_overlap(0.5)),
    ];
    for (case, (tilt, settings)) in cases.into_iter().enumerate() {
        let scene = Scene {
            tilt,
            top: (104.0 + 750.0 * f64::to_radians(tilt).sin(), 60.0),
            ..Scene::default()
        };
        let picture = scene.picture();
        let whole = dir.path().join(format!("{case}"));
        let photographs = [PathBuf::from("core.png")];
        let run = TileRun::default().with_settings(settings.clone());
        let open = |_: &Path| Ok::<_, std::io::Error>(picture.clone());
        let report = run.cut(&photographs, &whole, open, |_| ()).unwrap();

        // Those that are cut while the whole picture is there.
        let cut = cut_section("core", &picture, &settings).unwrap();
        assert_eq!(cut.tiles.len(), report.tiles.len());
        for (tile, expected) in report.tiles.iter().zip(&cut.tiles) {
            let written = image::open(whole.join(&tile.tile)).unwrap().into_rgb8();
            assert!(&written == expected, "{tile:?}");
        }
        let shown = preview("core", &picture, &cut).unwrap();
        let files = contents(&whole);
        assert!(files[Path::new("previews/core.svg")] == shown.into_bytes());

        for rows in [1, 16, 611] {
            let out = dir.path().join(format!("{case}_{rows}"));
            let banded = |_: &Path| {
                Ok::<_, std::io::Error>(Banded {
                    picture: picture.clone(),
                    rows,
                    damaged: None,
                })
            };
            assert_eq!(
                run.cut(&photographs, &out, banded, |_| ()).unwrap().tiles,
                report.tiles
            );
            assert!(contents(&out) == files, "{case}: {rows} rows at a time");
        }
    }
}

#[test]
fn nothing_is_written_of_a_photograph_that_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let damaged = |_: &Path| {
        Ok::<_, std::io::Error>(Banded {
            picture: Scene::default().picture(),
            rows: 16,
            damaged: Some(1690),
        })
    };
    let run = TileRun::default();
    let error = run
        .cut(&[PathBuf::from("core.png")], &out, damaged, |_| ())
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("core.png: the photograph cannot be read"),
        "{error}"
    );
    assert!(!out.exists());
}

/// A photograph that has other rows when it is read again.
struct Replaced(Cell<usize>);

impl RowSource for Replaced {
    type Error = std::convert::Infallible;

    fn read_rows(&self, sink: &mut dyn RowSink) -> Result<(), Self::Error> {
        let size = (1700 - self.0.replace(700), 240);
        let scene = Scene {
            size,
            ..Scene::default()
        };
        scene.picture().read_rows(sink)
    }
}

#[test]
fn a_photograph_that_changes_meanwhile_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let replaced = |_: &Path| Ok::<_, std::io::Error>(Replaced(Cell::new(0)));
    let photographs = [PathBuf::from("core.png")];
    let error = TileRun::default()
        .cut(&photographs, dir.path(), replaced, |_| ())
        .unwrap_err();
    assert!(
        error.to_string().contains("core: the photograph changed"),
        "{error}"
    );
    assert!(!dir.path().join("tiles.csv").exists());
}
