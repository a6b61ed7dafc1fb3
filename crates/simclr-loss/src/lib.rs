//! The losses of SimCLRv2 as differentiable functions of candle tensors:
//! NT-Xent for pretraining, softmax cross-entropy for labels, and distillation.
//!
//! Each has a fused form for f32 on the CPU, which never holds the matrix of all
//! similarities, and a composite form of stock candle operations for every other
//! device and type. The functions choose by themselves.
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

mod cross_entropy;
mod distillation;
mod error;
mod nt_xent;
mod vector;

pub use cross_entropy::cross_entropy;
pub use distillation::{DistillationLoss, distillation_loss};
pub use error::{Error, Result};
pub use nt_xent::{LossScale, NtXent, NtXentOutput};
