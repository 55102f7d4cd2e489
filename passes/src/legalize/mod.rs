//! Rewrites contractions, gradients of pooling and positions of extrema into the forms that kernels have.
//!
//! # Does
//! The gradient of a maximum pooling puts what it gets at the places of the maxima. Where the graph has that pooling, it finds them, and the pooled tensor
//! isn't read again, and need not be kept; else only windows that don't stand side by side are asked for them before. Padding of convolutions and of their weight
//! gradients becomes an explicit `pad`, but for convolutions that are lowered region by region, without padding. The gradient by the input
//! becomes a padded convolution of the output's gradient with the kernel reversed and its channels exchanged. With strides it stays what it is, of a
//! padded gradient: it is lowered for each remainder of places by the strides apart. Or those become channels of one convolution, where an image has few.
//! A product is computed with its factors exchanged where that fills vectors better, or saves transposing the larger one. One whose sums have
//! a single term becomes a multiplication. `argmax` and `argmin` become a reduction to the extremum and one to the first place that holds it.
//! # Requires
//! Stage `differentiated`.
//! # Ensures
//! Contractions are `dot`, `conv_weight_grad` without padding, `conv`, padded only where lowering cuts it into regions, and `conv_input_grad`
//! with strides, where each place has all its taps inside.
//! # Example
//! `%2 = conv %0, %1 {.., pad=[(1,1)]}` becomes `%2 = pad %0 {low=[0,1,0], high=[0,1,0], ..}`, `%3 = conv %2, %1 {.., pad=[(0,0)]}`.

mod input_grad;
mod pad;
mod places;

use crate::window::{depthwise_in_regions, in_regions, tap_type, tiles};
use crate::{PassContext, PassError};
use ir::op::contraction::{Conv, ConvWeightGrad, Dot};
use ir::op::window::{Pool, PoolArgMax, PoolKind, Unpool, Window};
use ir::{Builder, Graph, NodeId, Op, ScalarOp, TensorType};
use kernel::TileTarget;
use pad::{pad, shape_of};

/// What writing an element in another order takes, in multiply-adds of vectors.
const REORDERING: usize = 3;
/// As large a part of the work must be left for an exchange of factors to be worth it.
const ENOUGH: f64 = 0.95;

/// Runs the pass.
///
/// # Errors
/// If a rewrite doesn't type, which is a defect of this pass.
pub fn run(graph: &mut Graph, context: &PassContext) -> Result<(), PassError> {
    for node in graph.topological() {
        let op = graph.op(node).clone();
        let operands = graph.operands(node).to_vec();
        let loc = graph.loc(node).cloned();
        let is_padded_anyway = matches!(op, Op::Conv(_)) && is_padded_for_weights(graph, operands[0]);
        let mut build = Builder::new(graph, loc);
        let new = match op {
            Op::Conv(op) if padded(&op.window) => {
                match valid_conv(&mut build, node, &op, (&operands, is_padded_anyway))? {
                    Some(new) => new,
                    None => continue,
                }
            }
            Op::ConvWeightGrad(op) if padded(&op.window) => valid_weight_grad(&mut build, &op, &operands)?,
            Op::ConvInputGrad(op) => match input_grad::legal(&mut build, node, &op, &operands, &context.target.tile())?
            {
                Some(new) => new,
                None => continue,
            },
            Op::Dot(op) if steps(&build, &op, operands[0]) == 1 => products(&mut build, node, &op, &operands)?,
            Op::Dot(op) => match exchanged(&mut build, &op, &operands, &context.target.tile())? {
                Some(new) => new,
                None => continue,
            },
            Op::ArgReduce(op) => places::place(&mut build, &op, operands[0])?,
            Op::PoolMaxGrad(op) => match unpool(&mut build, op.window, &operands)? {
                Some(new) => new,
                None => continue,
            },
            _ => continue,
        };
        graph.replace_uses(node, new);
        graph.remove(node);
    }
    Ok(())
}

/// Terms of each sum of a product.
fn steps(build: &Builder<'_>, op: &Dot, left: NodeId) -> usize {
    op.contract.iter().map(|&(axis, _)| build.ty(left).shape[axis]).product()
}

/// A product whose sums have one term, the outer product of two vectors among them: a multiplication, written in the order of memory and joined
/// with what follows it.
fn products(build: &mut Builder<'_>, node: NodeId, op: &Dot, operands: &[NodeId]) -> Result<NodeId, PassError> {
    let shape = build.ty(node).shape.clone();
    let mut factors = [operands[0], operands[1]];
    let ranks = factors.map(|factor| build.ty(factor).shape.rank());
    let (batches, rows) = (op.batch.len(), op.left_free(ranks[0]));
    let stay = [(rows.clone(), batches), (op.right_free(ranks[1]), batches + rows.len())];
    for (side, (free, first)) in stay.into_iter().enumerate() {
        let of_batch = op.batch.iter().map(|&(l, r)| if side == 0 { l } else { r });
        let (from, to): (Vec<usize>, Vec<usize>) = of_batch.zip(0..).chain(free.into_iter().zip(first..)).unzip();
        let factor = factors[side];
        let dims: Vec<usize> = from.iter().map(|&axis| build.ty(factor).shape[axis]).collect();
        let summed = (0..ranks[side]).filter(|axis| !from.contains(axis));
        let perm: Vec<usize> = from.iter().copied().chain(summed).collect();
        let ordered = if from.is_sorted() { factor } else { build.permute(factor, &perm)? };
        let dense = build.reshape(ordered, shape_of(dims)?)?;
        factors[side] = build.broadcast(dense, shape.clone(), &to)?;
    }
    let product = build.binary(ScalarOp::MUL, factors[0], factors[1])?;
    if !build.ty(product).dtype.is_float() {
        return Ok(product);
    }
    // A sum starts from 0: what is left of -0 is 0.
    let zero = build.zeros_like(product)?;
    Ok(build.binary(ScalarOp::ADD, product, zero)?)
}

/// The same product with its factors exchanged, put in order, where that is less work. Either the columns of the result fill a small part of a
/// vector and its rows make better ones, as in the gradient of a weight with few outputs; or the right factor would have to be transposed, and
/// the left one is smaller, as in the gradient by a batch that is small beside the weight.
fn exchanged(
    build: &mut Builder<'_>,
    op: &Dot,
    operands: &[NodeId],
    tile: &TileTarget,
) -> Result<Option<NodeId>, PassError> {
    let [left, right] = [0, 1].map(|side| build.ty(operands[side]).clone());
    let [rows, columns] = [op.left_free(left.shape.rank()), op.right_free(right.shape.rank())];
    let (&[row], &[column]) = (rows.as_slice(), columns.as_slice()) else { return Ok(None) };
    // What is the same in all steps of a scan is an input of its body, and packed once for all of them.
    let given = matches!(build.graph().op(operands[1]), Op::Input(_));
    if !op.batch.is_empty() || !tile.masked || !left.dtype.is_float() || given {
        return Ok(None);
    }
    let lanes = tile.vector_bytes / left.dtype.size_bytes();
    let depth: usize = op.contract.iter().map(|&(axis, _)| left.shape[axis]).product();
    let side =
        |ty: &TensorType, axis: usize| KeptAxis { extent: ty.shape[axis], contiguous: axis + 1 == ty.shape.rank() };
    let (m, n) = (side(&left, row), side(&right, column));
    let reordering = (REORDERING * m.extent * n.extent) as f64;
    if n.work(m, depth, lanes) + reordering >= ENOUGH * m.work(n, depth, lanes) {
        return Ok(None);
    }
    let dot = Dot { batch: vec![], contract: op.contract.iter().map(|&(l, r)| (r, l)).collect() };
    let product = build.add(Op::Dot(dot), &[operands[1], operands[0]])?;
    Ok(Some(build.permute(product, &[1, 0])?))
}

/// The axis of a factor that a product keeps.
#[derive(Clone, Copy)]
struct KeptAxis {
    extent: usize,
    contiguous: bool,
}

impl KeptAxis {
    /// What a product with these rows takes, in multiply-adds of vectors along the columns: that many, and a transposition of the right
    /// factor if it isn't contiguous along them.
    fn work(self, columns: Self, depth: usize, lanes: usize) -> f64 {
        let transposing = if columns.contiguous { 0 } else { REORDERING * columns.extent };
        ((self.extent * columns.extent.div_ceil(lanes) + transposing) as f64) * depth as f64
    }
}

/// The gradient of a maximum pooling by the places of the maxima, if the graph has the pooling itself, which finds them by the way, or if windows
/// overlap, so that a place would ask each of its windows for its maximum.
fn unpool(build: &mut Builder<'_>, window: Window, operands: &[NodeId]) -> Result<Option<NodeId>, PassError> {
    let (x, dy) = (operands[0], operands[1]);
    let pooling = Op::Pool(Pool { kind: PoolKind::Max, window: window.clone() });
    let apart = tiles(&window);
    if apart && !build.graph().users(x).into_iter().any(|user| *build.graph().op(user) == pooling) {
        return Ok(None);
    }
    let ty = build.ty(x).clone();
    let places = PoolArgMax { window: window.clone(), dtype: tap_type(ty.dtype) };
    let places = build.add(Op::PoolArgMax(places), &[x])?;
    let input = ty.shape[1..ty.shape.rank() - 1].to_vec();
    Ok(Some(build.add(Op::Unpool(Unpool { window, input }), &[places, dy])?))
}

fn padded(window: &Window) -> bool {
    window.pad.iter().any(|&p| p != (0, 0))
}

fn without_padding(window: &Window) -> Window {
    Window { pad: vec![(0, 0); window.size.len()], ..window.clone() }
}

/// Whether the gradient of a kernel needs a padded copy of this operand, which the convolution itself then may as well read.
fn is_padded_for_weights(graph: &Graph, x: NodeId) -> bool {
    graph.users(x).into_iter().any(|user| matches!(graph.op(user), Op::ConvWeightGrad(op) if padded(&op.window)))
}

/// The convolution of a padded copy, with the type of `node`; `None` if none is needed.
fn valid_conv(
    build: &mut Builder<'_>,
    node: NodeId,
    op: &Conv,
    (operands, is_padded_anyway): (&[NodeId], bool),
) -> Result<Option<NodeId>, PassError> {
    let (x, y) = (build.ty(operands[0]), build.ty(node));
    let is_depthwise = || !is_padded_anyway && depthwise_in_regions(&op.window, x, y, op.groups);
    if in_regions(&op.window, x, y, op.groups) || is_depthwise() {
        return Ok(None);
    }
    let x = pad(build, operands[0], &op.window.pad, |_| 0)?;
    let valid = Conv { window: without_padding(&op.window), groups: op.groups };
    Ok(Some(build.add(Op::Conv(valid), &[x, operands[1]])?))
}

fn valid_weight_grad(build: &mut Builder<'_>, op: &ConvWeightGrad, operands: &[NodeId]) -> Result<NodeId, PassError> {
    let x = pad(build, operands[0], &op.window.pad, |_| 0)?;
    let valid = ConvWeightGrad { window: without_padding(&op.window), groups: op.groups };
    Ok(build.add(Op::ConvWeightGrad(valid), &[x, operands[1]])?)
}
