//! Positions of extrema in two reductions, both of which fill vectors: the extremum, and the first place that holds it.

use crate::PassError;
use ir::op::reduce::{ArgKind, ArgReduce, ReduceKind};
use ir::op::source::Iota;
use ir::{Builder, DType, NodeId, Op, Scalar, ScalarOp};

/// The first place along an axis that compares equal to the extremum there, or of the first NaN. A maximum is NaN as soon as an element is, and
/// then equal to nothing, so no place counts but those of NaNs.
pub(super) fn place(build: &mut Builder<'_>, op: &ArgReduce, operand: NodeId) -> Result<NodeId, PassError> {
    let kind = match op.kind {
        ArgKind::Max => ReduceKind::Max,
        ArgKind::Min => ReduceKind::Min,
    };
    let dtype = build.ty(operand).dtype;
    let x = if dtype.is_short_float() { build.cast(operand, DType::F32)? } else { operand };
    let shape = build.ty(x).shape.clone();
    let others: Vec<usize> = (0..shape.rank()).filter(|&axis| axis != op.axis).collect();
    let extremum = build.reduce(kind, x, &[op.axis])?;
    let extremum = build.broadcast(extremum, shape.clone(), &others)?;
    let mut holds = build.binary(ScalarOp::EQ, x, extremum)?;
    if dtype.is_float() {
        let is_nan = build.binary(ScalarOp::NE, x, x)?;
        holds = build.binary(ScalarOp::OR, holds, is_nan)?;
    }
    let ty = build.ty(x).with_dtype(DType::I32);
    let here = build.add(Op::Iota(Iota { ty, axis: op.axis }), &[])?;
    let nowhere = build.full(Scalar::I32(i32::MAX), shape)?;
    let places = build.select(holds, here, nowhere)?;
    Ok(build.reduce(ReduceKind::Min, places, &[op.axis])?)
}
