//! Runs what makes copies in another type right before each use: what waits between two uses is what a copy is made of.
//!
//! Contractions read pairs of `bf16` or, where no instruction takes these, `f32`. Making such a copy takes as long as reading it, and it has the size of what it is made of, or
//! twice that. One that is read in the forward and in the backward pass, or only in the latter, need not wait if its source is in memory then anyway, or is smaller.

use super::facts::GraphFacts;
use super::order::ClusterRun;
use std::collections::BTreeSet;

/// Between two uses of a copy, so many clusters run at least that it is worth making again.
const MIN_GAP: usize = 8;

/// The order of a graph's clusters, those that only make copies once more right before each use for which the copy would wait, where less memory is in use
/// meanwhile.
pub(super) fn at_uses(facts: &GraphFacts) -> Vec<ClusterRun> {
    let mut waits = Waits::of(facts);
    let mut again: BTreeSet<(usize, usize)> = BTreeSet::new();
    // Later ones first: when runs of a copy of a copy are known, so are the uses of what it is made of.
    for cluster in (0..facts.clusters.len()).rev().filter(|&at| facts.clusters[at].copies) {
        again.extend(waits.shorten(cluster).into_iter().map(|at| (at, cluster)));
    }
    let mut order = vec![];
    for at in 0..facts.clusters.len() {
        order.extend(again.range((at, 0)..(at + 1, 0)).map(|&(_, cluster)| ClusterRun { cluster, again: true }));
        order.push(ClusterRun { cluster: at, again: false });
    }
    order
}

/// At which places of the order values are read.
struct Waits<'f> {
    facts: &'f GraphFacts,
    uses: Vec<BTreeSet<usize>>,
    /// Where each cluster runs first.
    first: Vec<usize>,
}

impl<'f> Waits<'f> {
    fn of(facts: &'f GraphFacts) -> Self {
        let mut uses = vec![BTreeSet::new(); facts.values.len()];
        for (at, cluster) in facts.clusters.iter().enumerate() {
            for &value in &cluster.reads {
                uses[value].insert(at);
            }
        }
        Self { facts, uses, first: (0..facts.clusters.len()).collect() }
    }

    /// The places before which a cluster better runs again: there its result would have waited in more bytes, over more runs, than what it reads does then.
    fn shorten(&mut self, cluster: usize) -> Vec<usize> {
        let facts = self.facts;
        let &[value] = &facts.clusters[cluster].makes[..] else { return vec![] };
        if facts.values[value].is_result {
            return vec![];
        }
        let reads = &facts.clusters[cluster].reads;
        reads.iter().for_each(|&read| {
            self.uses[read].remove(&cluster);
        });
        let uses = self.uses[value].clone();
        // Where the value is there from, and where what it is made of was read last.
        let (mut there, mut run) = (cluster, cluster);
        let mut again = vec![];
        for &at in &uses {
            let gap = if there == cluster { 2 } else { MIN_GAP };
            let kept: usize = reads.iter().map(|&read| self.kept_longer(read, run, at)).sum();
            if at >= there + gap
                && kept < facts.values[value].bytes * (at - there)
                && facts.may_run_again(cluster, at, &self.first)
            {
                again.push(at);
                run = at;
            }
            there = at;
        }
        let in_place = again.first() != uses.first();
        for &read in reads {
            self.uses[read].extend(again.iter().copied().chain(in_place.then_some(cluster)));
        }
        again
    }

    /// What it takes to keep a value, which was read at `from` by the same cluster, for a run before `to`: bytes by clusters that run meanwhile.
    fn kept_longer(&self, value: usize, from: usize, to: usize) -> usize {
        let facts = &self.facts.values[value];
        let last = self.uses[value].last().map_or(from, |&last| last.max(from));
        if facts.is_result { 0 } else { facts.bytes * to.saturating_sub(last) }
    }
}
