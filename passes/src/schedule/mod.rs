//! Orders the clusters.
//!
//! # Does
//! Numbers clusters in an order of execution that keeps few bytes alive: among those that are ready it takes the one after which
//! the least memory is in use. Clusters that read a state come before the one that computes the state's next value, where nothing
//! speaks against it, so that the value can be written in place. Clusters that check indices come before those that compute next values, likewise, so that
//! a step that fails leaves states as they were; where an index has been checked before, a second check holds nobody up.
//! # Requires
//! Stage `fused`.
//! # Ensures
//! Stage `scheduled`: a cluster uses only values of clusters with lower numbers.
//! # Example
//! Of two clusters that are ready, one that frees its operand of 4 MB and one that doesn't, the first gets the lower number.

mod tasks;

use crate::fuse::cluster::{Clusters, clustered_operands, outputs, through_inlined};
use crate::{PassContext, PassError};
use ir::{Graph, NodeId, Op, map_of};

use std::collections::{BTreeMap, BTreeSet};
use tasks::{Task, Tasks, cycle};

/// Runs the pass.
///
/// # Errors
/// If clusters wait for each other: a defect of fusion.
pub fn run(graph: &mut Graph, _: &PassContext) -> Result<(), PassError> {
    let clusters = Clusters::of(graph);
    let mut tasks = tasks(graph, &clusters)?;
    order_updates(graph, &mut tasks);
    order_checks(graph, &clusters, &mut tasks);
    let order = ListScheduler::of(graph, &tasks.tasks).run(&tasks.before)?;
    let number = map_of(order.iter().zip(0..).map(|(&cluster, number)| (cluster, number)));
    for (cluster, nodes) in &clusters.nodes {
        for &node in nodes {
            graph.set_cluster(node, number[cluster]);
        }
    }
    Ok(())
}

fn tasks(graph: &Graph, clusters: &Clusters) -> Result<Tasks, PassError> {
    let task = |(&cluster, nodes): (&u32, &Vec<NodeId>)| {
        let mut task = Task::default();
        for operand in nodes.iter().flat_map(|&n| clustered_operands(graph, n)) {
            if let Some(other) = graph.cluster(operand).filter(|&o| o != cluster) {
                task.after.insert(other);
                task.reads.insert(operand);
            }
        }
        task.makes = outputs(graph, cluster, nodes).iter().map(|&n| graph.ty(n).size_bytes()).sum();
        (cluster, task)
    };
    Tasks::of(map_of(clusters.nodes.iter().map(task)))
}

/// Readers of a state before its writer, unless that closes a cycle.
fn order_updates(graph: &Graph, tasks: &mut Tasks) {
    let states = map_of(graph.states().map(|(id, s)| (s.name.as_str(), id)));
    for (name, new) in graph.updates() {
        let (Some(writer), Some(&state)) = (graph.cluster(*new), states.get(name.as_str())) else { continue };
        let readers = through_inlined(graph, state).into_iter().filter_map(|node| graph.cluster(node));
        for reader in readers.collect::<BTreeSet<u32>>() {
            tasks.put_before(reader, writer);
        }
    }
}

/// Checks before the writers of states, unless that closes a cycle.
fn order_checks(graph: &Graph, clusters: &Clusters, tasks: &mut Tasks) {
    let writers: BTreeSet<u32> = graph.updates().iter().filter_map(|(_, new)| graph.cluster(*new)).collect();
    let mut checkers: BTreeMap<NodeId, Vec<u32>> = BTreeMap::new();
    let mut checked: Vec<(u32, NodeId)> = vec![];
    for (&cluster, nodes) in &clusters.nodes {
        for index in nodes.iter().filter_map(|&n| checked_index(graph, n)) {
            checked.push((cluster, index));
            checkers.entry(index).or_default().push(cluster);
        }
    }
    for (checker, index) in checked {
        // The gradient of a lookup checks what the lookup has checked; waiting for it would keep all gradients alive.
        if checkers[&index].iter().any(|&other| tasks.comes_before(other, checker)) {
            continue;
        }
        for &writer in &writers {
            tasks.put_before(checker, writer);
        }
    }
}

/// The operand whose elements a node checks.
pub(crate) fn checked_index(graph: &Graph, node: NodeId) -> Option<NodeId> {
    match (graph.op(node), graph.operands(node)) {
        (Op::Gather(_) | Op::TakeAlongAxis(_) | Op::ScatterAdd(_), [_, index, ..]) | (Op::CheckIndex(_), [index]) => {
            Some(*index)
        }
        _ => None,
    }
}

/// Takes tasks one by one, of those that are ready always the one after which the least memory is in use.
struct ListScheduler<'g> {
    graph: &'g Graph,
    tasks: &'g BTreeMap<u32, Task>,
    /// Who reads a value and hasn't been taken.
    readers: BTreeMap<NodeId, BTreeSet<u32>>,
    /// How much more memory is in use after a task, in bytes.
    growth: BTreeMap<u32, i64>,
    /// Tasks that nothing holds up, with their growth.
    ready: BTreeSet<(i64, u32)>,
}

impl<'g> ListScheduler<'g> {
    fn of(graph: &'g Graph, tasks: &'g BTreeMap<u32, Task>) -> Self {
        let mut readers: BTreeMap<NodeId, BTreeSet<u32>> = BTreeMap::new();
        for (&cluster, task) in tasks {
            for &value in &task.reads {
                readers.entry(value).or_default().insert(cluster);
            }
        }
        let growth = map_of(tasks.iter().map(|(&cluster, task)| (cluster, task.makes as i64)));
        let mut order = Self { graph, tasks, readers, growth, ready: BTreeSet::new() };
        let values: Vec<NodeId> = order.readers.keys().copied().collect();
        for value in values {
            order.note_last_reader(value);
        }
        for (&cluster, task) in tasks {
            if task.after.is_empty() {
                order.ready.insert((order.growth[&cluster], cluster));
            }
        }
        order
    }

    /// If one task alone still reads a value, it frees the value's memory.
    fn note_last_reader(&mut self, value: NodeId) {
        let mut left = self.readers.get(&value).into_iter().flatten();
        let (Some(&last), None) = (left.next(), left.next()) else { return };
        if self.graph.is_result(value) {
            return;
        }
        let Some(growth) = self.growth.get_mut(&last) else { return };
        let was_ready = self.ready.remove(&(*growth, last));
        *growth -= self.graph.ty(value).size_bytes() as i64;
        if was_ready {
            self.ready.insert((*growth, last));
        }
    }

    /// The next task; what it alone still held up is ready then.
    fn take(&mut self, waits: &mut BTreeMap<u32, usize>, after: &BTreeMap<u32, BTreeSet<u32>>) -> Option<u32> {
        let (_, next) = self.ready.pop_first()?;
        for value in &self.tasks[&next].reads {
            if self.readers.get_mut(value).is_some_and(|left| left.remove(&next)) {
                self.note_last_reader(*value);
            }
        }
        for &held in after.get(&next).into_iter().flatten() {
            if let Some(count) = waits.get_mut(&held) {
                *count -= 1;
                if *count == 0 {
                    self.ready.insert((self.growth[&held], held));
                }
            }
        }
        Some(next)
    }

    fn run(mut self, after: &BTreeMap<u32, BTreeSet<u32>>) -> Result<Vec<u32>, PassError> {
        let mut waits = map_of(self.tasks.iter().map(|(&c, task)| (c, task.after.len())));
        let mut order = Vec::with_capacity(self.tasks.len());
        while let Some(next) = self.take(&mut waits, after) {
            waits.remove(&next);
            order.push(next);
        }
        if waits.is_empty() { Ok(order) } else { Err(cycle(waits.keys())) }
    }
}
