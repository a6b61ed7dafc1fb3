//! What files are that are no images of a format that is read, for messages.

/// Beginnings of files, and what has them.
const BEGINNINGS: [(&[u8], &str); 17] = [
    (b"GIF8", "a GIF picture"),
    (b"\xFF\x0A", JPEG_XL),
    (b"\0\0\0\x0CJXL ", JPEG_XL),
    (b"8BPS", "a Photoshop document"),
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"\x76\x2F\x31\x01", "an OpenEXR picture"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1F\x8B", "a file compressed by gzip"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xBC\xAF", "a 7z archive"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML document"),
    (b"<!doctype", "a web page"),
    (b"<html", "a web page"),
    (
        b"version https://",
        "a pointer of Git LFS, whose file has not been fetched",
    ),
    (&[0; 16], "zeros, as a failed copy leaves them"),
];

const JPEG_XL: &str = "a JPEG XL picture";

/// What a file is that begins so, as far as that is known.
pub(super) fn name_of_kind(head: &[u8]) -> Option<&'static str> {
    let is_media = head.get(4..8) == Some(b"ftyp");
    if is_media {
        return Some(match head.get(8..12) {
            Some(b"avif" | b"avis") => "an AVIF picture",
            Some(b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"mif1" | b"msf1") => {
                "a HEIF picture, as phones take them"
            }
            _ => "a film",
        });
    }
    let begins = |beginning: &[u8]| {
        let start = head.get(..beginning.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(beginning))
    };
    let found = BEGINNINGS.iter().find(|(beginning, _)| begins(beginning));
    found.map(|(_, name)| *name)
}
