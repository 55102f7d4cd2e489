//! Convolutions in which each channel has a kernel of its own: the sums of neighbouring places are made together, and share what they read of an image and of the kernel.
//!
//! Channels are the innermost loop, which becomes vectors, and inside of it no loop is left: a sum by itself would read two vectors for each product, and so wait for loads. Its
//! taps come in the same order as by itself.

use super::plain::{PlainPosition, each};
use super::plan::SHARES;
use super::spec::{BatchedMatmul, Dim};
use crate::PassError;
use crate::lower::Lowering;
use crate::lower::expr::ValueEmitter;
use ir::{NodeId, Op, Scalar, ScalarOp};
use kernel::{Access, Affine, Expr, Reg, Stmt};
use std::collections::BTreeMap;

/// So many sums at the most are made together: these, as many elements of an image and one of the kernel stay in 16 registers.
const MAX_PLACES: usize = 7;
/// So many products at the most stand in a row in the code.
const MAX_PRODUCTS: usize = 256;

/// Whether a contraction is such a convolution.
pub(super) fn is_depthwise(op: &Op, spec: &BatchedMatmul) -> bool {
    let has_channels = matches!(spec.batch[..], [Dim { a: 1, b: 1, c: 1, .. }]);
    let is_short = BatchedMatmul::size(&spec.k) <= MAX_PRODUCTS;
    matches!(op, Op::Conv(_)) && has_channels && spec.n.is_empty() && !spec.m.is_empty() && is_short
}

/// Places outside, channels inside, all taps of some places in a row.
pub(super) fn lower(
    lowering: &mut Lowering<'_>,
    cluster: u32,
    anchor: NodeId,
    results: &[NodeId],
    spec: &BatchedMatmul,
) -> Result<(), PassError> {
    let (Some(channels), Some((line, outer))) = (spec.batch.first(), spec.m.split_last()) else {
        return Err(lowering.defect(anchor, "a depthwise convolution without places"));
    };
    let graph = lowering.graph;
    let ty = graph.ty(anchor).clone();
    let (name, strides) = (lowering.kernel_name(&[anchor]), ty.shape.strides());
    let operands = [0, 1].map(|i| graph.operands(anchor)[i]);
    let buffers = [lowering.operand_buffer(operands[0])?, lowering.operand_buffer(operands[1])?];
    let places = places(line.extent, BatchedMatmul::size(&spec.k));
    let mut emit = ValueEmitter::new(lowering, Some(cluster));
    let [image, kernel] = [0, 1].map(|i| {
        let operand = graph.ty(operands[i]);
        emit.cx.param(buffers[i], operand.dtype, operand.shape.numel(), Access::Read)
    });

    let by = places as i64;
    let blocks = Dim { extent: line.extent / places, a: line.a * by, b: line.b * by, c: line.c * by, ..*line };
    let around: Vec<Dim> = outer.iter().copied().chain([blocks]).collect();
    let vars = emit.cx.open_shared(&around.iter().map(|dim| dim.extent).collect::<Vec<_>>(), SHARES);
    let here = PlainPosition::start(spec, ty.shape.rank());
    let here = around.iter().zip(&vars).fold(here, |here, (dim, var)| here.walked(dim, var, &strides));
    let here = here.walked(channels, &Affine::term(emit.cx.open(channels.extent), 1), &strides);
    emit.cx.floor = 1;

    let depth = emit.cx.depth();
    let sums = each(&here, &[Dim { extent: places, ..*line }], &strides);
    let zero = Expr::Const(Scalar::zero(ty.dtype));
    let accumulators: Vec<Reg> = sums.iter().map(|_| emit.cx.declare(zero.clone(), depth)).collect();
    let mut read = BTreeMap::new();
    for tap in each(&PlainPosition::default(), &spec.k, &strides) {
        let weight = emit.cx.load(kernel, &here.b.add(&tap.b));
        for (sum, &reg) in sums.iter().zip(&accumulators) {
            let at = sum.a.add(&tap.a);
            let element = read.entry(at.clone()).or_insert_with(|| emit.cx.load(image, &at)).clone();
            let product = emit.cx.apply(ScalarOp::MUL, &[element, weight.clone()]);
            emit.cx.push(Stmt::Accumulate { reg, op: ScalarOp::ADD, value: product.expr });
        }
    }
    for (sum, acc) in sums.iter().zip(accumulators) {
        emit.finish_sum(anchor, (acc, depth), &sum.at, results)?;
    }
    emit.finish(name);
    Ok(())
}

/// How many neighbouring places are computed together.
fn places(extent: usize, taps: usize) -> usize {
    (1..=MAX_PLACES.min(MAX_PRODUCTS / taps)).rev().find(|places| extent.is_multiple_of(*places)).unwrap_or(1)
}
