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
    /// Of what a training pass saves of it, its result included.
    saved: usize,
    /// Of what is there at once in a pass that saves nothing.
    forward: usize,
    /// Of gradients that are there at once in the backward pass.
    backward: usize,
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
    /// assert_eq!(numbers(GradientCheckpointing::None)?, 17_837_568);
    /// assert!(2 * numbers(GradientCheckpointing::PerBlock)? < 17_837_568);
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
        let (mut most, mut kept, mut input) = (0, 0, 0);
        for part in &parts {
            let is_saved = !part.is_frozen && checkpointing == GradientCheckpointing::None;
            let inside = if is_saved { part.saved } else { part.forward };
            most = most.max(kept + input + inside);
            // What is kept holds the next one's input, except in frozen parts.
            let held = part.held.max(part.kept(checkpointing));
            kept += held;
            input = if held == 0 { part.output } else { 0 };
        }
        let mut kept = 0;
        for part in &parts {
            if !part.is_frozen {
                most = most.max(kept + part.saved + part.backward);
            }
            kept += part.kept(checkpointing);
        }
        Ok(most)
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
                parts.push(Part { is_frozen, ..part });
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
            saved: 2 * map,
            forward: (2 * map).max(map + images),
            backward: map + output,
            is_frozen: false,
        };
        if self.stem == Stem::ImageNet {
            part.saved += output;
            part.forward += output;
        }
        if self.stem == Stem::ImageNet && self.is_resnet_d() {
            // Two convolutions of half as many channels, and their batch norms.
            part.saved += 2 * map;
        }
        (part, pooled)
    }

    fn block_part(&self, shape: BlockShape, size: (usize, usize)) -> Part {
        let pixels_after = pixels(strided(size, shape.stride));
        let output = pixels_after * shape.output();
        let middle = pixels_after * shape.filters;
        let mut part = Part {
            output,
            // The last convolution and the result.
            saved: 2 * output,
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
                    // The normalised input; both streams before and after batch norm, their
                    // difference and its product with the gate.
                    part.saved += first + 6 * middle;
                    part.forward = part.forward.max(first + 7 * middle);
                    part.backward = part.backward.max(8 * middle);
                }
            }
        }
        if self.se_ratio > 0.0 {
            // The normalised map, its product with the gate, the shortcut and the sum.
            part.saved += 4 * output;
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

fn pixels((height, width): (usize, usize)) -> usize {
    height * width
}

/// The size after a layer of this stride.
fn strided((height, width): (usize, usize), stride: usize) -> (usize, usize) {
    (height.div_ceil(stride), width.div_ceil(stride))
}
