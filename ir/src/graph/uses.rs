//! Who uses a node. A use is found from both of its ends in one step, so that taking one of a node's thousand users away looks at none of the others, as a list
//! of edges would.

use super::NodeId;
use smallvec::SmallVec;

/// A node's operand of that position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Use {
    user: NodeId,
    operand: u32,
}

/// The uses of all nodes, by number.
#[derive(Clone, Default, Debug)]
pub(super) struct Uses {
    /// Those of each node, in no order.
    of: Vec<SmallVec<[Use; 2]>>,
    /// For each operand of each node, where its use stands among those of the operand.
    places: Vec<SmallVec<[u32; 4]>>,
}

impl Uses {
    /// Takes in a node that has just been added.
    pub(super) fn add(&mut self, user: NodeId, operands: &[NodeId]) {
        if self.of.len() <= user.index() {
            self.of.resize_with(user.index() + 1, SmallVec::new);
            self.places.resize_with(user.index() + 1, SmallVec::new);
        }
        self.places[user.index()] = SmallVec::from_elem(0, operands.len());
        for (i, operand) in operands.iter().enumerate() {
            self.push(*operand, Use { user, operand: i as u32 });
        }
    }

    /// Forgets the uses that a node makes of its operands.
    pub(super) fn remove(&mut self, user: NodeId, operands: &[NodeId]) {
        for (i, operand) in operands.iter().enumerate() {
            self.take(user, i, *operand);
        }
        self.places[user.index()].clear();
    }

    /// An operand of a node becomes another one.
    pub(super) fn change(&mut self, user: NodeId, i: usize, old: NodeId, new: NodeId) {
        self.take(user, i, old);
        self.push(new, Use { user, operand: i as u32 });
    }

    /// All uses of a node by others than `new` become uses of `new`; calls `changed` for each.
    pub(super) fn replace(&mut self, old: NodeId, new: NodeId, mut changed: impl FnMut(NodeId, usize)) {
        for each in std::mem::take(&mut self.of[old.index()]) {
            let keeps = each.user == new;
            self.push(if keeps { old } else { new }, each);
            if !keeps {
                changed(each.user, each.operand as usize);
            }
        }
    }

    /// The users of a node; one that uses it twice twice.
    pub(super) fn users(&self, id: NodeId) -> impl ExactSizeIterator<Item = NodeId> + '_ {
        self.of[id.index()].iter().map(|each| each.user)
    }

    fn push(&mut self, operand: NodeId, each: Use) {
        let uses = &mut self.of[operand.index()];
        self.places[each.user.index()][each.operand as usize] = uses.len() as u32;
        uses.push(each);
    }

    /// Takes a use away; the last one comes to stand in its place.
    fn take(&mut self, user: NodeId, i: usize, operand: NodeId) {
        let place = self.places[user.index()][i] as usize;
        let uses = &mut self.of[operand.index()];
        uses.swap_remove(place);
        if let Some(moved) = uses.get(place) {
            self.places[moved.user.index()][moved.operand as usize] = place as u32;
        }
    }
}
