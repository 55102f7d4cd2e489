//! The order of evaluation that respects clusters, which is also the order of lines in text.

use super::{Graph, NodeId};
use crate::map_of;
use std::collections::{BTreeMap, BTreeSet};

/// The clusters that wait for each other, first and last the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Circle(pub(crate) Vec<u32>);

impl Graph {
    /// An order of evaluation that keeps each cluster together and takes the clusters by ascending number as far as they depend on
    /// each other that way; a node without a cluster stands right before the first cluster that needs it, those that no cluster
    /// needs stand at the end. It is the order of lines in text, and depends on nothing but the graph: numbering the nodes by it
    /// and asking again gives the same order.
    ///
    /// Where clusters depend on each other in a circle this is [`Graph::topological`].
    pub fn schedule_order(&self) -> Vec<NodeId> {
        let topological = self.topological();
        if self.clusters.iter().all(Option::is_none) {
            return topological;
        }
        UnitOrder::new(self, &topological).run(&topological).unwrap_or(topological)
    }

    /// Clusters that depend on each other in a circle, if there are any.
    pub(crate) fn cluster_circle(&self) -> Option<Circle> {
        let topological = self.topological();
        UnitOrder::new(self, &topological).run(&topological).err()
    }
}

/// What is placed at once: a node outside all clusters, or a cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ScheduleUnit {
    Node(NodeId),
    Cluster(u32),
}

/// The unit of each node. A node without a cluster between two nodes of the same cluster (a reshape, say) is part of that cluster:
/// no order could keep the cluster together otherwise.
fn units(graph: &Graph, topological: &[NodeId]) -> BTreeMap<NodeId, ScheduleUnit> {
    let free = |id: NodeId| graph.cluster(id).is_none();
    let mut above: BTreeMap<NodeId, BTreeSet<u32>> = BTreeMap::new();
    for &id in topological.iter().filter(|id| free(**id)) {
        let mut clusters = BTreeSet::new();
        for operand in graph.operands(id) {
            clusters.extend(graph.cluster(*operand));
            clusters.extend(above.get(operand).into_iter().flatten());
        }
        above.insert(id, clusters);
    }
    let mut below: BTreeMap<NodeId, BTreeSet<u32>> = BTreeMap::new();
    for &id in topological.iter().rev() {
        let clusters: BTreeSet<u32> = match graph.cluster(id) {
            Some(cluster) => [cluster].into(),
            None => below.get(&id).cloned().unwrap_or_default(),
        };
        for operand in graph.operands(id).iter().filter(|o| free(**o)) {
            below.entry(*operand).or_default().extend(&clusters);
        }
    }
    let inside = |id: NodeId| above.get(&id)?.intersection(below.get(&id)?).next().copied();
    let unit =
        |id: NodeId| graph.cluster(id).or_else(|| inside(id)).map_or(ScheduleUnit::Node(id), ScheduleUnit::Cluster);
    map_of(topological.iter().map(|&id| (id, unit(id))))
}

/// A depth-first walk over units, operands first, with its own stack so that deep graphs don't overflow the machine's.
struct UnitOrder<'g> {
    graph: &'g Graph,
    units: BTreeMap<NodeId, ScheduleUnit>,
    members: BTreeMap<u32, Vec<NodeId>>,
    placed: BTreeSet<ScheduleUnit>,
    open: BTreeSet<ScheduleUnit>,
    order: Vec<NodeId>,
}

type Stack = Vec<(ScheduleUnit, std::vec::IntoIter<ScheduleUnit>)>;

impl<'g> UnitOrder<'g> {
    fn new(graph: &'g Graph, topological: &[NodeId]) -> Self {
        let units = units(graph, topological);
        let mut members: BTreeMap<u32, Vec<NodeId>> = BTreeMap::new();
        for id in topological {
            if let ScheduleUnit::Cluster(cluster) = units[id] {
                members.entry(cluster).or_default().push(*id);
            }
        }
        let order = Vec::with_capacity(topological.len());
        Self { graph, units, members, placed: BTreeSet::new(), open: BTreeSet::new(), order }
    }

    fn run(mut self, topological: &[NodeId]) -> Result<Vec<NodeId>, Circle> {
        let clusters: Vec<u32> = self.members.keys().copied().collect();
        for cluster in clusters {
            self.place(ScheduleUnit::Cluster(cluster))?;
        }
        for id in topological {
            self.place(self.units[id])?;
        }
        Ok(self.order)
    }

    fn nodes(&self, unit: ScheduleUnit) -> Vec<NodeId> {
        match unit {
            ScheduleUnit::Node(id) => vec![id],
            ScheduleUnit::Cluster(cluster) => self.members[&cluster].clone(),
        }
    }

    /// The other units that a unit's nodes take operands from, in the order in which the nodes name them.
    fn needs(&self, unit: ScheduleUnit) -> Vec<ScheduleUnit> {
        let operands = self.nodes(unit).into_iter().flat_map(|id| self.graph.operands(id));
        operands.map(|o| self.units[o]).filter(|&u| u != unit).collect()
    }

    /// Places a unit after all that it needs.
    fn place(&mut self, unit: ScheduleUnit) -> Result<(), Circle> {
        let mut stack = Stack::new();
        self.enter(unit, &mut stack)?;
        while let Some((unit, needs)) = stack.last_mut() {
            match needs.next() {
                Some(next) => self.enter(next, &mut stack)?,
                None => {
                    let unit = *unit;
                    stack.pop();
                    self.open.remove(&unit);
                    self.placed.insert(unit);
                    let nodes = self.nodes(unit);
                    self.order.extend(nodes);
                }
            }
        }
        Ok(())
    }

    fn enter(&mut self, unit: ScheduleUnit, stack: &mut Stack) -> Result<(), Circle> {
        if self.placed.contains(&unit) {
            return Ok(());
        }
        if !self.open.insert(unit) {
            let from = stack.iter().position(|(u, _)| *u == unit).unwrap_or(0);
            let units = stack[from..].iter().map(|(u, _)| *u).chain([unit]);
            let clusters = units.filter_map(|u| if let ScheduleUnit::Cluster(c) = u { Some(c) } else { None });
            return Err(Circle(clusters.collect()));
        }
        stack.push((unit, self.needs(unit).into_iter()));
        Ok(())
    }
}
