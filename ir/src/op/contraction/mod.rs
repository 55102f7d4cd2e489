//! Contractions: sums of products. Products of floats are accumulated in the element type (16-bit floats in `f32`); the order of the
//! sum is fixed by shapes and target alone. Integers wrap.
//!
//! Convolution is closed under differentiation: each of `conv`, `conv_input_grad` and `conv_weight_grad` is linear in both operands
//! and its derivatives are the other two.

mod conv;
mod conv_grad;
mod dot;
mod eval;
mod mean;
mod pair;
mod quad;

pub use conv::Conv;
pub use conv_grad::{ConvInputGrad, ConvWeightGrad};
pub use dot::Dot;
pub use mean::WeightedMean;
pub use pair::{Pair, PairContraction, PairProduct};
pub use quad::{QuadContraction, QuadProduct};
