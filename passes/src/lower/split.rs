//! Where the loops of a cluster are cut, so that no element asks which part of a concatenation it is in, or whether it is padding.

use super::Lowering;
use ir::op::movement::{Concat, Pad};
use ir::{Family, NodeId, Op, Shape};
use std::collections::BTreeSet;

/// Places of nodes that are looked at to find the cuts along one axis.
const MAX_SEARCH: usize = 1 << 14;
/// Statements, about, that the parts of a loop may come to.
const MAX_STATEMENTS: usize = 1 << 12;

/// A coordinate of a node in the loops of a cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Coordinate {
    /// The axis of the loops that it runs along one by one, and what it is at the axis' first element; `None` if it doesn't.
    along: Option<(usize, i64)>,
    /// Its least and greatest value.
    lo: i64,
    hi: i64,
}

impl Coordinate {
    /// Any of an axis with that extent.
    fn any(extent: usize) -> Self {
        Self { along: None, lo: 0, hi: extent as i64 - 1 }
    }

    fn moved(self, by: i64) -> Self {
        Self { along: self.along.map(|(axis, offset)| (axis, offset + by)), lo: self.lo + by, hi: self.hi + by }
    }

    /// The same, where it is from `lo` to `hi`; `None` if it never is.
    fn within(self, lo: i64, hi: i64) -> Option<Self> {
        let inside = Self { lo: self.lo.max(lo), hi: self.hi.min(hi), ..self };
        (inside.lo <= inside.hi).then_some(inside)
    }
}

/// The walk that finds cuts.
struct Search<'a, 'g> {
    lowering: &'a Lowering<'g>,
    cluster: Option<u32>,
    axis: usize,
    seen: BTreeSet<(NodeId, Vec<Coordinate>)>,
    /// What is still to be looked at, and whether it is in only one part of a node of parts.
    stack: Vec<(NodeId, Vec<Coordinate>, bool)>,
    cuts: BTreeSet<i64>,
}

/// The first elements of the parts that a loop along `axis` is cut to, given what range each axis of the loops has by now (from, to): at least
/// the first of its range. `nodes` are computed in the loops, at all their coordinates or, where they have fewer, at those of `outer`.
pub(super) fn cuts(
    lowering: &Lowering<'_>,
    cluster: Option<u32>,
    nodes: &[NodeId],
    (axis, outer): (usize, &[usize]),
    ranges: &[(usize, usize)],
) -> Vec<usize> {
    let graph = lowering.graph;
    let mut search = Search { lowering, cluster, axis, seen: BTreeSet::new(), stack: vec![], cuts: BTreeSet::new() };
    let at = |a: usize| Coordinate { along: Some((a, 0)), lo: ranges[a].0 as i64, hi: ranges[a].1 as i64 - 1 };
    for &node in nodes {
        let here = match graph.op(node) {
            Op::Reduce(op) => {
                let from = graph.operands(node)[0];
                let shape = &graph.ty(from).shape;
                let each = |a: usize| if op.axes.contains(&a) { Coordinate::any(shape[a]) } else { at(a) };
                search.stack.push((from, (0..shape.rank()).map(each).collect(), false));
                continue;
            }
            _ if graph.ty(node).shape.rank() == ranges.len() => (0..ranges.len()).map(at).collect(),
            _ => outer.iter().map(|&a| at(a)).collect(),
        };
        search.stack.push((node, here, false));
    }
    let found = search.run();
    let first = ranges[axis].0;
    let whole = vec![first];
    let Some(work) = found else { return whole };
    if (search.cuts.len() + 1).saturating_mul(work) > MAX_STATEMENTS {
        return whole;
    }
    whole.into_iter().chain(search.cuts.into_iter().map(|c| c as usize)).collect()
}

impl Search<'_, '_> {
    /// Looks at all there is; says how many nodes are computed wherever the loops are, or `None` if there was too much to look at.
    fn run(&mut self) -> Option<usize> {
        let mut everywhere = 0;
        while let Some((node, at, in_part)) = self.stack.pop() {
            if !self.seen.insert((node, at.clone())) {
                continue;
            }
            if self.seen.len() > MAX_SEARCH {
                return None;
            }
            let graph = self.lowering.graph;
            let foreign = graph.cluster(node).is_none_or(|c| Some(c) != self.cluster);
            if foreign && self.lowering.buffer_of(node).is_some() {
                continue;
            }
            everywhere += usize::from(!in_part && graph.op(node).family() != Family::Movement);
            match graph.op(node) {
                Op::Concat(op) => self.concat(node, op, &at),
                Op::Pad(op) => self.pad(node, op, &at),
                _ => self.operands(node, &at, in_part),
            }
        }
        Some(everywhere)
    }

    /// Cuts where a node's coordinate gets to `start`.
    fn cut(&mut self, coordinate: Coordinate, start: i64) {
        if let Some((axis, offset)) = coordinate.along
            && axis == self.axis
            && start > coordinate.lo
            && start <= coordinate.hi
        {
            self.cuts.insert(start - offset);
        }
    }

    fn concat(&mut self, node: NodeId, op: &Concat, at: &[Coordinate]) {
        let graph = self.lowering.graph;
        let mut start = 0;
        for &part in graph.operands(node) {
            let extent = graph.ty(part).shape[op.axis] as i64;
            if let Some(inside) = at[op.axis].within(start, start + extent - 1) {
                self.cut(at[op.axis], start);
                let mut from = at.to_vec();
                from[op.axis] = inside.moved(-start);
                self.stack.push((part, from, true));
            }
            start += extent;
        }
    }

    fn pad(&mut self, node: NodeId, op: &Pad, at: &[Coordinate]) {
        let graph = self.lowering.graph;
        let operand = graph.operands(node)[0];
        let shape = &graph.ty(operand).shape;
        let span = |a: usize| (shape[a] as i64 - 1) * (op.interior[a] as i64 + 1);
        let low = |a: usize| op.low[a] as i64;
        let inside: Option<Vec<Coordinate>> =
            (0..at.len()).map(|a| at[a].within(low(a), low(a) + span(a)).map(|c| c.moved(-low(a)))).collect();
        let Some(mut inside) = inside else { return };
        for a in 0..at.len() {
            self.cut(at[a], low(a));
            self.cut(at[a], low(a) + span(a) + 1);
            if op.interior[a] > 0 {
                inside[a] = Coordinate::any(shape[a]);
            }
        }
        self.stack.push((operand, inside, true));
    }

    fn operands(&mut self, node: NodeId, at: &[Coordinate], in_part: bool) {
        let graph = self.lowering.graph;
        let operands = graph.operands(node);
        let mut one = |from: Vec<Coordinate>| self.stack.push((operands[0], from, in_part));
        let operand = |i: usize| &graph.ty(operands[i]).shape;
        match graph.op(node) {
            Op::Permute(op) => {
                let mut from = at.to_vec();
                op.perm.iter().enumerate().for_each(|(axis, &to)| from[to] = at[axis]);
                one(from);
            }
            Op::Broadcast(op) => one(op.axes.iter().map(|&a| at[a]).collect()),
            Op::Slice(op) => {
                let each = at.iter().enumerate().map(|(a, &c)| match op.stride[a] {
                    1 => c.moved(op.start[a] as i64),
                    _ => Coordinate::any(operand(0)[a]),
                });
                one(each.collect());
            }
            Op::Reverse(op) => {
                let each = at.iter().enumerate();
                one(each
                    .map(|(a, &c)| if op.axes.contains(&a) { Coordinate::any(operand(0)[a]) } else { c })
                    .collect());
            }
            Op::Reshape(op) => one(reshaped(at, &op.shape, operand(0))),
            Op::Gather(_) => {
                let split = operand(1).rank();
                let row = std::iter::once(Coordinate::any(operand(0)[0]));
                self.stack.push((operands[0], row.chain(at[split..].iter().copied()).collect(), in_part));
                self.stack.push((operands[1], at[..split].to_vec(), in_part));
            }
            Op::TakeAlongAxis(op) => {
                let along = Coordinate::any(operand(0)[op.axis]);
                self.stack.push((operands[0], op.place(at, operand(0).rank(), along), in_part));
                self.stack.push((operands[1], at.to_vec(), in_part));
            }
            Op::Elementwise(_) | Op::Cast(_) | Op::Pair(_) | Op::CheckIndex(_) | Op::StopGradient(_) => {
                self.stack.extend(operands.iter().map(|&o| (o, at.to_vec(), in_part)));
            }
            _ => {}
        }
    }
}

/// Coordinates before a reshape: known for the axes at the front and at the end that it leaves as they are.
fn reshaped(at: &[Coordinate], to: &Shape, from: &Shape) -> Vec<Coordinate> {
    let mut out: Vec<Coordinate> = from.iter().map(|&extent| Coordinate::any(extent)).collect();
    let same = |(a, b): &(&usize, &usize)| a == b;
    let front = to.iter().zip(from.iter()).take_while(same).count();
    out[..front].copy_from_slice(&at[..front]);
    let end =
        to.iter().rev().zip(from.iter().rev()).take_while(same).count().min(from.rank() - front).min(to.rank() - front);
    out[from.rank() - end..].copy_from_slice(&at[to.rank() - end..]);
    out
}
