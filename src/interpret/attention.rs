//! Maps of attention.

use crate::dsl::{GraphBuilder, ModelErrors, Step};
use crate::model::Model;
use ir::Loc;

/// The weights of each attention layer of a model, `[batch, heads, queries, keys]`, beside the model's output: inputs are the model's, outputs `output` and
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
        let output = model.forward(&inputs);
        g.output("output", &output);
        if g.attention_maps() == 0 && !output.is_poisoned() {
            output.fail("attention maps", "the model has no attention layer");
        }
    });
    g.finish()
}
