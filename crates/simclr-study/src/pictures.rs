//! Pictures for reports: views of images, and nearest neighbours in feature space.

use simclr_augment::{Crop, DecodedImage, Image, Policy, Stream, View};
use simclr_data::{Dataset, Seed, image_grid};
use simclr_eval::Features;
use simclr_eval::analysis::nearest_neighbours;
use simclr_report::Svg;
use simclr_report::plot::named_rows;

use crate::error::Result;

/// Rows of a picture of images without labels.
const ROWS: usize = 6;
/// Rows of a picture at most: one per class, of classes from all over the list if there are more.
const MOST_ROWS: usize = 10;
/// Views of an image, or neighbours of one.
const COLUMNS: usize = 5;
/// The side of the pictures, at least.
const SMALLEST_SIDE: usize = 64;

/// Images, each in a row with five views of it: one of each class, whose name stands beside it, or
/// six from all over a set without labels.
///
/// # Errors
/// An image that cannot be read, or that the policy cannot be applied to.
pub fn view_grid(images: &dyn Dataset, policy: &Policy, seed: Seed) -> Result<Svg> {
    let all: Vec<usize> = (0..images.len()).collect();
    let shown = if images.class_names().is_empty() {
        spread(images.len(), ROWS)
    } else {
        one_per_class(images, &all)
    };
    let mut rows = Vec::new();
    for &index in &shown {
        let decoded = images.decode(index)?;
        let stream = Stream::new(seed).sample(index as u64);
        // The original at the views' size, so that one row is easy to compare.
        let mut row = vec![Policy::evaluation(policy.size.0).apply(&decoded, stream)?];
        for view in 0..COLUMNS as u32 {
            row.push(policy.apply(&decoded, stream.view(View::Index(view)))?);
        }
        rows.push(row.iter().map(scaled_up).collect::<Result<Vec<_>>>()?);
    }
    figure(images, &shown, &rows)
}

/// Test images, each with the training images of highest cosine similarity; a frame says whether the
/// class is the same (blue) or another (orange).
pub(crate) fn nearest_neighbours_grid(
    images: &dyn Dataset,
    features: &Features,
    train: &[usize],
    test: &[usize],
) -> Result<Svg> {
    let queries = one_per_class(images, test);
    let near = nearest_neighbours(
        &features.select(&queries)?.tensor()?,
        &features.select(train)?.tensor()?,
        COLUMNS,
    )?;
    let prepare = |index: usize| -> Result<Image> {
        let policy = Policy::probe(96).with_crop(Crop::Whole);
        Ok(policy.apply(&images.decode(index)?, Stream::new(Seed(0)))?)
    };
    let mut rows = Vec::new();
    for (&query, near) in queries.iter().zip(near) {
        let mut row = vec![prepare(query)?];
        for neighbour in near {
            let index = train.get(neighbour.index).copied().unwrap_or(query);
            let same = images.label(index) == images.label(query);
            row.push(framed(prepare(index)?, same));
        }
        rows.push(row);
    }
    figure(images, &queries, &rows)
}

/// `count` indices from all over `0..len`.
fn spread(len: usize, count: usize) -> Vec<usize> {
    let count = count.min(len);
    (0..count).map(|row| row * len / count.max(1)).collect()
}

/// The first image of each class, of some classes from all over the list if there are many.
fn one_per_class(images: &dyn Dataset, among: &[usize]) -> Vec<usize> {
    let classes = images.class_names().len();
    let labels = spread(classes, MOST_ROWS);
    let first = |label: usize| {
        let mut members = among.iter().copied();
        members.find(|&index| images.label(index).map(|l| l as usize) == Some(label))
    };
    let firsts: Vec<usize> = labels.into_iter().filter_map(first).collect();
    // With few classes, several images of each.
    let others = among
        .iter()
        .copied()
        .filter(|index| !firsts.contains(index));
    let wanted = ROWS.saturating_sub(firsts.len());
    let others: Vec<usize> = others.collect();
    let more = spread(others.len(), wanted);
    let more = more
        .into_iter()
        .filter_map(|position| others.get(position).copied());
    firsts.iter().copied().chain(more).collect()
}

/// Every pixel several times, so that small pictures can be seen.
fn scaled_up(picture: &Image) -> Result<Image> {
    let times = SMALLEST_SIDE.div_ceil(picture.height().max(1));
    let (height, width) = (picture.height() * times, picture.width() * times);
    let mut data = Vec::with_capacity(height * width * 3);
    for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column))) {
        data.extend(
            picture
                .pixel(row / times, column / times)
                .unwrap_or([0.0; 3]),
        );
    }
    Ok(Image::new(height, width, data)?)
}

/// A frame of five pixels: Okabe and Ito's blue, or their vermilion.
fn framed(mut picture: Image, same: bool) -> Image {
    const WIDTH: usize = 5;
    let colour = if same {
        [0.0, 0.447, 0.698]
    } else {
        [0.835, 0.369, 0.0]
    };
    let (height, width) = (picture.height(), picture.width());
    let pixels = picture.data_mut().chunks_exact_mut(3).enumerate();
    for (index, pixel) in pixels {
        let (row, column) = (index / width, index % width);
        let border = [row, column, height - 1 - row, width - 1 - column];
        if border.iter().any(|&distance| distance < WIDTH) {
            pixel.copy_from_slice(&colour);
        }
    }
    picture
}

/// The rows, each with the class of its image.
fn figure(images: &dyn Dataset, shown: &[usize], rows: &[Vec<Image>]) -> Result<Svg> {
    let name = |label: u32| images.class_names().get(label as usize).cloned();
    let names = shown.iter().map(|&index| images.label(index));
    let names: Vec<String> = names
        .map(|label| label.and_then(name).unwrap_or_default())
        .collect();
    let grid = image_grid(rows)?;
    let size = (grid.width(), grid.height());
    Ok(named_rows(&png(&grid)?, size, &names))
}

/// The bytes of a PNG file.
fn png(picture: &DecodedImage) -> Result<Vec<u8>> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    // Sides that a PNG cannot have do not fit in memory either.
    let (width, height) = (picture.width() as u32, picture.height() as u32);
    let format = image::ImageFormat::Png;
    let colour = image::ExtendedColorType::Rgb8;
    image::write_buffer_with_format(&mut bytes, picture.data(), width, height, colour, format)
        .map_err(|error| simclr_report::Error::Report {
            block: "picture".into(),
            reason: error.to_string(),
        })?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use simclr_data::{InMemory, Seed, SyntheticCores};

    #[test]
    fn an_image_s_twin_is_its_nearest_neighbour_and_framed_by_class() {
        let cores = SyntheticCores::new(40, 16, Seed(1)).unwrap();
        let values = (0..40)
            .flat_map(|i| [(i % 10) as f32 + 1.0, 10.0])
            .collect();
        let features = Features::new(values, 2, &cores).unwrap();
        let train: Vec<usize> = (0..20).collect();
        let test: Vec<usize> = (20..40).collect();
        let figure = nearest_neighbours_grid(&cores, &features, &train, &test).unwrap();
        let picture = picture_of(&figure);
        assert!(figure.as_str().contains(">biscuit</text>"));
        // Two training images of each class have the very same features.
        let blue = |column: u32| {
            let x = 6 + column * 102 + 10 + 2;
            (0..10).all(|row| picture.get_pixel(x, 6 + row * 102 + 2).0 == [0, 114, 178])
        };
        assert!(blue(1) && blue(2) && !blue(3) && !blue(0));
    }

    #[test]
    fn views_are_shown_of_each_class_by_name_or_of_images_from_all_over() {
        let cores = SyntheticCores::new(40, 32, Seed(1)).unwrap();
        let policy = Policy::simclr_v2(32);
        let figure = view_grid(&cores, &policy, Seed(1)).unwrap();
        for class in cores.class_names() {
            assert!(figure.as_str().contains(&format!(">{class}</text>")));
        }
        // A side of 32 pixels is drawn twice as large.
        assert_eq!(picture_of(&figure).height(), 6 + 10 * (64 + 6));
        let images = (0..40).map(|index| cores.decode(index).unwrap());
        let images = InMemory::unlabelled(images.collect());
        let figure = view_grid(&images, &policy, Seed(1)).unwrap();
        assert_eq!(picture_of(&figure).height(), 6 + 6 * (64 + 6));
    }

    /// The picture in a figure.
    fn picture_of(figure: &Svg) -> image::RgbImage {
        let (_, after) = figure.as_str().split_once("base64,").unwrap();
        let (text, _) = after.split_once('"').unwrap();
        let bytes = BASE64_STANDARD.decode(text).unwrap();
        image::load_from_memory(&bytes).unwrap().to_rgb8()
    }

    #[test]
    fn rows_come_from_all_over_the_set() {
        assert_eq!(spread(60, 6), [0, 10, 20, 30, 40, 50]);
        assert_eq!(spread(2, 6), [0, 1]);
        assert!(spread(0, 6).is_empty());
    }
}
