//! What the loops over windows have in common: how a window moves, what one of its elements is, and what leaves the cluster there.

use crate::PassError;
use crate::lower::cx::Placed;
use crate::lower::expr::ValueEmitter;
use ir::op::window::Window;
use ir::{DType, NodeId, ScalarOp, TensorType};
use kernel::Affine;

/// One element of a window.
pub(super) struct Tap {
    pub(super) at: Vec<Affine>,
    pub(super) inside: Option<Placed>,
}

/// The number of a tap, as a value.
pub(super) struct Chosen {
    pub(super) number: Placed,
    pub(super) dtype: DType,
}

/// What is lowered: the node that walks windows, and the nodes that leave the cluster.
pub(super) struct Cluster<'c> {
    pub(super) number: u32,
    pub(super) anchor: NodeId,
    pub(super) results: &'c [NodeId],
}

/// Which places of its window a gradient goes to.
#[derive(Clone, Copy)]
pub(super) enum Goes {
    /// All of them.
    All,
    /// That of the maximum of this tensor.
    Largest(NodeId),
    /// The tap that this tensor names.
    Named(NodeId),
}

/// How a window moves, and over what.
pub(super) struct Walk<'w> {
    pub(super) window: &'w Window,
    pub(super) input: TensorType,
}

/// Whether a tap is the chosen one.
pub(super) fn is_chosen(emit: &mut ValueEmitter<'_, '_>, chosen: &Chosen, number: &Affine) -> Placed {
    let number = emit.cx.index_value(number, chosen.dtype);
    emit.cx.apply(ScalarOp::EQ, &[chosen.number.clone(), number])
}

/// Stores the cluster's results at one element, given the anchor's value there.
pub(super) fn store_results(
    emit: &mut ValueEmitter<'_, '_>,
    cluster: &Cluster<'_>,
    at: &[Affine],
    value: Placed,
) -> Result<(), PassError> {
    emit.values.set(cluster.anchor, at.to_vec(), value);
    for &node in cluster.results {
        let value = emit.value(node, at)?;
        emit.store_node(node, at, value.expr);
    }
    Ok(())
}
