//! Layers and activations against values and gradients that PyTorch computed in `f64` (`tools/reference_layers.py`), at extents that are multiples of nothing.

mod attention;
mod conv;
mod dense;
mod function;
mod pool;
mod recurrent;
mod shape;

use crate::dsl::Tensor;
use crate::nn::activation::Activation;
use crate::nn::*;
use crate::testing::reference::{self, Case};

/// Compares a layer and its gradients with all cases of a file.
fn check(file: &str, layer: impl Fn(&Case<'_>) -> Tensor) {
    reference::check(&format!("layers/{file}"), layer);
}

/// In the order of the file.
const ACTIVATIONS: [Activation; 13] = [
    Activation::Celu(1.5),
    Activation::Exponential,
    Activation::LogSigmoid,
    Activation::Squareplus(4.0),
    Activation::TanhShrink,
    Activation::Relu6,
    Activation::HardTanh,
    Activation::HardSilu,
    Activation::HardShrink(0.5),
    Activation::SoftShrink(0.5),
    Activation::Threshold(0.1, 20.0),
    Activation::SparsePlus,
    Activation::SparseSigmoid,
];

#[test]
fn activations() {
    check("activations", |c| {
        let x = c.tensor("x");
        let of = |activation: Activation| {
            // Wide enough to meet both ends.
            if activation == Activation::Relu6 { activation.apply(&(x * 3.0)) } else { activation.apply(x) }
        };
        let results = ACTIVATIONS.map(of);
        results[0].stack(&results[1..].iter().collect::<Vec<_>>(), 0)
    });
    check("glu", |c| Activation::Glu.apply(c.tensor("x")));
    check("sparsemax", |c| Activation::Sparsemax.apply(c.tensor("x")));
    check("r_re_lu", |c| RRelu::new(c.setting("lower"), c.setting("upper")).apply(c.tensor("x")));
}

#[test]
fn learned_activations_and_scales() {
    let spatial = |c: &Case<'_>| c.tensor("x").shape().map_or(0, |shape| shape.rank() - 2);
    check("p_re_lu", |c| PRelu::new().shared_axes((1..=spatial(c)).collect::<Vec<_>>()).apply(c.tensor("x")));
    check("p_re_lu_of_elements", |c| PRelu::new().apply(c.tensor("x")));
    check("layer_scale", |c| LayerScale::new(1e-5).apply(c.tensor("x")));
    check("unit_normalization", |c| UnitNorm.apply(c.tensor("x")));
    check("local_response_normalization", |c| {
        let layer = LocalResponseNorm::new(c.count("size")).alpha(c.setting("alpha")).beta(c.setting("beta"));
        layer.k(c.setting("k")).apply(c.tensor("x"))
    });
}
