//! Clusters that wait for each other, kept in an order that is corrected where a new edge goes against it.
//!
//! After D. J. Pearce, P. H. J. Kelly, "A dynamic topological sort algorithm for directed acyclic graphs", JEA 11 (2006): whether an edge
//! closes a cycle is found by looking at what stands between its ends only, which in a training step is little.

use crate::PassError;
use ir::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// What ordering needs to know of a cluster.
#[derive(Default)]
pub(super) struct Task {
    /// Clusters that come before.
    pub(super) after: BTreeSet<u32>,
    /// Values it reads that other clusters computed.
    pub(super) reads: BTreeSet<NodeId>,
    /// Bytes it makes.
    pub(super) makes: usize,
}

/// Tasks, and which come before which.
pub(super) struct Tasks {
    pub(super) tasks: BTreeMap<u32, Task>,
    /// Those that a task comes before.
    pub(super) before: BTreeMap<u32, BTreeSet<u32>>,
    /// Each task's place in an order in which none stands before what it waits for.
    places: BTreeMap<u32, usize>,
}

/// What a search found: tasks with their places.
type PlacedTasks = BTreeMap<usize, u32>;

impl Tasks {
    /// Tasks that wait for what they say.
    ///
    /// # Errors
    /// If some wait for each other.
    pub(super) fn of(tasks: BTreeMap<u32, Task>) -> Result<Self, PassError> {
        let mut before: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        let mut waits: BTreeMap<u32, usize> = BTreeMap::new();
        for (&cluster, task) in &tasks {
            waits.insert(cluster, task.after.len());
            for &other in &task.after {
                before.entry(other).or_default().insert(cluster);
            }
        }
        let mut ready: BTreeSet<u32> = waits.iter().filter(|(_, n)| **n == 0).map(|(&c, _)| c).collect();
        let mut places = BTreeMap::new();
        while let Some(next) = ready.pop_first() {
            places.insert(next, places.len());
            waits.remove(&next);
            for held in before.get(&next).into_iter().flatten() {
                if let Some(count) = waits.get_mut(held) {
                    *count -= 1;
                    if *count == 0 {
                        ready.insert(*held);
                    }
                }
            }
        }
        if waits.is_empty() { Ok(Self { tasks, before, places }) } else { Err(cycle(waits.keys())) }
    }

    /// Has a task wait for another one, unless that one waits for it.
    pub(super) fn put_before(&mut self, first: u32, second: u32) {
        let (Some(&high), Some(&low)) = (self.places.get(&first), self.places.get(&second)) else { return };
        if first == second {
            return;
        }
        if low < high {
            let behind = self.reachable(second, |at| at <= high, |task| self.before.get(&task));
            if behind.contains_key(&high) {
                return;
            }
            let ahead = self.reachable(first, |at| at >= low, |task| self.tasks.get(&task).map(|t| &t.after));
            let mut free: Vec<usize> = ahead.keys().chain(behind.keys()).copied().collect();
            free.sort_unstable();
            for (task, place) in ahead.values().chain(behind.values()).zip(free) {
                self.places.insert(*task, place);
            }
        }
        self.before.entry(first).or_default().insert(second);
        if let Some(task) = self.tasks.get_mut(&second) {
            task.after.insert(first);
        }
    }

    /// True if a task waits for another one, directly or through others.
    pub(super) fn comes_before(&self, first: u32, second: u32) -> bool {
        let (Some(&low), Some(&high)) = (self.places.get(&first), self.places.get(&second)) else { return false };
        low < high && self.reachable(first, |at| at <= high, |task| self.before.get(&task)).contains_key(&high)
    }

    /// A task and those reached from it by way of tasks in the places that are asked for.
    fn reachable<'t>(
        &'t self,
        from: u32,
        is_within: impl Fn(usize) -> bool,
        next: impl Fn(u32) -> Option<&'t BTreeSet<u32>>,
    ) -> PlacedTasks {
        let (mut found, mut stack) = (PlacedTasks::new(), vec![from]);
        while let Some(task) = stack.pop() {
            let Some(&place) = self.places.get(&task).filter(|place| is_within(**place)) else { continue };
            if found.insert(place, task).is_none() {
                stack.extend(next(task).into_iter().flatten());
            }
        }
        found
    }
}

/// Why there is no order.
pub(super) fn cycle<'c>(waiting: impl Iterator<Item = &'c u32>) -> PassError {
    PassError::Invalid(format!("clusters {:?} wait for each other", waiting.collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks(edges: &[(u32, u32)], count: u32) -> Tasks {
        let mut tasks: BTreeMap<u32, Task> = (0..count).map(|c| (c, Task::default())).collect();
        for (a, b) in edges {
            tasks.get_mut(b).unwrap().after.insert(*a);
        }
        Tasks::of(tasks).unwrap()
    }

    /// All tasks that come before one, by a search of everything.
    fn ancestors(tasks: &Tasks, task: u32) -> BTreeSet<u32> {
        let (mut seen, mut stack) = (BTreeSet::new(), vec![task]);
        while let Some(at) = stack.pop() {
            stack.extend(tasks.tasks[&at].after.iter().filter(|b| seen.insert(**b)));
        }
        seen
    }

    #[test]
    fn edges_are_refused_exactly_where_they_close_a_cycle() {
        let mut seed = 7u32;
        let mut random = |n: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) % n
        };
        let (mut refused, mut against) = (0, 0);
        for _ in 0..50 {
            let mut tasks = tasks(&[(3, 4), (4, 5), (9, 1)], 20);
            for _ in 0..60 {
                let (a, b) = (random(20), random(20));
                let closes = a == b || ancestors(&tasks, a).contains(&b);
                assert_eq!(tasks.comes_before(b, a), ancestors(&tasks, a).contains(&b));
                refused += usize::from(closes);
                against += usize::from(!closes && tasks.places[&a] > tasks.places[&b]);
                tasks.put_before(a, b);
                assert_eq!(tasks.tasks[&b].after.contains(&a), !closes);
                for (task, place) in &tasks.places {
                    assert!(tasks.tasks[task].after.iter().all(|before| tasks.places[before] < *place));
                }
            }
        }
        assert!(refused > 100 && against > 100, "{refused} {against}");
    }

    #[test]
    fn tasks_that_wait_for_each_other_are_refused() {
        let task = |other| Task { after: [other].into(), ..Task::default() };
        let error = Tasks::of([(0, task(1)), (1, task(0))].into()).err().unwrap().to_string();
        assert!(error.contains("[0, 1] wait for each other"), "{error}");
    }
}
