//! Contractions without register tiles: integers, 16-bit floats, and results with a single column.
//!
//! Where each channel has a kernel of its own, the sums of all taps of the kernel's gradient are made in one walk over the images: one for each tap would read
//! the images from memory as often.

use super::spec::{BatchedMatmul, Dim};
use crate::PassError;
use crate::lower::Lowering;
use crate::lower::expr::ValueEmitter;
use ir::{NodeId, Op, Scalar, ScalarOp};
use kernel::{Access, Affine, Expr, Reg, Stmt};

/// So many sums are made in one walk: they stay in registers.
const MAX_SUMS: usize = 16;

/// A loop nest: the result's elements outside, the sum inside.
pub(super) fn lower(
    lowering: &mut Lowering<'_>,
    cluster: u32,
    anchor: NodeId,
    results: &[NodeId],
    spec: &BatchedMatmul,
) -> Result<(), PassError> {
    let graph = lowering.graph;
    let ty = graph.ty(anchor).clone();
    let name = lowering.kernel_name(&[anchor]);
    let operands = [0, 1].map(|i| graph.operands(anchor)[i]);
    let buffers = [lowering.operand_buffer(operands[0])?, lowering.operand_buffer(operands[1])?];
    let mut emit = ValueEmitter::new(lowering, Some(cluster));
    let here = PlainPosition::start(spec, ty.shape.rank());
    let together = is_together(graph.op(anchor), spec);
    let strides = ty.shape.strides();
    let around = spec.batch.iter().chain(if together { &[] } else { &spec.m[..] }).chain(&spec.n);
    let around = around.fold(here, |here, dim| here.walked(dim, &Affine::term(emit.cx.open(dim.extent), 1), &strides));
    let depth = emit.cx.depth();
    emit.cx.floor = usize::from(depth > 0);
    let sums = if together { each(&around, &spec.m, &strides) } else { vec![around] };
    let zero = Expr::Const(Scalar::zero(ty.dtype));
    let accumulators: Vec<Reg> = sums.iter().map(|_| emit.cx.declare(zero.clone(), depth)).collect();
    let steps: Vec<Affine> = spec.k.iter().map(|dim| Affine::term(emit.cx.open(dim.extent), 1)).collect();
    for (sum, &acc) in sums.iter().zip(&accumulators) {
        let inside =
            spec.k.iter().zip(&steps).fold(sum.clone(), |inside, (dim, step)| inside.walked(dim, step, &strides));
        let mut factors = vec![];
        for (buffer, (node, index)) in buffers.into_iter().zip(operands.into_iter().zip([inside.a, inside.b])) {
            let operand = graph.ty(node);
            let buf = emit.cx.param(buffer, operand.dtype, operand.shape.numel(), Access::Read);
            factors.push(emit.cx.load(buf, &index));
        }
        let product = emit.cx.apply(ScalarOp::MUL, &factors);
        emit.cx.push(Stmt::Accumulate { reg: acc, op: ScalarOp::ADD, value: product.expr });
    }
    for (sum, acc) in sums.iter().zip(accumulators) {
        emit.finish_sum(anchor, (acc, depth), &sum.at, results)?;
    }
    emit.finish(name);
    Ok(())
}

/// Whether all sums of a channel are made in one walk.
fn is_together(op: &Op, spec: &BatchedMatmul) -> bool {
    matches!(op, Op::ConvWeightGrad(_)) && spec.n.is_empty() && BatchedMatmul::size(&spec.m) <= MAX_SUMS
}

/// Offsets in the factors, and coordinates in the result.
#[derive(Clone, Default)]
pub(super) struct PlainPosition {
    pub(super) a: Affine,
    pub(super) b: Affine,
    pub(super) at: Vec<Affine>,
}

impl PlainPosition {
    /// Where a part of the iteration space starts.
    pub(super) fn start(spec: &BatchedMatmul, rank: usize) -> Self {
        let mut at: Vec<Affine> = vec![Affine::default(); rank];
        at.iter_mut().zip(&spec.origin.at).for_each(|(at, &first)| *at = Affine::constant(first as i64));
        Self { a: Affine::constant(spec.origin.a), b: Affine::constant(spec.origin.b), at }
    }

    /// As far along a dimension.
    pub(super) fn walked(mut self, dim: &Dim, by: &Affine, strides: &[usize]) -> Self {
        self.a = self.a.add(&by.scale(dim.a));
        self.b = self.b.add(&by.scale(dim.b));
        if dim.c != 0 {
            self.at[dim.axis] = self.at[dim.axis].add(&by.scale(dim.c / strides[dim.axis] as i64));
        }
        self
    }
}

/// Every place of some dimensions.
pub(super) fn each(from: &PlainPosition, dims: &[Dim], strides: &[usize]) -> Vec<PlainPosition> {
    dims.iter().fold(vec![from.clone()], |all, dim| {
        let along = |place: &PlainPosition| {
            let place = place.clone();
            (0..dim.extent as i64).map(move |i| place.clone().walked(dim, &Affine::constant(i), strides))
        };
        all.iter().flat_map(along).collect()
    })
}
