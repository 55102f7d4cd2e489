//! Movement: reshape, permute, broadcast, slice, pad, concatenate, reverse.

use super::Tensor;
use super::axes::{resolve_axes, resolve_axis, resolve_list};
use super::error::Failure;
use ir::op::movement::{Concat, Pad, Reverse, Slice};
use ir::{Op, Scalar, Shape};
use std::ops::Range;

/// Extents with at most one -1, which stands for what is left.
fn resolve_dims(dims: &[isize], numel: usize) -> Result<Shape, String> {
    let unknown = dims.iter().filter(|&&d| d == -1).count();
    if unknown > 1 || dims.iter().any(|&d| d < -1) {
        return Err(format!("{dims:?} must have extents of at least 1, and -1 at most once"));
    }
    // What overflows is refused by what comes after: no tensor has so many elements.
    let known = dims.iter().filter(|&&d| d >= 0).fold(1usize, |known, &d| known.saturating_mul(d as usize));
    if unknown == 1 && (known == 0 || !numel.is_multiple_of(known)) {
        return Err(format!("{numel} elements can't be split into {dims:?}: they are no multiple of {known}"));
    }
    let full: Vec<usize> = dims.iter().map(|&d| if d == -1 { numel / known } else { d as usize }).collect();
    let shape = Shape::new(full).map_err(|e| e.to_string())?;
    if shape.numel() != numel {
        return Err(format!("{shape} has {} elements, the tensor has {numel}", shape.numel()));
    }
    Ok(shape)
}

impl Tensor {
    /// The same elements, in row-major order, under other extents; one extent may be -1, which stands for what is left.
    #[track_caller]
    pub fn reshape(&self, dims: impl AsRef<[isize]>) -> Tensor {
        let Some(from) = self.shape() else { return self.clone() };
        match resolve_dims(dims.as_ref(), from.numel()) {
            Ok(shape) => self.builder().build(&[self], |b, nodes| Ok(b.reshape(nodes[0], shape)?)),
            Err(rule) => self.fail("reshape", rule),
        }
    }

    /// All axes from `axis` on as one.
    #[track_caller]
    pub fn flatten_from(&self, axis: usize) -> Tensor {
        let Some(shape) = self.shape() else { return self.clone() };
        if axis >= shape.rank() {
            return self.fail("flatten", format!("there is no axis {axis}"));
        }
        let mut dims: Vec<isize> = shape[..axis].iter().map(|&d| d as isize).collect();
        dims.push(-1);
        self.reshape(dims)
    }

    /// Axes in another order: axis `i` of the result is axis `perm[i]` of this tensor.
    #[track_caller]
    pub fn permute(&self, perm: impl AsRef<[isize]>) -> Tensor {
        let Some(shape) = self.shape() else { return self.clone() };
        let rank = shape.rank();
        match resolve_list(perm.as_ref(), rank) {
            Ok(perm) if perm.len() == rank => self.builder().build(&[self], |b, nodes| Ok(b.permute(nodes[0], &perm)?)),
            Ok(perm) => self.fail("permute", format!("{perm:?} must name each of the {rank} axes once")),
            Err(rule) => self.fail("permute", rule),
        }
    }

    /// Two axes exchanged.
    #[track_caller]
    pub fn swap_axes(&self, a: isize, b: isize) -> Tensor {
        let Some(shape) = self.shape() else { return self.clone() };
        match (resolve_axis(a, shape.rank()), resolve_axis(b, shape.rank())) {
            (Ok(a), Ok(b)) => {
                let mut perm: Vec<isize> = (0..shape.rank() as isize).collect();
                perm.swap(a, b);
                self.permute(perm)
            }
            (Err(rule), _) | (_, Err(rule)) => self.fail("swap_axes", rule),
        }
    }

    /// The last two axes exchanged: the transposed matrix, or each one of a batch.
    #[track_caller]
    pub fn transpose(&self) -> Tensor {
        self.swap_axes(-2, -1)
    }

    /// Repeated to a shape by NumPy's rule: aligned from the right, extents of 1 repeat.
    #[track_caller]
    pub fn broadcast_to(&self, dims: impl AsRef<[usize]>) -> Tensor {
        let Some(from) = self.shape() else { return self.clone() };
        let shape = match Shape::new(dims) {
            Ok(shape) => shape,
            Err(e) => return self.fail("broadcast_to", e.to_string()),
        };
        if from.broadcast(&shape).ok().as_ref() != Some(&shape) {
            return self.fail("broadcast_to", format!("the shape {from} does not broadcast to {shape}"));
        }
        self.builder().build(&[self], |b, nodes| Ok(b.broadcast_to(nodes[0], shape)?))
    }

    /// The elements from `start` (inclusive) to `limit` (exclusive) on each axis.
    #[track_caller]
    pub fn slice(&self, start: impl AsRef<[usize]>, limit: impl AsRef<[usize]>) -> Tensor {
        let stride = vec![1; start.as_ref().len()];
        self.slice_strided(start, limit, stride)
    }

    /// Every `stride`-th element from `start` to `limit` (exclusive) on each axis.
    #[track_caller]
    pub fn slice_strided(
        &self,
        start: impl AsRef<[usize]>,
        limit: impl AsRef<[usize]>,
        stride: impl AsRef<[usize]>,
    ) -> Tensor {
        self.emit(Op::Slice(Slice {
            start: start.as_ref().to_vec(),
            limit: limit.as_ref().to_vec(),
            stride: stride.as_ref().to_vec(),
        }))
    }

    /// A range along one axis, all of the others.
    #[track_caller]
    pub fn slice_axis(&self, axis: isize, range: Range<usize>) -> Tensor {
        let Some(shape) = self.shape() else { return self.clone() };
        let axis = match resolve_axis(axis, shape.rank()) {
            Ok(axis) => axis,
            Err(rule) => return self.fail("slice", rule),
        };
        let (mut start, mut limit) = (vec![0; shape.rank()], shape.dims().to_vec());
        (start[axis], limit[axis]) = (range.start, range.end);
        self.slice(start, limit)
    }

    /// `value` added around the tensor: (before, after) per axis.
    #[track_caller]
    pub fn pad(&self, value: f64, pads: impl AsRef<[(usize, usize)]>) -> Tensor {
        let Some(ty) = self.ty() else { return self.clone() };
        let pads = pads.as_ref();
        self.emit(Op::Pad(Pad {
            value: Scalar::from_f64(value, ty.dtype),
            low: pads.iter().map(|p| p.0).collect(),
            high: pads.iter().map(|p| p.1).collect(),
            interior: vec![0; pads.len()],
        }))
    }

    /// The elements in reverse order along axes.
    #[track_caller]
    pub fn reverse(&self, axes: impl AsRef<[isize]>) -> Tensor {
        let Some(shape) = self.shape() else { return self.clone() };
        match resolve_axes(Some(axes.as_ref()), shape.rank()) {
            Ok(axes) if axes.is_empty() => self.clone(),
            Ok(axes) => self.emit(Op::Reverse(Reverse { axes })),
            Err(rule) => self.fail("reverse", rule),
        }
    }

    /// Without these axes, which must have extent 1.
    #[track_caller]
    pub fn squeeze(&self, axes: impl AsRef<[isize]>) -> Tensor {
        let Some(shape) = self.shape() else { return self.clone() };
        let axes = match resolve_axes(Some(axes.as_ref()), shape.rank()) {
            Ok(axes) => axes,
            Err(rule) => return self.fail("squeeze", rule),
        };
        if let Some(axis) = axes.iter().find(|&&axis| shape[axis] != 1) {
            return self.fail("squeeze", format!("axis {axis} must have extent 1, not {}", shape[*axis]));
        }
        let kept = (0..shape.rank()).filter(|axis| !axes.contains(axis)).map(|axis| shape[axis] as isize);
        self.reshape(kept.collect::<Vec<_>>())
    }

    /// With a new axis of extent 1 that becomes axis `axis` of the result.
    #[track_caller]
    pub fn unsqueeze(&self, axis: isize) -> Tensor {
        let Some(shape) = self.shape() else { return self.clone() };
        match resolve_axis(axis, shape.rank() + 1) {
            Ok(axis) => {
                let mut dims: Vec<isize> = shape.iter().map(|&d| d as isize).collect();
                dims.insert(axis, 1);
                self.reshape(dims)
            }
            Err(rule) => self.fail("unsqueeze", rule),
        }
    }

    /// This tensor and then the others along an axis; the other extents are equal.
    #[track_caller]
    pub fn concat(&self, others: &[&Tensor], axis: isize) -> Tensor {
        let Some(shape) = self.shape() else { return self.clone() };
        let axis = match resolve_axis(axis, shape.rank()) {
            Ok(axis) => axis,
            Err(rule) => return self.fail("concat", rule),
        };
        if others.is_empty() {
            return self.clone();
        }
        self.builder().build(&[&[self], others].concat(), |b, nodes| {
            let first = b.ty(nodes[0]).dtype;
            if let Some(other) = nodes.iter().map(|&n| b.ty(n).dtype).find(|&d| d != first) {
                let rule = format!("operands must have one element type, not {first} and {other}: cast one of them");
                return Err(Failure::rule("concat", rule));
            }
            Ok(b.add(Op::Concat(Concat { axis }), nodes)?)
        })
    }

    /// This tensor and then the others, all of one shape, along a new axis that becomes axis `axis` of the result.
    #[track_caller]
    pub fn stack(&self, others: &[&Tensor], axis: isize) -> Tensor {
        let first = self.unsqueeze(axis);
        let mut lifted = Vec::with_capacity(others.len());
        for other in others {
            lifted.push(other.unsqueeze(axis));
        }
        first.concat(&lifted.iter().collect::<Vec<_>>(), axis)
    }
}
