//! Synthetic cores: repeatable, balanced, and with nothing given away by colour.
#![allow(clippy::unwrap_used)]

use simclr_augment::Image;
use simclr_data::{
    Dataset, Disturbance, Error, Seed, SyntheticCores, SyntheticTextures, image_grid, save_png,
};
use simclr_testkit::seeds;

const SEED: Seed = Seed(seeds::DEFAULT);

#[test]
fn an_image_depends_on_seed_and_index_alone() {
    let small = SyntheticCores::new(20, 32, SEED).unwrap();
    let large = SyntheticCores::new(500, 32, SEED).unwrap();
    let other = SyntheticCores::new(20, 32, Seed(SEED.0 + 1)).unwrap();
    for index in 0..20 {
        let image = small.decode(index).unwrap();
        assert_eq!(image, small.decode(index).unwrap());
        assert_eq!(image, large.decode(index).unwrap());
        assert_ne!(image, other.decode(index).unwrap());
        assert_ne!(image, small.decode((index + 10) % 20).unwrap());
    }
}

#[test]
fn classes_are_those_of_the_paper_in_sorted_order() {
    let cores = SyntheticCores::new(95, 8, SEED).unwrap();
    let names = [
        "biscuit",
        "brecciated",
        "crack",
        "fall-in",
        "flow-in",
        "fractured",
        "none",
        "soupy",
        "suck-in",
        "up-arching",
    ];
    assert_eq!(cores.class_names(), names);
    assert!(cores.class_names().is_sorted());
    assert_eq!(cores.class_counts(), [10, 10, 10, 10, 10, 9, 9, 9, 9, 9]);
    for (label, kind) in (0u32..).zip(Disturbance::ALL) {
        assert_eq!((kind as u32, kind.label()), (label, label), "{kind:?}");
        assert_eq!(cores.class_names()[label as usize], kind.name());
    }
    assert_eq!(cores.disturbance(16), Disturbance::None);
    assert_eq!(
        (cores.name(16), cores.label(16)),
        ("none/16".to_owned(), Some(6))
    );
    assert_eq!(cores.label(95), None);
}

#[test]
fn any_size_can_be_drawn() {
    for size in [1, 7, 50] {
        let image = SyntheticCores::new(10, size, SEED)
            .unwrap()
            .decode(4)
            .unwrap();
        assert_eq!((image.height(), image.width()), (size, size));
    }
    assert!(matches!(
        SyntheticCores::new(0, 8, SEED),
        Err(Error::Setting { .. })
    ));
    assert!(matches!(
        SyntheticCores::new(8, 0, SEED),
        Err(Error::Setting { .. })
    ));
    let cores = SyntheticCores::new(8, 8, SEED).unwrap();
    assert!(matches!(
        cores.decode(8),
        Err(Error::Index { index: 8, len: 8 })
    ));
}

#[test]
fn a_larger_picture_shows_the_same_core() {
    let small = SyntheticCores::new(10, 16, SEED).unwrap();
    let large = SyntheticCores::new(10, 64, SEED).unwrap();
    for index in 0..10 {
        let (small, large) = (small.decode(index).unwrap(), large.decode(index).unwrap());
        let mut difference = 0.0;
        for (row, column) in (0..16).flat_map(|r| (0..16).map(move |c| (r, c))) {
            let value = |y: usize, x: usize| f64::from(large.data()[(y * 64 + x) * 3]);
            let block = (0..16).map(|i| value(row * 4 + i / 4, column * 4 + i % 4));
            let mean = block.sum::<f64>() / 16.0;
            difference += (f64::from(small.data()[(row * 16 + column) * 3]) - mean).abs();
        }
        // Sensor noise and lines thinner than a pixel differ; the scene does not.
        assert!(
            difference / 256.0 < 8.0,
            "image {index}: {}",
            difference / 256.0
        );
    }
}

/// The accuracy of the nearest class mean of the images' mean colours.
#[test]
fn mean_colour_says_next_to_nothing_about_the_class() {
    let cores = SyntheticCores::new(600, 16, SEED).unwrap();
    let features: Vec<[f64; 3]> = (0..600)
        .map(|index| {
            let image = cores.decode(index).unwrap();
            [0, 1, 2].map(|c| {
                image
                    .data()
                    .iter()
                    .skip(c)
                    .step_by(3)
                    .map(|&v| f64::from(v))
                    .sum()
            })
        })
        .collect();
    let centers: Vec<[f64; 3]> = (0..10)
        .map(|class| {
            let members = features[..300].iter().skip(class).step_by(10);
            members.fold([0.0; 3], |sum, f| [0, 1, 2].map(|c| sum[c] + f[c] / 30.0))
        })
        .collect();
    let hits = (300..600).filter(|&index| {
        let distance = |center: &[f64; 3]| {
            (0..3)
                .map(|c| (center[c] - features[index][c]).powi(2))
                .sum::<f64>()
        };
        let nearest =
            (0..10).min_by(|&a, &b| distance(&centers[a]).total_cmp(&distance(&centers[b])));
        nearest == Some(index % 10)
    });
    let accuracy = hits.count() as f64 / 300.0;
    // Chance is 0.1.
    assert!(accuracy < 0.25, "{accuracy}");
}

#[test]
fn grids_hold_their_pictures_and_are_saved_whole() {
    let folder = tempfile::tempdir().unwrap();
    let dark = Image::filled(4, 6, [0.0; 3]).unwrap();
    let small = Image::filled(2, 2, [1.5, -1.0, 0.0]).unwrap();
    let grid = image_grid(&[vec![dark.clone(), small], vec![dark]]).unwrap();
    assert_eq!((grid.height(), grid.width()), (6 + 2 * 10, 6 + 2 * 12 + 10));
    let pixel =
        |row: usize, column: usize| grid.data()[(row * grid.width() + column) * 3..][..3].to_vec();
    assert_eq!(pixel(0, 0), [250; 3]);
    assert_eq!(pixel(6, 6), [0; 3]);
    // The second field begins at 6 + 12 + 10; its picture sits in the middle.
    assert_eq!(pixel(7, 30), [255, 0, 0]);
    assert_eq!(pixel(6, 30), [250; 3]);

    let path = folder.path().join("grid.png");
    save_png(&grid, &path).unwrap();
    assert_eq!(simclr_data::decode_file(&path).unwrap(), grid);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

    // Two images whose names differ in the ending alone do not meet in a temporary file.
    let beside = folder.path().join("grid.png.part");
    std::fs::write(&beside, "precious").unwrap();
    save_png(&grid, &path).unwrap();
    assert_eq!(std::fs::read(&beside).unwrap(), b"precious");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);

    let nowhere = folder.path().join("missing/grid.png");
    assert!(
        save_png(&grid, &nowhere)
            .unwrap_err()
            .to_string()
            .contains("grid.png")
    );
    assert!(image_grid(&[]).is_err());
    assert!(image_grid(&[vec![], vec![]]).is_err());
}

#[test]
fn pictures_that_no_view_can_be_of_are_refused() {
    for size in [0, 8193, 200_000, usize::MAX] {
        for error in [
            SyntheticCores::new(1, size, Seed(1)).map(drop).unwrap_err(),
            SyntheticTextures::new(1, size, Seed(1))
                .map(drop)
                .unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(text.starts_with("size must be at "), "{text}");
            assert!(text.ends_with(&format!("got {size}")), "{text}");
        }
    }
    assert!(SyntheticCores::new(1, 8192, Seed(1)).is_ok());
}
