//! Multiplies bytes four at a time, or as floats.
//!
//! # Does
//! Dot products and convolutions in `i32` of a left factor that has been `u8` and a right one that has been `i8` are computed from those, where a vector has no fast product of
//! `i32`. On targets with wide vectors they become those of quads, four products at a time: of neighbours along the contracted axis, or the channels, which get zeros
//! up to a multiple of four. The left factor stays as it is in memory, if it is contracted along its last axis; the right one is put in order, four steps of each column side by
//! side, unless that is how it was before. Elsewhere they are computed in `f32`, at most 514 terms at a time, whose sum is below 2^24 and exact.
//! All of this gives the same integers.
//! # Requires
//! Stage `differentiated`.
//! # Ensures
//! `quad_dot` and `quad_conv` have results of `i32`, and more than one column.
//! # Example
//! `%2 = cast %0 : i32[64,32]` of `u8`, `%3 = cast %1 : i32[32,48]` of `i8`, `%4 = dot %2, %3 {contract=[(1,0)], ..}` becomes `%2 = reshape %1 : i8[8,4,48]`,
//! `%3 = permute %2 {perm=[0,2,1]} : i8[8,48,4]`, `%4 = quad_dot %0, %3 {contract=[(1,0)], ..}`.

use crate::pair::{rebuilt, shape, source};
use crate::{PassContext, PassError, dce};
use ir::op::contraction::{Conv, Dot, QuadContraction, QuadProduct};
use ir::op::movement::{Pad, Slice};
use ir::{Builder, DType, Graph, NodeId, Op, Scalar, ScalarOp};

/// Elements of a quad.
const QUAD: usize = 4;
/// As many products of 255 and -128 have a sum that is exact in `f32`, and so has every part of it.
const EXACT_TERMS: usize = (1 << 24) / (255 * 128);

/// Runs the pass.
///
/// # Errors
/// If a rewrite doesn't type, which is a defect of this pass.
pub fn run(graph: &mut Graph, context: &PassContext) -> Result<(), PassError> {
    let in_quads = context.target.byte_quads();
    let mut changed = false;
    for node in graph.topological() {
        let (DType::I32, &[left, right]) = (graph.ty(node).dtype, graph.operands(node)) else { continue };
        let op = graph.op(node).clone();
        let fits = if in_quads { fits(graph, &op, [left, right]) } else { block(graph, &op, left, right).is_some() };
        if !fits {
            continue;
        }
        let (Some(left), Some(right)) = (source(graph, left, DType::U8), source(graph, right, DType::I8)) else {
            continue;
        };
        let loc = graph.loc(node).cloned();
        let mut build = Builder::new(graph, loc);
        let factors = [rebuilt(&mut build, left)?, rebuilt(&mut build, right)?];
        let new = match op {
            op if !in_quads => in_floats(&mut build, &op, factors)?,
            Op::Dot(op) => dot(&mut build, &op, factors)?,
            Op::Conv(op) => conv(&mut build, op, factors)?,
            _ => continue,
        };
        graph.replace_uses(node, new);
        graph.remove(node);
        changed = true;
    }
    if changed { dce::run(graph, context) } else { Ok(()) }
}

/// Whether a contraction has columns for a vector, and steps of quads.
fn fits(graph: &Graph, op: &Op, factors: [NodeId; 2]) -> bool {
    let [left, right] = factors.map(|factor| &graph.ty(factor).shape);
    match op {
        Op::Dot(op) => {
            let columns: usize = op.right_free(right.rank()).iter().map(|&axis| right[axis]).product();
            let steps: usize = op.contract.iter().map(|&(axis, _)| left[axis]).product();
            columns > 1 && steps > 1
        }
        Op::Conv(op) => {
            let (channels, columns) = (right[op.window.rank()], right[op.window.rank() + 1] / op.groups);
            columns > 1 && (op.groups == 1 || channels.is_multiple_of(QUAD))
        }
        _ => false,
    }
}

/// The axis of each factor along which a sum is cut, so that its parts are exact in `f32`, and how many places of it a part has.
#[derive(Clone, Copy)]
struct ExactBlock {
    axes: [usize; 2],
    extent: usize,
    size: usize,
}

/// How a sum is cut; `None` where a part would still have too many terms.
fn block(graph: &Graph, op: &Op, left: NodeId, right: NodeId) -> Option<ExactBlock> {
    let [left, right] = [left, right].map(|factor| &graph.ty(factor).shape);
    let (axes, extent, steps) = match op {
        Op::Dot(op) => {
            let &(l, r) = op.contract.iter().max_by_key(|&&(axis, _)| left[axis])?;
            ([l, r], left[l], op.contract.iter().map(|&(axis, _)| left[axis]).product::<usize>())
        }
        Op::Conv(op) => {
            let (channels, taps) = (op.window.rank(), op.window.size.iter().product::<usize>());
            let is_whole = op.groups == 1 || taps * right[channels] <= EXACT_TERMS;
            is_whole.then_some(([channels + 1, channels], right[channels], taps * right[channels]))?
        }
        _ => return None,
    };
    let size = EXACT_TERMS / (steps / extent);
    (size > 0).then_some(ExactBlock { axes, extent, size })
}

/// The contraction in `f32`, of parts of the sum, which are added up as integers.
fn in_floats(build: &mut Builder<'_>, op: &Op, factors: [NodeId; 2]) -> Result<NodeId, PassError> {
    let Some(cut) = block(build.graph(), op, factors[0], factors[1]) else {
        return Err(PassError::Unsupported { what: "a sum of bytes of too many terms".into(), loc: None });
    };
    let mut sum: Option<NodeId> = None;
    for from in (0..cut.extent).step_by(cut.size) {
        let mut parts = factors;
        for (part, axis) in parts.iter_mut().zip(cut.axes) {
            // All channels, where groups have few.
            if cut.size < cut.extent {
                let (mut start, mut limit) =
                    (vec![0; build.ty(*part).shape.rank()], build.ty(*part).shape.dims().to_vec());
                (start[axis], limit[axis]) = (from, cut.extent.min(from + cut.size));
                let stride = vec![1; start.len()];
                *part = build.add(Op::Slice(Slice { start, limit, stride }), &[*part])?;
            }
            *part = build.cast(*part, DType::F32)?;
        }
        let floats = build.add(op.clone(), &parts)?;
        let part = build.cast(floats, DType::I32)?;
        sum = Some(match sum {
            Some(before) => build.binary(ScalarOp::ADD, before, part)?,
            None => part,
        });
    }
    sum.ok_or_else(|| PassError::Unsupported { what: "a sum without terms".into(), loc: None })
}

/// A product of quads: rows by steps, and steps of four by columns by four.
fn dot(build: &mut Builder<'_>, op: &Dot, [left, right]: [NodeId; 2]) -> Result<NodeId, PassError> {
    let dims = |build: &Builder<'_>, of: NodeId, axes: &[usize]| -> Vec<usize> {
        axes.iter().map(|&axis| build.ty(of).shape[axis]).collect()
    };
    let (batch, summed): ([Vec<usize>; 2], [Vec<usize>; 2]) =
        (op.batch.iter().copied().unzip().into(), op.contract.iter().copied().unzip().into());
    let rows = op.left_free(build.ty(left).shape.rank());
    let columns = op.right_free(build.ty(right).shape.rank());
    let steps: usize = dims(build, left, &summed[0]).iter().product();

    let kept = [&batch[0][..], &rows].concat();
    let extents = [dims(build, left, &kept), vec![steps]].concat();
    let left = permuted(build, left, &[kept, summed[0].clone()].concat())?;
    let left = reshaped(build, left, &extents)?;
    let left = filled(build, left, extents.len() - 1)?;

    let (around, across) = (dims(build, right, &batch[1]), dims(build, right, &columns));
    let right = permuted(build, right, &[&batch[1][..], &summed[1], &columns].concat())?;
    let right = reshaped(build, right, &[&around[..], &[steps], &across].concat())?;
    let right = in_quads(build, right, around.len())?;

    let last = extents.len() - 1;
    let dot = Dot { batch: (0..around.len()).map(|axis| (axis, axis)).collect(), contract: vec![(last, around.len())] };
    Ok(build.add(Op::QuadProduct(QuadProduct { of: QuadContraction::Dot(dot) }), &[left, right])?)
}

/// A convolution of quads of channels.
fn conv(build: &mut Builder<'_>, op: Conv, [x, kernel]: [NodeId; 2]) -> Result<NodeId, PassError> {
    let channels = op.window.rank();
    let x = filled(build, x, channels + 1)?;
    let kernel = in_quads(build, kernel, channels)?;
    Ok(build.add(Op::QuadProduct(QuadProduct { of: QuadContraction::Conv(op) }), &[x, kernel])?)
}

/// The right factor with four steps along an axis side by side: that axis a quarter as long, and a last one of four.
fn in_quads(build: &mut Builder<'_>, x: NodeId, axis: usize) -> Result<NodeId, PassError> {
    let x = filled(build, x, axis)?;
    let mut dims = build.ty(x).shape.dims().to_vec();
    dims.splice(axis..=axis, [dims[axis] / QUAD, QUAD]);
    let steps = reshaped(build, x, &dims)?;
    let order: Vec<usize> = (0..dims.len()).filter(|&a| a != axis + 1).chain([axis + 1]).collect();
    permuted(build, steps, &order)
}

/// Zeros at the end of an axis, up to a multiple of four.
fn filled(build: &mut Builder<'_>, x: NodeId, axis: usize) -> Result<NodeId, PassError> {
    let ty = build.ty(x).clone();
    let missing = ty.shape[axis].next_multiple_of(QUAD) - ty.shape[axis];
    if missing == 0 {
        return Ok(x);
    }
    let none = vec![0; ty.shape.rank()];
    let mut pad = Pad { value: Scalar::zero(ty.dtype), low: none.clone(), high: none.clone(), interior: none };
    pad.high[axis] = missing;
    Ok(build.add(Op::Pad(pad), &[x])?)
}

/// The same elements in other extents; a reshape of a reshape is one.
fn reshaped(build: &mut Builder<'_>, x: NodeId, dims: &[usize]) -> Result<NodeId, PassError> {
    let from = match build.graph().op(x) {
        Op::Reshape(_) => build.graph().operands(x)[0],
        _ => x,
    };
    if build.ty(from).shape.dims() == dims { Ok(from) } else { Ok(build.reshape(from, shape(dims)?)?) }
}

/// The axes in another order; a permutation of a permutation is one, or none.
fn permuted(build: &mut Builder<'_>, x: NodeId, order: &[usize]) -> Result<NodeId, PassError> {
    let (from, order) = match build.graph().op(x) {
        Op::Permute(before) => {
            (build.graph().operands(x)[0], order.iter().map(|&axis| before.perm[axis]).collect::<Vec<_>>())
        }
        _ => (x, order.to_vec()),
    };
    if order.is_sorted() { Ok(from) } else { Ok(build.permute(from, &order)?) }
}
