//! ResNets, projection and supervised heads of SimCLRv2 on candle.
//!
//! [`SimClr`] is the whole model: an [`Encoder`] f from images to representations h, a
//! [`ProjectionHead`] g from h to the z that the contrastive loss compares, and, if labels are
//! at hand, a [`SupervisedHead`] to logits. Each of them can be used alone.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use simclr_model::{Freeze, Mode, ResNetConfig, SimClr, SimClrConfig, Stem};
//!
//! # fn main() -> simclr_model::Result<()> {
//! let encoder = ResNetConfig::depth(18).with_stem(Stem::Cifar);
//! let mut model = SimClr::initialize(&SimClrConfig::new(encoder), 42, &Device::Cpu)?;
//! model.set_freeze(Freeze::AfterBlock(2))?;
//!
//! // Two views of three images: rows 0 to 2 are the first views, 3 to 5 the second.
//! let views = Tensor::rand(0f32, 1f32, (6, 8, 8, 3), &Device::Cpu)?;
//! let output = model.forward(&views, Mode::Train)?;
//! let gradients = output.z().sqr()?.mean_all()?.backward()?;
//! for (name, variable) in model.trainable() {
//!     assert!(gradients.get(&variable).is_some(), "{name}");
//! }
//!
//! // After training: features from an encoder that nothing can change by accident.
//! let features = model.encoder().frozen().features(&views)?;
//! assert_eq!(features.final_avg_pool.dims(), [6, 512]);
//! # Ok(())
//! # }
//! ```
//!
//! # Images
//! Images are NHWC, RGB, f32 in [0, 1]. Networks that were trained on normalised input carry
//! their [`InputNormalization`] in the configuration and apply it themselves.
//!
//! # Parameters
//! All parameters live in named variables. [`ResNetConfig::parameter_specs`] and its relatives
//! list them with shape, role and the original's name before anything is built;
//! [`Parameters`] draws their initial values from a seed and hands them out through candle's
//! [`VarBuilder`](candle_nn::VarBuilder). Any other `VarBuilder` does too, a
//! [`VarMap`](candle_nn::VarMap)'s or that of a memory-mapped file.
//!
//! ## Names
//! The names are part of the file format and do not change. `[i]` stands for a number from 0,
//! `[g]` for 1 to 4.
//!
//! | name | shape | where |
//! | --- | --- | --- |
//! | `encoder.stem.conv.kernel` | `[7, 7, 3, 64 w]` | ImageNet stem (`[3, 3, 3, 64 w]`: CIFAR stem) |
//! | `encoder.stem.batch_norm.*` | `[64 w]` | both |
//! | `encoder.stem.conv[1-3].kernel`, `encoder.stem.batch_norm[1-3].*` | | ResNet-D stem, with `sk_ratio > 0` |
//! | `encoder.block_group[g].block[i].shortcut.conv.kernel`, `...shortcut.batch_norm.*` | `[1, 1, in, out]` | first block of a group; not in group 1 of ResNet-18 and -34 with `identity_shortcuts` |
//! | `encoder.block_group[g].block[i].conv[1-3].kernel`, `...batch_norm[1-3].*` | | 1 and 2 in ResNet-18 and -34, 1 to 3 in the others |
//! | `....selective_kernel.conv.kernel`, `.batch_norm.*` | `[3, 3, f, 2 f]` | instead of `conv2`, with `sk_ratio > 0` |
//! | `....selective_kernel.reduce.kernel`, `.reduce_batch_norm.*`, `.expand.kernel` | `[1, 1, f, m]`, `[m]`, `[1, 1, m, 2 f]` | its gate |
//! | `....squeeze_excitation.reduce.kernel`, `.reduce.bias`, `.expand.kernel`, `.expand.bias` | `[1, 1, out, m]`, ... | with `se_ratio > 0` |
//! | `projection_head.layer[i].dense.kernel` | `[in, out]` | |
//! | `projection_head.layer[i].batch_norm.*` | `[out]` | without `beta` in the last layer |
//! | `supervised_head.dense.kernel`, `supervised_head.dense.bias` | `[in, classes]`, `[classes]` | |
//!
//! `batch_norm.*` stands for `gamma`, `beta`, `moving_mean` and `moving_variance`. Convolution
//! kernels are `[height, width, in, out]`, dense kernels `[in, out]`, as in TensorFlow.
//!
//! # Freezing
//! [`Freeze`] is a policy of the encoder and holds in every training mode.
//! [`Freeze::AfterBlock`] leaves the first layers alone entirely;
//! [`Freeze::AfterBlockOriginal`] does what the original does, whose frozen layers still update
//! their moving statistics. [`Encoder::frozen`] gives a type that can do nothing but infer.
//!
//! # Memory
//! A training pass saves its activations for the backward pass. With gradient checkpointing
//! ([`GradientCheckpointing::PerBlock`]) it saves the blocks' inputs alone and computes the
//! rest twice, with the same gradients to the last bit.
//!
//! # Versions
//! Signatures show types of candle 0.11, re-exported as [`candle_core`] and [`candle_nn`].

mod activation_memory;
mod batch_norm_calibration;
mod builder;
mod checks;
mod config;
mod encoder;
mod encoder_output;
mod error;
mod freeze;
mod frozen_encoder;
mod gradient_checkpointing;
mod initialize;
mod layers;
mod load_report;
mod parameter;
mod parameters;
mod projection_head;
mod setters;
mod simclr;
mod supervised_head;

pub use builder::Parameter;
pub use candle_core;
pub use candle_nn;
pub use config::{InputNormalization, ResNetConfig, Stem, StemPooling, StridePlacement};
pub use encoder::Encoder;
pub use encoder_output::EncoderOutput;
pub use error::{Error, Result};
pub use freeze::{Freeze, Mode};
pub use frozen_encoder::FrozenEncoder;
pub use gradient_checkpointing::GradientCheckpointing;
pub use load_report::{LoadReport, ShapeDifference};
pub use parameter::{Initializer, ModelStage, ParameterSpec, Role};
pub use parameters::Parameters;
pub use projection_head::{
    FineTuneFrom, ProjectionHead, ProjectionHeadConfig, ProjectionKind, ProjectionOutput,
};
pub use simclr::{SimClr, SimClrConfig, SimClrOutput};
pub use simclr_kernels::Backend;
pub use supervised_head::{SupervisedHead, SupervisedHeadConfig};

/// The program of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
