//! The operators, one file for each family.

mod activation;
mod attention;
mod contract;
mod control;
mod conv;
mod detection;
mod elementwise;
mod index;
mod loss;
mod movement;
mod norm;
mod pool;
mod quantize;
mod recurrent;
mod reduce;
mod resize;
mod sample;
mod sequence;
mod shape;
mod signal;
mod window;

use crate::table::OpEntry;
use gradc::dsl::Tensor;

/// All operators, by family.
pub(crate) const FAMILIES: &[(&str, &[OpEntry])] = &[
    ("Elementwise", elementwise::OPS),
    ("Activations", activation::OPS),
    ("Shapes and constants", shape::OPS),
    ("Movement", movement::OPS),
    ("Reductions and order", reduce::OPS),
    ("Indices", index::OPS),
    ("Products", contract::OPS),
    ("Quantization", quantize::OPS),
    ("Convolutions", conv::OPS),
    ("Pooling", pool::OPS),
    ("Normalizations", norm::OPS),
    ("Recurrent layers", recurrent::OPS),
    ("Attention", attention::OPS),
    ("Losses", loss::OPS),
    ("Resampling", resize::OPS),
    ("Sampling", sample::OPS),
    ("Detection", detection::OPS),
    ("Signals", signal::OPS),
    ("Control flow", control::OPS),
    ("Sequences", sequence::OPS),
];

/// A value everywhere, in the type of a tensor.
#[track_caller]
fn full_like(x: &Tensor, value: f64) -> Tensor {
    match x.ty() {
        Some(ty) => x.builder().full(value, ty),
        None => x.clone(),
    }
}
