//! Random loops: a body of random ops, carries, sequences and invariants, in either direction, with and without recomputation.

use super::generator::{Generator, Known, shape};
use ir::op::contraction::Dot;
use ir::op::scan::{Body, BodyPort, PortRole, Scan};
use ir::op::source::Input;
use ir::{Graph, Op, ScalarOp, TensorType};

/// The bound of what a float carry holds in any step: `tanh` brings there what is carried on.
const CARRY_BOUND: f64 = 2.0;
/// The most steps.
const MOST_STEPS: usize = 6;

/// What goes into a loop: the operand outside, and what one step sees of it.
struct ScanOperand {
    role: PortRole,
    outside: Known,
    inside: TensorType,
}

impl Generator<'_> {
    /// A scan of a random body, with one node for some of its results.
    pub(super) fn scan(&mut self) {
        let (length, operands) = self.scan_operands();
        let mut body = self.inner();
        let carries = body.body_inputs(&operands);
        body.recurrence(&carries);
        for _ in 0..body.rng.between(1, 6) {
            body.step();
        }
        let results = body.body_outputs(&carries);
        let body = match Body::new(body.graph) {
            Ok(body) => body,
            Err(e) => panic!("the generator made an invalid body: {e}"),
        };
        let (reverse, recompute) = (self.rng.one_in(2), self.rng.one_in(3));
        let first = Scan { length, reverse, recompute, select: 0, body };
        let ids: Vec<Known> = operands.iter().map(|o| o.outside).collect();
        let always = self.rng.below(results.len());
        for (select, known) in results.into_iter().enumerate() {
            if select == always || self.rng.one_in(2) {
                self.add(Op::Scan(first.selecting(select)), &ids, known.exact, known.bound);
            }
        }
    }

    /// How many steps, and the operands in the order that a scan takes them: one or two carries, up to two sequences, up to two invariants.
    fn scan_operands(&mut self) -> (usize, Vec<ScanOperand>) {
        let mut operands = vec![];
        for _ in 0..self.rng.between(1, 2) {
            let dtype = if self.rng.one_in(5) { self.rng.pick(&self.limits.dtypes) } else { self.float() };
            let outside = self.any_of(dtype);
            let outside = self.within(outside, CARRY_BOUND);
            operands.push(ScanOperand { role: PortRole::Carry, outside, inside: self.ty(outside) });
        }
        let steps = |g: &Self, k: Known| (1..=MOST_STEPS).contains(g.graph.ty(k.id).shape.first().unwrap_or(&0));
        let known = self.find(steps).filter(|_| !self.rng.one_in(3));
        let length = known.map_or_else(|| self.rng.between(1, 5), |k| self.graph.ty(k.id).shape[0]);
        let mut sequences: Vec<Known> = known.into_iter().collect();
        if self.rng.one_in(2) {
            // Of the first carry's type, so that the two meet in the body.
            let ty = operands[0].inside.clone();
            let dims: Vec<usize> = std::iter::once(length).chain(ty.shape.iter().copied()).collect();
            sequences.push(self.like(&ty.with_shape(shape(&dims))));
        }
        for sequence in sequences {
            let outside = self.settled(sequence);
            let ty = self.ty(outside);
            let inside = ty.with_shape(shape(&ty.shape[1..]));
            operands.push(ScanOperand { role: PortRole::Sequence, outside, inside });
        }
        let weights = operands.iter().find_map(|o| weights_of(&o.inside)).filter(|_| self.rng.below(4) > 0);
        let mut invariants: Vec<Known> = weights.map(|ty| self.like(&ty)).into_iter().collect();
        if self.rng.one_in(2) {
            let dtype = self.float();
            invariants.push(self.any_of(dtype));
        }
        for invariant in invariants {
            let outside = self.settled(invariant);
            operands.push(ScanOperand { role: PortRole::Invariant, outside, inside: self.ty(outside) });
        }
        (length, operands)
    }

    /// A generator of a body: what it needs besides its inputs are constants.
    fn inner(&mut self) -> Self {
        let mut inner = Self::new(self.rng.bits(), self.limits);
        inner.graph = Graph::new("body");
        inner.in_body = true;
        inner
    }

    /// Declares the inputs that stand for the operands; gives the carries.
    fn body_inputs(&mut self, operands: &[ScanOperand]) -> Vec<Known> {
        let mut counts = [0; 3];
        let mut carries = vec![];
        for ScanOperand { role, outside, inside } in operands {
            let number = &mut counts[*role as usize];
            let input = Input { name: BodyPort { role: *role, number: *number }.to_string(), ty: inside.clone() };
            *number += 1;
            // What a float carry holds has been rounded in the steps before.
            let carried = *role == PortRole::Carry;
            let exact = outside.exact && !(carried && inside.dtype.is_float());
            let known = self.add(Op::Input(input), &[], exact, if carried { CARRY_BOUND } else { outside.bound });
            if carried {
                carries.push(known);
            }
        }
        carries
    }

    /// A carry of rank 2 by a square matrix, as recurrent layers have it, where there are both.
    fn recurrence(&mut self, carries: &[Known]) {
        for &carry in carries {
            let Some(weights) = weights_of(&self.ty(carry)) else { continue };
            let Some(weights) = self.find(|g, k| *g.graph.ty(k.id) == weights && k.id != carry.id) else { continue };
            let bound = carry.bound * weights.bound * self.graph.ty(weights.id).shape[0] as f64;
            let dot = Dot { batch: vec![], contract: vec![(1, 0)] };
            self.add(Op::Dot(dot), &[carry, weights], false, bound);
        }
    }

    /// Names what is carried on and one or two results of a step; gives what is known of each result of the scan.
    fn body_outputs(&mut self, carries: &[Known]) -> Vec<Known> {
        let mut results = vec![];
        for (i, &carry) in carries.iter().enumerate() {
            let ty = self.ty(carry);
            let float = ty.dtype.is_float();
            let found = self.find(|g, k| *g.graph.ty(k.id) == ty && k.id != carry.id && (float || k.exact));
            let next = self.within(found.unwrap_or(carry), CARRY_BOUND);
            self.graph.set_output(BodyPort::carry(i).to_string(), next.id);
            results.push(Known { exact: !float, bound: CARRY_BOUND, ..next });
        }
        for i in 0..self.rng.between(1, 2) {
            let Some(step) = self.find(|_, _| true) else { break };
            self.graph.set_output(BodyPort::stacked(i).to_string(), step.id);
            results.push(step);
        }
        results
    }

    /// The node, or its `tanh` if it is a float that may exceed the bound.
    fn within(&mut self, x: Known, bound: f64) -> Known {
        if !self.graph.ty(x.id).dtype.is_float() || x.bound <= bound || self.limits.wild {
            return x;
        }
        self.add(Op::Elementwise(ScalarOp::TANH), &[x], false, 1.0)
    }
}

/// A square matrix that a float of rank 2 can be multiplied by, with a result of its own type.
fn weights_of(ty: &TensorType) -> Option<TensorType> {
    match *ty.shape.dims() {
        [_, n] if ty.dtype.is_float() => Some(ty.with_shape(shape(&[n, n]))),
        _ => None,
    }
}
