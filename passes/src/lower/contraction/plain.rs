//! Contractions without register tiles: integers, 16-bit floats, and results with a single column.

use super::spec::{Dim, Spec};
use crate::PassError;
use crate::lower::Lowering;
use crate::lower::expr::Emit;
use ir::{NodeId, Scalar, ScalarOp};
use kernel::{Access, Affine, Expr, Stmt};

/// One loop nest: the result's elements outside, the sum inside.
pub(super) fn lower(
    lowering: &mut Lowering<'_>,
    cluster: u32,
    anchor: NodeId,
    results: &[NodeId],
    spec: &Spec,
) -> Result<(), PassError> {
    let graph = lowering.graph;
    let ty = graph.ty(anchor).clone();
    let strides = ty.shape.strides();
    let name = lowering.kernel_name(&[anchor]);
    let operands = [0, 1].map(|i| graph.operands(anchor)[i]);
    let buffers = [lowering.operand_buffer(operands[0])?, lowering.operand_buffer(operands[1])?];
    let mut emit = Emit::new(lowering, Some(cluster));
    let mut at = vec![Affine::default(); ty.shape.rank()];
    for (at, &first) in at.iter_mut().zip(&spec.origin.at) {
        *at = Affine::constant(first as i64);
    }
    let (mut a, mut b) = (Affine::constant(spec.origin.a), Affine::constant(spec.origin.b));
    let mut walk = |emit: &mut Emit<'_, '_>, dim: &Dim, at: &mut Vec<Affine>| {
        let var = emit.cx.open(dim.extent);
        a = a.clone().plus_term(var, dim.a);
        b = b.clone().plus_term(var, dim.b);
        if dim.c != 0 {
            at[dim.axis] = at[dim.axis].clone().plus_term(var, dim.c / strides[dim.axis] as i64);
        }
    };
    for dim in spec.batch.iter().chain(&spec.m).chain(&spec.n) {
        walk(&mut emit, dim, &mut at);
    }
    let depth = emit.cx.depth();
    emit.cx.floor = usize::from(depth > 0);
    let acc = emit.cx.declare(Expr::Const(Scalar::zero(ty.dtype)), depth);
    for dim in &spec.k {
        walk(&mut emit, dim, &mut at);
    }
    let mut factors = vec![];
    for (buffer, (node, index)) in buffers.into_iter().zip(operands.into_iter().zip([a, b])) {
        let operand = graph.ty(node);
        let buf = emit.cx.param(buffer, operand.dtype, operand.shape.numel(), Access::Read);
        factors.push(emit.cx.load(buf, &index));
    }
    let product = emit.cx.apply(ScalarOp::MUL, &factors);
    emit.cx.push(Stmt::Accumulate { reg: acc, op: ScalarOp::ADD, value: product.expr });
    emit.finish_sum(anchor, (acc, depth), &at, results)?;
    emit.finish(name);
    Ok(())
}
