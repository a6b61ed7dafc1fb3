//! Runs as event files that TensorBoard shows.

use candle_core::{DType, Device};
use simclr_augment::Image;
use simclr_data::image_grid;
use simclr_tensorboard::EventWriter;

use crate::callback::{Callback, Control, EpochMetrics, SessionStart};
use crate::error::{Error, Result};
use crate::objective::TrainingBatch;
use crate::trainer::StepMetrics;

/// Images whose first views are shown.
const IMAGES: usize = 8;

/// Writes event files for TensorBoard into the run folder: each step's metrics (`step/...`), their
/// means over each epoch and what is measured once an epoch (`epoch/...`), and the views of the
/// first images as a picture (`views`). `tensorboard --logdir runs` shows them.
///
/// A run that goes on writes a new file beside the earlier ones, without the steps that these have.
/// What cannot be written while the run is going on ends the writing, with a warning, and not the
/// run.
///
/// ```
/// use simclr_train::{Pretrain, TensorBoard};
///
/// let pretrain = Pretrain::resnet(18).callback(TensorBoard::default());
/// ```
#[derive(Debug, Default)]
pub struct TensorBoard {
    events: Option<EventWriter>,
    /// Whether the picture of the views is still to be written.
    needs_views: bool,
}

impl TensorBoard {
    fn write(&mut self, write: impl FnOnce(&mut EventWriter) -> Result<()>) {
        if let Some(events) = &mut self.events
            && let Err(error) = write(events)
        {
            tracing::warn!("no more events for TensorBoard are written: {error}");
            self.events = None;
        }
    }

    fn scalars(&mut self, group: &str, step: u64, values: &[(&str, f64)]) {
        let values = values.iter();
        let values: Vec<_> = values
            .map(|(name, value)| (format!("{group}/{name}"), *value))
            .collect();
        self.write(|events| events.scalars(step, &values).map_err(foreign));
    }
}

impl Callback for TensorBoard {
    fn on_start(&mut self, start: &SessionStart<'_>) -> Result<()> {
        self.events = Some(EventWriter::open(start.dir, start.steps).map_err(foreign)?);
        self.needs_views = start.steps == 0;
        Ok(())
    }

    fn on_batch(&mut self, batch: &TrainingBatch<'_>) {
        if std::mem::take(&mut self.needs_views) {
            self.write(|events| {
                let (size, pixels) = views(batch)?;
                events.image(1, "views", size, &pixels).map_err(foreign)
            });
        }
    }

    fn on_step(&mut self, metrics: &StepMetrics) -> Control {
        let mut values = vec![
            ("learning_rate", metrics.learning_rate),
            ("total_loss", metrics.total_loss),
            ("weight_decay", metrics.weight_decay),
        ];
        values.extend(&metrics.values);
        self.scalars("step", metrics.step + 1, &values);
        Control::Continue
    }

    fn on_epoch(&mut self, metrics: &EpochMetrics) -> Control {
        let values = metrics.values.iter().filter(|(name, _)| name != "epoch");
        let values: Vec<_> = values
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        self.scalars("epoch", metrics.steps, &values);
        Control::Continue
    }
}

/// Width, height and pixels of a picture: a row for each of the first images, with its views.
fn views(batch: &TrainingBatch<'_>) -> Result<((u32, u32), Vec<u8>)> {
    let (count, height, width, _) = batch.views.dims4()?;
    let images = batch.labels.len();
    let views = batch.views.to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
    let view = |index: usize| -> Result<Image> {
        let pixels = views.get(index)?.flatten_all()?.to_vec1()?;
        Ok(Image::new(height, width, pixels)?)
    };
    let row = |image: usize| (image..count).step_by(images.max(1)).map(view).collect();
    let rows = (0..images.min(IMAGES))
        .map(row)
        .collect::<Result<Vec<_>>>()?;
    let grid = image_grid(&rows)?;
    // Sides that are larger do not fit in memory either.
    let size = (grid.width() as u32, grid.height() as u32);
    Ok((size, grid.data().to_vec()))
}

fn foreign(error: simclr_tensorboard::Error) -> Error {
    Error::Foreign(error.into())
}
