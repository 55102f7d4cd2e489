//! Tracing: a model, a loss, metrics and an optimizer become a graph.

use super::Model;
use crate::dsl::{GraphBuilder, ModelErrors, Select, Step, Tensor, TypeSpec};
use crate::nn::loss::{Loss, batch_loss};
use crate::nn::metric::{Metric, Reported};
use crate::optim::Optimizer;
use ir::Loc;

/// The name of the output of a model that has one.
pub const OUTPUT: &str = "output";
/// The name of the input that holds the targets.
pub const TARGET: &str = "y";
/// The name of the input that holds one weight per sample.
pub const SAMPLE_WEIGHT: &str = "sample_weight";

/// The samples of a step.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Batch {
    /// How many; at least 1.
    pub size: usize,
    /// Whether each has a weight, an input `sample_weight` in the output's element type: 0 for one that only fills the batch.
    pub weighted: bool,
}

impl Batch {
    /// With a weight for each sample.
    pub fn weighted(size: usize) -> Self {
        Self { size, weighted: true }
    }
}

impl From<usize> for Batch {
    fn from(size: usize) -> Self {
        Self { size, weighted: false }
    }
}

/// What an output is judged by.
#[derive(Clone, Copy)]
pub(crate) struct Criteria<'a> {
    pub(crate) loss: &'a dyn Loss,
    pub(crate) metrics: &'a [Metric],
    /// In which form metrics become outputs.
    pub(crate) reported: Reported,
}

/// A graph for a purpose.
fn graph(model: &dyn Model, purpose: &str) -> GraphBuilder {
    GraphBuilder::new(format!("{}_{purpose}", model.name()))
}

/// The model's outputs in a graph; `at` is the place of what is declared besides the model's own layers.
fn forward(model: &dyn Model, g: &GraphBuilder, batch: usize, at: &Loc) -> Vec<Tensor> {
    let mut inputs = Vec::new();
    for (name, ty) in model.inputs() {
        inputs.push(g.at(at.clone(), || g.input(&name, ty.batched(batch))));
    }
    if inputs.is_empty() {
        return vec![g.at(at.clone(), || g.fail("a model", &[], "it must have at least one input"))];
    }
    model.forward(&inputs)
}

/// Declares target and weights; the loss (the mean plus penalties) and the metrics become outputs. Gives the loss.
fn score(g: &GraphBuilder, outputs: &[Tensor], batch: Batch, criteria: Criteria<'_>) -> Tensor {
    let Criteria { loss, metrics, reported } = criteria;
    let [output] = outputs else {
        return g.fail("a loss", &[], format!("the model must have one output, not {}", outputs.len()));
    };
    let Some(ty) = output.ty() else { return output.clone() };
    let target = g.input(TARGET, loss.target(&ty));
    let weights = batch.weighted.then(|| g.input(SAMPLE_WEIGHT, TypeSpec::new(ty.dtype, [batch.size])));
    let losses = loss.per_sample(output, &target);
    let value = g.with_penalties(&batch_loss(loss.name(), &losses, batch.size, weights.as_ref()));
    g.output("loss", &value);
    for metric in metrics {
        metric.declare(g, output, &target, weights.as_ref(), reported);
    }
    value
}

pub(crate) fn training(
    model: &dyn Model,
    batch: Batch,
    criteria: Criteria<'_>,
    optimizer: &dyn Optimizer,
    at: Loc,
) -> Result<Step, ModelErrors> {
    let g = graph(model, "training");
    g.set_training(true);
    g.at(at.clone(), || optimizer.frozen_statistics().into_iter().for_each(|select| g.freeze_statistics(select)));
    let outputs = forward(model, &g, batch.size, &at);
    // Losses, metrics and optimizers are called through trait objects, which know no caller.
    g.at(at, || {
        let value = score(&g, &outputs, batch, criteria);
        g.minimize_only(&value, &Select::all(), optimizer);
    });
    g.finish()
}

pub(crate) fn evaluation(
    model: &dyn Model,
    batch: Batch,
    criteria: Criteria<'_>,
    at: Loc,
) -> Result<Step, ModelErrors> {
    let g = graph(model, "evaluation");
    let outputs = forward(model, &g, batch.size, &at);
    g.at(at, || score(&g, &outputs, batch, criteria));
    g.finish()
}

pub(crate) fn inference(model: &dyn Model, batch: usize, at: &Loc) -> Result<Step, ModelErrors> {
    let g = graph(model, "inference");
    let outputs = forward(model, &g, batch, at);
    for (name, output) in model.outputs().iter().zip(&outputs) {
        g.output(name, output);
    }
    g.finish()
}
