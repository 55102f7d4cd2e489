//! Kernels in bytes: symmetric, with a scale for each output channel, four steps of a column side by side.

use super::calibrate::ActivationRange;
use ir::{DType, Op, Scalar, Shape, TensorType, Value};

/// The greatest magnitude of a kernel's byte: -128 stays unused, so that a number and its negative are alike.
const GREATEST: f32 = 127.0;
/// Steps side by side.
const QUAD: usize = 4;

/// How a kernel is stored, as `[outer..., steps/4, columns, 4]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct KernelLayout {
    /// Extents before the steps.
    pub(super) outer: Vec<usize>,
    /// Steps in a row, without those that fill up the last four.
    pub(super) steps: usize,
    /// Whether taps along the last axis of an image are steps in a row.
    pub(super) folds: bool,
}

/// The layout for a contraction, a product or a convolution, with a kernel of that type.
pub(super) fn kernel_layout(op: &Op, kernel: &TensorType) -> KernelLayout {
    let dims = kernel.shape.dims();
    let (before, channels) = (&dims[..dims.len() - 2], dims[dims.len() - 2]);
    if let (Op::Conv(_), Some((&taps, outer))) = (op, before.split_last()) {
        let folds = (taps * channels).div_ceil(QUAD) < taps * channels.div_ceil(QUAD);
        if folds {
            return KernelLayout { outer: [outer, &[1]].concat(), steps: taps * channels, folds };
        }
    }
    KernelLayout { outer: before.to_vec(), steps: channels, folds: false }
}

/// A kernel in bytes, and what makes numbers of sums of bytes: `sum * scale + offset`, for each column.
#[derive(Clone, Debug)]
pub(super) struct ByteKernel {
    pub(super) layout: KernelLayout,
    pub(super) bytes: Value,
    pub(super) scale: Value,
    pub(super) offset: Value,
}

impl ByteKernel {
    /// Of a kernel `[..., columns]` of `f32`, for left factors in that range; `None` if a number isn't finite.
    pub(super) fn of(kernel: &Value, layout: KernelLayout, range: ActivationRange) -> Option<Self> {
        if kernel.to_f64_vec().iter().any(|number| !number.is_finite()) {
            return None;
        }
        let columns = kernel.ty().shape.last().copied().unwrap_or(1);
        let rows = kernel.data().len() / columns;
        let number = |row: usize, column: usize| kernel.get(row * columns + column).as_f64() as f32;
        let largest = |column: usize| (0..rows).map(|row| number(row, column).abs()).fold(0.0, f32::max);
        let scale = |column: usize| Some(largest(column) / GREATEST).filter(|&scale| scale > 1e-30).unwrap_or(1.0);
        let scales: Vec<f32> = (0..columns).map(scale).collect();
        let byte = |row: usize, column: usize| {
            (number(row, column) / scales[column]).round_ties_even().clamp(-GREATEST, GREATEST) as i8
        };
        let sum = |column: usize| (0..rows).map(|row| i64::from(byte(row, column))).sum::<i64>() as f64;
        let of_sum = |column: usize| f64::from(scales[column]) * f64::from(range.scale);
        let offset = |column: usize| -of_sum(column) * f64::from(range.zero) * sum(column);
        let per_column = TensorType::new(DType::F32, Shape::new([columns]).ok()?);
        let quads = layout.steps.div_ceil(QUAD);
        let dims = [&layout.outer[..], &[quads, columns, QUAD]].concat();
        let bytes = Value::from_fn(TensorType::new(DType::I8, Shape::new(dims).ok()?), |at| {
            let (place, column, quad) = (at % QUAD, at / QUAD % columns, at / QUAD / columns);
            let (step, outer) = (quad % quads * QUAD + place, quad / quads);
            Scalar::I8(if step < layout.steps { byte(outer * layout.steps + step, column) } else { 0 })
        });
        Some(Self {
            bytes,
            scale: Value::from_fn(per_column.clone(), |c| Scalar::F32(of_sum(c) as f32)),
            offset: Value::from_fn(per_column, |c| Scalar::F32(offset(c) as f32)),
            layout,
        })
    }
}
