//! Order: sorting, and the largest elements.
//!
//! An element's place is the number of those that come before it: a count over all pairs, which is a fused loop without an intermediate tensor. It costs `n²` comparisons along an
//! axis of `n`, all of them in vectors; for axes of some thousand elements.

use super::axes::resolve_axis;
use super::{Tensor, TypeSpec};
use ir::DType;

impl Tensor {
    /// The elements along an axis in ascending order, or descending. Not numbers count as the largest, as in NumPy and PyTorch. The gradient of an element goes to where it came from.
    ///
    /// It costs the square of the axis's extent in comparisons.
    ///
    /// ```
    /// use gradc::dsl::{f32, GraphBuilder};
    /// let g = GraphBuilder::new("median");
    /// let x = g.input("x", f32([32, 9]));
    /// g.output("median", &x.sort(-1, false).slice_axis(-1, 4..5));
    /// assert!(g.finish().is_ok());
    /// ```
    #[track_caller]
    pub fn sort(&self, axis: isize, descending: bool) -> Tensor {
        self.take_along_axis(self.argsort(axis, descending), axis)
    }

    /// The positions (`i32`) of [`Tensor::sort`]'s elements along an axis. Equal elements keep their order.
    #[track_caller]
    pub fn argsort(&self, axis: isize, descending: bool) -> Tensor {
        self.order("argsort", axis, None, descending)
    }

    /// The `k` largest elements along an axis, the largest first, and their positions (`i32`); of equal elements the first ones. `k` is from 1 to the axis's extent.
    ///
    /// ```
    /// use gradc::dsl::{f32, GraphBuilder};
    /// let g = GraphBuilder::new("best");
    /// let (values, indices) = g.input("scores", f32([32, 100])).top_k(5, -1);
    /// assert_eq!(values.ty().unwrap().to_string(), "f32[32,5]");
    /// assert_eq!(indices.ty().unwrap().to_string(), "i32[32,5]");
    /// ```
    #[track_caller]
    pub fn top_k(&self, k: usize, axis: isize) -> (Tensor, Tensor) {
        let indices = self.order("top_k", axis, Some(k), true);
        (self.take_along_axis(&indices, axis), indices)
    }

    /// The positions of the first `count` elements in order, of all without a count.
    #[track_caller]
    fn order(&self, op: &str, axis: isize, count: Option<usize>, descending: bool) -> Tensor {
        let Some(ty) = self.ty() else { return self.clone() };
        let rank = ty.shape.rank();
        let axis = match resolve_axis(axis, rank) {
            Ok(axis) => axis as isize,
            Err(rule) => return self.fail(op, rule),
        };
        let extent = ty.shape[axis as usize];
        let count = count.unwrap_or(extent);
        if count == 0 || count > extent {
            return self
                .fail(op, format!("it gives from 1 to {extent} elements, the extent of axis {axis}, not {count}"));
        }
        if !ty.dtype.is_number() || extent > i32::MAX as usize {
            return self.fail(op, "the elements must be numbers, and their positions fit an `i32`");
        }
        let places = self.stop_gradient().swap_axes(axis, -1).places(extent, descending);
        let g = self.builder();
        // The element whose place is `r`, for each `r`: there is one.
        let ty = |dims: [usize; 2]| TypeSpec::new(DType::I32, dims);
        let is_at = places.unsqueeze(-2).eq(g.iota(ty([count, 1]), 0));
        (is_at.cast(DType::I32) * g.iota(ty([1, extent]), 1)).sum_axes([-1]).swap_axes(axis, -1)
    }

    /// For each element along the last axis how many come before it, as `i32`.
    #[track_caller]
    fn places(&self, extent: usize, descending: bool) -> Tensor {
        let g = self.builder();
        let (own, other) = (self.unsqueeze(-1), self.unsqueeze(-2));
        let (own_nan, other_nan) = (own.ne(&own), other.ne(&other));
        let further = if descending {
            other.gt(&own).or(other_nan.and(own_nan.logical_not()))
        } else {
            other.lt(&own).or(own_nan.and(other_nan.logical_not()))
        };
        let square = TypeSpec::new(DType::I32, [extent, extent]);
        let earlier = g.iota(square.clone(), 1).lt(g.iota(square, 0));
        let equal = other.eq(&own).or(own_nan.and(&other_nan)).and(earlier);
        further.or(equal).cast(DType::I32).sum_axes([-1])
    }
}
