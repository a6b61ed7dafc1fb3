//! Tiles in their sections.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage, imageops};
use simclr_data::{DecodeOptions, ImageFolder, decode_file_with};
use simclr_drillcore::Tile;
use simclr_files::{FirstSpellings, normalized_name};

use crate::terminal::AnyResult;

/// Where tiles lie in photographs of sections.
#[derive(Debug)]
pub(super) struct Context {
    tiles: Vec<Tile>,
    /// The photograph of each section, by its normalized name.
    photographs: HashMap<String, PathBuf>,
}

impl Context {
    pub(super) fn new(tiles: Vec<Tile>, photographs: &ImageFolder) -> AnyResult<Self> {
        let (mut named, mut spellings) = (HashMap::new(), FirstSpellings::default());
        for path in photographs.paths() {
            let section = path.file_stem().unwrap_or_default().to_string_lossy();
            if let Some(forms) = spellings.other_form(&section) {
                return Err(forms.into());
            }
            named.insert(normalized_name(&section).into_owned(), path.clone());
        }
        Ok(Self {
            tiles,
            photographs: named,
        })
    }

    /// The tile of an image, by its file's name.
    pub(super) fn tile(&self, image: &str) -> Option<&Tile> {
        let name = |path: &str| {
            let name = path.rsplit('/').next().unwrap_or_default();
            normalized_name(name).into_owned()
        };
        let image = name(image);
        self.tiles.iter().find(|tile| name(&tile.tile) == image)
    }

    /// The tile with as much core above and below, in a frame.
    pub(super) fn picture(&self, image: &str, decode: &DecodeOptions) -> AnyResult<RgbImage> {
        let tile = self.tile(image).ok_or("the image is no tile")?;
        let path = self.photographs.get(&*normalized_name(&tile.section));
        let path = path.ok_or_else(|| format!("there is no photograph of {}", tile.section))?;
        let photograph = RgbImage::try_from(decode_file_with(path, decode)?)?;
        let (columns, rows) = photograph.dimensions();
        let fits = |start: usize, length: usize, size: u32| {
            let end = start.checked_add(length);
            end.is_some_and(|end| end <= size as usize)
        };
        if !fits(tile.left, tile.width, columns) || !fits(tile.top, tile.height, rows) {
            return Err(outside(tile, path, (columns, rows)).into());
        }
        let (top, height) = (tile.top as u32, tile.height as u32);
        let above = height.min(top);
        let shown = above + height.saturating_mul(2).min(rows - top);
        let part = imageops::crop_imm(&photograph, 0, top - above, columns, shown);
        let mut part = part.to_image();
        frame(
            &mut part,
            tile.left as u32,
            above,
            tile.width as u32,
            height,
        );
        Ok(part)
    }
}

/// That a tile cannot have been cut from a photograph as it was decoded.
fn outside(tile: &Tile, path: &Path, (columns, rows): (u32, u32)) -> String {
    format!(
        "{}: the tile {}, {} x {} pixels at column {} and row {}, does not lie within the {columns} x \
         {rows} pixels; give --apply-orientation if `simclr tiles` was given it, and only then",
        path.display(),
        tile.tile,
        tile.width,
        tile.height,
        tile.left,
        tile.top
    )
}

/// Draws a frame around a box.
fn frame(picture: &mut RgbImage, left: u32, top: u32, width: u32, height: u32) {
    let thickness = (picture.width() / 150).max(2);
    let (right, bottom) = (left + width, top + height);
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let inside = (left..right).contains(&x) && (top..bottom).contains(&y);
        let deep = x >= left + thickness
            && x + thickness < right
            && y >= top + thickness
            && y + thickness < bottom;
        if inside && !deep {
            *pixel = Rgb([230, 120, 0]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Cursor;

    use image::ImageFormat;
    use simclr_drillcore::read_tiles;

    use super::*;

    const RED: Rgb<u8> = Rgb([250, 10, 10]);
    const BLUE: Rgb<u8> = Rgb([10, 10, 250]);

    /// A JPEG file that asks to be turned to the upright picture.
    fn oriented(upright: &RgbImage, orientation: u8) -> Vec<u8> {
        let stored = match orientation {
            3 => imageops::rotate180(upright),
            _ => imageops::rotate270(upright),
        };
        let mut jpeg = Cursor::new(Vec::new());
        stored.write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
        let jpeg = jpeg.into_inner();
        let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        let length = (exif.len() as u16 + 2).to_be_bytes();
        [&jpeg[..2], b"\xFF\xE1", &length, &exif, &jpeg[2..]].concat()
    }

    #[test]
    fn a_tile_is_shown_where_it_was_cut() {
        let dir = tempfile::tempdir().unwrap();
        // Red at the top, from where the tiles are, and blue below.
        let color = |y: u32| if y < 64 { RED } else { BLUE };
        let upright = RgbImage::from_fn(48, 160, |_, y| color(y));
        let table = dir.path().join("tiles.csv");
        let mut rows = "tile,section,left,top,width,height,tilt,top_offset_cm,bottom_offset_cm,\
                        top_depth_m,bottom_depth_m,core_fraction,class\n"
            .to_owned();
        let sections = dir.path().join("sections");
        fs::create_dir(&sections).unwrap();
        for (section, orientation) in [("half", 3), ("quarter", 6)] {
            let path = sections.join(format!("{section}.jpg"));
            fs::write(path, oriented(&upright, orientation)).unwrap();
            for (name, top) in [("near", 0), ("far", 48)] {
                rows += &format!(
                    "tiles/{section}/{section}_{name}.png,{section},8,{top},16,16,0,,,,,1,\n"
                );
            }
        }
        fs::write(&table, rows).unwrap();
        let photographs = ImageFolder::unlabelled(&sections).unwrap();
        let context = Context::new(read_tiles(&table).unwrap(), &photographs).unwrap();

        let turned = DecodeOptions::default().with_apply_orientation(true);
        for section in ["half", "quarter"] {
            let near = context.picture(&format!("{section}_near.png"), &turned);
            let near = near.unwrap();
            assert_eq!(near.dimensions(), (48, 32));
            assert!(near.get_pixel(40, 24)[0] > 200, "{section}");
            let far = context.picture(&format!("{section}_far.png"), &turned);
            let far = far.unwrap();
            assert_eq!(far.dimensions(), (48, 48));
            assert!(far.get_pixel(40, 4)[0] > 200, "{section}");
            assert!(far.get_pixel(40, 44)[2] > 200, "{section}");
        }

        let stored = DecodeOptions::default();
        let half = context.picture("half_near.png", &stored).unwrap();
        assert!(half.get_pixel(40, 24)[2] > 200);
        let error = context.picture("quarter_far.png", &stored).unwrap_err();
        let expected = "quarter.jpg: the tile tiles/quarter/quarter_far.png, 16 x 16 pixels at column 8 \
                        and row 48, does not lie within the 160 x 48 pixels; give --apply-orientation";
        assert!(error.to_string().contains(expected), "{error}");
    }
}
