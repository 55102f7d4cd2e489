//! Contractions: matrix products by NumPy's rules, general dot products, convolution.

use super::Tensor;
use super::error::Failure;
use ir::op::contraction::{Conv, ConvInputGrad, Dot, WeightedMean};
use ir::op::window::Window;
use ir::{Builder, NodeId, Op, Shape};
use std::borrow::Borrow;

/// The product of two tensors of rank 2 or more.
fn matmul(b: &mut Builder<'_>, x: NodeId, y: NodeId) -> Result<NodeId, Failure> {
    let (xs, ys) = (b.ty(x).shape.clone(), b.ty(y).shape.clone());
    let (xr, yr) = (xs.rank(), ys.rank());
    let (k, l) = (xs[xr - 1], ys[yr - 2]);
    if k != l {
        return Err(Failure::rule("matmul", format!("contracted extents must be equal, {k} and {l}")));
    }
    if yr == 2 {
        let dot = Dot { batch: vec![], contract: vec![(xr - 1, 0)] };
        return Ok(b.add(Op::Dot(dot), &[x, y])?);
    }
    let shape_error = |e: ir::ShapeError| Failure::rule("matmul", e);
    let batch = |s: &Shape| Shape::new(&s[..s.rank() - 2]).map_err(shape_error);
    let common = batch(&xs)?.broadcast(&batch(&ys)?).map_err(shape_error)?;
    let lift = |s: &Shape| Shape::new([common.dims(), &s[s.rank() - 2..]].concat()).map_err(shape_error);
    let x = b.broadcast_to(x, lift(&xs)?)?;
    let y = b.broadcast_to(y, lift(&ys)?)?;
    let rank = common.rank();
    let dot = Dot { batch: (0..rank).map(|i| (i, i)).collect(), contract: vec![(rank + 1, rank)] };
    Ok(b.add(Op::Dot(dot), &[x, y])?)
}

impl Tensor {
    /// The matrix product by NumPy's rules: the last axis with the second last of `rhs`; axes before those are a batch and
    /// broadcast; a vector on the left is a row, on the right a column, and its axis is gone from the result.
    #[track_caller]
    pub fn matmul(&self, rhs: impl Borrow<Tensor>) -> Tensor {
        let rhs = rhs.borrow();
        self.builder().build(&[self, rhs], |b, nodes| {
            let (x, y) = (b.ty(nodes[0]).clone(), b.ty(nodes[1]).clone());
            if x.dtype != y.dtype {
                let rule = format!("operands must have one element type, not {} and {}: cast one", x.dtype, y.dtype);
                return Err(Failure::rule("matmul", rule));
            }
            if x.shape.rank() == 0 || y.shape.rank() == 0 {
                return Err(Failure::rule(
                    "matmul",
                    "operands must have at least one axis: multiply by a scalar with `*`",
                ));
            }
            let (mut left, mut right) = (nodes[0], nodes[1]);
            let (row, column) = (x.shape.rank() == 1, y.shape.rank() == 1);
            let shape = |dims: Vec<usize>| Shape::new(dims).map_err(|e| Failure::rule("matmul", e));
            if row {
                left = b.reshape(left, shape(vec![1, x.shape[0]])?)?;
            }
            if column {
                right = b.reshape(right, shape(vec![y.shape[0], 1])?)?;
            }
            let product = matmul(b, left, right)?;
            let mut dims = b.ty(product).shape.dims().to_vec();
            if column {
                dims.pop();
            }
            if row {
                dims.remove(dims.len() - if column { 1 } else { 2 });
            }
            Ok(b.reshape(product, shape(dims)?)?)
        })
    }

    /// A batched dot product: `batch` pairs of axes run together, `contract` pairs are summed over. The result's axes: the batch axes,
    /// this tensor's others, those of `rhs`.
    #[track_caller]
    pub fn dot_general(
        &self,
        rhs: impl Borrow<Tensor>,
        batch: impl AsRef<[(usize, usize)]>,
        contract: impl AsRef<[(usize, usize)]>,
    ) -> Tensor {
        let dot = Dot { batch: batch.as_ref().to_vec(), contract: contract.as_ref().to_vec() };
        self.builder().emit(Op::Dot(dot), &[self, rhs.borrow()])
    }

    /// [`Tensor::dot_general`] divided by `whole`, one number for each sum of weights: the batch axes, then this tensor's others. Its gradient is that of a softmax
    /// whose division has been put off.
    #[track_caller]
    pub(crate) fn weighted_mean(
        &self,
        values: &Tensor,
        whole: &Tensor,
        batch: impl AsRef<[(usize, usize)]>,
        contract: impl AsRef<[(usize, usize)]>,
    ) -> Tensor {
        let dot = Dot { batch: batch.as_ref().to_vec(), contract: contract.as_ref().to_vec() };
        self.builder().emit(Op::WeightedMean(WeightedMean { dot }), &[self, values, whole])
    }

    /// Convolution (cross-correlation) of `[n, spatial..., c]` with a kernel `[k..., c/groups, out]`.
    /// The window's size is the kernel's; [`crate::nn::Conv2d`] is the layer.
    #[track_caller]
    pub fn conv(&self, kernel: impl Borrow<Tensor>, window: Window, groups: usize) -> Tensor {
        self.builder().emit(Op::Conv(Conv { window, groups }), &[self, kernel.borrow()])
    }

    /// Transposed convolution of `[n, spatial..., c]` with a kernel `[k..., out/groups, c]`: `[n, output..., out]`, the gradient of a convolution of such a tensor by its input.
    /// A convolution by the window takes the extents `output` to this tensor's; [`crate::nn::Conv2dTranspose`] is the layer.
    #[track_caller]
    pub fn conv_transpose(
        &self,
        kernel: impl Borrow<Tensor>,
        window: Window,
        groups: usize,
        output: impl AsRef<[usize]>,
    ) -> Tensor {
        let op = ConvInputGrad { window, groups, input: output.as_ref().to_vec() };
        self.builder().emit(Op::ConvInputGrad(op), &[self, kernel.borrow()])
    }
}
