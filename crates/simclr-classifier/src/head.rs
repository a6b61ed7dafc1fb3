//! From features to logits.

use candle_core::{Device, Tensor};
use simclr_eval::analysis::{nearest_neighbours, unit_rows};
use simclr_eval::probes::{Examples, KNearest, LinearHead};

use crate::error::Result;

/// Votes are at least so large, so that they have a logarithm.
const LEAST_VOTE: f32 = 1e-6;

/// Features of training images.
#[derive(Debug, Clone)]
pub(crate) struct Bank {
    /// `[images, size]`.
    pub(crate) features: Tensor,
    /// The images' classes.
    pub(crate) labels: Vec<u32>,
}

impl Bank {
    /// The distance of each row of features to its `count`-th nearest of the bank: one minus the
    /// cosine of their angle.
    pub(crate) fn novelty(&self, features: &Tensor, count: usize) -> Result<Vec<f64>> {
        let nearest = nearest_neighbours(features, &self.features, count)?;
        let distance = |row: &Vec<simclr_eval::analysis::Neighbour>| {
            row.last()
                .map_or(2.0, |neighbour| 1.0 - f64::from(neighbour.similarity))
        };
        Ok(nearest.iter().map(distance).collect())
    }
}

/// What turns features into logits; a fine-tuned network has its own.
#[derive(Debug, Clone)]
pub(crate) enum Head {
    Linear {
        head: LinearHead,
        unit_length: bool,
    },
    Neighbours {
        settings: KNearest,
        /// The bank's features, flat.
        features: Vec<f32>,
    },
    FineTuned,
}

impl Head {
    /// Logits of features `[n, size]`, `[n, classes]` flat; nothing of a fine-tuned network.
    pub(crate) fn logits(
        &self,
        features: &Tensor,
        bank: &Bank,
        classes: usize,
    ) -> Result<Vec<f32>> {
        match self {
            Self::Linear { head, unit_length } => {
                let features = if *unit_length {
                    unit_rows(features)?
                } else {
                    features.clone()
                };
                Ok(head.logits(&features)?.detach().flatten_all()?.to_vec1()?)
            }
            Self::Neighbours {
                settings,
                features: bank_features,
            } => {
                let (rows, size) = features.dims2()?;
                let queries: Vec<f32> = features.flatten_all()?.to_vec1()?;
                // Labels of queries are not looked at.
                let none = vec![0; rows];
                let train = Examples::new(bank_features, size, &bank.labels)?;
                let votes =
                    settings.scores(train, Examples::new(&queries, size, &none)?, classes)?;
                Ok(votes
                    .into_iter()
                    .map(|vote| vote.max(LEAST_VOTE).ln())
                    .collect())
            }
            Self::FineTuned => Ok(Vec::new()),
        }
    }
}

/// A matrix on the CPU.
pub(crate) fn matrix(values: &[f32], width: usize) -> Result<Tensor> {
    let rows = values.len().checked_div(width).unwrap_or(0);
    Ok(Tensor::from_slice(values, (rows, width), &Device::Cpu)?)
}
