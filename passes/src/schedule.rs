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

use crate::fuse::cluster::{Clusters, clustered_operands, outputs, through_inlined};
use crate::{PassContext, PassError};
use ir::{Graph, NodeId, Op};
use std::collections::{BTreeMap, BTreeSet};

/// What ordering needs to know of a cluster.
#[derive(Default)]
struct Task {
    /// Clusters that come before.
    after: BTreeSet<u32>,
    /// Values it reads that other clusters computed.
    reads: BTreeSet<NodeId>,
    /// Bytes it makes.
    makes: usize,
}

/// Runs the pass.
///
/// # Errors
/// If clusters wait for each other: a defect of fusion.
pub fn run(graph: &mut Graph, _: &PassContext) -> Result<(), PassError> {
    let clusters = Clusters::of(graph);
    let mut tasks = tasks(graph, &clusters);
    order_updates(graph, &mut tasks);
    order_checks(graph, &clusters, &mut tasks);
    let order = order(graph, &tasks)?;
    let number: BTreeMap<u32, u32> = order.iter().enumerate().map(|(i, &c)| (c, i as u32)).collect();
    for (cluster, nodes) in &clusters.nodes {
        for &node in nodes {
            graph.set_cluster(node, number[cluster]);
        }
    }
    Ok(())
}

fn tasks(graph: &Graph, clusters: &Clusters) -> BTreeMap<u32, Task> {
    clusters
        .nodes
        .iter()
        .map(|(&cluster, nodes)| {
            let mut task = Task::default();
            for operand in nodes.iter().flat_map(|&n| clustered_operands(graph, n)) {
                if let Some(other) = graph.cluster(operand).filter(|&o| o != cluster) {
                    task.after.insert(other);
                    task.reads.insert(operand);
                }
            }
            task.makes = outputs(graph, cluster, nodes).iter().map(|&n| graph.ty(n).size_bytes()).sum();
            (cluster, task)
        })
        .collect()
}

/// Readers of a state before its writer, unless that closes a cycle.
fn order_updates(graph: &Graph, tasks: &mut BTreeMap<u32, Task>) {
    let states: BTreeMap<&str, NodeId> = graph.states().map(|(id, s)| (s.name.as_str(), id)).collect();
    for (name, new) in graph.updates() {
        let (Some(writer), Some(&state)) = (graph.cluster(*new), states.get(name.as_str())) else { continue };
        let readers = through_inlined(graph, state).into_iter().filter_map(|node| graph.cluster(node));
        for reader in readers.collect::<BTreeSet<u32>>() {
            if reader != writer && !ancestors(tasks, reader).contains(&writer) {
                tasks.entry(writer).or_default().after.insert(reader);
            }
        }
    }
}

/// Checks before the writers of states, unless that closes a cycle.
fn order_checks(graph: &Graph, clusters: &Clusters, tasks: &mut BTreeMap<u32, Task>) {
    let writers: BTreeSet<u32> = graph.updates().iter().filter_map(|(_, new)| graph.cluster(*new)).collect();
    let checked: Vec<(u32, NodeId)> = clusters
        .nodes
        .iter()
        .flat_map(|(&cluster, nodes)| nodes.iter().filter_map(move |&n| Some((cluster, checked_index(graph, n)?))))
        .collect();
    for &(checker, index) in &checked {
        let before = ancestors(tasks, checker);
        // The gradient of a lookup checks what the lookup has checked; waiting for it would keep all gradients alive.
        if checked.iter().any(|(other, same)| *same == index && *other != checker && before.contains(other)) {
            continue;
        }
        for writer in writers.iter().filter(|w| **w != checker && !before.contains(w)) {
            tasks.entry(*writer).or_default().after.insert(checker);
        }
    }
}

/// The operand whose elements a node checks.
fn checked_index(graph: &Graph, node: NodeId) -> Option<NodeId> {
    match (graph.op(node), graph.operands(node)) {
        (Op::Gather(_) | Op::ScatterAdd(_), [_, index, ..]) | (Op::CheckIndex(_), [index]) => Some(*index),
        _ => None,
    }
}

/// All tasks that come before one.
fn ancestors(tasks: &BTreeMap<u32, Task>, task: u32) -> BTreeSet<u32> {
    let mut seen = BTreeSet::new();
    let mut stack = vec![task];
    while let Some(at) = stack.pop() {
        for &before in tasks.get(&at).iter().flat_map(|t| &t.after) {
            if seen.insert(before) {
                stack.push(before);
            }
        }
    }
    seen
}

fn order(graph: &Graph, tasks: &BTreeMap<u32, Task>) -> Result<Vec<u32>, PassError> {
    let mut readers: BTreeMap<NodeId, BTreeSet<u32>> = BTreeMap::new();
    for (&cluster, task) in tasks {
        for &value in &task.reads {
            readers.entry(value).or_default().insert(cluster);
        }
    }
    let mut waiting: BTreeSet<u32> = tasks.keys().copied().collect();
    let mut order = vec![];
    while !waiting.is_empty() {
        let growth = |cluster: u32| {
            let task = &tasks[&cluster];
            let last = |v: &&NodeId| readers[*v].len() == 1 && !graph.is_result(**v);
            let freed: usize = task.reads.iter().filter(last).map(|&v| graph.ty(v).size_bytes()).sum();
            task.makes as i64 - freed as i64
        };
        let ready = waiting.iter().copied().filter(|c| tasks[c].after.iter().all(|a| !waiting.contains(a)));
        let Some(next) = ready.min_by_key(|&c| (growth(c), c)) else {
            return Err(PassError::Invalid(format!("clusters {waiting:?} wait for each other")));
        };
        waiting.remove(&next);
        for value in &tasks[&next].reads {
            if let Some(left) = readers.get_mut(value) {
                left.remove(&next);
            }
        }
        order.push(next);
    }
    Ok(order)
}
