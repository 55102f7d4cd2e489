//! How the axes of a node relate to the iteration space of the cluster that uses it.

use super::Fuser;
use ir::{Family, NodeId, Op};

/// For each axis of a node the axis of the space it runs along; `None` where the relation is not that simple.
pub(super) type AxisMap = Option<Vec<usize>>;

impl Fuser<'_> {
    /// The map of a node in a cluster that uses it, from the maps of its users there; `None` if they see it at different places.
    pub(super) fn map_of(&self, node: NodeId, cluster: u32) -> AxisMap {
        let mut maps: Vec<AxisMap> = vec![];
        for user in self.graph.users(node) {
            match self.graph.cluster(user) {
                Some(c) if c == cluster => maps.push(self.operand_map(user, node, self.own_map(user, cluster))),
                None if self.feeds(user, cluster) => {
                    maps.push(self.operand_map(user, node, self.map_of(user, cluster)));
                }
                _ => {}
            }
        }
        let first = maps.first()?.clone();
        if maps.iter().all(|m| *m == first) { first } else { None }
    }

    /// True if an inlined node is used in the cluster.
    fn feeds(&self, node: NodeId, cluster: u32) -> bool {
        self.graph.users(node).into_iter().any(|user| match self.graph.cluster(user) {
            Some(c) => c == cluster,
            None => self.feeds(user, cluster),
        })
    }

    /// The map of a node that is in the cluster.
    pub(super) fn own_map(&self, node: NodeId, cluster: u32) -> AxisMap {
        let info = self.info(cluster)?;
        let shape = &self.graph.ty(node).shape;
        let outer: Vec<usize> = (0..info.space.rank()).filter(|a| !info.reduced.contains(a)).collect();
        if matches!(self.graph.op(node), Op::Reduce(_)) {
            return Some(outer);
        }
        if *shape == info.space {
            // Under a permutation that is stored, equal extents don't mean equal axes.
            let moves = |n: NodeId| self.graph.op(n).family() == Family::Movement;
            let turned = !moves(node) && info.nodes.iter().any(|&n| moves(n));
            return if turned { self.map_of(node, cluster) } else { Some((0..info.space.rank()).collect()) };
        }
        let is_outer = outer.len() == shape.rank() && outer.iter().zip(shape.iter()).all(|(&a, &d)| info.space[a] == d);
        if is_outer { Some(outer) } else { self.map_of(node, cluster) }
    }

    /// The map of `operand`, given that of the user.
    fn operand_map(&self, user: NodeId, operand: NodeId, map: AxisMap) -> AxisMap {
        let rank = self.graph.ty(operand).shape.rank();
        match self.graph.op(user) {
            Op::Elementwise(_) | Op::Cast(_) | Op::CheckIndex(_) => map,
            // The space of its cluster is its operand's shape.
            Op::Reduce(_) => Some((0..rank).collect()),
            Op::Broadcast(op) => {
                let map = map?;
                Some(op.axes.iter().map(|&a| map[a]).collect())
            }
            Op::Permute(op) => {
                let map = map?;
                let mut out = vec![0; rank];
                for (axis, &from) in op.perm.iter().enumerate() {
                    out[from] = map[axis];
                }
                Some(out)
            }
            _ => None,
        }
    }
}
