//! Random gathers, scatters and random numbers.

use super::generator::{Generator, Known};
use ir::op::index::{CheckIndex, Gather, ScatterAdd};
use ir::op::random::{Random, RandomKind};
use ir::op::source::Full;
use ir::op::take::TakeAlongAxis;
use ir::{DType, Op, Scalar, ScalarOp, Shape, TensorType};

impl Generator<'_> {
    pub(super) fn indexing(&mut self) {
        if self.rng.one_in(3) {
            return self.random();
        }
        let Some(dtype) = self.index_type() else { return };
        if self.rng.one_in(3) {
            return self.take_along_axis(dtype);
        }
        let fits = |g: &Self, k: Known| {
            let ty = g.graph.ty(k.id);
            ty.dtype.is_number() && (1..=3).contains(&ty.shape.rank())
        };
        let Some(table) = self.find(fits) else { return };
        let table_ty = self.ty(table);
        let indices = self.indices(dtype, table_ty.shape[0]);
        let gathered = self.add(Op::Gather(Gather), &[table, indices], true, table.bound);
        if self.rng.one_in(2) {
            let updates_ty = self.ty(gathered);
            let updates = self.like(&updates_ty);
            let hits = self.graph.ty(indices.id).shape.numel() as f64;
            let bound = table.bound + updates.bound * hits;
            self.add(Op::ScatterAdd(ScatterAdd), &[table, indices, updates], table_ty.dtype.is_int(), bound);
        }
    }

    /// Indices of rank 0 to 2 below `bound`.
    fn indices(&mut self, dtype: DType, bound: usize) -> Known {
        let rank = self.rng.below(3);
        let dims: Vec<usize> = (0..rank).map(|_| self.rng.between(1, 4)).collect();
        self.indices_of(dtype, &dims, bound)
    }

    /// Elements along an axis of any tensor.
    fn take_along_axis(&mut self, dtype: DType) {
        let Some(table) = self.find(|g, k| (1..=4).contains(&g.graph.ty(k.id).shape.rank())) else { return };
        let shape = self.ty(table).shape;
        let axis = self.rng.below(shape.rank());
        let mut dims = shape.dims().to_vec();
        dims[axis] = if self.rng.one_in(2) { 1 } else { self.rng.between(1, 4) };
        if dims.iter().product::<usize>() > self.limits.elements {
            dims[axis] = 1;
        }
        if dims[axis] == 1 && self.rng.one_in(2) {
            dims.remove(axis);
        }
        let indices = self.indices_of(dtype, &dims, shape[axis]);
        self.add(Op::TakeAlongAxis(TakeAlongAxis { axis }), &[table, indices], true, table.bound);
    }

    /// Indices of that shape below `bound`.
    fn indices_of(&mut self, dtype: DType, dims: &[usize], bound: usize) -> Known {
        let ty = TensorType::new(dtype, super::generator::shape(dims));
        let raw = self.like(&ty);
        let zero = self.full(0.0, &ty);
        let above = self.add(Op::Elementwise(ScalarOp::MAX), &[raw, zero], true, 0.0);
        let last = self.full((bound - 1) as f64, &ty);
        let within = self.add(Op::Elementwise(ScalarOp::MIN), &[above, last], true, 0.0);
        if self.rng.one_in(3) { self.add(Op::CheckIndex(CheckIndex { bound }), &[within], true, 0.0) } else { within }
    }

    fn random(&mut self) {
        let dtype = self.float();
        let shape = self.random_shape();
        let mut word = || Full { value: Scalar::I64(self.rng.bits() as i64), shape: Shape::scalar() };
        let (key, step) = (word(), word());
        let key = self.add(Op::Full(key), &[], true, 0.0);
        let step = self.add(Op::Full(step), &[], true, 0.0);
        let uniform = self.rng.one_in(2);
        let kind = if uniform { RandomKind::Uniform } else { RandomKind::Normal };
        let stream = self.rng.below(1 << 16) as u32;
        let random = Random { kind, stream, ty: TensorType::new(dtype, shape) };
        self.add(Op::Random(random), &[key, step], uniform, if uniform { 1.0 } else { 8.0 });
    }
}
