//! Products half of whose elements nobody looks at: scores of attention behind a causal mask. Tiles above the diagonal are not computed.
//!
//! This changes no result, whatever the factors hold: `select` takes the other branch there. What stands in memory above the diagonal is left
//! over from before.

use super::plan::{ContractionPlan, Region, SHARES};
use super::spec::{BatchedMatmul, Dim};
use crate::lower::Lowering;
use crate::lower::tile::TileRun;
use ir::{DType, Graph, NodeId, Op, ScalarOp};
use std::collections::BTreeSet;

/// How many nodes may stand between a product and its mask.
const MAX_SEARCH: usize = 8;

/// A panel of columns, and the rows that are wanted of it.
pub(super) struct MaskedPanel {
    pub(super) rows: Region,
    pub(super) columns: TileRun,
}

/// The panels of a contraction with the rows that somebody looks at, if those are not all and each thread packs its own panels.
/// `rows` cuts what is left of a part's rows into tiles for panels of a width.
pub(super) fn masked_panels(
    lowering: &Lowering<'_>,
    plan: &ContractionPlan,
    rows: impl Fn(&BatchedMatmul, usize) -> Vec<TileRun>,
) -> Option<Vec<MaskedPanel>> {
    let ty = lowering.graph.ty(plan.anchor);
    let [part] = plan.parts.as_slice() else { return None };
    let ([m], [n]) = (part.spec.m.as_slice(), part.spec.n.as_slice()) else { return None };
    let is_axis = |d: &Dim| d.extent == ty.shape[d.axis] && d.c == ty.shape.strides()[d.axis] as i64;
    let shared = plan.outer_dims().map(|d| d.extent).product::<usize>() >= SHARES;
    let fits = plan.columns.is_empty() && plan.partial.is_none() && shared && is_axis(m) && is_axis(n);
    let count: usize = plan.own.iter().map(|run| run.count).sum();
    if !fits || count < 2 || !is_hidden(lowering.graph, plan.anchor, plan.cluster, (m.axis, n.axis), MAX_SEARCH) {
        return None;
    }
    let panels = plan.own.iter().flat_map(|run| {
        (0..run.count).map(|at| TileRun { start: run.start + at * run.size, size: run.size, count: 1 })
    });
    let panel = |run: TileRun| {
        // A row sees the columns up to its own number.
        let first = run.start.min(m.extent - 1);
        let mut spec = part.spec.clone();
        spec.m[0].extent -= first;
        spec.origin.a += m.a * first as i64;
        spec.origin.at = vec![0; ty.shape.rank()];
        spec.origin.at[m.axis] = first;
        let rows = rows(&spec, run.size);
        MaskedPanel { rows: Region { spec, rows, depth_block: part.depth_block }, columns: run }
    };
    Some(panels.map(panel).collect())
}

/// True if nobody looks at elements of a node whose coordinate along the first of two axes is below that along the second. `cluster` is that
/// which stores it: a mask in there stores its own elements everywhere.
fn is_hidden(graph: &Graph, node: NodeId, cluster: u32, axes: (usize, usize), depth: usize) -> bool {
    let users = graph.users(node);
    let hidden = |user: NodeId| {
        let operands = graph.operands(user);
        let is_chosen = operands.get(1) == Some(&node) && operands.iter().filter(|o| **o == node).count() == 1;
        match graph.op(user) {
            Op::Elementwise(op) if *op == ScalarOp::SELECT && is_chosen && graph.cluster(user) != Some(cluster) => {
                hides(graph, operands[0], axes) || is_hidden(graph, user, cluster, axes, depth - 1)
            }
            Op::Elementwise(_) => is_hidden(graph, user, cluster, axes, depth - 1),
            _ => false,
        }
    };
    depth > 0 && !graph.is_result(node) && !users.is_empty() && users.into_iter().all(hidden)
}

/// True if a condition is false wherever the coordinate along the first axis is below that along the second.
fn hides(graph: &Graph, condition: NodeId, axes: (usize, usize)) -> bool {
    let (mut stack, mut seen) = (vec![(condition, axes)], BTreeSet::new());
    while let Some((condition, (row, column))) = stack.pop() {
        if !seen.insert((condition, row, column)) {
            continue;
        }
        let operands = graph.operands(condition);
        match graph.op(condition) {
            Op::Broadcast(op) => {
                let inner = |axis: usize| op.axes.iter().position(|&a| a == axis);
                stack.extend(inner(row).zip(inner(column)).map(|axes| (operands[0], axes)));
            }
            Op::Elementwise(op) if *op == ScalarOp::AND => {
                stack.extend(operands.iter().map(|&o| (o, (row, column))));
            }
            Op::Elementwise(op) => {
                let (large, small) = match *op {
                    op if op == ScalarOp::GE || op == ScalarOp::GT => (operands[0], operands[1]),
                    op if op == ScalarOp::LE || op == ScalarOp::LT => (operands[1], operands[0]),
                    _ => continue,
                };
                if counts(graph, large, row) && counts(graph, small, column) {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

/// True if a node's elements are their coordinates along an axis.
fn counts(graph: &Graph, mut node: NodeId, mut axis: usize) -> bool {
    loop {
        match graph.op(node) {
            Op::Iota(op) => return op.axis == axis && matches!(op.ty.dtype, DType::I32 | DType::I64),
            Op::Broadcast(op) => match op.axes.iter().position(|&a| a == axis) {
                Some(inner) => (node, axis) = (graph.operands(node)[0], inner),
                None => return false,
            },
            _ => return false,
        }
    }
}
