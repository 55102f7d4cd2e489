//! Maps of attention.

use crate::dsl::{GraphBuilder, ModelErrors, Step, Tensor};
use crate::model::Model;
use ir::Loc;

/// The weights of each attention layer of a model, `[batch, heads, queries, keys]`, beside the model's outputs: inputs are the model's, outputs too, and
/// for each layer `<layer>/weights`, with the name that its parameters have: `transformer_block/attention/weights`.
///
/// # Errors
/// All rules that the model breaks; and if it has no attention layer.
#[track_caller]
pub fn attention_graph(model: &impl Model, batch: usize) -> Result<Step, ModelErrors> {
    let g = GraphBuilder::new(format!("{}_attention", model.name()));
    g.at(Loc::caller(), || {
        g.watch_attention();
        let inputs: Vec<_> = model.inputs().iter().map(|(name, ty)| g.input(name, ty.batched(batch))).collect();
        let outputs = model.forward(&inputs);
        for (name, output) in model.outputs().iter().zip(&outputs) {
            g.output(name, output);
        }
        if g.attention_maps() == 0 && !outputs.iter().any(Tensor::is_poisoned) {
            g.fail("attention maps", &outputs.iter().collect::<Vec<_>>(), "the model has no attention layer");
        }
    });
    g.finish()
}
