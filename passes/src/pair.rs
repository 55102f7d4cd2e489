//! Multiplies `bf16` in pairs.
//!
//! # Does
//! On targets that have the instruction, dot products, convolutions and gradients of their kernels whose factors have been `bf16`, and whose result becomes it, take pairs of terms,
//! two products at a time: those of the first and of the second half of a contracted axis, of a group's channels, of the images. Where there is an odd number, a zero is added. Thin products, which read
//! more than they compute, and gradients of strided convolutions by their input stay in `f32`.
//! # Requires
//! Stage `differentiated`.
//! # Ensures
//! `pair_dot`, `pair_conv` and `pair_conv_weight_grad` have results of `f32`, and at least as many rows and columns as make a tile.
//! # Example
//! `%2 = cast %0 : f32[64,32]`, `%3 = cast %1 : f32[32,48]`, `%4 = dot %2, %3 {contract=[(1,0)], ..}` becomes slices of the first steps and of the last, `%6 = pair %4, %5 : i32[64,16]`,
//! `%9 = pair %7, %8 : i32[16,48]`, `%10 = pair_dot %6, %9 {contract=[(1,0)], ..}`.

use crate::{PassContext, PassError, dce};
use ir::op::contraction::{Pair, PairContraction, PairProduct};
use ir::op::movement::{Pad, Slice};
use ir::{Builder, DType, Graph, NodeId, Op, Scalar, Shape};

/// Fewer rows make products that wait for the right factor.
const MIN_ROWS: usize = 16;
/// Fewer columns don't fill a vector.
const MIN_COLUMNS: usize = 16;
/// Shorter sums take less than making pairs.
const MIN_STEPS: usize = 8;

/// Runs the pass.
///
/// # Errors
/// If a rewrite doesn't type, which is a defect of this pass.
pub fn run(graph: &mut Graph, context: &PassContext) -> Result<(), PassError> {
    if !context.target.bf16_pairs() {
        return Ok(());
    }
    let mut changed = false;
    for node in graph.topological() {
        if graph.ty(node).dtype != DType::F32 || graph.operands(node).len() != 2 || !is_rounded(graph, node) {
            continue;
        }
        let Some(plan) = plan(graph, node) else { continue };
        let operands = [0, 1].map(|i| graph.operands(node)[i]);
        let [Some(left), Some(right)] = operands.map(|operand| source(graph, operand, DType::Bf16)) else { continue };
        let loc = graph.loc(node).cloned();
        let mut build = Builder::new(graph, loc);
        let mut factors = [0; 2].map(|_| node);
        for (factor, (chain, axis)) in factors.iter_mut().zip([left, right].into_iter().zip(plan.axes)) {
            let halves = rebuilt(&mut build, chain)?;
            *factor = pairs(&mut build, halves, axis)?;
        }
        let new = build.add(Op::PairProduct(PairProduct { of: plan.of }), &factors)?;
        graph.replace_uses(node, new);
        graph.remove(node);
        changed = true;
    }
    if changed { dce::run(graph, context) } else { Ok(()) }
}

/// A contraction of pairs; the axis of each factor along which they are made, and of how many groups it consists.
struct PairedContraction {
    of: PairContraction,
    axes: [(usize, usize); 2],
}

fn plan(graph: &Graph, node: NodeId) -> Option<PairedContraction> {
    let [left, right] = [0, 1].map(|i| graph.ty(graph.operands(node)[i]).shape.clone());
    match graph.op(node) {
        Op::Dot(op) => {
            let columns: usize = op.right_free(right.rank()).iter().map(|&axis| right[axis]).product();
            let rows: usize = op.left_free(left.rank()).iter().map(|&axis| left[axis]).product();
            let steps: usize = op.contract.iter().map(|&(axis, _)| left[axis]).product();
            let even = op.contract.iter().rev().find(|&&(axis, _)| left[axis].is_multiple_of(2));
            let &(l, r) = even.or(op.contract.last())?;
            let fits = rows >= MIN_ROWS && columns >= MIN_COLUMNS && steps >= MIN_STEPS && left[l] > 1;
            fits.then(|| PairedContraction { of: PairContraction::Dot(op.clone()), axes: [(l, 1), (r, 1)] })
        }
        Op::Conv(op) => {
            let spatial = op.window.rank();
            let (channels, columns) = (right[spatial], right[spatial + 1] / op.groups);
            let steps = op.window.size.iter().product::<usize>() * channels;
            let fits = channels > 1 && columns >= MIN_COLUMNS && steps >= MIN_STEPS;
            fits.then(|| PairedContraction {
                of: PairContraction::Conv(op.clone()),
                axes: [(spatial + 1, op.groups), (spatial, 1)],
            })
        }
        Op::ConvWeightGrad(op) => {
            let columns = right[right.rank() - 1] / op.groups;
            let rows = graph.ty(node).shape.numel() / right[right.rank() - 1];
            let fits = columns >= MIN_COLUMNS && rows >= MIN_ROWS && left[0] > 1;
            fits.then(|| PairedContraction { of: PairContraction::ConvWeightGrad(op.clone()), axes: [(0, 1); 2] })
        }
        _ => None,
    }
}

/// Whether nothing but roundings to `bf16` sees a sum: one that is asked for in `f32` keeps its smallest magnitudes.
fn is_rounded(graph: &Graph, sum: NodeId) -> bool {
    let mut stack = vec![sum];
    while let Some(node) = stack.pop() {
        let is_moved = node == sum || graph.op(node).family() == ir::Family::Movement;
        match graph.op(node) {
            Op::Cast(cast) if cast.dtype == DType::Bf16 => {}
            _ if is_moved && !graph.is_result(node) => stack.extend(graph.users(node)),
            _ => return false,
        }
    }
    true
}

/// The tensor of a narrow type that a wider one is made of without rounding, and the ops that move its elements, the last one first.
pub(crate) fn source(graph: &Graph, mut node: NodeId, narrow: DType) -> Option<(NodeId, Vec<Op>)> {
    let mut moves = vec![];
    loop {
        let &[operand] = graph.operands(node) else { return None };
        match graph.op(node) {
            Op::Cast(_) if graph.ty(operand).dtype == narrow => return Some((operand, moves)),
            Op::Pad(pad) => {
                let value = pad.value.cast(narrow);
                if value.cast(pad.value.dtype()) != pad.value {
                    return None;
                }
                moves.push(Op::Pad(Pad { value, ..pad.clone() }));
            }
            op if op.family() == ir::Family::Movement => moves.push(op.clone()),
            _ => return None,
        }
        node = operand;
    }
}

/// The same elements, moved in the narrow type.
pub(crate) fn rebuilt(build: &mut Builder<'_>, (source, moves): (NodeId, Vec<Op>)) -> Result<NodeId, PassError> {
    let mut node = source;
    for op in moves.into_iter().rev() {
        node = build.add(op, &[node])?;
    }
    Ok(node)
}

/// Pairs along an axis, which consists of so many groups: of each group's first half with its second, whose last of an odd number is a zero. Halves are read along
/// memory, where neighbours along the last axis would lie across it.
fn pairs(build: &mut Builder<'_>, x: NodeId, (mut axis, groups): (usize, usize)) -> Result<NodeId, PassError> {
    let mut dims = build.ty(x).shape.dims().to_vec();
    let mut whole = dims.clone();
    let extent = dims[axis] / groups;
    let first = extent.div_ceil(2);
    whole[axis] = groups * first;
    if groups > 1 {
        dims.splice(axis..=axis, [groups, extent]);
        axis += 1;
    }
    let x = build.reshape(x, shape(&dims)?)?;
    let mut half = |from: usize, to: usize| {
        let (mut start, mut limit) = (vec![0; dims.len()], dims.clone());
        (start[axis], limit[axis]) = (from, to);
        build.add(Op::Slice(Slice { start, limit, stride: vec![1; dims.len()] }), &[x])
    };
    let (low, mut high) = (half(0, first)?, half(first, extent)?);
    if extent % 2 == 1 {
        let none = vec![0; dims.len()];
        let value = Scalar::zero(DType::Bf16);
        let mut pad = Pad { value, low: none.clone(), high: none.clone(), interior: none };
        pad.high[axis] = 1;
        high = build.add(Op::Pad(pad), &[high])?;
    }
    let pairs = build.add(Op::Pair(Pair), &[low, high])?;
    Ok(build.reshape(pairs, shape(&whole)?)?)
}

pub(crate) fn shape(dims: &[usize]) -> Result<Shape, PassError> {
    Shape::new(dims).map_err(|e| PassError::Unsupported { what: e.to_string(), loc: None })
}
