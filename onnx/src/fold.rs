//! Values that are known at import: shapes, indices, and what is computed of them, by the reference interpreter.

use crate::item::{ImportItem, KnownTensor};
use gradc::dsl::GraphBuilder;
use ir::{Family, Graph};
use std::collections::BTreeMap;

/// The most elements of an operand that is computed with at import. What is larger, weights that are turned, becomes constants and ops of the graph.
pub(crate) const MOST_ELEMENTS: usize = 1 << 14;
/// The elements that one import may compute, by its interpreter.
pub(crate) const BUDGET: usize = 1 << 22;
/// The elements that one node may compute.
const MOST_WORK: usize = 1 << 20;

/// How many elements the interpreter computes for a graph.
fn work(graph: &Graph) -> usize {
    let of = |id| {
        let numel = graph.ty(id).shape.numel();
        match graph.op(id).family() {
            Family::Contraction | Family::Window | Family::Loop => {
                let operands = graph.operands(id).iter().map(|&x| graph.ty(x).shape.numel());
                numel.saturating_mul(operands.max().unwrap_or(1))
            }
            _ => numel,
        }
    };
    graph.ids().map(of).fold(0, usize::saturating_add)
}

/// The items' values, if the interpreter gives them; `None` if they are too large for it, need states, or break a rule of values: then the graph itself has them.
pub(crate) fn evaluate(g: &GraphBuilder, items: &[ImportItem], budget: &mut usize) -> Option<Vec<ImportItem>> {
    let mut count = 0;
    for item in items {
        declare(g, item, &mut count);
    }
    let step = g.finish().ok()?;
    let work = work(&step.graph);
    if !step.states.is_empty() || work > MOST_WORK || work > *budget {
        return None;
    }
    *budget -= work;
    let outcome = ir::eval::run(&step.graph, &BTreeMap::new(), &BTreeMap::new()).ok()?;
    let mut next = 0;
    items.iter().map(|item| value(item, &outcome.outputs, &mut next)).collect()
}

/// Makes outputs of the tensors in an item.
fn declare(g: &GraphBuilder, item: &ImportItem, count: &mut usize) {
    match item {
        ImportItem::Graph(laid) => {
            g.output(&count.to_string(), &laid.plain());
            *count += 1;
        }
        ImportItem::Sequence(items) => items.iter().for_each(|item| declare(g, item, count)),
        ImportItem::Known(_) | ImportItem::Nothing => {}
    }
}

/// The item with values in the place of tensors.
fn value(item: &ImportItem, outputs: &BTreeMap<String, ir::Value>, next: &mut usize) -> Option<ImportItem> {
    Some(match item {
        ImportItem::Graph(_) => {
            *next += 1;
            ImportItem::Known(KnownTensor::Value(outputs.get(&(*next - 1).to_string())?.clone()))
        }
        ImportItem::Sequence(items) => {
            ImportItem::Sequence(items.iter().map(|item| value(item, outputs, next)).collect::<Option<Vec<_>>>()?)
        }
        ImportItem::Known(_) | ImportItem::Nothing => item.clone(),
    })
}
