//! NT-Xent for f32 on the CPU, forward and backward, without the matrix of all similarities.
//!
//! All `2n` views form one symmetric matrix of similarities `s_ij = z_i . z_j / T`.
//! The forward pass computes its upper triangle in stripes of rows and keeps, per
//! row, only a shift `m_i` and the sum of `exp(s_ij - m_i)`. The backward pass computes
//! the upper triangle again in square blocks and turns each, while in cache, into its
//! part of the gradient:
//!
//! ```text
//! n T dloss/dz_i = sum_j (p_ij + p_ji) z_j - 2 z_partner(i),   p_ij = exp(s_ij - m_i) / sum_i
//! ```
//!
//! Pairs that a mask leaves out have `p_ij = 0`, in both passes.
//!
//! Work is cut by the number of views alone and summed in a fixed order: the
//! result does not depend on the number of threads.

mod backward;
mod forward;
mod op;
mod product;
mod stripe;
mod views;

pub(super) use op::forward;
