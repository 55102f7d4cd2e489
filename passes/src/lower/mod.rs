//! Lowers a fused and scheduled graph to a program of kernels.
//!
//! # Does
//! Gives every value that is kept a buffer, and makes each cluster, in ascending order, into kernels and launches: loop clusters
//! (`loops`), contractions (`contraction`), windows (`window`), scans (`scan`), the rest (`opaque`).
//! # Requires
//! Stage `scheduled`: no gradients, valid convolutions only, clusters numbered in an order of execution.
//! # Ensures
//! A program that the kernel verifier accepts, unplanned: buffers have no offsets yet.
//! # Example
//! `%2 = relu %1 : f32[8] @0` becomes a kernel with one loop, and one launch of it.

mod argsort;
mod buffers;
mod contraction;
mod cumsum;
mod cx;
mod expr;
mod index;
mod loops;
mod lowering;
mod measure;
mod opaque;
mod random;
mod scan;
mod split;
mod subview;
mod tile;
mod window;
mod work;

pub(crate) use lowering::Lowering;
pub(crate) use measure::{ClusterWork, measure};

use crate::fuse::cluster::{ClusterKind, Clusters};
use crate::{PassContext, PassError};
use ir::{Graph, Op};
use kernel::{BufferKind, CodePool, Program, Target};
use std::collections::{BTreeMap, BTreeSet};

/// Lowers a graph.
///
/// # Errors
/// If the graph is not in the stage that this pass requires.
pub fn run(graph: &Graph, context: &PassContext) -> Result<Program, PassError> {
    Ok(lower(graph, &context.target, false)?.program)
}

fn lower<'g>(graph: &'g Graph, target: &Target, is_body: bool) -> Result<Lowering<'g>, PassError> {
    let mut lowering = start(graph, target, is_body);
    let clusters = Clusters::of(graph);
    for &cluster in clusters.nodes.keys() {
        lower_cluster(&mut lowering, &clusters, cluster)?;
    }
    copy_remaining_results(&mut lowering)?;
    Ok(lowering)
}

/// A program with the buffers of ports and nothing else.
fn start<'g>(graph: &'g Graph, target: &Target, is_body: bool) -> Lowering<'g> {
    let mut lowering = Lowering {
        graph,
        target: target.clone(),
        program: Program { name: graph.name().to_owned(), ..Program::default() },
        buffers: BTreeMap::new(),
        checks: BTreeMap::new(),
        kinds: BTreeMap::new(),
        current: vec![],
        origins: BTreeMap::new(),
        codes: CodePool::default(),
        is_body,
    };
    lowering.declare_ports();
    lowering
}

/// Adds the kernels and launches of a cluster.
fn lower_cluster(lowering: &mut Lowering<'_>, clusters: &Clusters, cluster: u32) -> Result<(), PassError> {
    let nodes = clusters.nodes.get(&cluster).map_or(&[][..], Vec::as_slice);
    lowering.start(nodes);
    match clusters.kind(lowering.graph, cluster) {
        ClusterKind::Loop => loops::lower(lowering, cluster, nodes),
        ClusterKind::Contraction(anchor) => contraction::lower(lowering, cluster, anchor, nodes),
        ClusterKind::Window(anchor) => window::lower(lowering, cluster, anchor, nodes),
        ClusterKind::Opaque(anchor) => opaque::lower(lowering, cluster, anchor),
        ClusterKind::Scan(anchor) => scan::lower(lowering, anchor, nodes),
    }
}

/// Results that no cluster computes to a buffer of their own: ports passed through, and second names.
fn copy_remaining_results(lowering: &mut Lowering<'_>) -> Result<(), PassError> {
    let updates = lowering.graph.updates().iter().map(|(n, id)| (BufferKind::Next { name: n.clone() }, *id));
    let outputs = lowering.graph.outputs().iter().map(|(n, id)| (BufferKind::Output { name: n.clone() }, *id));
    let results: Vec<_> = updates.chain(outputs).collect();
    let port = |kind: &BufferKind| match kind {
        BufferKind::Next { name } => Some((false, name.clone())),
        BufferKind::Output { name } => Some((true, name.clone())),
        _ => None,
    };
    let mut there: BTreeSet<(bool, String)> = lowering.program.buffers.iter().filter_map(|b| port(&b.kind)).collect();
    for (kind, node) in results {
        let unchanged =
            matches!((&kind, lowering.graph.op(node)), (BufferKind::Next { name }, Op::State(s)) if *name == s.name);
        if unchanged || !port(&kind).is_some_and(|port| there.insert(port)) {
            continue;
        }
        lowering.start(&[node]);
        opaque::copy(lowering, node, kind)?;
    }
    Ok(())
}
