//! Runs clusters again rather than keeping what they computed.
//!
//! # Does
//! Where more memory would be in use than [`PassOptions::memory_limit`](crate::PassOptions::memory_limit) allows, values that only wait for the backward pass are dropped: the cluster that
//! computes one runs again right before the next use, with those that compute what it reads, as far as that isn't in memory. Which, a search decides by what a
//! run costs (operations and traffic of its kernels) and how much memory it saves, over how many runs. A copy of a cluster is lowered to the
//! same kernels, so that all bits are the same; random numbers are functions of a counter and a key, so that they are the same, too. Results, and what loops over sequences
//! (`scan`) leave for the way back, are kept.
//!
//! Limit or not, pairs of `bf16`, and copies in `f32` of 16-bit tensors, are made right before they are used, and made again for a use much later, where that leaves less in memory
//! than waiting copies. Where there are none, nothing changes without a limit.
//!
//! After T. Chen et al., "Training deep nets with sublinear memory cost" (arXiv 1604.06174); which values, by cost for memory, as in M. Kirisame et al.,
//! "Dynamic tensor rematerialization" (arXiv 2006.09616), but ahead of time.
//! # Requires
//! Stage `scheduled`.
//! # Ensures
//! Stage `scheduled`; by an estimate at most that many bytes are in use at once, if the search found how.
//! # Example
//! `%1 = exp %0 @0` is read by clusters 1 and 9, and clusters 2 to 8 need memory: a copy of cluster 0 runs before cluster 9, which reads the copy's result.

mod apply;
mod copies;
mod facts;
mod kind;
mod order;
mod search;

use crate::{LiveTensor, PassContext, PassError};
use facts::GraphFacts;
use ir::{Graph, Op};
use order::{ClusterRun, OrderCost, walk};

/// Runs the pass.
///
/// # Errors
/// If a cluster can't be lowered, which is a defect of an earlier pass.
pub fn run(graph: &mut Graph, context: &PassContext) -> Result<(), PassError> {
    let limit = context.options.memory_limit;
    let facts = match limit {
        Some(_) => GraphFacts::of(graph, context)?,
        None if kind::may_copy(graph) => GraphFacts::without_work(graph),
        None => return Ok(()),
    };
    let mut order = copies::at_uses(&facts);
    if let Some(limit) = limit {
        order = search::search(&facts, order, limit);
    }
    if order.iter().any(|run| run.again) {
        apply::apply(graph, &facts, &order)?;
    }
    Ok(())
}

/// How many bytes of a scheduled graph's arena are in use at once, at most, by this pass's estimate; and the largest tensors in memory then, at most `count`.
///
/// # Errors
/// As [`run`].
pub(crate) fn estimate(
    graph: &Graph,
    context: &PassContext,
    count: usize,
) -> Result<(usize, Vec<LiveTensor>), PassError> {
    let facts = GraphFacts::of(graph, context)?;
    let order: Vec<ClusterRun> =
        (0..facts.clusters.len()).map(|cluster| ClusterRun { cluster, again: false }).collect();
    let cost = OrderCost::of(&facts, &order);
    let peak = cost.peak();
    let mut live: Vec<LiveTensor> = inputs(graph);
    walk(&facts, &order, &mut |run| {
        if run.at == peak {
            let reads = &facts.clusters[order[peak].cluster].reads;
            let there = (0..facts.values.len()).filter(|value| run.alive[*value] || reads.contains(value));
            live.extend(there.map(|value| tensor(graph, facts.values[value].node, facts.values[value].bytes)));
        }
    });
    live.sort_by_key(|tensor| std::cmp::Reverse(tensor.bytes));
    live.truncate(count);
    Ok((cost.bytes.get(peak).copied().unwrap_or(facts.persistent), live))
}

fn inputs(graph: &Graph) -> Vec<LiveTensor> {
    graph.inputs().map(|(id, _)| tensor(graph, id, graph.ty(id).size_bytes())).collect()
}

fn tensor(graph: &Graph, id: ir::NodeId, bytes: usize) -> LiveTensor {
    let ty = graph.ty(id);
    let what = match graph.op(id) {
        Op::Input(input) => format!("input `{}`, {ty}", input.name),
        op => format!("the result of `{}`, {ty}", op.name()),
    };
    LiveTensor { what, bytes, loc: graph.loc(id).cloned() }
}
