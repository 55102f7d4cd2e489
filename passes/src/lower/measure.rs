//! What the clusters of a graph are to a machine, each by itself: for deciding which of them may run twice.

use super::{lower_cluster, start};
use crate::fuse::cluster::Clusters;
use crate::{PassContext, PassError, decompose};
use ir::{Graph, map_of};
use kernel::{BufferKind, Work};
use std::collections::{BTreeMap, BTreeSet};

/// What one run of a cluster takes.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct ClusterWork {
    /// Operations and traffic of all its launches.
    pub(crate) work: Work,
    /// Bytes of the buffers between its kernels, which nothing else reads.
    pub(crate) scratch_bytes: usize,
}

/// Lowers each cluster of a scheduled graph and counts what its kernels do, in ops that machines have.
///
/// # Errors
/// As the passes `lower` and `decompose`.
pub(crate) fn measure(graph: &Graph, context: &PassContext) -> Result<BTreeMap<u32, ClusterWork>, PassError> {
    let mut lowering = start(graph, &context.target, false);
    let clusters = Clusters::of(graph);
    // Where the launches and the buffers of each cluster end.
    let mut ends = vec![(lowering.program.launches.len(), lowering.program.buffers.len())];
    for &cluster in clusters.nodes.keys() {
        lower_cluster(&mut lowering, &clusters, cluster)?;
        ends.push((lowering.program.launches.len(), lowering.program.buffers.len()));
    }
    let of_nodes: BTreeSet<usize> = lowering.buffers.values().map(|buffer| buffer.0 as usize).collect();
    let mut program = lowering.program;
    decompose::run(&mut program, context)?;
    let scratch = |buffers: std::ops::Range<usize>| {
        let is_scratch = |at: &usize| matches!(program.buffers[*at].kind, BufferKind::Temp) && !of_nodes.contains(at);
        buffers.filter(is_scratch).map(|at| program.buffers[at].size_bytes()).sum()
    };
    let found = ends.windows(2).map(|two| {
        let ((launches, buffers), (to, last)) = (two[0], two[1]);
        let works = program.launches[launches..to].iter().map(|l| program.kernels[l.kernel as usize].work());
        ClusterWork { work: works.fold(Work::default(), add), scratch_bytes: scratch(buffers..last) }
    });
    Ok(map_of(clusters.nodes.keys().copied().zip(found)))
}

fn add(a: Work, b: Work) -> Work {
    Work {
        operations: a.operations + b.operations,
        read_bytes: a.read_bytes + b.read_bytes,
        written_bytes: a.written_bytes + b.written_bytes,
    }
}
