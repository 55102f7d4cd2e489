//! Chooses which clusters run again, and when.
//!
//! Greedily: at the moment when most memory is in use, of all values that only wait there the one is dropped, to be computed again right before its next
//! use, that saves most for what it costs. What it is computed from is computed again, too, where it isn't in memory anyway, a few clusters deep or all the
//! way: both are tried. What an order saves is counted over all its runs, by how much they are over the target.

use super::facts::GraphFacts;
use super::order::{ClusterRun, OrderCost, walk};
use std::collections::BTreeSet;

/// Of the values that wait so many are tried, the largest first; fewer where graphs are large.
const MOST_VALUES: usize = 24;
const FEWEST_VALUES: usize = 4;
/// How many clusters that need one another are run again: each is tried.
const DEPTHS: [usize; 6] = [1, 2, 3, 5, 8, 256];
/// So many runs are looked at, all orders that are tried together: a second or two.
const MOST_WORK: usize = 10_000_000;
/// Where the target can't be reached at once, this part less is tried, again and again.
const STEP: usize = 10;

/// An order of a graph's clusters, with runs added until at most `target` bytes are in use at once, or nothing more helps.
pub(super) fn search(facts: &GraphFacts, scheduled: Vec<ClusterRun>, target: usize) -> Vec<ClusterRun> {
    let most = |order: &[ClusterRun]| OrderCost::of(facts, order).most();
    let mut search = OrderSearch { facts, target, order: scheduled.clone(), work: 0 };
    search.run();
    let mut best = search.order.clone();
    if most(&best) <= target {
        return best;
    }
    // A target out of reach says little of which moments matter: those of most memory do, step by step.
    search.order = scheduled;
    loop {
        let before = most(&search.order);
        search.target = target.max(before - before / STEP);
        search.run();
        let after = most(&search.order);
        if after < most(&best) {
            best.clone_from(&search.order);
        }
        if after >= before || after <= target {
            return best;
        }
    }
}

struct OrderSearch<'f> {
    facts: &'f GraphFacts,
    target: usize,
    order: Vec<ClusterRun>,
    /// Runs looked at.
    work: usize,
}

/// What is where at the moment when most memory is in use.
struct Moment {
    /// Values in memory at that moment.
    present: Vec<bool>,
    /// Values that only wait then, each with the place of its next use.
    waiting: Vec<(usize, usize)>,
    /// For each value the first place afterwards at which it is computed.
    made: Vec<usize>,
    /// Where each cluster runs first.
    first: Vec<usize>,
}

impl OrderSearch<'_> {
    /// Improves the order as far as that goes.
    fn run(&mut self) {
        while self.improve() {}
        self.prune(0);
    }

    fn cost(&mut self, order: &[ClusterRun]) -> OrderCost {
        self.work += order.len();
        OrderCost::of(self.facts, order)
    }

    fn cost_now(&mut self) -> OrderCost {
        self.work += self.order.len();
        OrderCost::of(self.facts, &self.order)
    }

    /// Drops the value that is worth it most; `false` if none is, or none has to be.
    fn improve(&mut self) -> bool {
        let now = self.cost_now();
        let excess = now.excess(self.target);
        if excess == 0 || self.work > MOST_WORK {
            return false;
        }
        let moment = self.moment(now.peak());
        let mut best: Option<(f64, usize, Vec<ClusterRun>)> = None;
        for &(value, at) in moment.waiting.iter().take(self.values()) {
            let mut tried = BTreeSet::new();
            for depth in DEPTHS {
                let Some(again) = self.needed(value, at, depth, &moment) else { continue };
                if !tried.insert(again.clone()) {
                    continue;
                }
                let order = self.with(&again, at);
                let cost = self.cost(&order);
                let saved = excess.saturating_sub(cost.excess(self.target));
                let each = (cost.cost - now.cost) / saved as f64;
                if saved > 0 && best.as_ref().is_none_or(|(least, ..)| each < *least) {
                    best = Some((each, at, order));
                }
            }
        }
        let Some((_, at, order)) = best else { return false };
        self.order = order;
        self.prune(at);
        true
    }

    /// How many values are tried each time, so that all of them could be dropped.
    fn values(&self) -> usize {
        let rounds = self.facts.values.len() * self.order.len() * DEPTHS.len();
        (MOST_WORK / rounds.max(1)).clamp(FEWEST_VALUES, MOST_VALUES)
    }

    fn moment(&self, peak: usize) -> Moment {
        let facts = self.facts;
        let (mut present, mut runs) = (vec![], vec![false; self.order.len()]);
        walk(facts, &self.order, &mut |run| {
            runs[run.at] = !run.stored.is_empty();
            if run.at == peak {
                present = run.alive.to_vec();
            }
        });
        let mut waits: Vec<bool> = (0..present.len()).map(|v| present[v] && !facts.values[v].is_result).collect();
        let here = &facts.clusters[self.order[peak].cluster];
        for &value in here.reads.iter().chain(&here.makes) {
            (present[value], waits[value]) = (true, false);
        }
        let mut moment = Moment { present, waiting: vec![], made: vec![usize::MAX; waits.len()], first: vec![] };
        for (at, run) in self.order.iter().enumerate().skip(peak + 1).filter(|(at, _)| runs[*at]) {
            let cluster = &facts.clusters[run.cluster];
            for &value in &cluster.reads {
                if std::mem::take(&mut waits[value]) {
                    moment.waiting.push((value, at));
                }
            }
            cluster.makes.iter().for_each(|&value| moment.made[value] = moment.made[value].min(at));
        }
        moment.waiting.sort_by_key(|&(value, _)| (std::cmp::Reverse(facts.values[value].bytes), value));
        moment.first = vec![0; facts.clusters.len()];
        for (at, run) in self.order.iter().enumerate().filter(|(_, run)| !run.again) {
            moment.first[run.cluster] = at;
        }
        moment
    }

    /// The clusters to run again, ascending, so that a value is there at a place though it was dropped before the moment: its own, and those that make
    /// what isn't there, up to a depth. What is still missing then stays in memory from before. None, if one of them can't run again.
    fn needed(&self, value: usize, at: usize, depth: usize, moment: &Moment) -> Option<Vec<usize>> {
        let (mut again, mut level) = (BTreeSet::new(), vec![value]);
        for _ in 0..depth {
            let mut next = vec![];
            for maker in level.into_iter().map(|value: usize| self.facts.values[value].maker) {
                if !again.insert(maker) {
                    continue;
                }
                if !self.facts.may_run_again(maker, at, &moment.first) {
                    return None;
                }
                let is_there = |v: usize| moment.present[v] || self.facts.values[v].is_result || moment.made[v] < at;
                next.extend(self.facts.clusters[maker].reads.iter().copied().filter(|&v| !is_there(v)));
            }
            level = next;
            if level.is_empty() {
                break;
            }
        }
        Some(again.into_iter().collect())
    }

    /// The order with these clusters run again before a place.
    fn with(&self, again: &[usize], at: usize) -> Vec<ClusterRun> {
        let mut order = self.order.clone();
        order.splice(at..at, again.iter().map(|&cluster| ClusterRun { cluster, again: true }));
        order
    }

    /// Takes runs from a place on away again that have become superfluous, the dearest first.
    fn prune(&mut self, from: usize) {
        let now = self.cost_now();
        let (mut excess, mut total, mut most) = (now.excess(self.target), now.cost, now.most());
        let mut runs: Vec<usize> = (from..self.order.len()).filter(|&at| self.order[at].again).collect();
        let cost = |at: usize| self.facts.clusters[self.order[at].cluster].cost;
        runs.sort_unstable_by(|&a, &b| cost(b).total_cmp(&cost(a)).then(a.cmp(&b)));
        let mut gone: Vec<usize> = vec![];
        for at in runs {
            let mut order = self.order.clone();
            gone.iter().chain([&at]).collect::<BTreeSet<_>>().into_iter().rev().for_each(|&at| {
                order.remove(at);
            });
            let without = self.cost(&order);
            let peak = without.most();
            if without.excess(self.target) <= excess && without.cost <= total && peak <= most.max(self.target) {
                (excess, total, most) = (without.excess(self.target), without.cost, peak);
                gone.push(at);
            }
        }
        gone.sort_unstable();
        gone.iter().rev().for_each(|&at| {
            self.order.remove(at);
        });
    }
}
