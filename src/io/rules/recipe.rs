//! How a state is made of tensors of a file.

use super::super::arrange::{part, permuted, reshaped, side_by_side};
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
    /// Of attention: how many features the queries of all heads have.
    pub(super) queries: Option<usize>,
    /// Whether the state is the kernel of a depthwise convolution, `[spatial..., channels, multiplier]`.
    pub(super) depthwise: bool,
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
        let sources = sources.into_iter().collect();
        Self { sources, axes, join: SourceJoin::Columns, swap_gates: false, queries: None, depthwise: false }
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

    /// The tensors that a state's value is made of, the reverse of [`Self::make`]: of so many heads of attention, or of the shapes that a file has. Nothing if it can't be cut so.
    pub(super) fn split(&self, value: &Value, heads: Option<usize>, shapes: Option<&[Shape]>) -> Option<Vec<Value>> {
        let value = if self.swap_gates { swapped(value)? } else { value.clone() };
        let parts = match (self.join, self.sources.len()) {
            (_, 1) => vec![value],
            (SourceJoin::Columns, count) => {
                let widths = self.widths(&value, count, shapes)?;
                let (mut end, last) = (0, value.ty().shape.rank().checked_sub(1)?);
                let next = |width: usize| {
                    end += width;
                    part(&value, last, end - width..end)
                };
                widths.into_iter().map(next).collect::<Option<_>>()?
            }
            // All of it in the first one.
            (SourceJoin::Sum, count) => {
                let zeros = Value::splat(Scalar::zero(value.ty().dtype), value.ty().shape.clone());
                [vec![value], vec![zeros; count - 1]].concat()
            }
            (SourceJoin::Rows, count) => {
                let row = Shape::new(&value.ty().shape.dims()[1..]).ok()?;
                (0..count).map(|i| reshaped(&part(&value, 0, i..i + 1)?, &row)).collect::<Option<_>>()?
            }
        };
        let turned = parts.iter().enumerate().map(|(i, part)| {
            let shape = shapes.and_then(|shapes| shapes.get(i));
            self.turned_back(part, heads, shape).filter(|part| shape.is_none_or(|shape| *shape == part.ty().shape))
        });
        turned.collect()
    }

    /// How many columns of a value are each tensor's: as in a file; else of attention as many as its queries have, and of what is left the same for keys and values; else all the same.
    fn widths(&self, value: &Value, count: usize, shapes: Option<&[Shape]>) -> Option<Vec<usize>> {
        let (columns, rows) =
            value.ty().shape.dims().split_last().map(|(last, rest)| (*last, rest.iter().product::<usize>()))?;
        let widths = match (shapes, self.queries) {
            (Some(shapes), _) => shapes.iter().map(|shape| shape.numel() / rows).collect(),
            (None, Some(queries)) if count == 3 => {
                vec![queries, columns.checked_sub(queries)? / 2, (columns - queries) / 2]
            }
            _ => vec![columns / count; count],
        };
        (widths.iter().sum::<usize>() == columns).then_some(widths)
    }

    /// A tensor of the state's axes with them in the file's order.
    fn turned_back(&self, part: &Value, heads: Option<usize>, shape: Option<&Shape>) -> Option<Value> {
        let dims = part.ty().shape.dims();
        match self.axes {
            SourceAxes::OutFirst if dims.len() > 1 => {
                let (spatial, channels) = dims.split_at(dims.len() - 2);
                let is_depthwise = match shape.map(Shape::dims) {
                    Some([out, 1, ..]) => dims.len() > 2 && *out == channels[0] * channels[1],
                    Some(_) => false,
                    None => self.depthwise,
                };
                let joined = Shape::new([spatial, &[1, channels[0] * channels[1]]].concat()).ok()?;
                let part = if is_depthwise { reshaped(part, &joined)? } else { part.clone() };
                let axes: Vec<usize> = [dims.len() - 1, dims.len() - 2].into_iter().chain(0..dims.len() - 2).collect();
                Some(permuted(&part, &axes))
            }
            SourceAxes::Same | SourceAxes::OutFirst => Some(part.clone()),
            SourceAxes::Heads => match shape {
                Some(shape) => reshaped(part, shape),
                None => self.in_heads(part, heads?),
            },
        }
    }

    /// Keras's `[width, heads, size]` and `[heads, size]`, and `[heads, size, width]` of what comes after the heads.
    fn in_heads(&self, part: &Value, heads: usize) -> Option<Value> {
        let dims = part.ty().shape.dims();
        let size = self.queries?.checked_div(heads).filter(|size| size * heads == self.queries.unwrap_or(0))?;
        let is_after = self
            .sources
            .iter()
            .all(|name| name.contains(".attention_output.") || name.starts_with("attention_output."));
        let split = match (dims, is_after) {
            ([rows, width], true) => vec![rows / size, size, *width],
            ([width, columns], false) => vec![*width, columns / size, size],
            ([columns], false) => vec![columns / size, size],
            _ => dims.to_vec(),
        };
        reshaped(part, &Shape::new(split).ok()?)
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
