//! Sliding windows over the spatial axes of `[batch, spatial..., channels]` tensors: pooling and its gradients.
//!
//! The family is closed under differentiation: `pool_sum` and `pool_sum_grad` are each other's derivative, and so are
//! `pool_max_grad` and `pool_max_take` (by their second operand; both are linear in it). `unpool` is what `pool_max_grad` becomes where
//! the places of the maxima have been kept by `pool_argmax`.

mod eval;
mod geometry;
mod grad;
mod place;
mod pool;

pub use geometry::Window;
pub(super) use geometry::{image, image_shape, numbers, same_dtype, spatial_of_result};
pub use grad::{PoolMaxGrad, PoolMaxTake, PoolSumGrad};
pub use place::{PoolArgMax, Unpool};
pub use pool::{Pool, PoolKind};
