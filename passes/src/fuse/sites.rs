//! Places at which a cluster uses a node, and how many of its elements would be computed there.

use ir::NodeId;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Places of one node in a cluster that are told apart.
const MAX_PLACES: usize = 8;

/// For each axis of a node the axis of the space it runs along; `None` where the relation is not that simple.
pub(super) type AxisMap = Option<Rc<[usize]>>;

/// A place of a node's elements in a cluster's iterations.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct IndexingMap {
    /// The number of the place: two users see the same elements in the same iterations if this is equal.
    pub(super) id: u32,
    pub(super) map: AxisMap,
    /// How many elements would be computed there, if the cluster computed the node.
    pub(super) evaluations: f64,
}

/// How one cluster uses a node.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Sites {
    pub(super) places: Vec<IndexingMap>,
    /// There are more places than are kept.
    pub(super) many: bool,
    /// How many reductions of the cluster stand after the node, in a row.
    pub(super) reductions_after: usize,
    /// How often the cluster's space had changed when this was found out.
    pub(super) epoch: u32,
}

impl Sites {
    /// The map of a node that is seen at one place.
    pub(super) fn map(&self) -> AxisMap {
        match &self.places[..] {
            [only] if !self.many => only.map.clone(),
            _ => None,
        }
    }

    /// How many elements would be computed at all places.
    pub(super) fn evaluations(&self) -> f64 {
        self.places.iter().map(|p| p.evaluations).sum()
    }

    pub(super) fn add(&mut self, place: IndexingMap) {
        if self.places.iter().any(|p| p.id == place.id) {
            return;
        }
        if self.places.len() < MAX_PLACES {
            self.places.push(place);
        } else {
            self.many = true;
        }
    }

    pub(super) fn add_all(&mut self, more: &Self) {
        more.places.iter().for_each(|place| self.add(place.clone()));
        self.many |= more.many;
        self.reductions_after = self.reductions_after.max(more.reductions_after);
    }
}

/// What is known of the places of all nodes.
#[derive(Default)]
pub(super) struct IndexingMaps {
    /// For each node the clusters that use it, under the numbers they had when it was placed.
    uses: Vec<Vec<(u32, Rc<Sites>)>>,
    /// For nodes that are in a cluster, where it computes them.
    pub(super) own: Vec<Option<Rc<Sites>>>,
    numbers: RefCell<MapNumbers>,
}

/// The numbers of places.
#[derive(Default)]
struct MapNumbers {
    /// Those with a map.
    maps: BTreeMap<Rc<[usize]>, u32>,
    /// Others: the user's place, the user, and which operand of it.
    paths: BTreeMap<(u32, NodeId, usize), u32>,
    next: u32,
}

impl IndexingMaps {
    pub(super) fn uses(&self, node: NodeId) -> &[(u32, Rc<Sites>)] {
        self.uses.get(node.index()).map_or(&[], Vec::as_slice)
    }

    pub(super) fn set_uses(&mut self, node: NodeId, uses: Vec<(u32, Rc<Sites>)>) {
        if self.uses.len() <= node.index() {
            self.uses.resize(node.index() + 1, vec![]);
        }
        self.uses[node.index()] = uses;
    }

    pub(super) fn set_own(&mut self, node: NodeId, own: Rc<Sites>) {
        if self.own.len() <= node.index() {
            self.own.resize(node.index() + 1, None);
        }
        self.own[node.index()] = Some(own);
    }

    /// A place with that map.
    pub(super) fn mapped(&self, map: &[usize], evaluations: f64) -> IndexingMap {
        let MapNumbers { maps, next, .. } = &mut *self.numbers.borrow_mut();
        if let Some((map, &id)) = maps.get_key_value(map) {
            return IndexingMap { id, map: Some(map.clone()), evaluations };
        }
        let (map, id): (Rc<[usize]>, u32) = (map.into(), fresh(next));
        maps.insert(map.clone(), id);
        IndexingMap { id, map: Some(map), evaluations }
    }

    /// The place of an operand of a user that is at a place itself.
    pub(super) fn passed(&self, path: (u32, NodeId, usize), evaluations: f64) -> IndexingMap {
        let MapNumbers { paths, next, .. } = &mut *self.numbers.borrow_mut();
        let id = *paths.entry(path).or_insert_with(|| fresh(next));
        IndexingMap { id, map: None, evaluations }
    }
}

fn fresh(next: &mut u32) -> u32 {
    *next += 1;
    *next
}
