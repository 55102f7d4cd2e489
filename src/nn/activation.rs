//! Activations: functions of a tensor, and as a value that layers hold.

mod piecewise;

pub use piecewise::{
    hard_shrink, hard_sigmoid, hard_silu, hard_tanh, relu6, soft_shrink, sparse_plus, sparse_sigmoid, threshold,
};

use crate::dsl::Tensor;
use ir::DType;
use std::f64::consts::PI;

/// SELU's scale (Klambauer et al., "Self-Normalizing Neural Networks", arXiv 1706.02515).
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
/// SELU's alpha, from the same paper.
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;

/// From there on the factor of `x` in a GELU is 0 or 1, even in `f64`.
const GELU_SATURATED: f64 = 30.0;

/// An activation: what a layer applies to its result. Elementwise on floats, except the softmaxes and [`Activation::Glu`], which act
/// along the last axis.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Activation {
    /// `x`.
    Linear,
    /// `max(x, 0)`.
    Relu,
    /// `x` where positive, else `slope * x`.
    LeakyRelu(f64),
    /// `x` where positive, else `alpha * (exp(x) - 1)`.
    Elu(f64),
    /// Scaled ELU with the constants that normalize (arXiv 1706.02515).
    Selu,
    /// `x Φ(x)`, by the error function (arXiv 1606.08415).
    Gelu,
    /// `x Φ(x)`, approximated by tanh (arXiv 1606.08415).
    GeluTanh,
    /// `x sigmoid(x)`, also called swish.
    Silu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// `log(1 + exp(x))`.
    Softplus,
    /// `x / (1 + |x|)`.
    Softsign,
    /// `exp(x) / Σ exp(x)`.
    Softmax,
    /// `log(softmax(x))`.
    LogSoftmax,
    /// `x / 6 + 1/2` restricted to [0, 1].
    HardSigmoid,
    /// `x tanh(softplus(x))` (arXiv 1908.08681).
    Mish,
    /// `x` where positive, else `alpha * (exp(x / alpha) - 1)` (arXiv 1704.07483).
    Celu(f64),
    /// `exp(x)`.
    Exponential,
    /// `a sigmoid(b)` of the halves `a` and `b` of the last axis, which must be even (arXiv 1612.08083): a gated linear unit.
    Glu,
    /// `log(sigmoid(x))`.
    LogSigmoid,
    /// `(x + sqrt(x² + b)) / 2` (arXiv 2112.11687); `b` above 0, 4 in Keras.
    Squareplus(f64),
    /// `x - tanh(x)`.
    TanhShrink,
    /// `x` restricted to [0, 6].
    Relu6,
    /// `x` restricted to [-1, 1].
    HardTanh,
    /// `x` times its hard sigmoid (arXiv 1905.02244), also called hard swish.
    HardSilu,
    /// `x` where its magnitude is above the threshold, else 0.
    HardShrink(f64),
    /// `x` moved towards 0 by the threshold, 0 where its magnitude is not above it.
    SoftShrink(f64),
    /// `x` where it is above the first number, else the second: PyTorch's `Threshold`.
    Threshold(f64, f64),
    /// 0 up to -1, `x` from 1 on, `(x + 1)² / 4` between.
    SparsePlus,
    /// `(x + 1) / 2` restricted to [0, 1]: the slope of [`Activation::SparsePlus`].
    SparseSigmoid,
    /// [`sparsemax`] along the last axis.
    Sparsemax,
}

impl Activation {
    /// The name, as in layer names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Relu => "relu",
            Self::LeakyRelu(_) => "leaky_relu",
            Self::Elu(_) => "elu",
            Self::Selu => "selu",
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_tanh",
            Self::Silu => "silu",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
            Self::Softplus => "softplus",
            Self::Softsign => "softsign",
            Self::Softmax => "softmax",
            Self::LogSoftmax => "log_softmax",
            Self::HardSigmoid => "hard_sigmoid",
            Self::Mish => "mish",
            Self::Celu(_) => "celu",
            Self::Exponential => "exponential",
            Self::Glu => "glu",
            Self::LogSigmoid => "log_sigmoid",
            Self::Squareplus(_) => "squareplus",
            Self::TanhShrink => "tanh_shrink",
            Self::Relu6 => "relu6",
            Self::HardTanh => "hard_tanh",
            Self::HardSilu => "hard_silu",
            Self::HardShrink(_) => "hard_shrink",
            Self::SoftShrink(_) => "soft_shrink",
            Self::Threshold(..) => "threshold",
            Self::SparsePlus => "sparse_plus",
            Self::SparseSigmoid => "sparse_sigmoid",
            Self::Sparsemax => "sparsemax",
        }
    }

    /// The activation of a tensor.
    #[track_caller]
    pub fn apply(self, x: &Tensor) -> Tensor {
        match self {
            Self::Linear => x.clone(),
            Self::Relu => x.relu(),
            Self::LeakyRelu(slope) => leaky_relu(x, slope),
            Self::Elu(alpha) => elu(x, alpha),
            Self::Selu => selu(x),
            Self::Gelu => gelu(x),
            Self::GeluTanh => gelu_tanh(x),
            Self::Silu => silu(x),
            Self::Sigmoid => x.sigmoid(),
            Self::Tanh => x.tanh(),
            Self::Softplus => x.softplus(),
            Self::Softsign => softsign(x),
            Self::Softmax => x.softmax(-1),
            Self::LogSoftmax => x.log_softmax(-1),
            Self::HardSigmoid => hard_sigmoid(x),
            Self::Mish => mish(x),
            Self::Celu(alpha) => celu(x, alpha),
            Self::Exponential => x.exp(),
            Self::Glu => glu(x),
            Self::LogSigmoid => log_sigmoid(x),
            Self::Squareplus(b) => squareplus(x, b),
            Self::TanhShrink => tanh_shrink(x),
            Self::Relu6 => relu6(x),
            Self::HardTanh => hard_tanh(x),
            Self::HardSilu => hard_silu(x),
            Self::HardShrink(lambda) => hard_shrink(x, lambda),
            Self::SoftShrink(lambda) => soft_shrink(x, lambda),
            Self::Threshold(limit, below) => threshold(x, limit, below),
            Self::SparsePlus => sparse_plus(x),
            Self::SparseSigmoid => sparse_sigmoid(x),
            Self::Sparsemax => sparsemax(x),
        }
    }
}

/// `x` where positive, else `slope * x`.
#[track_caller]
pub fn leaky_relu(x: &Tensor, slope: f64) -> Tensor {
    x.gt(0).select(x, x * slope)
}

/// `x` where positive, else `alpha * (exp(x) - 1)`. The exponential sees no positive number, so its gradient stays finite where it
/// is not selected; at 0 the gradient is `alpha`, its limit from below, and a NaN's is NaN.
#[track_caller]
pub fn elu(x: &Tensor, alpha: f64) -> Tensor {
    let above = x.gt(0);
    let not_above = above.logical_not().select(x, 0);
    above.select(x, not_above.expm1() * alpha)
}

/// Scaled ELU with the constants that normalize (arXiv 1706.02515).
#[track_caller]
pub fn selu(x: &Tensor) -> Tensor {
    elu(x, SELU_ALPHA) * SELU_SCALE
}

/// `x Φ(x)`, exact, by the complementary error function (arXiv 1606.08415): `1 + erf` would have no digits left where `x` is very negative.
#[track_caller]
pub fn gelu(x: &Tensor) -> Tensor {
    let wide = x.in_f32();
    // A product that is rounded to 8 bits needs no more than twice as many of its factor.
    let factor = if x.dtype() == Some(DType::Bf16) { wide.normal_cdf_short() } else { wide.normal_cdf() };
    (&wide * factor).rounded_like(x)
}

/// `x Φ(x)`, approximated by `x/2 (1 + tanh(sqrt(2/π) (x + 0.044715 x³)))` (arXiv 1606.08415).
#[track_caller]
pub fn gelu_tanh(x: &Tensor) -> Tensor {
    // (1 + tanh z) / 2 is sigmoid 2z, which keeps its digits where it is small. Beyond the limit it is 0 or 1 in every type, and its slope 0, which the cube's
    // overflow must not meet.
    let wide = x.in_f32();
    let limited = wide.clamp(-GELU_SATURATED, GELU_SATURATED);
    let cubic = &limited + &limited * &limited * &limited * 0.044_715;
    (wide * (cubic * (8.0 / PI).sqrt()).sigmoid()).rounded_like(x)
}

/// `x sigmoid(x)`, also called swish.
#[track_caller]
pub fn silu(x: &Tensor) -> Tensor {
    let wide = x.in_f32();
    (&wide * wide.sigmoid()).rounded_like(x)
}

/// `x / (1 + |x|)`.
#[track_caller]
pub fn softsign(x: &Tensor) -> Tensor {
    let wide = x.in_f32();
    (&wide / (wide.abs() + 1)).rounded_like(x)
}

/// `x tanh(softplus(x))` (arXiv 1908.08681).
#[track_caller]
pub fn mish(x: &Tensor) -> Tensor {
    let wide = x.in_f32();
    (&wide * wide.softplus().tanh()).rounded_like(x)
}

/// `x` where positive, else `alpha * (exp(x / alpha) - 1)` (arXiv 1704.07483); alpha other than 0. The slope is 1 at 0 whatever alpha is.
#[track_caller]
pub fn celu(x: &Tensor, alpha: f64) -> Tensor {
    if alpha == 0.0 || !alpha.is_finite() {
        return x.fail("celu", format!("alpha must be finite and not 0, it is {alpha}"));
    }
    let above = x.gt(0);
    let not_above = above.logical_not().select(x, 0);
    above.select(x, (not_above * (1.0 / alpha)).expm1() * alpha)
}

/// `a sigmoid(b)` of the halves `a` and `b` of the last axis (Dauphin et al., arXiv 1612.08083): `[..., 2 n]` to `[..., n]`.
#[track_caller]
pub fn glu(x: &Tensor) -> Tensor {
    let Some(shape) = x.shape() else { return x.clone() };
    let Some(&width) = shape.last().filter(|width| width.is_multiple_of(2)) else {
        return x.fail("glu", "the last axis must have an even extent: its halves are the values and their gates");
    };
    let half = |from: usize| x.slice_axis(-1, from..from + width / 2).with_mask_of(x);
    let (values, gates) = (half(0).in_f32(), half(width / 2).in_f32());
    (values * gates.sigmoid()).rounded_like(x)
}

/// `log(sigmoid(x))`, which neither overflows nor loses what is left of 1.
#[track_caller]
pub fn log_sigmoid(x: &Tensor) -> Tensor {
    -(-x).softplus()
}

/// `(x + sqrt(x² + b)) / 2` (Barron, arXiv 2112.11687); `b` above 0. Far below 0 it is what the difference would lose: `b / 2` by the sum of root and magnitude.
#[track_caller]
pub fn squareplus(x: &Tensor, b: f64) -> Tensor {
    if !(b > 0.0 && b.is_finite()) {
        return x.fail("squareplus", format!("b must be finite and above 0, not {b}"));
    }
    let wide = x.in_f32();
    let above = wide.gt(0);
    // Not `abs`, whose slope at 0 is neither side's.
    let magnitude = above.select(&wide, &-&wide);
    let root = (magnitude.square() + b).sqrt();
    let small = (b / 2.0) / (magnitude + root);
    above.select(&(wide + &small), &small).rounded_like(x)
}

/// `x - tanh(x)`.
#[track_caller]
pub fn tanh_shrink(x: &Tensor) -> Tensor {
    let wide = x.in_f32();
    (&wide - wide.tanh()).rounded_like(x)
}

/// The point of the probability simplex nearest to `x` along the last axis (Martins and Astudillo, arXiv 1602.02068): probabilities of which many are 0. It compares all pairs along the
/// axis, so that it costs the square of its extent.
#[track_caller]
pub fn sparsemax(x: &Tensor) -> Tensor {
    let Some(shape) = x.shape() else { return x.clone() };
    if shape.rank() == 0 {
        return x.fail("sparsemax", "a scalar has no axis of probabilities");
    }
    let wide = x.in_f32();
    // An element has a share unless those above it alone fill the simplex: the paper's condition, without an order.
    let distances = wide.stop_gradient();
    let above = (distances.unsqueeze(-2) - distances.unsqueeze(-1)).relu().sum_axes([-1]);
    let counts = above.lt(1);
    let Some(dtype) = wide.dtype() else { return x.poisoned() };
    let count = counts.cast(dtype).sum_keepdims([-1]);
    let threshold = (counts.select(&wide, 0).sum_keepdims([-1]) - 1.0) / count;
    counts.select(&(wide - threshold), 0).with_mask_of(x).rounded_like(x)
}
