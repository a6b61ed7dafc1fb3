use candle_core::{Device, Tensor};

use crate::error::Result;

/// Views of some images, with their labels if they have any.
#[derive(Debug, Clone)]
pub struct Batch {
    /// `[views * n, height, width, 3]` f32 in [0, 1]: the first views of all n
    /// images, then the second views in the same order, and so on.
    pub views: Tensor,
    /// `[n]` u32, of the first views; `None` unless every image of the batch has a label.
    pub labels: Option<Tensor>,
    /// The n images' indices in the data set.
    pub indices: Vec<usize>,
    /// With a [`negative_distance`](crate::DepthGuidance::negative_distance), the pairs of views
    /// that are nearer to each other, as rows of the views of the whole batch, all shards'
    /// included: the first views of all images, then the second ones.
    pub near_views: Option<Vec<(usize, usize)>>,
    /// The step's number, counted from the beginning of epoch 0.
    pub step: usize,
    /// The epoch of the batch's first image.
    pub epoch: usize,
}

impl Batch {
    /// How many images there are.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Never: a batch has at least one image.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// The same batch on another device; loaders make theirs on the CPU.
    ///
    /// # Errors
    /// If the copy fails.
    pub fn to_device(self, device: &Device) -> Result<Self> {
        let labels = self.labels.map(|labels| labels.to_device(device));
        Ok(Self {
            views: self.views.to_device(device)?,
            labels: labels.transpose()?,
            ..self
        })
    }
}
