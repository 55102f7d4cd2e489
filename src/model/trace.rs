//! Tracing: a model, a loss, metrics and an optimizer become a graph.

use super::Model;
use super::batch::Batch;
use super::score::{Criteria, score};
use crate::dsl::{GraphBuilder, ModelErrors, Select, Step, Tensor};
use crate::nn::metric::StatefulMetric;
use crate::optim::Optimizer;
use ir::Loc;

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

/// How many processes take a step together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Among {
    One,
    Several,
}

/// The whole step of one process, or what each of several does of it, `among` which the batch's samples are.
pub(crate) fn training(
    model: &dyn Model,
    (batch, among): (Batch, Among),
    criteria: Criteria<'_>,
    optimizer: &dyn Optimizer,
    at: Loc,
) -> Result<Step, ModelErrors> {
    let g = graph(model, "training");
    if among == Among::Several {
        g.set_parallel();
    }
    g.set_training(true);
    g.at(at.clone(), || optimizer.frozen_statistics().into_iter().for_each(|select| g.freeze_statistics(select)));
    let outputs = forward(model, &g, batch.size, &at);
    // Losses, metrics and optimizers are called through trait objects, which know no caller.
    g.at(at, || {
        let value = score(&g, &model.outputs(), &outputs, batch, criteria);
        g.minimize_only(&value, &Select::all(), optimizer);
        g.average_statistics();
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
    g.at(at, || score(&g, &model.outputs(), &outputs, batch, criteria));
    g.finish()
}

/// How the names of an observation's outputs begin that are results of layers.
pub(crate) const ACTIVATION: &str = "activation/";
/// How the names of those begin that are gradients.
pub(crate) const GRADIENT: &str = "gradient/";

/// The forward and the backward pass of training, with the results of all layers and the gradients of all parameters as outputs. It changes no state.
pub(crate) fn observation(
    model: &dyn Model,
    batch: Batch,
    criteria: Criteria<'_>,
    at: Loc,
) -> Result<Step, ModelErrors> {
    let g = graph(model, "observation");
    g.set_training(true);
    let outputs = forward(model, &g, batch.size, &at);
    g.at(at, || {
        observe_layers(&g);
        let loss = score(&g, &model.outputs(), &outputs, batch, criteria);
        let (names, parameters): (Vec<String>, Vec<Tensor>) = g.parameters().into_iter().unzip();
        let gradients = g.gradients(&loss, &parameters.iter().collect::<Vec<_>>());
        for (name, gradient) in names.iter().zip(&gradients) {
            g.output(&format!("{GRADIENT}{name}"), gradient);
        }
    });
    let mut step = g.finish()?;
    let outputs = step.graph.outputs().to_vec();
    step.graph.clear_results();
    outputs.into_iter().for_each(|(name, id)| step.graph.set_output(name, id));
    Ok(step)
}

/// Makes the results of all layers outputs.
fn observe_layers(g: &GraphBuilder) {
    for path in g.layer_paths() {
        let results = g.layer_results(&path).unwrap_or_default();
        for (number, result) in results.iter().enumerate() {
            let name = if results.len() == 1 { path.clone() } else { format!("{path}/{number}") };
            g.output(&format!("{ACTIVATION}{name}"), result);
        }
    }
}

/// Whether the loss and the metrics of an evaluation stay what they are when a batch is filled up with samples of weight 0. Of the model it is taken for granted, as in predictions.
pub(crate) fn may_be_filled(model: &dyn Model, Criteria { losses, metrics, .. }: Criteria<'_>, at: &Loc) -> bool {
    let of_samples = losses.iter().all(|loss| loss.loss.is_by_sample());
    if !of_samples || !metrics.iter().all(|metric| metric.leaves_weightless_out()) {
        return false;
    }
    let g = graph(model, "penalties");
    forward(model, &g, 1, at);
    !g.penalizes_inputs()
}

pub(crate) fn inference(model: &dyn Model, batch: usize, at: &Loc) -> Result<Step, ModelErrors> {
    let g = graph(model, "inference");
    let outputs = forward(model, &g, batch, at);
    for (name, output) in model.outputs().iter().zip(&outputs) {
        g.output(name, output);
    }
    g.finish()
}
