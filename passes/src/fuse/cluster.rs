//! Clusters of a fused graph: their nodes, what they compute for others, how they are lowered.

use ir::{Family, Graph, NodeId, Op};
use std::collections::{BTreeMap, BTreeSet};

/// How a cluster becomes kernels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ClusterKind {
    /// Elementwise ops, movement and reductions over one iteration space.
    Loop,
    /// A contraction and elementwise ops on its result.
    Contraction(NodeId),
    /// Pooling or a gradient of it, and elementwise ops on its result.
    Window(NodeId),
    /// One op with a kernel of its own.
    Opaque(NodeId),
    /// The results of one scan.
    Scan(NodeId),
}

/// The nodes of each cluster, operands first.
pub(crate) struct Clusters {
    pub(crate) nodes: BTreeMap<u32, Vec<NodeId>>,
}

impl Clusters {
    /// The clusters of a graph.
    pub(crate) fn of(graph: &Graph) -> Self {
        let mut nodes: BTreeMap<u32, Vec<NodeId>> = BTreeMap::new();
        for id in graph.topological() {
            if let Some(cluster) = graph.cluster(id) {
                nodes.entry(cluster).or_default().push(id);
            }
        }
        Self { nodes }
    }

    /// How a cluster is lowered.
    pub(crate) fn kind(&self, graph: &Graph, cluster: u32) -> ClusterKind {
        let nodes = self.nodes.get(&cluster).map_or(&[][..], Vec::as_slice);
        nodes.iter().find_map(|&n| anchor_kind(graph, n)).unwrap_or(ClusterKind::Loop)
    }
}

/// How a cluster around this node is lowered, if the node decides that.
pub(crate) fn anchor_kind(graph: &Graph, node: NodeId) -> Option<ClusterKind> {
    match (graph.op(node).family(), graph.op(node)) {
        (Family::Contraction, _) => Some(ClusterKind::Contraction(node)),
        (Family::Window, _) => Some(ClusterKind::Window(node)),
        (Family::Loop, _) => Some(ClusterKind::Scan(node)),
        (_, Op::ScatterAdd(_) | Op::CumSum(_) | Op::ArgSort(_)) => Some(ClusterKind::Opaque(node)),
        _ => None,
    }
}

/// The users of a node that stand in clusters, looking through those that are computed wherever they are used.
pub(crate) fn through_inlined(graph: &Graph, node: NodeId) -> BTreeSet<NodeId> {
    let (mut users, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut stack = vec![node];
    while let Some(at) = stack.pop() {
        for user in graph.users(at) {
            if graph.cluster(user).is_some() {
                users.insert(user);
            } else if seen.insert(user) {
                stack.push(user);
            }
        }
    }
    users
}

/// The operands of a node that stand in clusters, looking through those that don't.
pub(crate) fn clustered_operands(graph: &Graph, node: NodeId) -> BTreeSet<NodeId> {
    let (mut operands, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut stack = vec![node];
    while let Some(at) = stack.pop() {
        for &operand in graph.operands(at) {
            if graph.cluster(operand).is_some() {
                operands.insert(operand);
            } else if seen.insert(operand) {
                stack.push(operand);
            }
        }
    }
    operands
}

/// True if a node is a result, or a result is computed from it without a cluster between.
pub(crate) fn reaches_result(graph: &Graph, node: NodeId) -> bool {
    let (mut seen, mut stack) = (BTreeSet::new(), vec![node]);
    while let Some(at) = stack.pop() {
        if graph.is_result(at) {
            return true;
        }
        let inlined = graph.users(at).into_iter().filter(|&u| graph.cluster(u).is_none());
        stack.extend(inlined.filter(|u| seen.insert(*u)));
    }
    false
}

/// The nodes of a cluster that others need: operands of other clusters, and results.
pub(crate) fn outputs(graph: &Graph, cluster: u32, nodes: &[NodeId]) -> Vec<NodeId> {
    let needed = |n: NodeId| {
        reaches_result(graph, n)
            || through_inlined(graph, n).into_iter().any(|user| graph.cluster(user) != Some(cluster))
    };
    nodes.iter().copied().filter(|&n| needed(n)).collect()
}
