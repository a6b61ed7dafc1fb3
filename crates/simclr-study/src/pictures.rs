//! Pictures for reports: views of images, and nearest neighbours in feature space.

use simclr_augment::{Crop, Image, Policy, Stream, View};
use simclr_data::{Dataset, Seed, image_grid};
use simclr_eval::Features;
use simclr_eval::analysis::nearest_neighbours;

use crate::error::Result;

/// Rows of a picture.
const ROWS: usize = 6;
/// Views of an image, or neighbours of one.
const COLUMNS: usize = 5;
/// The side of the pictures, at least.
const SMALLEST_SIDE: usize = 64;

/// Six images from all over the set, each in a row with five views of it: the bytes of a PNG
/// file.
///
/// # Errors
/// An image that cannot be read, or that the policy cannot be applied to.
pub fn view_grid(images: &dyn Dataset, policy: &Policy, seed: Seed) -> Result<Vec<u8>> {
    let mut rows = Vec::new();
    for index in spread(images.len(), ROWS) {
        let decoded = images.decode(index)?;
        let stream = Stream::new(seed).sample(index as u64);
        // The original at the views' size, so that one row is easy to compare.
        let mut row = vec![Policy::evaluation(policy.size.0).apply(&decoded, stream)?];
        for view in 0..COLUMNS as u32 {
            row.push(policy.apply(&decoded, stream.view(View::Index(view)))?);
        }
        rows.push(row.iter().map(scaled_up).collect::<Result<Vec<_>>>()?);
    }
    png(&rows)
}

/// Test images, each with the training images of highest cosine similarity; a frame says whether the class is the same (blue) or another (orange). Also
/// the classes of the test images.
pub(crate) fn nearest_neighbours_grid(
    images: &dyn Dataset,
    features: &Features,
    train: &[usize],
    test: &[usize],
) -> Result<(Vec<u8>, Vec<String>)> {
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
    let mut classes = Vec::new();
    for (&query, near) in queries.iter().zip(near) {
        let mut row = vec![prepare(query)?];
        for neighbour in near {
            let index = train.get(neighbour.index).copied().unwrap_or(query);
            let same = images.label(index) == images.label(query);
            row.push(framed(prepare(index)?, same));
        }
        rows.push(row);
        let name = |label: u32| images.class_names().get(label as usize).cloned();
        classes.push(images.label(query).and_then(name).unwrap_or_default());
    }
    Ok((png(&rows)?, classes))
}

/// `count` indices from all over `0..len`.
fn spread(len: usize, count: usize) -> Vec<usize> {
    let count = count.min(len);
    (0..count).map(|row| row * len / count.max(1)).collect()
}

/// The first image of each class, of some classes from all over the list if there are many.
fn one_per_class(images: &dyn Dataset, among: &[usize]) -> Vec<usize> {
    let classes = images.class_names().len();
    let labels = spread(classes, ROWS + 2);
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

/// The bytes of a PNG file.
fn png(rows: &[Vec<Image>]) -> Result<Vec<u8>> {
    let grid = image_grid(rows)?;
    let mut bytes = std::io::Cursor::new(Vec::new());
    // Sides that a PNG cannot have do not fit in memory either.
    let (width, height) = (grid.width() as u32, grid.height() as u32);
    let format = image::ImageFormat::Png;
    let colour = image::ExtendedColorType::Rgb8;
    image::write_buffer_with_format(&mut bytes, grid.data(), width, height, colour, format)
        .map_err(|error| simclr_report::Error::Report {
            block: "picture".into(),
            reason: error.to_string(),
        })?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use simclr_data::{Seed, SyntheticCores};

    #[test]
    fn an_image_s_twin_is_its_nearest_neighbour_and_framed_by_class() {
        let cores = SyntheticCores::new(40, 16, Seed(1)).unwrap();
        let values = (0..40)
            .flat_map(|i| [(i % 10) as f32 + 1.0, 10.0])
            .collect();
        let features = Features::new(values, 2, &cores).unwrap();
        let train: Vec<usize> = (0..20).collect();
        let test: Vec<usize> = (20..40).collect();
        let (png, classes) = nearest_neighbours_grid(&cores, &features, &train, &test).unwrap();
        let picture = image::load_from_memory(&png).unwrap().to_rgb8();
        assert_eq!(classes.len(), 8);
        // Two training images of each class have the very same features.
        let blue = |column: u32| {
            let x = 6 + column * 102 + 10 + 2;
            (0..8).all(|row| picture.get_pixel(x, 6 + row * 102 + 2).0 == [0, 114, 178])
        };
        assert!(blue(1) && blue(2) && !blue(3) && !blue(0));
    }

    #[test]
    fn rows_come_from_all_over_the_set() {
        assert_eq!(spread(60, 6), [0, 10, 20, 30, 40, 50]);
        assert_eq!(spread(2, 6), [0, 1]);
        assert!(spread(0, 6).is_empty());
    }
}
