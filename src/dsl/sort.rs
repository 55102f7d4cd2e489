//! Order: sorting, and the largest elements.
//!
//! An order is an op of its own, whose work grows with the number of elements; but on short axes an element's place is the number of those that come before it, a count over all
//! pairs in vectors, fused with what stands around, and a few of the largest are picked one after the other.

use super::axes::resolve_axis;
use super::{Tensor, TypeSpec, picks};
use ir::op::argsort::ArgSort;
use ir::{DType, Op};

/// On axes of at most so many elements all pairs are compared: with AVX-512 both ways take as long for 48 elements of the last axis, and for 70 of another one.
const PAIRS: usize = 64;

impl Tensor {
    /// The elements along an axis in ascending order, or descending. Not numbers count as the largest, as in NumPy and PyTorch. The gradient of an element goes to where it came from.
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
        let fixed = self.stop_gradient();
        if descending && ty.dtype.is_float() && picks::are_few(count, extent) {
            return fixed.picks(axis, extent, count);
        }
        if extent > PAIRS {
            let order = fixed.emit(Op::ArgSort(ArgSort { axis: axis as usize, descending }));
            return order.slice_axis(axis, 0..count);
        }
        fixed.by_pairs(axis, extent, count, descending)
    }

    /// The positions of the first `count` elements in order: of that place among the `extent` along the axis.
    #[track_caller]
    fn by_pairs(&self, axis: isize, extent: usize, count: usize, descending: bool) -> Tensor {
        let Some(rank) = self.shape().map(|shape| shape.rank()) else { return self.clone() };
        // Along other axes than the last one the loop over that one stays the innermost.
        let after = rank - 1 - axis as usize;
        let places = self.places(axis, after, extent, descending);
        let g = self.builder();
        let along = |pair: [usize; 2], which: usize| {
            g.iota(TypeSpec::new(DType::I32, [pair.to_vec(), vec![1; after]].concat()), which)
        };
        // The element whose place is `r`, for each `r`: there is one.
        let is_at = places.unsqueeze(axis).eq(along([count, 1], 0));
        (is_at.cast(DType::I32) * along([1, extent], 1)).sum_axes([axis + 1])
    }

    /// For each element along an axis, with `after` axes after it, how many come before it, as `i32`.
    #[track_caller]
    fn places(&self, axis: isize, after: usize, extent: usize, descending: bool) -> Tensor {
        let g = self.builder();
        let (own, other) = (self.unsqueeze(axis + 1), self.unsqueeze(axis));
        let (own_nan, other_nan) = (own.ne(&own), other.ne(&other));
        let further = if descending {
            other.gt(&own).or(other_nan.and(own_nan.logical_not()))
        } else {
            other.lt(&own).or(own_nan.and(other_nan.logical_not()))
        };
        let square = TypeSpec::new(DType::I32, [vec![extent, extent], vec![1; after]].concat());
        let earlier = g.iota(square.clone(), 1).lt(g.iota(square, 0));
        let equal = other.eq(&own).or(own_nan.and(&other_nan)).and(earlier);
        further.or(equal).cast(DType::I32).sum_axes([axis + 1])
    }
}
