//! An order in which clusters run, some of them again, and what is in memory meanwhile.
//!
//! A read takes the value that was computed last before it. So an order that has each cluster once, as scheduled, stays right wherever runs are added or
//! taken away again: they only change how long values stay in memory.

use super::facts::GraphFacts;

/// One run of a cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ClusterRun {
    /// The cluster, by position.
    pub(super) cluster: usize,
    /// Whether it has run before.
    pub(super) again: bool,
}

/// A run, as a walk through an order sees it.
pub(super) struct RunView<'w> {
    /// Its place in the order.
    pub(super) at: usize,
    /// The values it stores. None: nothing needs the run.
    pub(super) stored: &'w [usize],
    /// For each value whether it is in memory after the run.
    pub(super) alive: &'w [bool],
    /// Bytes of the arena that are in use meanwhile.
    pub(super) bytes: usize,
}

/// What an order takes.
pub(super) struct OrderCost {
    /// Bytes in use during each run.
    pub(super) bytes: Vec<usize>,
    /// The most during the first run of each cluster and what runs again right before it: their number doesn't change.
    stretches: Vec<usize>,
    /// Half cycles of all runs.
    pub(super) cost: f64,
}

impl OrderCost {
    pub(super) fn of(facts: &GraphFacts, order: &[ClusterRun]) -> Self {
        let mut found = Self { bytes: vec![0; order.len()], stretches: vec![], cost: 0.0 };
        walk(facts, order, &mut |run| {
            found.bytes[run.at] = run.bytes;
            if !run.stored.is_empty() {
                found.cost += facts.clusters[order[run.at].cluster].cost;
            }
        });
        let mut most = 0;
        for (run, &bytes) in order.iter().zip(&found.bytes) {
            most = bytes.max(most);
            if !run.again {
                found.stretches.push(std::mem::take(&mut most));
            }
        }
        found
    }

    /// By how much stretches of runs are over a number of bytes, all added up.
    pub(super) fn excess(&self, target: usize) -> usize {
        self.stretches.iter().map(|bytes| bytes.saturating_sub(target)).sum()
    }

    /// The most bytes in use at once.
    pub(super) fn most(&self) -> usize {
        self.bytes.iter().copied().max().unwrap_or(0)
    }

    /// The first run during which most memory is in use.
    pub(super) fn peak(&self) -> usize {
        let most = self.most();
        self.bytes.iter().position(|&bytes| bytes == most).unwrap_or(0)
    }
}

/// Shows each run of an order, the last one first.
pub(super) fn walk(facts: &GraphFacts, order: &[ClusterRun], show: &mut dyn FnMut(&RunView<'_>)) {
    let mut alive: Vec<bool> = facts.values.iter().map(|value| value.is_result).collect();
    let results = facts.values.iter().filter(|value| value.is_result).map(|value| value.bytes);
    let mut bytes = facts.persistent + results.sum::<usize>();
    let (mut stored, mut dying) = (vec![], vec![]);
    for (at, run) in order.iter().enumerate().rev() {
        let cluster = &facts.clusters[run.cluster];
        let makes = |&&value: &&usize| alive[value] && !(run.again && facts.values[value].is_result);
        stored.clear();
        stored.extend(cluster.makes.iter().filter(makes));
        dying.clear();
        if !stored.is_empty() {
            dying.extend(cluster.reads.iter().filter(|&&value| !alive[value]));
        }
        let size = |values: &[usize]| values.iter().map(|&value| facts.values[value].bytes).sum::<usize>();
        let scratch = if stored.is_empty() { 0 } else { cluster.scratch_bytes };
        let shared = if cluster.in_place { taken_over(facts, &stored, &mut dying.clone()) } else { 0 };
        let now = bytes + size(&dying) + scratch - shared;
        show(&RunView { at, stored: &stored, alive: &alive, bytes: now });
        bytes = bytes + size(&dying) - size(&stored);
        stored.iter().for_each(|&value| alive[value] = false);
        dying.iter().for_each(|&value| alive[value] = true);
    }
}

/// Bytes of results that take the memory of operands that die.
fn taken_over(facts: &GraphFacts, stored: &[usize], dying: &mut Vec<usize>) -> usize {
    let mut shared = 0;
    for &new in stored {
        let bytes = facts.values[new].bytes;
        if let Some(old) = dying.iter().position(|&old| facts.values[old].bytes == bytes) {
            dying.swap_remove(old);
            shared += bytes;
        }
    }
    shared
}
