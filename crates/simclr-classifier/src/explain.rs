//! Which parts of an image a class was read from.

use candle_core::{IndexOp, Tensor};

use crate::classifier::{BATCH_SIZE, Classifier};
use crate::error::{Error, Result};

/// How much each place of an image speaks for a class (above 0) or against it (below).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Heatmap {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `[height, width]`, flat.
    pub values: Vec<f32>,
}

impl Heatmap {
    /// The value at a place between 0 and 1 from the top and from the left, between the nearest
    /// four.
    pub fn at(&self, row: f64, column: f64) -> f32 {
        let place = |share: f64, len: usize| {
            let position = (share * len as f64 - 0.5).clamp(0.0, (len - 1) as f64);
            let first = position.floor();
            (
                first as usize,
                (first as usize + 1).min(len - 1),
                (position - first) as f32,
            )
        };
        let (top, bottom, down) = place(row, self.height);
        let (left, right, across) = place(column, self.width);
        let value = |row: usize, column: usize| self.values[row * self.width + column];
        let between = |row| value(row, left) * (1.0 - across) + value(row, right) * across;
        between(top) * (1.0 - down) + between(bottom) * down
    }
}

impl Classifier {
    /// The class-activation map of a prepared image `[height, width, 3]`: what each place of the
    /// encoder's last feature map adds to the class's logit, beyond what it adds to those of all
    /// classes on average (Zhou et al., "Learning deep features for discriminative localization",
    /// 2016).
    ///
    /// # Errors
    /// [`Error::Setting`] for a head that is not one dense layer on the encoder's features: nearest
    /// neighbours, or the supervised head of a network that stands on a projection layer; images
    /// that are too small for the network.
    pub fn class_activation(&self, image: &Tensor, class: usize) -> Result<Heatmap> {
        self.check_class(class)?;
        let kernel = self.dense_head()?.kernel;
        let output = self.encoder().features(&image.unsqueeze(0)?)?;
        let map = output.block_groups[3]
            .tensor()
            .map_err(simclr_model::Error::from)?
            .detach()
            .to_device(kernel.device())?
            .i(0)?;
        let (height, width, channels) = map.dims3()?;
        let weights = kernel.i((.., class))?.broadcast_sub(&kernel.mean(1)?)?;
        let values = map.reshape((height * width, channels))?;
        let values = values.matmul(&weights.reshape((channels, 1))?)?;
        Ok(Heatmap {
            height,
            width,
            values: values.flatten_all()?.to_vec1()?,
        })
    }

    /// The occlusion map of a prepared image `[height, width, 3]`: by how much the class's
    /// probability falls where a square of `cells x cells` is painted in the image's mean colour
    /// (Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014). It works
    /// for every head, and takes `cells * cells` predictions.
    ///
    /// # Errors
    /// [`Error::Setting`] for no cells, or more than the image has pixels; images that are too
    /// small for the network.
    pub fn occlusion(&self, image: &Tensor, class: usize, cells: usize) -> Result<Heatmap> {
        self.check_class(class)?;
        let (height, width, channels) = image.dims3()?;
        if cells == 0 || cells > height.min(width) {
            let expected = format!("1 to {}", height.min(width));
            return Err(Error::setting("cells", expected, cells));
        }
        let pixels: Vec<f32> = image.flatten_all()?.to_vec1()?;
        let mean: Vec<f32> = (0..channels)
            .map(|channel| {
                let values = pixels.iter().skip(channel).step_by(channels);
                values.sum::<f32>() / (height * width) as f32
            })
            .collect();
        let covered = |cell: usize| {
            let (row, column) = (cell / cells, cell % cells);
            let rows = row * height / cells..(row + 1) * height / cells;
            let columns = column * width / cells..(column + 1) * width / cells;
            let mut covered = pixels.clone();
            for row in rows {
                for column in columns.clone() {
                    let start = (row * width + column) * channels;
                    covered[start..start + channels].copy_from_slice(&mean);
                }
            }
            covered
        };
        let whole = self.probability(&image.unsqueeze(0)?, class)?[0];
        let mut values = Vec::with_capacity(cells * cells);
        let all: Vec<usize> = (0..cells * cells).collect();
        for chunk in all.chunks(BATCH_SIZE) {
            let images: Vec<f32> = chunk.iter().flat_map(|&cell| covered(cell)).collect();
            let shape = (chunk.len(), height, width, channels);
            let images = Tensor::from_vec(images, shape, image.device())?;
            let shares = self.probability(&images, class)?;
            values.extend(shares.iter().map(|share| (whole - share) as f32));
        }
        Ok(Heatmap {
            height: cells,
            width: cells,
            values,
        })
    }

    fn probability(&self, images: &Tensor, class: usize) -> Result<Vec<f64>> {
        let predictions = self.predict_batch(images)?;
        let share = |prediction: &crate::Prediction| prediction.probabilities[class];
        Ok(predictions.iter().map(share).collect())
    }

    fn check_class(&self, class: usize) -> Result<()> {
        let classes = self.classes().len();
        if class < classes {
            return Ok(());
        }
        let expected = format!("the index of one of {classes} classes");
        Err(Error::setting("class", expected, class))
    }
}
