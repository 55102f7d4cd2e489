//! Which section of a training step a node belongs to.

use super::{Graph, NodeId};
use crate::{Op, Section, map_of};
use std::collections::{BTreeMap, BTreeSet};

impl Graph {
    /// The section of each node: what the nodes' places say, or, where gradients are yet to be derived, what follows from them. Nothing of a graph that isn't trained.
    ///
    /// Before gradients are derived, what losses and outputs without gradients depend on is forward, the gradients themselves are backward, and what is left is the update.
    pub fn sections(&self) -> BTreeMap<NodeId, Section> {
        let gradients: Vec<NodeId> = self.ids().filter(|&id| matches!(self.op(id), Op::Gradient(_))).collect();
        if gradients.is_empty() {
            return map_of(self.ids().filter_map(|id| Some((id, self.loc(id)?.section?))));
        }
        let losses = self.above(gradients.iter().map(|&id| self.operands(id)[0]));
        let from_gradients = self.below(&gradients);
        let outputs = self.outputs().iter().map(|(_, id)| *id).filter(|id| !from_gradients.contains(id));
        let forward = self.above(outputs);
        let section = |id: NodeId| match self.op(id) {
            Op::Gradient(_) => Section::Backward,
            Op::Input(_) => Section::Forward,
            _ if losses.contains(&id) || forward.contains(&id) => Section::Forward,
            _ => Section::Update,
        };
        map_of(self.ids().map(|id| (id, section(id))))
    }

    /// Says which section a node belongs to, if it has a place.
    pub fn set_section(&mut self, id: NodeId, section: Section) {
        if let Some(loc) = self.locs.get_mut(&id) {
            loc.section = Some(section);
        }
    }

    /// The nodes that some depend on, those included.
    fn above(&self, nodes: impl Iterator<Item = NodeId>) -> BTreeSet<NodeId> {
        let (mut above, mut stack) = (BTreeSet::new(), nodes.collect::<Vec<_>>());
        while let Some(id) = stack.pop() {
            if above.insert(id) {
                stack.extend(self.operands(id));
            }
        }
        above
    }

    /// The nodes that depend on some, those included.
    fn below(&self, nodes: &[NodeId]) -> BTreeSet<NodeId> {
        let mut below: BTreeSet<NodeId> = nodes.iter().copied().collect();
        for id in self.topological() {
            if self.operands(id).iter().any(|operand| below.contains(operand)) {
                below.insert(id);
            }
        }
        below
    }
}
