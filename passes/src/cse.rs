//! Common subexpression elimination.
//!
//! # Does
//! Keeps one of all nodes that apply the same op to the same operands; for a commutative op the order of the operands doesn't count.
//! All ops are pure, random ones included (equal streams draw equal numbers), so this holds for every op. The node that comes first
//! in topological order stays, with its source location.
//!
//! # Requires
//! No gradients to be derived: merging a node with an equal one would change what depends on it.
//!
//! # Ensures
//! No two nodes compute the same by their spelling.
//!
//! # Example
//! ```text
//! %2 = add %0, %1 : f32[4]           %2 = add %0, %1 : f32[4]
//! %3 = add %1, %0 : f32[4]      →    %3 = mul %2, %2 : f32[4]
//! %4 = mul %2, %3 : f32[4]
//! ```

use crate::{PassContext, PassError};
use ir::{Graph, NodeId, Op, TensorType};
use std::collections::BTreeMap;

/// What equal nodes agree in, besides their attributes, which have no order and are compared within a bucket.
type Key = (&'static str, Vec<NodeId>, TensorType);

/// The pass.
///
/// # Errors
/// None.
pub fn run(graph: &mut Graph, _: &PassContext) -> Result<(), PassError> {
    let mut seen: BTreeMap<Key, Vec<NodeId>> = BTreeMap::new();
    for id in graph.topological() {
        let bucket = seen.entry(key(graph, id)).or_default();
        match bucket.iter().find(|&&first| graph.op(first) == graph.op(id)) {
            Some(&first) => {
                graph.replace_uses(id, first);
                graph.remove(id);
            }
            None => bucket.push(id),
        }
    }
    Ok(())
}

fn key(graph: &Graph, id: NodeId) -> Key {
    let node = graph.node(id);
    let mut operands = node.operands().to_vec();
    if let Op::Elementwise(op) = node.op()
        && op.def().laws.commutative
    {
        operands.sort_unstable();
    }
    (node.op().name(), operands, node.ty().clone())
}
