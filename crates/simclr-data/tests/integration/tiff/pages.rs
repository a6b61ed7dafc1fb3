use crate::both_ways::decode_bytes;

use super::file::{Tiff, interleaved};

/// Where the header says that the first directory is.
fn first_directory(file: &[u8]) -> u32 {
    u32::from_le_bytes(*file[4..].first_chunk().unwrap())
}

/// The file with another page of one grey pixel before its first, which has further tags and leads
/// to the page at `next`.
fn with_page_before(mut file: Vec<u8>, further: &[(u16, u32)], next: u32) -> Vec<u8> {
    let pixel = [(256, 1), (257, 1), (258, 8), (262, 1), (273, 8), (279, 1)];
    let mut tags = [&pixel, further].concat();
    tags.sort_unstable();
    let start = file.len() as u32;
    file[4..8].copy_from_slice(&start.to_le_bytes());
    file.extend((tags.len() as u16).to_le_bytes());
    for (tag, value) in tags {
        file.extend([tag, 4].map(u16::to_le_bytes).concat());
        file.extend([1, value].map(u32::to_le_bytes).concat());
    }
    file.extend(next.to_le_bytes());
    file
}

#[test]
fn thumbnails_and_masks_before_the_picture_are_passed_over() {
    let picture = Tiff::new(2, 3, 8, interleaved(3)).bytes();
    let at = first_directory(&picture);
    let size = |file: &[u8]| {
        let image = decode_bytes("a.tif", file).unwrap();
        (image.height() * image.width(), image.into_data())
    };
    let whole = size(&picture);
    assert!(whole.0 > 1);
    for kind in [(254, 1), (254, 4), (254, 5), (254, 0x1_0001), (255, 2)] {
        let file = with_page_before(picture.clone(), &[kind], at);
        assert_eq!(size(&file), whole, "{kind:?}");
        let thumbnails = with_page_before(file.clone(), &[kind], first_directory(&file));
        assert_eq!(size(&thumbnails), whole, "{kind:?}");
    }
    // A page, or the first of them.
    for kind in [(254, 0), (254, 2), (255, 1), (255, 3)] {
        let file = with_page_before(picture.clone(), &[kind], at);
        assert_eq!(size(&file).0, 1, "{kind:?}");
    }
}

#[test]
fn a_thumbnail_may_hold_the_picture_s_directory() {
    let picture = Tiff::new(2, 3, 8, interleaved(3)).bytes();
    let at = first_directory(&picture);
    let decoded = |file: &[u8]| decode_bytes("a.tif", file).unwrap().into_data();
    let file = with_page_before(picture.clone(), &[(330, at)], 0);
    assert_eq!(decoded(&file).len(), 3);
    let file = with_page_before(picture.clone(), &[(254, 1), (330, at)], 0);
    assert_eq!(decoded(&file), decoded(&picture));
}

#[test]
fn a_thumbnail_without_a_picture_is_read() {
    let thumbnail = Tiff::new(2, 3, 8, interleaved(3)).with(254, [1]).bytes();
    let plain = Tiff::new(2, 3, 8, interleaved(3)).bytes();
    let decoded = |file: &[u8]| decode_bytes("a.tif", file).unwrap().into_data();
    assert_eq!(decoded(&thumbnail), decoded(&plain));
    // Pages that lead to each other.
    let at = plain.len() as u32;
    let circle = with_page_before(plain, &[(254, 1)], at);
    assert_eq!(first_directory(&circle), at);
    assert_eq!(decoded(&circle).len(), 3);
}

#[test]
fn a_file_of_nothing_but_thumbnails_is_not_searched_for_long() {
    let mut file = Tiff::new(2, 3, 8, interleaved(3)).bytes();
    for _ in 0..100 {
        let next = first_directory(&file);
        file = with_page_before(file, &[(254, 1)], next);
    }
    let error = decode_bytes("a.tif", &file).unwrap_err().to_string();
    assert!(error.contains("more than 100 thumbnails"), "{error}");
}
