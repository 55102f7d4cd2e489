//! Places given by values: gather, scatter-add, one-hot, checked labels.

use super::axes::resolve_axis;
use super::error::Failure;
use super::{Tensor, TypeSpec};
use ir::op::index::{CheckIndex, Gather, ScatterAdd};
use ir::op::take::TakeAlongAxis;
use ir::{DType, Op, Shape};
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
        self.builder().emit(Op::TakeAlongAxis(TakeAlongAxis { axis: last }), &[self, indices])
    }

    /// The elements along `axis` at each of `indices` (`i32` or `i64`), as NumPy and JAX have it: `result[i][j] = self[indices[i][j]][j]` for axis 0 of a
    /// matrix, `self[i][indices[i][j]]` for axis 1. This tensor and the indices have the same rank; along other axes an extent of 1 is repeated, along
    /// `axis` the result has the indices' extent. An index below 0 or past the end of the axis ends the run with an error that names
    /// this call: there is no counting from the end. PyTorch's `gather(dim, index)` is the same, without repetition.
    ///
    /// ```
    /// use gradc::dsl::{f32, i32, GraphBuilder};
    /// let g = GraphBuilder::new("best of each row");
    /// let (scores, order) = (g.input("scores", f32([32, 10])), g.input("order", i32([32, 3])));
    /// assert_eq!(scores.take_along_axis(order, 1).ty().unwrap().to_string(), "f32[32,3]");
    /// ```
    #[track_caller]
    pub fn take_along_axis(&self, indices: impl Borrow<Tensor>, axis: isize) -> Tensor {
        let indices = indices.borrow();
        let (Some(ty), Some(index)) = (self.ty(), indices.ty()) else {
            return if self.is_poisoned() { self.clone() } else { indices.clone() };
        };
        let aligned =
            resolve_axis(axis, ty.shape.rank()).and_then(|axis| Ok((axis, aligned(&ty.shape, &index.shape, axis)?)));
        let (axis, [table, places]) = match aligned {
            Ok(aligned) => aligned,
            Err(rule) => return self.builder().fail("take_along_axis", &[self, indices], rule),
        };
        self.builder().build(&[self, indices], |b, nodes| {
            let table = b.broadcast_to(nodes[0], table)?;
            let places = b.broadcast_to(nodes[1], places)?;
            let shape = b.ty(places).shape.clone();
            // One element each: rows are what is left without the axis, as they are of a reduction.
            let rows = match shape[axis] {
                1 => {
                    let rows = Shape::new([&shape[..axis], &shape[axis + 1..]].concat());
                    b.reshape(places, rows.map_err(|rule| Failure::rule("take_along_axis", rule.to_string()))?)?
                }
                _ => places,
            };
            let taken = b.add(Op::TakeAlongAxis(TakeAlongAxis { axis }), &[table, rows])?;
            Ok(b.reshape(taken, shape)?)
        })
    }
}

/// The shapes of a table and of indices along an axis of it, each repeated to the other's along all other axes.
fn aligned(table: &Shape, indices: &Shape, axis: usize) -> Result<[Shape; 2], String> {
    if indices.rank() != table.rank() {
        return Err(format!("indices {indices} and the tensor {table} must have the same rank"));
    }
    let along = |extent: usize, shape: &Shape| {
        let mut dims = shape.dims().to_vec();
        dims[axis] = extent;
        Shape::new(dims).map_err(|rule| rule.to_string())
    };
    let common = along(1, table)?.broadcast(&along(1, indices)?).map_err(|rule| rule.to_string())?;
    Ok([along(table[axis], &common)?, along(indices[axis], &common)?])
}
