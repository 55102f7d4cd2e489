//! Activations made of straight pieces and parabolas.

use crate::dsl::Tensor;

/// `x / 6 + 1/2` restricted to [0, 1].
#[track_caller]
pub fn hard_sigmoid(x: &Tensor) -> Tensor {
    (x * (1.0 / 6.0) + 0.5).clamp(0.0, 1.0)
}

/// `x` times its hard sigmoid (Howard et al., arXiv 1905.02244).
#[track_caller]
pub fn hard_silu(x: &Tensor) -> Tensor {
    let wide = x.in_f32();
    (&wide * hard_sigmoid(&wide)).rounded_like(x)
}

/// `x` restricted to [-1, 1].
#[track_caller]
pub fn hard_tanh(x: &Tensor) -> Tensor {
    x.clamp(-1.0, 1.0)
}

/// `x` restricted to [0, 6].
#[track_caller]
pub fn relu6(x: &Tensor) -> Tensor {
    x.clamp(0.0, 6.0)
}

/// The rule that a threshold of magnitudes keeps.
#[track_caller]
fn check_lambda(op: &str, x: &Tensor, lambda: f64) -> Option<Tensor> {
    let is_sound = lambda >= 0.0 && lambda.is_finite();
    (!is_sound).then(|| x.fail(op, format!("the threshold must be finite and at least 0, not {lambda}")))
}

/// `x` where its magnitude is above `lambda`, else 0; `lambda` at least 0. A NaN stays.
#[track_caller]
pub fn hard_shrink(x: &Tensor, lambda: f64) -> Tensor {
    check_lambda("hard_shrink", x, lambda).unwrap_or_else(|| x.abs().le(lambda).logical_not().select(x, 0))
}

/// `x` moved towards 0 by `lambda`, 0 where its magnitude is not above it; `lambda` at least 0. A NaN stays.
#[track_caller]
pub fn soft_shrink(x: &Tensor, lambda: f64) -> Tensor {
    if let Some(poisoned) = check_lambda("soft_shrink", x, lambda) {
        return poisoned;
    }
    let moved = x.gt(0).select(&(x - lambda), &(x + lambda));
    x.abs().le(lambda).logical_not().select(&moved, 0)
}

/// `x` where it is above `limit`, else `below`: PyTorch's `Threshold`.
#[track_caller]
pub fn threshold(x: &Tensor, limit: f64, below: f64) -> Tensor {
    x.gt(limit).select(x, below)
}

/// 0 up to -1, `x` from 1 on, `(x + 1)² / 4` between: smooth, and 0 where it is small.
#[track_caller]
pub fn sparse_plus(x: &Tensor) -> Tensor {
    let wide = x.in_f32();
    let between = (wide.clamp(-1.0, 1.0) + 1.0).square() * 0.25;
    wide.ge(1).select(&wide, &between).rounded_like(x)
}

/// `(x + 1) / 2` restricted to [0, 1].
#[track_caller]
pub fn sparse_sigmoid(x: &Tensor) -> Tensor {
    (x * 0.5 + 0.5).clamp(0.0, 1.0)
}
