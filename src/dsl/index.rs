//! Places given by values: gather, scatter-add, one-hot, checked labels.

use super::axes::resolve_axis;
use super::{Tensor, TypeSpec};
use ir::op::index::{CheckIndex, Gather, ScatterAdd};
use ir::{DType, Op};
use std::borrow::Borrow;

impl Tensor {
    /// Rows of this table `[v, r...]` at `indices [i...]` (`i32` or `i64`): `[i..., r...]`. An index out of range ends the run with
    /// an error that names this call.
    #[track_caller]
    pub fn gather(&self, indices: impl Borrow<Tensor>) -> Tensor {
        self.builder().emit(Op::Gather(Gather), &[self, indices.borrow()])
    }

    /// This table `[v, r...]` with `updates [i..., r...]` added to the rows at `indices [i...]`, in their row-major order.
    #[track_caller]
    pub fn scatter_add(&self, indices: impl Borrow<Tensor>, updates: impl Borrow<Tensor>) -> Tensor {
        self.builder().emit(Op::ScatterAdd(ScatterAdd), &[self, indices.borrow(), updates.borrow()])
    }

    /// The same integers; one below 0 or not below `bound` ends the run with an error that names this call.
    #[track_caller]
    pub fn check_index(&self, bound: usize) -> Tensor {
        self.emit(Op::CheckIndex(CheckIndex { bound }))
    }

    /// `[i...]` of integers as `[i..., depth]`: 1 where the coordinate along the last axis is the integer, else 0; no 1 at all for an
    /// integer out of range.
    #[track_caller]
    pub fn one_hot(&self, depth: usize, dtype: DType) -> Tensor {
        self.one_hot_mask(depth).cast(dtype)
    }

    /// [`Tensor::one_hot`] as truth values.
    #[track_caller]
    pub fn one_hot_mask(&self, depth: usize) -> Tensor {
        let Some(ty) = self.ty() else { return self.clone() };
        if !ty.dtype.is_int() {
            return self.fail("one_hot", format!("indices must have an integer type, not {}", ty.dtype));
        }
        let mut dims = ty.shape.dims().to_vec();
        dims.push(depth);
        let last = dims.len() - 1;
        let places = self.builder().iota(TypeSpec::new(ty.dtype, &dims), last);
        self.unsqueeze(-1).eq(places)
    }

    /// The element along the last axis at each of `indices`, whose shape is this tensor's without that axis. Indices out of range
    /// end the run with an error.
    #[track_caller]
    pub fn pick(&self, indices: impl Borrow<Tensor>) -> Tensor {
        let indices = indices.borrow();
        let Some(ty) = self.ty() else { return self.clone() };
        let Ok(last) = resolve_axis(-1, ty.shape.rank()) else {
            return self.fail("pick", "a scalar has no axis to pick along");
        };
        let Some(index) = indices.ty() else { return indices.clone() };
        if index.shape[..] != ty.shape[..last] {
            let want = TypeSpec::new(index.dtype, &ty.shape[..last]);
            let rule = format!("indices must have the shape {:?}, not {}", want.dims, index.shape);
            return self.builder().fail("pick", &[self, indices], rule);
        }
        let depth = ty.shape[last];
        let mask = indices.check_index(depth).one_hot_mask(depth);
        mask.select(self, 0).sum_axes([-1])
    }
}
