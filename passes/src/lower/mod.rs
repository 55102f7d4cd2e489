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

mod contraction;
mod cumsum;
mod cx;
mod expr;
mod index;
mod loops;
mod lowering;
mod opaque;
mod random;
mod scan;
mod split;
mod tile;
mod window;
mod work;

pub(crate) use lowering::Lowering;

use crate::fuse::cluster::{Clusters, Kind};
use crate::{PassContext, PassError};
use ir::{Graph, NodeId, Op};
use kernel::{BufferKind, Codes, Kernel, Program, Target};
use std::collections::{BTreeMap, BTreeSet};

/// What a kernel was made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The kernel's name, which it keeps through the passes that follow.
    pub kernel: String,
    /// The nodes of its cluster, in the order of their ids; none for a copy that no cluster asked for.
    pub nodes: Vec<NodeId>,
}

/// Lowers a graph.
///
/// # Errors
/// If the graph is not in the stage that this pass requires.
pub fn run(graph: &Graph, context: &PassContext) -> Result<Program, PassError> {
    Ok(lower(graph, &context.target, false)?.program)
}

/// What each kernel is made of that [`run`] makes of the same graph, in the program's order: for profiles, which name the user's lines.
///
/// # Errors
/// As [`run`].
pub fn origins(graph: &Graph, context: &PassContext) -> Result<Vec<Origin>, PassError> {
    let lowering = lower(graph, &context.target, false)?;
    let origin = |(kernel, cluster): (&Kernel, &Option<u32>)| Origin {
        kernel: kernel.name.clone(),
        nodes: graph.ids().filter(|&id| cluster.is_some() && graph.cluster(id) == *cluster).collect(),
    };
    Ok(lowering.program.kernels.iter().zip(&lowering.clusters).map(origin).collect())
}

fn lower<'g>(graph: &'g Graph, target: &Target, is_body: bool) -> Result<Lowering<'g>, PassError> {
    let mut lowering = Lowering {
        graph,
        target: target.clone(),
        program: Program { name: graph.name().to_owned(), ..Program::default() },
        buffers: BTreeMap::new(),
        checks: BTreeMap::new(),
        kinds: BTreeMap::new(),
        cluster: None,
        clusters: vec![],
        codes: Codes::default(),
        is_body,
    };
    lowering.declare_ports();
    let clusters = Clusters::of(graph);
    for (&cluster, nodes) in &clusters.nodes {
        lowering.cluster = Some(cluster);
        match clusters.kind(graph, cluster) {
            Kind::Loop => loops::lower(&mut lowering, cluster, nodes)?,
            Kind::Contraction(anchor) => contraction::lower(&mut lowering, cluster, anchor, nodes)?,
            Kind::Window(anchor) => window::lower(&mut lowering, cluster, anchor, nodes)?,
            Kind::Opaque(anchor) => opaque::lower(&mut lowering, cluster, anchor)?,
            Kind::Scan(anchor) => scan::lower(&mut lowering, anchor, nodes)?,
        }
    }
    lowering.cluster = None;
    copy_remaining_results(&mut lowering)?;
    Ok(lowering)
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
        opaque::copy(lowering, node, kind)?;
    }
    Ok(())
}
