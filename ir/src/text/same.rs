//! Equality of graphs up to the numbers of their nodes.

use super::print::printing_order;
use crate::map::positions;
use crate::{Graph, NodeId, Op};
use std::collections::BTreeMap;

impl Graph {
    /// True if both are the same program: equal names, nodes, clusters, outputs and updates, in the order of lines of the text. Ids and
    /// source locations don't count.
    pub fn same_as(&self, other: &Self) -> bool {
        let (a, b) = (Numbered::new(self), Numbered::new(other));
        self.name() == other.name()
            && a.order.len() == b.order.len()
            && a.order.iter().zip(&b.order).all(|(&x, &y)| a.same_node(x, &b, y))
            && a.ports(self.outputs()) == b.ports(other.outputs())
            && a.ports(self.updates()) == b.ports(other.updates())
    }

    /// True if the nodes of two graphs that are [the same](Self::same_as) have the same source locations, in bodies of scans too.
    pub fn same_places_as(&self, other: &Self) -> bool {
        let (a, b) = (printing_order(self), printing_order(other));
        let same_inside = |x: NodeId, y: NodeId| match (self.op(x), other.op(y)) {
            (Op::Scan(one), Op::Scan(two)) => {
                one.body.is_shared_with(&two.body) || one.body.graph().same_places_as(two.body.graph())
            }
            _ => true,
        };
        a.len() == b.len() && a.iter().zip(&b).all(|(&x, &y)| self.loc(x) == other.loc(y) && same_inside(x, y))
    }
}

/// A graph with its nodes numbered in the order of lines.
struct Numbered<'g> {
    graph: &'g Graph,
    order: Vec<NodeId>,
    position: BTreeMap<NodeId, usize>,
}

impl<'g> Numbered<'g> {
    fn new(graph: &'g Graph) -> Self {
        let order = printing_order(graph);
        Self { graph, position: positions(&order), order }
    }

    fn numbers(&self, ids: &[NodeId]) -> Vec<Option<usize>> {
        ids.iter().map(|id| self.position.get(id).copied()).collect()
    }

    fn ports<'p>(&self, ports: &'p [(String, NodeId)]) -> Vec<(&'p str, Option<usize>)> {
        ports.iter().map(|(name, id)| (name.as_str(), self.position.get(id).copied())).collect()
    }

    fn same_node(&self, x: NodeId, other: &Self, y: NodeId) -> bool {
        let (a, b) = (self.graph.node(x), other.graph.node(y));
        a.op() == b.op()
            && a.ty() == b.ty()
            && self.graph.cluster(x) == other.graph.cluster(y)
            && self.numbers(a.operands()) == other.numbers(b.operands())
    }
}
