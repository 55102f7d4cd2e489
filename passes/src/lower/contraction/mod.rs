//! Contraction clusters: a dot product or convolution and the elementwise ops on its result.
//!
//! `f32` and `f64` become register tiles ([`kernel::Micro`]) in loops over blocks; the elementwise ops run on the tile while it is in
//! registers. The right factor is packed into panels of the tile's width where it is not contiguous along the columns or is
//! read often: a block at a time in each thread's own memory where there are enough panels to share, else all of it before. The left one is packed where
//! its columns collide in the cache. Padded
//! convolutions are cut into regions without padding, gradients of strided ones into places that have the same taps, long reductions of few elements into chunks. Other types, and products with a single column, become plain loops.

mod border;
mod cut;
mod depthwise;
mod left;
mod pack;
mod plain;
mod plan;
mod remainder;
mod spec;
mod split;
mod sums;
mod tiles;
mod triangle;

use super::Lowering;
use crate::PassError;
use crate::fuse::cluster::outputs;
use cut::Cutter;
use ir::{DType, NodeId, Op};
use plan::{ContractionPlan, plan};
use spec::BatchedMatmul;
use std::collections::BTreeSet;
use tiles::{emit_kernel, emit_masked_panels, emit_panels};

/// Lowers a contraction and what follows it.
pub(super) fn lower(
    lowering: &mut Lowering<'_>,
    cluster: u32,
    anchor: NodeId,
    nodes: &[NodeId],
) -> Result<(), PassError> {
    let graph = lowering.graph;
    let Op::ConvInputGrad(op) = graph.op(anchor) else {
        let whole = BatchedMatmul::of(lowering, anchor)?;
        let kernels = whole.parts(lowering, anchor);
        return kernels
            .into_iter()
            .try_for_each(|parts| lower_parts(lowering, (cluster, anchor), nodes, (whole.clone(), parts)));
    };
    let [dy, w] = [0, 1].map(|i| graph.ty(graph.operands(anchor)[i]));
    let Some(parts) = remainder::parts(op, dy, w, graph.ty(anchor)) else {
        return Err(lowering.defect(anchor, "the gradient should have been legalized"));
    };
    for places in &parts {
        match &places.spec {
            Some(spec) => lower_parts(lowering, (cluster, anchor), nodes, (spec.clone(), vec![spec.clone()]))?,
            None => {
                let results = outputs(graph, cluster, nodes);
                remainder::clear(lowering, (cluster, anchor), &results, places)?;
            }
        }
    }
    Ok(())
}

/// Lowers a contraction that consists of these parts.
fn lower_parts(
    lowering: &mut Lowering<'_>,
    (cluster, anchor): (u32, NodeId),
    nodes: &[NodeId],
    (whole, mut parts): (BatchedMatmul, Vec<BatchedMatmul>),
) -> Result<(), PassError> {
    let used = coordinates_used(lowering, cluster, nodes);
    parts.iter_mut().for_each(|part| part.collapse(|axis| !used.contains(&axis)));
    let dtype = lowering.graph.ty(anchor).dtype;
    let results = outputs(lowering.graph, cluster, nodes);
    let largest =
        parts.iter().max_by_key(|part| BatchedMatmul::size(&part.m) * BatchedMatmul::size(&part.k)).unwrap_or(&whole);
    let of_several = matches!(lowering.graph.op(anchor), Op::PairProduct(_) | Op::QuadProduct(_));
    let in_tiles = of_several || matches!(dtype, DType::F32 | DType::F64);
    if !in_tiles || largest.n.is_empty() || is_row_of_dots(largest) {
        if of_several {
            return Err(lowering.defect(anchor, "pairs and quads are multiplied in tiles only"));
        }
        if depthwise::is_depthwise(lowering.graph.op(anchor), &parts) {
            return depthwise::lower(lowering, cluster, anchor, &results, &parts);
        }
        if parts.len() > 1 {
            return Err(lowering.defect(anchor, "regions of a convolution that has no tiles"));
        }
        return plain::lower(lowering, cluster, anchor, &results, largest);
    }
    let name = lowering.kernel_name(nodes);
    let largest = largest.clone();
    let chunks = split::chunks(lowering.graph.op(anchor), &largest, dtype, &lowering.target);
    if let (Some(chunks), 1) = (chunks, parts.len()) {
        let spec = largest.in_chunks(chunks, lowering.graph.ty(anchor).shape.numel());
        let plan = plan(lowering, cluster, anchor, vec![], (spec.clone(), vec![spec]), Some(chunks))?;
        let own_name = lowering.kernel_name(&[anchor]);
        emit(lowering, &plan, &own_name)?;
        let Some(sums) = plan.partial else { return Err(lowering.defect(anchor, "sums without a place")) };
        return split::add_up(lowering, (cluster, anchor), &results, (sums, chunks), &name);
    }
    let plan = plan(lowering, cluster, anchor, results, (largest, parts), None)?;
    let target = lowering.target.clone();
    let cutter = Cutter { dtype, target: &target, has_place: plan.results.contains(&anchor), once: false };
    if let Some(panels) = triangle::masked_panels(lowering, &plan, |spec, width| cutter.cut(spec, Some(width)).0.rows) {
        return emit_masked_panels(lowering, &plan, &panels, &name);
    }
    if !plan.along_rows || plan.outer_dims().next().is_some() {
        return emit(lowering, &plan, &name);
    }
    // Threads share rows of tiles, which are alike in each kernel.
    let mut plan = plan;
    for run in std::mem::take(&mut plan.parts[0].rows) {
        plan.parts[0].rows = vec![run];
        emit(lowering, &plan, &name)?;
    }
    Ok(())
}

/// Emits the kernels of a plan.
fn emit(lowering: &mut Lowering<'_>, plan: &ContractionPlan, name: &str) -> Result<(), PassError> {
    for &run in &plan.own {
        emit_panels(lowering, plan, run, name)?;
    }
    // Column runs of different widths become kernels of their own, unless a loop around holds them together.
    if plan.outer_dims().next().is_none() && plan.row_blocks().is_none() {
        return plan.columns.iter().try_for_each(|run| emit_kernel(lowering, plan, std::slice::from_ref(run), name));
    }
    if plan.columns.is_empty() { Ok(()) } else { emit_kernel(lowering, plan, &plan.columns, name) }
}

/// A vector times a matrix whose columns are contiguous: each element is a sum along memory, which plain loops make with vectors.
fn is_row_of_dots(spec: &BatchedMatmul) -> bool {
    let strided = spec.n.last().is_some_and(|d| d.b != 1);
    strided && BatchedMatmul::size(&spec.m) < 4 && spec.k.last().is_some_and(|d| d.a == 1 && d.b == 1)
}

/// The result's axes whose coordinates the elementwise ops look at one by one.
fn coordinates_used(lowering: &Lowering<'_>, cluster: u32, nodes: &[NodeId]) -> BTreeSet<usize> {
    let graph = lowering.graph;
    let mut used = BTreeSet::new();
    let mut stack: Vec<NodeId> =
        nodes.iter().filter(|&&n| graph.cluster(n) == Some(cluster) && !is_contraction(graph.op(n))).copied().collect();
    let mut seen = BTreeSet::new();
    while let Some(node) = stack.pop() {
        for &operand in graph.operands(node) {
            if graph.cluster(operand).is_some() || !seen.insert(operand) {
                continue;
            }
            match graph.op(operand) {
                Op::Broadcast(op) => used.extend(op.axes.iter().copied()),
                Op::Full(_) | Op::Input(_) | Op::State(_) | Op::Constant(_) => {}
                // Anything else may look at any of them.
                _ => used.extend(0..graph.ty(operand).shape.rank()),
            }
        }
    }
    used
}

fn is_contraction(op: &Op) -> bool {
    op.family() == ir::Family::Contraction
}
