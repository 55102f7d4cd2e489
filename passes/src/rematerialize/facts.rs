//! What deciding needs to know of a scheduled graph: which values clusters read and make, and what running them takes.

use super::kind::only_copies;
use crate::fuse::cluster::{ClusterKind, Clusters, clustered_operands, outputs, reaches_result};
use crate::lower::{ClusterWork, measure};
use crate::schedule::checked_index;
use crate::{PassContext, PassError};
use ir::{Graph, NodeId, Op, map_of};
use std::collections::{BTreeMap, BTreeSet};

/// A value that stands in memory between clusters.
pub(super) struct ValueFacts {
    pub(super) node: NodeId,
    /// What it takes in the arena: 0 for a state's next value that is written over the state.
    pub(super) bytes: usize,
    /// Results stay in memory to the end of the step, and nothing computes them again.
    pub(super) is_result: bool,
    /// The cluster that makes it, by position.
    pub(super) maker: usize,
}

/// A cluster. Values and clusters are named by their position in [`GraphFacts`].
pub(super) struct ClusterFacts {
    pub(super) cluster: u32,
    pub(super) reads: Vec<usize>,
    pub(super) makes: Vec<usize>,
    /// The states it reads.
    states: Vec<NodeId>,
    /// What running it takes, in half cycles as `parallelize` counts them.
    pub(super) cost: f64,
    pub(super) scratch_bytes: usize,
    /// Whether it may run again at all. Loops over sequences don't; nor does what checks indices, which has to be done before states change.
    repeats: bool,
    /// Whether a result may take the memory of an operand that it is the last to read.
    pub(super) in_place: bool,
    /// Whether it only makes copies in another type that are made as fast as they are read.
    pub(super) copies: bool,
}

/// A state: its size, and the cluster that computes its next value.
struct StateFacts {
    bytes: usize,
    writer: Option<usize>,
}

/// Facts on all values and clusters of a graph, clusters in the order in which they run.
pub(super) struct GraphFacts {
    pub(super) values: Vec<ValueFacts>,
    pub(super) clusters: Vec<ClusterFacts>,
    /// Bytes of inputs and constants.
    pub(super) persistent: usize,
    states: BTreeMap<NodeId, StateFacts>,
}

/// A state of at most that size may be read after its next value has been computed: the plan then keeps both and copies at the end.
const SMALL_STATE: usize = 4 << 10;
/// Operations that an average kernel does in half a cycle.
const OPERATIONS: f64 = 8.0;
/// Bytes that come from memory, or go there, in half a cycle.
const BYTES: f64 = 4.0;

impl GraphFacts {
    /// The facts of a scheduled graph.
    ///
    /// # Errors
    /// If a cluster can't be lowered, which is a defect of an earlier pass.
    pub(super) fn of(graph: &Graph, context: &PassContext) -> Result<Self, PassError> {
        Ok(Self::with_work(graph, &measure(graph, context)?))
    }

    /// The facts of a scheduled graph but for what runs of clusters take, which is found out by lowering all of them.
    pub(super) fn without_work(graph: &Graph) -> Self {
        Self::with_work(graph, &BTreeMap::new())
    }

    fn with_work(graph: &Graph, work: &BTreeMap<u32, ClusterWork>) -> Self {
        let clusters = Clusters::of(graph);
        let port_bytes = |id: &NodeId| matches!(graph.op(*id), Op::Input(_) | Op::Constant(_));
        let persistent = graph.ids().filter(port_bytes).map(|id| graph.ty(id).size_bytes()).sum();
        let mut facts = Self { values: vec![], clusters: vec![], persistent, states: BTreeMap::new() };
        let mut positions: BTreeMap<NodeId, usize> = BTreeMap::new();
        for (maker, (&cluster, nodes)) in clusters.nodes.iter().enumerate() {
            for node in outputs(graph, cluster, nodes) {
                positions.insert(node, facts.values.len());
                let (bytes, is_result) = (graph.ty(node).size_bytes(), reaches_result(graph, node));
                facts.values.push(ValueFacts { node, bytes, is_result, maker });
            }
        }
        for (&cluster, nodes) in &clusters.nodes {
            let work = work.get(&cluster).copied().unwrap_or_default();
            facts.clusters.push(cluster_facts(
                graph,
                (cluster, nodes),
                clusters.kind(graph, cluster),
                &positions,
                work,
            ));
        }
        facts.note_states(graph);
        facts
    }

    /// Which clusters compute next values of states, and which of these take no memory.
    fn note_states(&mut self, graph: &Graph) {
        let makers = map_of(self.clusters.iter().enumerate().map(|(at, c)| (c.cluster, at)));
        for (id, state) in graph.states() {
            let next = graph.update(&state.name);
            let writer = next.and_then(|next| makers.get(&graph.cluster(next)?).copied());
            let last = self.clusters.iter().rposition(|c| c.states.contains(&id));
            if let (Some(writer), Some(next)) = (writer, next)
                && last.is_none_or(|last| last <= writer)
                && let Some(value) = self.values.iter_mut().find(|value| value.node == next)
            {
                value.bytes = 0;
            }
            self.states.insert(id, StateFacts { bytes: graph.ty(id).size_bytes(), writer });
        }
    }

    /// Whether a cluster may run again right before the place `at` of an order in which clusters first run at `first`. What it reads of states must still be there.
    pub(super) fn may_run_again(&self, cluster: usize, at: usize, first: &[usize]) -> bool {
        let facts = &self.clusters[cluster];
        let is_there = |state: &StateFacts| state.bytes <= SMALL_STATE || state.writer.is_none_or(|w| first[w] >= at);
        facts.repeats && facts.states.iter().all(|state| self.states.get(state).is_none_or(is_there))
    }
}

fn cluster_facts(
    graph: &Graph,
    (cluster, nodes): (u32, &[NodeId]),
    kind: ClusterKind,
    positions: &BTreeMap<NodeId, usize>,
    ClusterWork { work, scratch_bytes }: ClusterWork,
) -> ClusterFacts {
    let operands = nodes.iter().flat_map(|&node| clustered_operands(graph, node));
    let reads: BTreeSet<usize> =
        operands.filter(|&o| graph.cluster(o) != Some(cluster)).filter_map(|o| positions.get(&o).copied()).collect();
    let makes = nodes.iter().filter_map(|node| positions.get(node).copied()).collect();
    ClusterFacts {
        cluster,
        reads: reads.into_iter().collect(),
        makes,
        states: states_read(graph, nodes),
        cost: work.operations / OPERATIONS + (work.read_bytes + work.written_bytes) / BYTES,
        scratch_bytes,
        repeats: !matches!(kind, ClusterKind::Scan(_)) && nodes.iter().all(|&n| checked_index(graph, n).is_none()),
        in_place: matches!(kind, ClusterKind::Loop),
        copies: kind == ClusterKind::Loop && only_copies(graph, nodes),
    }
}

/// The states that nodes of a cluster read, directly or by way of nodes without a cluster.
fn states_read(graph: &Graph, nodes: &[NodeId]) -> Vec<NodeId> {
    let (mut states, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut stack = nodes.to_vec();
    while let Some(at) = stack.pop() {
        for &operand in graph.operands(at) {
            if matches!(graph.op(operand), Op::State(_)) {
                states.insert(operand);
            } else if graph.cluster(operand).is_none() && seen.insert(operand) {
                stack.push(operand);
            }
        }
    }
    states.into_iter().collect()
}
