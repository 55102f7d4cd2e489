//! The reference evaluation of contractions: sums in one fixed order, one fused multiply-add per product.

use super::Dot;
use crate::op::number::Number;
use crate::op::walk::{Offsets, signed_strides};
use crate::op::window::{Window, image};
use crate::{Shape, TensorType, Value};
use std::borrow::Cow;

/// The elements of `value` with its axes in the order `axes`.
fn ordered<'v, T: Number>(value: &'v Value, axes: &[usize]) -> Cow<'v, [T]> {
    let (elements, shape) = (T::read(value), &value.ty().shape);
    if axes.is_sorted() {
        return elements;
    }
    let strides = signed_strides(shape);
    let dims: Vec<usize> = axes.iter().map(|&axis| shape[axis]).collect();
    let strides: Vec<isize> = axes.iter().map(|&axis| strides[axis]).collect();
    let dims = Shape::new(dims).expect("the axes of a shape in another order make a shape");
    Offsets::new(&dims, 0, &strides).map(|offset| elements[offset]).collect()
}

/// `dot`: both operands are brought to `[batch, row, k]` and `[batch, k, column]`; the sum runs over the contracted axes in the
/// order of their pairs, the last one fastest.
pub(super) fn dot<T: Number>(op: &Dot, left: &Value, right: &Value) -> Vec<T> {
    let extent = |value: &Value, axes: &[usize]| axes.iter().map(|&axis| value.ty().shape[axis]).product::<usize>();
    let (left_batch, right_batch): (Vec<usize>, Vec<usize>) = op.batch.iter().copied().unzip();
    let (left_sum, right_sum): (Vec<usize>, Vec<usize>) = op.contract.iter().copied().unzip();
    let left_free = op.left_free(left.ty().shape.rank());
    let right_free = op.right_free(right.ty().shape.rank());
    let a: Cow<'_, [T]> = ordered(left, &[&left_batch[..], &left_free, &left_sum].concat());
    let b: Cow<'_, [T]> = ordered(right, &[&right_batch[..], &right_sum, &right_free].concat());
    let (rows, columns, depth) = (extent(left, &left_free), extent(right, &right_free), extent(left, &left_sum));
    let mut result = vec![T::ZERO; extent(left, &left_batch) * rows * columns];
    for (i, row) in result.chunks_exact_mut(columns).enumerate() {
        let batch = i / rows;
        for k in 0..depth {
            T::add_scaled(row, a[i * depth + k], &b[(batch * depth + k) * columns..][..columns]);
        }
    }
    result
}

/// The extents of a convolution, the same for its gradients.
pub(super) struct ConvWalk<'a> {
    window: &'a Window,
    groups: usize,
    batch: usize,
    input: &'a [usize],
    output: &'a [usize],
    /// Input channels of one group.
    ci: usize,
    /// Output channels of one group.
    co: usize,
}

/// Where one product row of a convolution stands: elements of `x`, and first elements of rows of `co` in `w` and `y`.
struct ConvRow {
    x: usize,
    w: usize,
    y: usize,
}

impl<'a> ConvWalk<'a> {
    /// The walk for image type `x` and result type `y`, both accepted by the type rule.
    pub(super) fn new(window: &'a Window, groups: usize, x: &'a TensorType, y: &'a TensorType) -> Self {
        let (batch, input, ci) = image("x", x).expect("the type rule has accepted x");
        let (_, output, co) = image("y", y).expect("the type rule has accepted y");
        Self { window, groups, batch, input, output, ci: ci / groups, co: co / groups }
    }

    /// Calls `f` for each place of the batch and output, each tap on the image, each group and each input channel, in this order.
    fn rows(&self, mut f: impl FnMut(ConvRow)) {
        let (inputs, outputs): (usize, usize) = (self.input.iter().product(), self.output.iter().product());
        let (all_ci, all_co) = (self.ci * self.groups, self.co * self.groups);
        for n in 0..self.batch {
            self.window.for_each_tap(self.input, self.output, &mut |out, tap, at| {
                for g in 0..self.groups {
                    for ci in 0..self.ci {
                        f(ConvRow {
                            x: (n * inputs + at) * all_ci + g * self.ci + ci,
                            w: (tap * self.ci + ci) * all_co + g * self.co,
                            y: (n * outputs + out) * all_co + g * self.co,
                        });
                    }
                }
            });
        }
    }

    /// `conv`: for each element the sum over taps, then input channels.
    pub(super) fn forward<T: Number>(&self, x: &Value, w: &Value, len: usize) -> Vec<T> {
        let (x, w) = (T::read(x), T::read(w));
        let mut y = vec![T::ZERO; len];
        self.rows(|row| T::add_scaled(&mut y[row.y..][..self.co], x[row.x], &w[row.w..][..self.co]));
        y
    }

    /// `conv_input_grad`: for each element the sum over outputs, then output channels.
    pub(super) fn input_grad<T: Number>(&self, dy: &Value, w: &Value, len: usize) -> Vec<T> {
        let (dy, w) = (T::read(dy), T::read(w));
        let mut dx = vec![T::ZERO; len];
        self.rows(|row| {
            let products = dy[row.y..][..self.co].iter().zip(&w[row.w..][..self.co]);
            dx[row.x] = products.fold(dx[row.x], |sum, (dy, w)| dy.fma(*w, sum));
        });
        dx
    }

    /// `conv_weight_grad`: for each element the sum over the batch, then outputs.
    pub(super) fn weight_grad<T: Number>(&self, x: &Value, dy: &Value, len: usize) -> Vec<T> {
        let (x, dy) = (T::read(x), T::read(dy));
        let mut dw = vec![T::ZERO; len];
        self.rows(|row| T::add_scaled(&mut dw[row.w..][..self.co], x[row.x], &dy[row.y..][..self.co]));
        dw
    }
}
