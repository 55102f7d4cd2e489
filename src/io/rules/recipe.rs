//! How a state is made of tensors of a file.

use super::super::arrange::{permuted, reshaped, side_by_side};
use ir::{Scalar, Shape, TensorType, Value};

/// What a state is made of, and how.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Recipe {
    /// The names of the tensors, as [`super::Convention::normal`] has them.
    pub(super) sources: Vec<String>,
    pub(super) axes: SourceAxes,
    pub(super) join: SourceJoin,
    /// Whether the first two of three gates stand in the other order.
    pub(super) swap_gates: bool,
}

/// How the axes of each tensor lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SourceAxes {
    /// As the state's.
    Same,
    /// `[out, in, spatial...]`, where the state has `[spatial..., in, out]`; `[channels * multiplier, 1, spatial...]` of depthwise convolutions is `[spatial..., channels, multiplier]`.
    OutFirst,
    /// With an axis of heads and one of their features, where the state has one of both.
    Heads,
}

/// How several tensors become one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SourceJoin {
    /// Side by side along the last axis; one tensor is itself.
    Columns,
    /// Added.
    Sum,
    /// One below the other, along a new first axis.
    Rows,
}

impl Recipe {
    /// One tensor as it is.
    pub(super) fn plain(source: impl Into<String>) -> Self {
        Self::of([source.into()], SourceAxes::Same)
    }

    /// Tensors side by side.
    pub(super) fn of(sources: impl IntoIterator<Item = String>, axes: SourceAxes) -> Self {
        Self { sources: sources.into_iter().collect(), axes, join: SourceJoin::Columns, swap_gates: false }
    }

    /// Whether the state is a tensor as it is.
    pub(super) fn is_plain(&self) -> bool {
        self.sources.len() == 1 && self.axes == SourceAxes::Same && !self.swap_gates
    }

    /// The state's value, of its type. An error is the type of what came instead, if something did.
    pub(super) fn make(&self, parts: Vec<Value>, ty: &TensorType) -> Result<Value, Option<TensorType>> {
        let parts: Vec<Value> = parts.into_iter().map(|part| self.turned(part, ty)).collect();
        let joined = match (self.join, parts.len()) {
            (_, 1) => parts.into_iter().next(),
            (SourceJoin::Columns, _) => side_by_side(&parts),
            (SourceJoin::Sum, _) => sum(&parts),
            (SourceJoin::Rows, _) => Value::stack(&parts),
        };
        let value = joined.ok_or(None)?;
        let value = if self.swap_gates { swapped(&value).ok_or(None)? } else { value };
        match value.ty() == ty {
            true => Ok(value),
            false => Err(Some(value.ty().clone())),
        }
    }

    /// A tensor with its axes in the state's order.
    fn turned(&self, part: Value, ty: &TensorType) -> Value {
        let rank = part.ty().shape.rank();
        match self.axes {
            SourceAxes::Same => part,
            SourceAxes::OutFirst if rank < 2 => part,
            SourceAxes::OutFirst => {
                let axes: Vec<usize> = (2..rank).chain([1, 0]).collect();
                let turned = permuted(&part, &axes);
                depthwise(&turned, ty).unwrap_or(turned)
            }
            SourceAxes::Heads => flattened(part, ty),
        }
    }
}

/// `[spatial..., 1, channels * multiplier]` as `[spatial..., channels, multiplier]`, if the state is that: in memory both are the same.
fn depthwise(turned: &Value, ty: &TensorType) -> Option<Value> {
    let (found, wanted) = (turned.ty().shape.dims(), ty.shape.dims());
    let spatial = wanted.len().checked_sub(2)?;
    let is_one = found.len() == wanted.len()
        && found[spatial] == 1
        && found[..spatial] == wanted[..spatial]
        && wanted[spatial..].iter().product::<usize>() == found[spatial + 1];
    is_one.then(|| reshaped(turned, &ty.shape))?
}

/// Keras's `[width, heads, size]` and `[heads, size, width]` as matrices, and `[heads, size]` as a row.
fn flattened(part: Value, ty: &TensorType) -> Value {
    let dims = part.ty().shape.dims();
    let flat = match (dims.len(), ty.shape.rank()) {
        (3, 2) if dims[0] == ty.shape[0] => vec![dims[0], dims[1] * dims[2]],
        (3, 2) => vec![dims[0] * dims[1], dims[2]],
        (2, 1) => vec![dims[0] * dims[1]],
        _ => return part,
    };
    let shape = Shape::new(flat).ok();
    shape.and_then(|shape| reshaped(&part, &shape)).unwrap_or(part)
}

/// The sum of values of one type.
fn sum(parts: &[Value]) -> Option<Value> {
    let first = parts.first()?;
    if parts.iter().any(|part| part.ty() != first.ty()) {
        return None;
    }
    let at = |i: usize| parts.iter().map(|part| part.get(i).as_f64()).sum();
    Some(Value::from_fn(first.ty().clone(), |i| Scalar::from_f64(at(i), first.ty().dtype)))
}

/// Three blocks along the last axis, the first two exchanged.
fn swapped(value: &Value) -> Option<Value> {
    let last = *value.ty().shape.dims().last()?;
    let width = last / 3;
    let from = |column: usize| match column / width.max(1) {
        0 => column + width,
        1 => column - width,
        _ => column,
    };
    let at = |i: usize| value.get(i / last * last + from(i % last));
    (last == 3 * width).then(|| Value::from_fn(value.ty().clone(), at))
}
