//! Random reductions and dot products.

use super::generator::Generator;
use ir::Op;
use ir::op::contraction::Dot;
use ir::op::cumsum::CumSum;
use ir::op::reduce::{ArgKind, ArgReduce, Reduce, ReduceKind};

impl Generator<'_> {
    pub(super) fn reduction(&mut self) {
        let kind =
            self.rng.pick(&[ReduceKind::Sum, ReduceKind::Sum, ReduceKind::Max, ReduceKind::Min, ReduceKind::Prod]);
        let arg = self.rng.one_in(6);
        let Some(x) = self.find(|g, k| g.graph.ty(k.id).dtype.is_number() && g.graph.ty(k.id).shape.rank() > 0) else {
            return;
        };
        let ty = self.ty(x);
        if arg {
            let x = self.exact_like(&ty);
            let kind = self.rng.pick(&[ArgKind::Max, ArgKind::Min]);
            let axis = self.rng.below(ty.shape.rank());
            self.add(Op::ArgReduce(ArgReduce { kind, axis }), &[x], true, 0.0);
            return;
        }
        if self.rng.one_in(6) {
            let axis = self.rng.below(ty.shape.rank());
            let sums = CumSum { axis, exclusive: self.rng.one_in(3), reverse: self.rng.one_in(3) };
            let x = self.settled(x);
            let bound = x.bound * ty.shape[axis] as f64;
            self.add(Op::CumSum(sums), &[x], ty.dtype.is_int(), bound);
            return;
        }
        let axes = self.rng.subset(ty.shape.rank());
        let count: usize = axes.iter().map(|&a| ty.shape[a]).product();
        let extremum = matches!(kind, ReduceKind::Max | ReduceKind::Min);
        let mut x = self.settled(x);
        let bound = match kind {
            ReduceKind::Sum => x.bound * count as f64,
            ReduceKind::Prod if x.bound.powi(count as i32) > 1e3 && ty.dtype.is_float() => {
                // A product of factors near 1 neither vanishes nor overflows.
                x = self.near_one(x);
                1.25_f64.powi(count as i32)
            }
            ReduceKind::Prod => x.bound.powi(count as i32),
            _ => x.bound,
        };
        self.add(Op::Reduce(Reduce { kind, axes }), &[x], extremum || ty.dtype.is_int(), bound);
    }

    pub(super) fn dot(&mut self) {
        let dtype = if self.rng.one_in(5) { self.int() } else { None };
        let dtype = dtype.unwrap_or_else(|| self.float());
        let Some(a) =
            self.find(|g, k| g.graph.ty(k.id).dtype == dtype && (1..=3).contains(&g.graph.ty(k.id).shape.rank()))
        else {
            return;
        };
        let a = self.settled(a);
        let ty = self.ty(a);
        let rank = ty.shape.rank();
        let contracted = self.rng.below(rank);
        let batch = (0..rank).find(|&i| i != contracted).filter(|_| self.rng.one_in(3));
        // The right operand: the batch axis if any, the contracted axis, a free axis, in random order.
        let mut axes: Vec<(Option<usize>, usize)> = vec![(Some(contracted), ty.shape[contracted])];
        axes.extend(batch.map(|i| (Some(i), ty.shape[i])));
        if self.rng.below(4) > 0 {
            axes.push((None, self.rng.between(1, 6)));
        }
        let order = self.rng.permutation(axes.len());
        let axes: Vec<(Option<usize>, usize)> = order.into_iter().map(|i| axes[i]).collect();
        let dims: Vec<usize> = axes.iter().map(|&(_, d)| d).collect();
        let b = self.like(&ty.with_shape(super::generator::shape(&dims)));
        let b = self.settled(b);
        let pairs = |axis: usize| -> Vec<(usize, usize)> {
            axes.iter().position(|&(left, _)| left == Some(axis)).map(|right| (axis, right)).into_iter().collect()
        };
        let dot = Dot { batch: batch.map(pairs).unwrap_or_default(), contract: pairs(contracted) };
        let bound = a.bound * b.bound * ty.shape[contracted] as f64;
        self.add(Op::Dot(dot), &[a, b], dtype.is_int(), bound);
    }
}
