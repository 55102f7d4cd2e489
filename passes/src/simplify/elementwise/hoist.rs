//! Elementwise ops on repeated elements: compute once, repeat the result. On elements with axes of extent 1: compute without, add them to the result.

use crate::simplify::matching::{broadcast, full};
use crate::simplify::{Changes, Rewrite, RewriteRule};
use ir::{Builder, Family, NodeId, Op, Shape};
use std::collections::BTreeSet;

pub(super) const RULES: &[RewriteRule] = &[
    RewriteRule {
        name: "broadcast_out",
        doc: "f(broadcast(x), broadcast(y), full) → broadcast(f(x', y', full')) where the operands together vary along fewer axes than the result has",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: broadcast_out,
    },
    RewriteRule {
        name: "unit_axes_out",
        doc: "f(reshape(x), reshape(y), full) → reshape(f(x, y, full')) where the reshapes only add axes of extent 1, as reductions that keep their axes do",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: unit_axes_out,
    },
];

fn broadcast_out(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let operands = b.graph().operands(id).to_vec();
    let shape = b.ty(id).shape.clone();
    let Some(axes) = varying_axes(b, &operands) else { return Ok(None) };
    let dims: Vec<usize> = axes.iter().map(|&axis| shape[axis]).collect();
    let small = match Shape::new(dims) {
        Ok(small) if small.numel() < shape.numel() => small,
        _ => return Ok(None),
    };
    let mut new = Vec::with_capacity(operands.len());
    for operand in operands {
        new.push(narrow(b, operand, &small, &axes)?);
    }
    let op = b.graph().op(id).clone();
    let once = b.add(op, &new)?;
    b.broadcast(once, shape, &axes).map(Some)
}

/// The axes of the result along which an operand may vary; `None` if none is a broadcast or one is neither a broadcast nor a `full`.
fn varying_axes(b: &Builder<'_>, operands: &[NodeId]) -> Option<Vec<usize>> {
    let mut axes = BTreeSet::new();
    let mut any = false;
    for &operand in operands {
        match broadcast(b.graph(), operand) {
            Some((op, _)) => {
                axes.extend(op.axes.iter().copied());
                any = true;
            }
            None => {
                full(b.graph(), operand)?;
            }
        }
    }
    any.then(|| axes.into_iter().collect())
}

/// The operand in the shape of the axes that vary.
fn narrow(b: &mut Builder<'_>, operand: NodeId, small: &Shape, axes: &[usize]) -> ir::BuildResult {
    if let Some(value) = full(b.graph(), operand) {
        return b.full(value, small.clone());
    }
    let Some((op, x)) = broadcast(b.graph(), operand) else { return Ok(operand) };
    let kept: Vec<usize> = (0..axes.len()).filter(|&i| op.axes.contains(&axes[i])).collect();
    if kept.len() == axes.len() { Ok(x) } else { b.broadcast(x, small.clone(), &kept) }
}

fn unit_axes_out(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let operands = b.graph().operands(id).to_vec();
    let shape = b.ty(id).shape.clone();
    let mut dense: Option<Shape> = None;
    let mut new = Vec::with_capacity(operands.len());
    for &operand in &operands {
        if full(b.graph(), operand).is_some() {
            new.push(operand);
            continue;
        }
        let (Op::Reshape(_), &[x]) = (b.graph().op(operand), b.graph().operands(operand)) else { return Ok(None) };
        let from = &b.ty(x).shape;
        if !adds_unit_axes(from, &shape) || dense.as_ref().is_some_and(|known| known != from) {
            return Ok(None);
        }
        dense = Some(from.clone());
        new.push(x);
    }
    let Some(dense) = dense else { return Ok(None) };
    for operand in &mut new {
        if let Some(value) = full(b.graph(), *operand) {
            *operand = b.full(value, dense.clone())?;
        }
    }
    let op = b.graph().op(id).clone();
    let once = b.add(op, &new)?;
    b.reshape(once, shape).map(Some)
}

/// True if a shape is another one with axes of extent 1 more.
fn adds_unit_axes(from: &Shape, to: &Shape) -> bool {
    let mut rest = from.iter().peekable();
    from.rank() < to.rank()
        && to.iter().all(|extent| rest.next_if_eq(&extent).is_some() || *extent == 1)
        && rest.next().is_none()
}
