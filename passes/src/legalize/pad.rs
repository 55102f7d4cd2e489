//! Padding as an op of its own.

use crate::PassError;
use ir::op::movement::Pad;
use ir::{Builder, NodeId, Op, Scalar, Shape};

/// Pads the spatial axes of `[n, s..., c]` with zeros.
pub(super) fn pad(
    build: &mut Builder<'_>,
    x: NodeId,
    pad: &[(usize, usize)],
    interior: impl Fn(usize) -> usize,
) -> Result<NodeId, PassError> {
    let rank = build.ty(x).shape.rank();
    let value = Scalar::zero(build.ty(x).dtype);
    let mut op = Pad { value, low: vec![0; rank], high: vec![0; rank], interior: vec![0; rank] };
    for (d, &(low, high)) in pad.iter().enumerate() {
        (op.low[d + 1], op.high[d + 1], op.interior[d + 1]) = (low, high, interior(d));
    }
    let nothing = [&op.low, &op.high, &op.interior].into_iter().flatten().all(|&v| v == 0);
    if nothing { Ok(x) } else { Ok(build.add(Op::Pad(op), &[x])?) }
}

/// A shape of these extents.
pub(super) fn shape_of(dims: Vec<usize>) -> Result<Shape, PassError> {
    Shape::new(dims).map_err(|e| PassError::Unsupported { what: e.to_string(), loc: None })
}
