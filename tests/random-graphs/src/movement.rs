//! Random movement: nothing here changes an element.

use super::generator::{Generator, Known, shape};
use ir::op::movement::{Broadcast, Concat, Pad, Permute, Reshape, Reverse, Slice};
use ir::{Op, Scalar};

impl Generator<'_> {
    pub(super) fn movement(&mut self) {
        let dtype = self.rng.pick(&self.limits.dtypes);
        let x = self.any_of(dtype);
        let rank = self.graph.ty(x.id).shape.rank();
        let large = self.graph.ty(x.id).shape.numel() > 4 * self.limits.elements;
        match self.rng.below(7) {
            0 => self.reshape(x),
            1 if !large && rank < 5 => self.broadcast(x),
            2 if rank > 0 => self.slice(x),
            3 if rank > 0 && !large => self.pad(x),
            4 if rank > 0 && !large => self.concat(x),
            5 if rank > 0 => {
                let axes = self.rng.subset(rank);
                self.moved(Op::Reverse(Reverse { axes }), &[x]);
            }
            _ => {
                let perm = self.rng.permutation(rank);
                self.moved(Op::Permute(Permute { perm }), &[x]);
            }
        }
    }

    fn moved(&mut self, op: Op, operands: &[Known]) {
        let bound = operands.iter().map(|k| k.bound).fold(0.0, f64::max);
        self.add(op, operands, true, bound);
    }

    fn reshape(&mut self, x: Known) {
        let mut left = self.graph.ty(x.id).shape.numel();
        let mut dims = Vec::new();
        while left > 1 && dims.len() < 3 && self.rng.below(4) > 0 {
            let divisors: Vec<usize> = (1..=left).filter(|d| left.is_multiple_of(*d)).collect();
            let d = self.rng.pick(&divisors);
            dims.push(d);
            left /= d;
        }
        dims.push(left);
        self.moved(Op::Reshape(Reshape { shape: shape(&dims) }), &[x]);
    }

    fn broadcast(&mut self, x: Known) {
        let mut dims = self.graph.ty(x.id).shape.to_vec();
        let mut axes: Vec<usize> = (0..dims.len()).collect();
        let at = self.rng.below(dims.len() + 1);
        dims.insert(at, self.rng.between(1, 4));
        axes.iter_mut().filter(|a| **a >= at).for_each(|a| *a += 1);
        self.moved(Op::Broadcast(Broadcast { shape: shape(&dims), axes }), &[x]);
    }

    fn slice(&mut self, x: Known) {
        let dims = self.graph.ty(x.id).shape.to_vec();
        let start: Vec<usize> = dims.iter().map(|&d| self.rng.below(d)).collect();
        let limit = start.iter().zip(&dims).map(|(&s, &d)| self.rng.between(s + 1, d)).collect();
        let stride = dims.iter().map(|_| self.rng.between(1, 3)).collect();
        self.moved(Op::Slice(Slice { start, limit, stride }), &[x]);
    }

    fn pad(&mut self, x: Known) {
        let ty = self.ty(x);
        let mut some = |n: usize| -> Vec<usize> { ty.shape.iter().map(|_| self.rng.below(n)).collect() };
        let (low, high, interior) = (some(3), some(3), some(2));
        let value = Scalar::from_i64(self.rng.below(2) as i64, ty.dtype);
        self.moved(Op::Pad(Pad { value, low, high, interior }), &[x]);
    }

    fn concat(&mut self, x: Known) {
        let ty = self.ty(x);
        let axis = self.rng.below(ty.shape.rank());
        let mut operands = vec![x];
        for _ in 0..self.rng.between(1, 2) {
            let fits = |g: &Self, k: Known| {
                let other = g.graph.ty(k.id);
                let same = |i: usize| i == axis || other.shape[i] == ty.shape[i];
                other.dtype == ty.dtype && other.shape.rank() == ty.shape.rank() && (0..ty.shape.rank()).all(same)
            };
            // At least `x` itself fits.
            operands.extend(self.find(fits));
        }
        self.moved(Op::Concat(Concat { axis }), &operands);
    }
}
