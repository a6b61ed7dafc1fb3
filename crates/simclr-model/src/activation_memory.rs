//! How many numbers of feature maps a training step holds at once.

use crate::config::{BlockKind, ResNetConfig, Stem, StridePlacement};
use crate::error::Result;
use crate::freeze::Freeze;
use crate::gradient_checkpointing::GradientCheckpointing;
use crate::layers::block::BlockShape;
use crate::layers::stem::IMAGE_CHANNELS;
use crate::parameter::ModelStage;

/// The stem or a block, in numbers per image.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    /// Of its result.
    output: usize,
    /// Of what [`EncoderOutput`](crate::EncoderOutput) holds of it until the end of the forward
    /// pass.
    held: usize,
    /// Of what a training pass saves of it until the backward pass.
    saved: usize,
    /// Of results of batch norms within it, which the backward pass computes again.
    recomputed: usize,
    /// Whether its result is that of a batch norm.
    output_is_batch_norm: bool,
    /// Of what is there at once in a pass that saves nothing.
    forward: usize,
    /// Of gradients that are there at once in the backward pass.
    backward: usize,
    /// The group of blocks, or 0 for the stem.
    group: usize,
    is_frozen: bool,
}

impl Part {
    /// What of the part is there until the backward pass comes to it.
    fn kept(&self, checkpointing: GradientCheckpointing) -> usize {
        match checkpointing {
            _ if self.is_frozen => 0,
            GradientCheckpointing::None => self.saved,
            GradientCheckpointing::PerBlock => self.output,
        }
    }

    /// Whether a training pass saves what lies within it.
    fn is_saved(&self, checkpointing: GradientCheckpointing) -> bool {
        !self.is_frozen && checkpointing == GradientCheckpointing::None
    }

    /// Whether its result is not kept, but computed again in the backward pass.
    fn recomputes_output(&self, checkpointing: GradientCheckpointing) -> bool {
        self.output_is_batch_norm && self.is_saved(checkpointing)
    }

    /// What of the part is there until the end of the forward pass.
    fn held(&self, checkpointing: GradientCheckpointing) -> usize {
        let kept = self.kept(checkpointing);
        if self.recomputes_output(checkpointing) {
            kept + self.held
        } else {
            kept.max(self.held)
        }
    }

    /// All of it in a pass that saves what the backward pass needs.
    fn whole(&self) -> usize {
        self.saved + self.recomputed
    }
}

impl ResNetConfig {
    /// The most numbers (f32) of feature maps and of their gradients that a training step holds
    /// at once for each image of this height and width: what the fused form on the CPU saves for
    /// the backward pass, and what a pass works on besides. Images, parameters and buffers that
    /// lie idle are not among them.
    ///
    /// ```
    /// use simclr_model::{Freeze, GradientCheckpointing, ResNetConfig};
    ///
    /// let numbers = |checkpointing| {
    ///     ResNetConfig::depth(50).activation_memory((224, 224), Freeze::None, checkpointing)
    /// };
    /// assert_eq!(numbers(GradientCheckpointing::None)?, 12_920_320);
    /// assert!(3 * numbers(GradientCheckpointing::PerBlock)? < 2 * 12_920_320);
    /// # Ok::<(), simclr_model::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for an invalid configuration, [`crate::Error::ImageTooSmall`].
    pub fn activation_memory(
        &self,
        (height, width): (usize, usize),
        freeze: Freeze,
        checkpointing: GradientCheckpointing,
    ) -> Result<usize> {
        self.validate()?;
        self.check_image_size(height, width)?;
        let parts = self.parts((height, width), freeze)?;
        Ok(most_forward(&parts, checkpointing).max(most_backward(&parts, checkpointing)))
    }

    fn parts(&self, image: (usize, usize), freeze: Freeze) -> Result<Vec<Part>> {
        let (stem, mut size) = self.stem_part(image);
        let mut parts = vec![Part {
            is_frozen: freeze.freezes(ModelStage::Stem),
            ..stem
        }];
        for (group, shapes) in (1..).zip(BlockShape::all(self)?) {
            for &shape in &shapes {
                let is_frozen = freeze.freezes(ModelStage::BlockGroup(group));
                let part = self.block_part(shape, size);
                parts.push(Part {
                    group,
                    is_frozen,
                    ..part
                });
                size = strided(size, shape.stride);
            }
            if let Some(last) = parts.last_mut() {
                last.held = last.output;
            }
        }
        Ok(parts)
    }

    /// The stem, and the height and width of its result.
    fn stem_part(&self, image: (usize, usize)) -> (Part, (usize, usize)) {
        let channels = self.filters(1);
        let (size, pooled) = match self.stem {
            Stem::Cifar => (image, image),
            Stem::ImageNet => (strided(image, 2), strided(image, 4)),
        };
        let map = pixels(size) * channels;
        let output = pixels(pooled) * channels;
        let images = pixels(image) * IMAGE_CHANNELS;
        let mut part = Part {
            output,
            held: map + output,
            saved: map,
            recomputed: map,
            output_is_batch_norm: self.stem == Stem::Cifar,
            forward: (2 * map).max(map + images),
            backward: map + output,
            ..Part::default()
        };
        if self.stem == Stem::ImageNet {
            part.saved += output;
            part.forward += output;
        }
        if self.stem == Stem::ImageNet && self.is_resnet_d() {
            // Two convolutions of half as many channels, and their batch norms.
            part.saved += map;
            part.recomputed += map;
        }
        (part, pooled)
    }

    fn block_part(&self, shape: BlockShape, size: (usize, usize)) -> Part {
        let pixels_after = pixels(strided(size, shape.stride));
        let output = pixels_after * shape.output();
        let middle = pixels_after * shape.filters;
        let mut part = Part {
            output,
            // The last convolution.
            saved: output,
            recomputed: output,
            output_is_batch_norm: self.se_ratio == 0.0,
            forward: 2 * output,
            backward: 2 * output,
            ..Part::default()
        };
        match shape.kind {
            BlockKind::Basic => part.saved += middle,
            BlockKind::Bottleneck => {
                let first = match self.stride_placement {
                    StridePlacement::First => middle,
                    StridePlacement::Middle => pixels(size) * shape.filters,
                };
                part.saved += first + middle;
                part.forward = part.forward.max(first + middle);
                if self.sk_ratio > 0.0 {
                    // Both streams before and after batch norm, their difference and its product
                    // with the gate; the normalised input.
                    part.saved += 6 * middle;
                    part.recomputed += first;
                    part.forward = part.forward.max(first + 7 * middle);
                    part.backward = part.backward.max(8 * middle);
                }
            }
        }
        if self.se_ratio > 0.0 {
            // The normalised map, its product with the gate, the shortcut, the sum and the result.
            part.saved += 5 * output;
            part.recomputed -= output;
            part.forward = part.forward.max(5 * output);
            part.backward = part.backward.max(5 * output);
        }
        if shape.has_projection(self) {
            part.saved += output;
            part.forward += output;
            if self.is_resnet_d() {
                part.saved += pixels_after * shape.input;
            }
        }
        part
    }
}

/// The most that is there at once in the forward pass.
fn most_forward(parts: &[Part], checkpointing: GradientCheckpointing) -> usize {
    let (mut most, mut held, mut input) = (0, 0, 0);
    for part in parts {
        let inside = if part.is_saved(checkpointing) {
            part.whole()
        } else {
            part.forward
        };
        most = most.max(held + input + inside);
        held += part.held(checkpointing);
        // Unless it is held anyway.
        let is_kept = part.kept(checkpointing) > 0 && !part.recomputes_output(checkpointing);
        input = if is_kept || part.held > 0 {
            0
        } else {
            part.output
        };
    }
    most
}

/// The most that is there at once in the backward pass. The results of a group's blocks follow
/// from each other, so that all are computed again when the last one is needed.
fn most_backward(parts: &[Part], checkpointing: GradientCheckpointing) -> usize {
    let (mut most, mut kept) = (0, 0);
    let (mut group, mut results) = (0, 0);
    for part in parts {
        if !part.is_frozen {
            most = most.max(kept + results + part.whole() + part.backward);
        }
        kept += part.kept(checkpointing);
        if part.group != group {
            (group, results) = (part.group, 0);
        }
        if part.recomputes_output(checkpointing) {
            results += part.output;
        }
    }
    most
}

fn pixels((height, width): (usize, usize)) -> usize {
    height * width
}

/// The size after a layer of this stride.
fn strided((height, width): (usize, usize), stride: usize) -> (usize, usize) {
    (height.div_ceil(stride), width.div_ceil(stride))
}
