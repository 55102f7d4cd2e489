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
use crate::lower::tile::{TileRun, even_runs};
use crate::window::DEPTHWISE_PLACES;
use ir::{NodeId, Op, Scalar, ScalarOp};
use kernel::{Access, Affine, BufRef, Expr, Reg, Stmt};
use std::collections::BTreeMap;

/// So many products at the most stand in a row in the code.
const MAX_PRODUCTS: usize = 256;

/// Whether a contraction of these parts is such a convolution.
pub(super) fn is_depthwise(op: &Op, parts: &[BatchedMatmul]) -> bool {
    let is_one = |spec: &BatchedMatmul| {
        // Images are of the batch where each has several regions.
        let has_channels = matches!(spec.batch[..], [Dim { a: 1, b: 1, c: 1, .. }, ref images @ ..] if images.iter().all(|dim| dim.b == 0));
        let is_short = BatchedMatmul::size(&spec.k) <= MAX_PRODUCTS;
        has_channels && spec.n.is_empty() && is_short
    };
    matches!(op, Op::Conv(_)) && parts.iter().all(is_one)
}

/// Places outside, channels inside, all taps of some places in a row; where there are several regions, one after the other for each image.
pub(super) fn lower(
    lowering: &mut Lowering<'_>,
    cluster: u32,
    anchor: NodeId,
    results: &[NodeId],
    parts: &[BatchedMatmul],
) -> Result<(), PassError> {
    let graph = lowering.graph;
    let strides = graph.ty(anchor).shape.strides();
    let name = lowering.kernel_name(&[anchor]);
    let operands = [0, 1].map(|i| graph.operands(anchor)[i]);
    let buffers = [lowering.operand_buffer(operands[0])?, lowering.operand_buffer(operands[1])?];
    let mut emit = ValueEmitter::new(lowering, Some(cluster));
    let factors = [0, 1].map(|i| {
        let operand = graph.ty(operands[i]);
        emit.cx.param(buffers[i], operand.dtype, operand.shape.numel(), Access::Read)
    });
    let shared_dims = shared(parts);
    let extents: Vec<usize> = shared_dims.iter().map(|dim| dim.extent).collect();
    let vars = emit.cx.open_shared(&extents, SHARES);
    let depth = emit.cx.depth();
    for spec in parts {
        // A region may be a corner, of one place.
        let place = Dim { extent: 1, a: 0, b: 0, c: 0, ..spec.batch[0] };
        let (line, outer) = spec.m.split_last().unwrap_or((&place, &[]));
        // With one region its rows have been opened.
        let outer = if parts.len() == 1 { &[] } else { outer };
        for run in runs(spec, line.extent, extents.is_empty()) {
            let by = run.size as i64;
            let blocks = Dim { extent: run.count, a: line.a * by, b: line.b * by, c: line.c * by, ..*line };
            let here = PlainPosition::start(spec, graph.ty(anchor).shape.rank());
            let here = here.walked(line, &Affine::constant(run.start as i64), &strides);
            let here = shared_dims.iter().zip(&vars).fold(here, |here, (dim, var)| here.walked(dim, var, &strides));
            let inside = outer.iter().copied().chain([blocks, spec.batch[0]]);
            let here = inside.fold(here, |here, dim| {
                let var = Affine::term(emit.cx.open(dim.extent), 1);
                here.walked(&dim, &var, &strides)
            });
            emit.cx.floor = 1;
            let places = each(&here, &[Dim { extent: run.size, ..*line }], &strides);
            sums(&mut emit, (anchor, results), (spec, factors), &places)?;
            emit.cx.close_to(depth);
            emit.values.drop_below(depth);
        }
    }
    emit.finish(name);
    Ok(())
}

/// The sums of some places, tap by tap, and what the cluster makes of them.
fn sums(
    emit: &mut ValueEmitter<'_, '_>,
    (anchor, results): (NodeId, &[NodeId]),
    (spec, [image, kernel]): (&BatchedMatmul, [BufRef; 2]),
    sums: &[PlainPosition],
) -> Result<(), PassError> {
    let Some(first) = sums.first() else { return Ok(()) };
    let ty = emit.lowering.graph.ty(anchor).clone();
    let depth = emit.cx.depth();
    let zero = Expr::Const(Scalar::zero(ty.dtype));
    let accumulators: Vec<Reg> = sums.iter().map(|_| emit.cx.declare(zero.clone(), depth)).collect();
    let mut read = BTreeMap::new();
    for tap in each(&PlainPosition::default(), &spec.k, &ty.shape.strides()) {
        let weight = emit.cx.load(kernel, &first.b.add(&tap.b));
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
    Ok(())
}

/// What threads share: images, and all places but those along a line where there is one region.
fn shared(parts: &[BatchedMatmul]) -> Vec<Dim> {
    let [spec, others @ ..] = parts else { return vec![] };
    let images = spec.batch[1..].iter().copied();
    let rows = spec.m.split_last().map_or(&[][..], |(_, outer)| outer);
    images.chain(if others.is_empty() { rows.iter().copied() } else { [].iter().copied() }).collect()
}

/// How many neighbouring places of a line are computed together; all in one loop, where that is the one that threads share.
fn runs(spec: &BatchedMatmul, line: usize, is_shared: bool) -> Vec<TileRun> {
    let most = DEPTHWISE_PLACES.min(MAX_PRODUCTS / BatchedMatmul::size(&spec.k)).max(1);
    let divisor = (1..=most).rev().find(|places| line.is_multiple_of(*places)).unwrap_or(1);
    if is_shared || 2 * divisor > most {
        return vec![TileRun { start: 0, size: divisor, count: line / divisor }];
    }
    even_runs(line, most)
}
