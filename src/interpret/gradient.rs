//! Explanations by gradients with respect to the input.

use super::{classes, float_input, score, single_output};
use crate::dsl::{GraphBuilder, ModelErrors, Step, Tensor, TypeSpec};
use crate::model::Model;
use ir::Loc;

/// The gradient of each sample's score by the sample (Simonyan, Vedaldi and Zisserman, arXiv 1312.6034). Inputs: `x`, `class i32[batch]`; outputs:
/// `score [batch]`, `saliency` like `x`.
///
/// # Errors
/// All rules that the model breaks, and if it has several inputs, no float input, or an output that is not `[batch, classes]`.
#[track_caller]
pub fn saliency_graph(model: &impl Model, batch: usize) -> Result<Step, ModelErrors> {
    let g = GraphBuilder::new(format!("{}_saliency", model.name()));
    g.at(Loc::caller(), || {
        let Some(ty) = float_input(&g, model) else { return };
        let x = g.input("x", ty.batched(batch));
        let score = score(&single_output(model, std::slice::from_ref(&x)), &classes(&g, batch));
        g.output("score", &score);
        // Samples don't see each other, so the gradient of the sum has each sample's own.
        g.output("saliency", &g.gradients(&score.sum(), &[&x])[0]);
    });
    g.finish()
}

/// Integrated gradients (Sundararajan, Taly and Yan, arXiv 1703.01365) of one sample: `(x - baseline)` times the mean gradient at `steps` points between
/// the two, by the midpoint rule. Inputs: `x` and `baseline [1, ...]`, `class i32[1]`; outputs: `attribution` like `x`, `score [1]` and
/// `baseline_score [1]`. The attributions sum to the difference of the scores, up to the error of the rule, which falls as `1 / steps²` where the
/// model is smooth.
///
/// # Errors
/// As [`saliency_graph`]; and if `steps` is 0.
#[track_caller]
pub fn integrated_gradients_graph(model: &impl Model, steps: usize) -> Result<Step, ModelErrors> {
    let g = GraphBuilder::new(format!("{}_integrated_gradients", model.name()));
    g.at(Loc::caller(), || {
        let Some(ty) = float_input(&g, model) else { return };
        let (x, baseline) = (g.input("x", ty.batched(1)), g.input("baseline", ty.batched(1)));
        let class = classes(&g, 1);
        // Both ends and the points between them are one batch.
        let path = points(&g, &ty, steps);
        let all = &baseline + (&x - &baseline) * path;
        let scores = score(&single_output(model, std::slice::from_ref(&all)), &class.broadcast_to([steps + 2]));
        let inner = scores.slice_axis(0, 2..steps + 2);
        let gradient = g.gradients(&inner.sum(), &[&all])[0].clone();
        let mean = gradient.sum_axes([0]).unsqueeze(0) / steps as f64;
        g.output("attribution", &((&x - &baseline) * mean));
        g.output("baseline_score", &scores.slice_axis(0, 0..1));
        g.output("score", &scores.slice_axis(0, 1..2));
    });
    g.finish()
}

/// How far each point is on the way: 0, 1, then the midpoints of `steps` equal parts; `[steps + 2, 1, ...]`.
#[track_caller]
fn points(g: &GraphBuilder, ty: &TypeSpec, steps: usize) -> Tensor {
    let mut dims = vec![1; ty.dims.len() + 1];
    dims[0] = steps;
    let count = TypeSpec::new(ty.dtype, &dims);
    let inner = (g.iota(count, 0) + 0.5) / steps.max(1) as f64;
    dims[0] = 1;
    let end = TypeSpec::new(ty.dtype, &dims);
    g.zeros(end.clone()).concat(&[&g.ones(end), &inner], 0)
}
