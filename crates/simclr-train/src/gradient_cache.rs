//! Gradient caching: the gradient of a loss over a batch of any size in the memory of a chunk
//! (Gao et al., 2021, "Scaling deep contrastive learning batch size under memory limited setup").
//!
//! The batch is embedded chunk by chunk without anything saved, and the loss and its gradient
//! with respect to the embeddings are computed over all of them. Then each chunk is embedded once
//! more, and its part of that gradient goes back through the network. The parameters' gradients
//! add up to that of the whole batch, since each embedding depends on its own chunk alone.

use std::ops::Range;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use simclr_kernels::backward;
use simclr_model::{Mode, SimClr};

use crate::error::{Error, Result};
use crate::objective::{EmbeddingObjective, Embeddings, Loss, TrainingBatch};

/// A batch that is embedded chunk by chunk.
pub(crate) struct ChunkedBatch<'a> {
    objective: &'a dyn EmbeddingObjective,
    batch: &'a TrainingBatch<'a>,
    images: usize,
    chunks: usize,
}

/// The embeddings of a batch, as the variables that its loss depends on.
pub(crate) struct CachedEmbeddings {
    projection: Var,
    logits: Option<Var>,
}

/// In how many chunks of at most `images` images a batch is divided.
fn chunk_count(images: usize, batch: usize) -> usize {
    batch.div_ceil(images.max(1))
}

/// Images of the largest chunk: without a gradient cache, of the batch.
pub(crate) fn largest_chunk(gradient_cache: Option<usize>, batch: usize) -> usize {
    let chunks = gradient_cache.map_or(1, |images| chunk_count(images, batch));
    batch.div_ceil(chunks.max(1))
}

/// Fails if a chunk would hold a single image.
pub(crate) fn check_chunks(images: usize, batch: usize) -> Result<()> {
    if images >= 2 && batch / chunk_count(images, batch).max(1) >= 2 {
        return Ok(());
    }
    let expected = format!("at least 2 images in each chunk of a batch of {batch}");
    Err(Error::setting("gradient cache", expected, images))
}

impl<'a> ChunkedBatch<'a> {
    /// A batch in chunks of at most `chunk` images.
    pub(crate) fn new(
        objective: &'a dyn EmbeddingObjective,
        batch: &'a TrainingBatch<'a>,
        chunk: usize,
    ) -> Result<Self> {
        let images = batch.images(objective.views())?;
        Ok(Self {
            objective,
            batch,
            images,
            chunks: chunk_count(chunk, images),
        })
    }

    /// In how many chunks the batch is divided.
    pub(crate) fn len(&self) -> usize {
        self.chunks
    }

    /// The images of each chunk.
    fn chunks(&self) -> impl Iterator<Item = Range<usize>> {
        let (images, chunks) = (self.images, self.chunks);
        (0..chunks).map(move |i| i * images / chunks..(i + 1) * images / chunks)
    }

    /// The loss of the whole batch, from embeddings for which nothing was saved.
    pub(crate) fn loss(&self, model: &SimClr) -> Result<(Loss, CachedEmbeddings)> {
        let mut parts = Vec::new();
        for chunk in self.chunks() {
            let views = self.rows(self.batch.views, &chunk)?;
            let output = model.forward(&views, Mode::TrainNoGrad)?;
            parts.push((chunk, Embeddings::from(output)));
        }
        let projections = parts.iter().map(|(chunk, part)| (chunk, &part.projection));
        let projection = Var::from_tensor(&self.join(projections)?)?;
        let logits = parts
            .iter()
            .map(|(chunk, part)| Some((chunk, part.logits.as_ref()?)));
        let logits = logits.collect::<Option<Vec<_>>>();
        let logits = logits
            .map(|logits| Ok::<_, Error>(Var::from_tensor(&self.join(logits)?)?))
            .transpose()?;
        let embeddings = Embeddings {
            projection: projection.as_tensor().clone(),
            logits: logits.as_ref().map(|logits| logits.as_tensor().clone()),
        };
        let loss = self.objective.loss_of(&embeddings, self.batch)?;
        Ok((loss, CachedEmbeddings { projection, logits }))
    }

    /// The gradients of `total`, which depends on the embeddings and perhaps on parameters.
    pub(crate) fn gradients(
        &self,
        model: &SimClr,
        total: &Tensor,
        cached: &CachedEmbeddings,
    ) -> Result<GradStore> {
        let mut gradients = backward(total)?;
        let projection = gradients.remove(&cached.projection);
        let logits = cached.logits.as_ref();
        let logits = logits.and_then(|logits| gradients.remove(logits));
        for chunk in self.chunks() {
            let views = self.rows(self.batch.views, &chunk)?;
            let output = Embeddings::from(model.forward(&views, Mode::Train)?);
            let outputs = [
                (Some(output.projection), &projection),
                (output.logits, &logits),
            ];
            // Its gradient with respect to the embeddings is their part of that of the loss.
            let mut terms = Vec::new();
            for (output, gradient) in outputs {
                if let (Some(output), Some(gradient)) = (output, gradient) {
                    terms.push((output * self.rows(gradient, &chunk)?)?.sum_all()?);
                }
            }
            if !terms.is_empty() {
                let product = Tensor::stack(&terms, 0)?.sum_all()?;
                gradients.extend(backward(&product)?)?;
            }
        }
        Ok(gradients)
    }

    /// The rows of some images: of all first views, then of all second ones.
    fn rows(&self, tensor: &Tensor, images: &Range<usize>) -> Result<Tensor> {
        let views = (0..self.objective.views()).map(|view| {
            let start = view * self.images + images.start;
            tensor.narrow(0, start, images.len())
        });
        let views = views.collect::<candle_core::Result<Vec<_>>>()?;
        Ok(Tensor::cat(&views, 0)?)
    }

    /// The rows of all images, from those of each chunk.
    fn join<'t>(
        &self,
        parts: impl IntoIterator<Item = (&'t Range<usize>, &'t Tensor)>,
    ) -> Result<Tensor> {
        let parts: Vec<_> = parts.into_iter().collect();
        let rows = (0..self.objective.views()).flat_map(|view| {
            let of_view = move |&(chunk, part): &(&Range<usize>, &Tensor)| {
                part.narrow(0, view * chunk.len(), chunk.len())
            };
            parts.iter().map(of_view)
        });
        let rows = rows.collect::<candle_core::Result<Vec<_>>>()?;
        Ok(Tensor::cat(&rows, 0)?)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use simclr_loss::NtXent;
    use simclr_model::{Freeze, ProjectionHeadConfig, ResNetConfig, SimClrConfig, Stem};
    use simclr_testkit::{Tolerance, formula_values, seeds};

    use super::*;
    use crate::contrastive::ContrastiveObjective;
    use crate::objective::Objective;

    const IMAGES: usize = 5;
    const OBJECTIVE: ContrastiveObjective = ContrastiveObjective {
        loss: NtXent {
            temperature: 0.5,
            normalize: true,
            scale: simclr_loss::LossScale::Original,
        },
    };

    fn model(projection_head: ProjectionHeadConfig) -> SimClr {
        let encoder = ResNetConfig::depth(18)
            .with_stem(Stem::Cifar)
            .with_zero_init_last_gamma(false);
        let config = SimClrConfig::new(encoder)
            .with_projection_head(projection_head)
            .with_classes(3);
        SimClr::initialize(&config, seeds::WEIGHTS, &Device::Cpu).unwrap()
    }

    fn views() -> Tensor {
        let values = formula_values("views", 2 * IMAGES * 16 * 16 * 3, 0.0, 1.0);
        Tensor::from_vec(values, (2 * IMAGES, 16, 16, 3), &Device::Cpu).unwrap()
    }

    fn with_batch<R>(work: impl FnOnce(&TrainingBatch<'_>) -> R) -> R {
        let (views, labels) = (views(), [0, 1, 2, 1, 0].map(Some));
        let pairs = [(0, 1), (0, 6), (3, 9), (8, 2)];
        let mask = simclr_loss::NegativeMask::new(IMAGES, pairs).unwrap();
        work(&TrainingBatch {
            negative_mask: Some(&mask),
            ..TrainingBatch::new(&views, &labels)
        })
    }

    fn total(loss: &Loss) -> Tensor {
        Tensor::stack(&loss.terms, 0).unwrap().sum_all().unwrap()
    }

    /// Metrics, gradients by name, and the moving statistics afterwards.
    type Step = (Vec<f64>, Vec<(String, Vec<f32>)>, Vec<Vec<f32>>);

    fn flat(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn result(model: &SimClr, loss: &Loss, gradients: &GradStore) -> Step {
        let named = model.trainable().into_iter();
        let gradients = named.filter_map(|(name, v)| Some((name, flat(gradients.get(&v)?))));
        let moving = model
            .parameters()
            .filter(|parameter| !parameter.spec.role.is_trainable());
        (
            loss.metrics.iter().map(|metric| metric.1).collect(),
            gradients.collect(),
            moving.map(|parameter| flat(&parameter.variable)).collect(),
        )
    }

    fn plain(model: &SimClr) -> Step {
        with_batch(|batch| {
            let loss = OBJECTIVE.loss(model, batch).unwrap();
            let gradients = backward(&total(&loss)).unwrap();
            result(model, &loss, &gradients)
        })
    }

    fn cached(model: &SimClr, chunk: usize) -> Step {
        with_batch(|batch| {
            let chunked = ChunkedBatch::new(&OBJECTIVE, batch, chunk).unwrap();
            let (loss, embeddings) = chunked.loss(model).unwrap();
            let gradients = chunked.gradients(model, &total(&loss), &embeddings);
            result(model, &loss, &gradients.unwrap())
        })
    }

    fn assert_near(step: &Step, expected: &Step) {
        let tolerance = Tolerance::relative_l2(2e-5);
        assert_eq!(step.1.len(), expected.1.len());
        for ((name, gradient), (expected_name, expected)) in step.1.iter().zip(&expected.1) {
            assert_eq!(name, expected_name);
            let comparison = tolerance.compare(gradient, expected);
            assert!(!comparison.failed(), "{name}: {comparison:?}");
        }
        assert_eq!(step.2, expected.2, "moving statistics");
    }

    #[test]
    fn one_chunk_gives_the_bits_of_the_plain_step() {
        let new = || model(ProjectionHeadConfig::default());
        let expected = plain(&new());
        assert_eq!(expected.1.len(), new().trainable().len());
        assert_eq!(cached(&new(), IMAGES), expected);
        assert_ne!(cached(&new(), 2).1, expected.1, "statistics per chunk");
    }

    #[test]
    fn chunks_give_the_gradient_of_one_graph_with_statistics_per_chunk() {
        let head = ProjectionHeadConfig::default();
        let (by_hand, step) = (model(head.clone()), cached(&model(head), 3));
        // Five images in chunks of at most three are two and three.
        let views = views();
        let rows = |first: usize, count| views.narrow(0, first, count).unwrap();
        let chunk = |first, count| {
            let views = [rows(first, count), rows(IMAGES + first, count)];
            let views = Tensor::cat(&views, 0).unwrap();
            by_hand.forward(&views, Mode::Train).unwrap()
        };
        let (a, b) = (chunk(0, 2), chunk(2, 3));
        let join = |a: &Tensor, b: &Tensor| {
            let (a, b) = (a.chunk(2, 0).unwrap(), b.chunk(2, 0).unwrap());
            Tensor::cat(&[&a[0], &b[0], &a[1], &b[1]], 0).unwrap()
        };
        let embeddings = Embeddings {
            projection: join(&a.projection, &b.projection),
            logits: Some(join(a.logits.as_ref().unwrap(), b.logits.as_ref().unwrap())),
        };
        let loss = with_batch(|batch| OBJECTIVE.loss_of(&embeddings, batch).unwrap());
        let gradients = backward(&total(&loss)).unwrap();
        let expected = result(&by_hand, &loss, &gradients);
        assert_eq!(step.0, expected.0, "the loss and its metrics");
        assert_near(&step, &expected);
    }

    #[test]
    fn where_batch_norm_takes_no_statistics_chunks_change_nothing_but_rounding() {
        let frozen = || {
            let mut model = model(ProjectionHeadConfig::none());
            model.set_freeze(Freeze::AfterBlock(4)).unwrap();
            model
        };
        let (step, expected) = (cached(&frozen(), 2), plain(&frozen()));
        assert_eq!(step.1.len(), 2, "kernel and bias of the supervised head");
        assert_near(&step, &expected);
        for (a, b) in step.0.iter().zip(&expected.0) {
            assert!((a - b).abs() <= 1e-5 * b.abs(), "{a} {b}");
        }
    }

    #[test]
    fn the_sizes_of_chunks_differ_by_one_at_most_and_none_is_one_image() {
        let views = Tensor::zeros((2 * 10, 1), candle_core::DType::F32, &Device::Cpu).unwrap();
        let batch = TrainingBatch::new(&views, &[]);
        let sizes = |chunk| {
            let batch = ChunkedBatch::new(&OBJECTIVE, &batch, chunk).unwrap();
            batch.chunks().map(|chunk| chunk.len()).collect::<Vec<_>>()
        };
        assert_eq!(sizes(4), [3, 3, 4]);
        assert_eq!(sizes(5), [5, 5]);
        assert_eq!(sizes(99), [10]);
        for (chunk, batch, fits) in [(2, 4, true), (2, 3, false), (1, 8, false), (0, 8, false)] {
            assert_eq!(
                check_chunks(chunk, batch).is_ok(),
                fits,
                "{chunk} of {batch}"
            );
        }
        let odd = views.narrow(0, 0, 5).unwrap();
        let batch = TrainingBatch::new(&odd, &[]);
        assert!(ChunkedBatch::new(&OBJECTIVE, &batch, 2).is_err());
    }
}
