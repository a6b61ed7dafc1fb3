//! The losses of SimCLRv2 as differentiable functions of candle tensors:
//! [`NtXent`] for pretraining, softmax [`cross_entropy`] for labels, and [`DistillationLoss`].
//! They know nothing of networks: any candle model can use them.
//!
//! Each takes f16, bf16, f32 and f64 on any device; half precision is computed in f32. For f32
//! on the CPU, NT-Xent and cross-entropy have fused forms, the former without the matrix of all
//! similarities. The functions choose by themselves.
//!
//! ```
//! use candle_core::{Device, Var};
//! use simclr_loss::NtXent;
//!
//! // Four images, two views each: first all first views, then all second views.
//! let embeddings = Var::randn(0f32, 1.0, (8, 16), &Device::Cpu)?;
//! let output = NtXent { temperature: 0.5, ..NtXent::default() }.forward(&embeddings)?;
//! let gradients = output.loss.backward()?;
//! assert_eq!(gradients.get(&embeddings).map(|g| g.dims()), Some(&[8, 16][..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Signatures show tensors of candle-core 0.11, re-exported as [`candle_core`].

mod cross_entropy;
mod distillation;
mod error;
mod nt_xent;
mod tensors;
mod vector;

pub use candle_core;
pub use cross_entropy::cross_entropy;
pub use distillation::{DistillationLoss, distillation_loss};
pub use error::{Error, Result};
pub use nt_xent::{LossScale, NegativeMask, NtXent, NtXentOutput};

/// The program of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
