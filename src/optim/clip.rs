//! Gradient clipping.

use crate::dsl::Tensor;
use crate::dsl::setting::positive;
use ir::DType;

/// How gradients are restricted.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Clip {
    /// Every element to `[-limit, limit]`.
    Value(f64),
    /// All gradients times `limit / max(norm, limit)`, where the norm is that of all their elements together
    /// (Pascanu, Mikolov and Bengio, arXiv 1211.5063).
    GlobalNorm(f64),
}

impl Clip {
    pub(super) fn check(self) -> Result<(), String> {
        let (Self::Value(limit) | Self::GlobalNorm(limit)) = self;
        positive("the limit of clipping", limit)
    }

    /// The clipped gradients.
    #[track_caller]
    pub fn apply(self, gradients: &[Tensor]) -> Vec<Tensor> {
        let mut clipped = Vec::with_capacity(gradients.len());
        match self {
            Self::Value(limit) => {
                for gradient in gradients {
                    clipped.push(gradient.clamp(-limit, limit));
                }
            }
            Self::GlobalNorm(limit) => {
                let Some(scale) = global_scale(gradients, limit) else { return gradients.to_vec() };
                for gradient in gradients {
                    let Some(dtype) = gradient.dtype() else { return gradients.to_vec() };
                    clipped.push(gradient * scale.cast(dtype));
                }
            }
        }
        clipped
    }
}

/// `limit / max(norm of all gradients, limit)`.
#[track_caller]
fn global_scale(gradients: &[Tensor], limit: f64) -> Option<Tensor> {
    Some(limit / global_norm(gradients)?.maximum(limit))
}

/// The norm of all elements of all gradients together, a scalar: `f64` if one of them is, else `f32`. `None` without gradients, or with a poisoned one.
#[track_caller]
pub(super) fn global_norm(gradients: &[Tensor]) -> Option<Tensor> {
    let mut dtype = DType::F32;
    for gradient in gradients {
        if gradient.dtype()? == DType::F64 {
            dtype = DType::F64;
        }
    }
    let squares = gradients.iter().map(|gradient| gradient.cast(dtype).square().sum());
    squares.reduce(|all, next| all + next).map(|squares| squares.sqrt())
}
