//! Window clusters: pooling, its gradients, and the elementwise ops on their results.
//!
//! All kernels walk the windows: batch, window positions, channels, and inside the taps of one window. Where windows tile the input
//! (stride = size, no padding) each element of a gradient belongs to one tap and is stored once, with the elementwise ops that
//! follow; otherwise the gradient is cleared first and taps are added.

use super::Lowering;
use super::cx::{Placed, flatten};
use super::expr::Emit;
use super::loops::{fold_init, fold_op};
use crate::PassError;
use crate::fuse::cluster::outputs;
use ir::op::reduce::ReduceKind;
use ir::op::window::{PoolKind, Window};
use ir::{DType, NodeId, Op, Scalar, ScalarOp, TensorType};
use kernel::{Access, Affine, Expr, IndexExpr, Reg, Stmt};

/// True if every element of the input belongs to at most one tap of one window.
pub(crate) fn tiles(window: &Window) -> bool {
    window.size == window.stride
        && window.dilation.iter().all(|&d| d == 1)
        && window.pad.iter().all(|&(before, after)| before == 0 && after == 0)
}

/// One element of a window.
struct Tap {
    at: Vec<Affine>,
    inside: Option<Placed>,
}

struct Walk<'w> {
    window: &'w Window,
    input: TensorType,
}

/// Lowers the cluster around a pooling op or a gradient of one.
pub(super) fn lower(
    lowering: &mut Lowering<'_>,
    cluster: u32,
    anchor: NodeId,
    nodes: &[NodeId],
) -> Result<(), PassError> {
    let graph = lowering.graph;
    let results = outputs(graph, cluster, nodes);
    let operand = graph.operands(anchor)[0];
    match graph.op(anchor) {
        Op::Pool(op) => pool(lowering, cluster, anchor, &results, &op.window, op.kind),
        Op::PoolMaxTake(op) => take(lowering, cluster, anchor, &results, &op.window),
        Op::PoolMaxGrad(op) => {
            let walk = Walk { window: &op.window, input: graph.ty(operand).clone() };
            gradient(lowering, cluster, anchor, &results, &walk)
        }
        Op::PoolSumGrad(op) => {
            let walk = Walk { window: &op.window, input: graph.ty(anchor).clone() };
            gradient(lowering, cluster, anchor, &results, &walk)
        }
        op => Err(lowering.defect(anchor, &format!("`{op}` is no window op"))),
    }
}

impl Walk<'_> {
    /// Where tap `k` of the window at `out` stands in the input, and whether it does.
    fn tap(&self, emit: &mut Emit<'_, '_>, out: &[Affine], k: &[Affine]) -> Tap {
        let mut at = vec![out[0].clone()];
        let mut inside: Option<Placed> = None;
        for (d, tap) in k.iter().enumerate() {
            let extent = self.input.shape[d + 1] as i64;
            let place = out[d + 1]
                .scale(self.window.stride[d] as i64)
                .add(&tap.scale(self.window.dilation[d] as i64))
                .plus(-(self.window.pad[d].0 as i64));
            let (lo, hi) = emit.cx.range(&place);
            if lo >= 0 && hi < extent {
                at.push(place);
                continue;
            }
            for (op, bound) in [(ScalarOp::GE, 0), (ScalarOp::LT, extent)] {
                let value = emit.cx.index_value(&place, DType::I32);
                let bound = emit.cx.constant(Scalar::I32(bound as i32));
                let test = emit.cx.apply(op, &[value, bound]);
                inside = Some(match inside {
                    Some(all) => emit.cx.apply(ScalarOp::AND, &[all, test]),
                    None => test,
                });
            }
            let level = emit.cx.level_of(&place);
            at.push(emit.cx.let_index(IndexExpr::Clamp(place, 0, extent - 1), level));
        }
        at.push(out[out.len() - 1].clone());
        Tap { at, inside }
    }

    /// The tap's number in its window, as an index.
    fn number(&self, k: &[Affine]) -> Affine {
        flatten(k, &self.window.size)
    }

    /// Loops over the taps; binds the number of the one where `x` is largest: the first of them, or the first NaN.
    fn arg_max(&self, emit: &mut Emit<'_, '_>, x: NodeId, out: &[Affine]) -> Result<Reg, PassError> {
        let depth = emit.cx.depth();
        let best = emit.cx.declare(Expr::Const(Scalar::lowest(self.input.dtype)), depth);
        // Before the first element of the window any element wins, even minus infinity.
        let chosen = emit.cx.declare(Expr::Const(Scalar::I32(-1)), depth);
        let k = emit.cx.open_all(&self.window.size);
        let tap = self.tap(emit, out, &k);
        let level = emit.cx.depth();
        let value = emit.value(x, &tap.at)?;
        let best_now = Placed { expr: Expr::Reg(best), level };
        let chosen_now = Placed { expr: Expr::Reg(chosen), level };
        let none = emit.cx.constant(Scalar::I32(-1));
        let greater = emit.cx.apply(ScalarOp::GT, &[value.clone(), best_now.clone()]);
        let first = emit.cx.apply(ScalarOp::EQ, &[chosen_now, none]);
        let mut wins = emit.cx.apply(ScalarOp::OR, &[greater, first]);
        if self.input.dtype.is_float() {
            let nan = emit.cx.apply(ScalarOp::NE, &[value.clone(), value.clone()]);
            let number = emit.cx.apply(ScalarOp::EQ, &[best_now.clone(), best_now]);
            let nan_wins = emit.cx.apply(ScalarOp::AND, &[nan, number]);
            wins = emit.cx.apply(ScalarOp::OR, &[wins, nan_wins]);
        }
        if let Some(inside) = tap.inside {
            wins = emit.cx.apply(ScalarOp::AND, &[wins, inside]);
        }
        let number = emit.cx.index_value(&self.number(&k), DType::I32);
        let select = |new: Expr, old: Reg| Expr::Apply(ScalarOp::SELECT, vec![wins.expr.clone(), new, Expr::Reg(old)]);
        let (new_chosen, new_best) = (select(number.expr, chosen), select(value.expr, best));
        emit.cx.push(Stmt::Assign { reg: chosen, value: new_chosen });
        emit.cx.push(Stmt::Assign { reg: best, value: new_best });
        emit.cx.close_to(depth);
        emit.values.drop_below(depth);
        Ok(chosen)
    }

    /// Whether tap `k` is the chosen one.
    fn is_chosen(&self, emit: &mut Emit<'_, '_>, chosen: Reg, k: &[Affine]) -> Placed {
        let number = emit.cx.index_value(&self.number(k), DType::I32);
        let chosen = Placed { expr: Expr::Reg(chosen), level: emit.cx.depth() };
        emit.cx.apply(ScalarOp::EQ, &[chosen, number])
    }
}

/// Stores the cluster's results at one element, given the anchor's value there.
fn store_results(
    emit: &mut Emit<'_, '_>,
    anchor: NodeId,
    results: &[NodeId],
    at: &[Affine],
    value: Placed,
) -> Result<(), PassError> {
    emit.values.set(anchor, at.to_vec(), value);
    for &node in results {
        let value = emit.value(node, at)?;
        emit.store_node(node, at, value.expr);
    }
    Ok(())
}

fn begin<'a, 'g>(lowering: &'a mut Lowering<'g>, cluster: u32, outer: &[usize]) -> (Emit<'a, 'g>, Vec<Affine>) {
    let mut emit = Emit::new(lowering, Some(cluster));
    let at = emit.cx.open_all(outer);
    emit.cx.floor = usize::from(!at.is_empty());
    (emit, at)
}

fn pool(
    lowering: &mut Lowering<'_>,
    cluster: u32,
    anchor: NodeId,
    results: &[NodeId],
    window: &Window,
    kind: PoolKind,
) -> Result<(), PassError> {
    let graph = lowering.graph;
    let (operand, ty) = (graph.operands(anchor)[0], graph.ty(anchor).clone());
    let walk = Walk { window, input: graph.ty(operand).clone() };
    let name = lowering.kernel_name(&[anchor]);
    let (mut emit, out) = begin(lowering, cluster, &ty.shape);
    let fold = if kind == PoolKind::Sum { ReduceKind::Sum } else { ReduceKind::Max };
    let depth = emit.cx.depth();
    let init = fold_init(fold, ty.dtype);
    let reg = emit.cx.declare(Expr::Const(init), depth);
    let k = emit.cx.open_all(&window.size);
    let tap = walk.tap(&mut emit, &out, &k);
    let mut value = emit.value(operand, &tap.at)?;
    if let Some(inside) = tap.inside {
        let nothing = emit.cx.constant(init);
        value = emit.cx.apply(ScalarOp::SELECT, &[inside, value, nothing]);
    }
    emit.cx.push(Stmt::Accumulate { reg, op: fold_op(fold), value: value.expr });
    emit.cx.close_to(depth);
    emit.values.drop_below(depth);
    store_results(&mut emit, anchor, results, &out, Placed { expr: Expr::Reg(reg), level: depth })?;
    emit.finish(name);
    Ok(())
}

fn take(
    lowering: &mut Lowering<'_>,
    cluster: u32,
    anchor: NodeId,
    results: &[NodeId],
    window: &Window,
) -> Result<(), PassError> {
    let graph = lowering.graph;
    let (x, t, ty) = (graph.operands(anchor)[0], graph.operands(anchor)[1], graph.ty(anchor).clone());
    let walk = Walk { window, input: graph.ty(x).clone() };
    let name = lowering.kernel_name(&[anchor]);
    let (mut emit, out) = begin(lowering, cluster, &ty.shape);
    let depth = emit.cx.depth();
    let chosen = walk.arg_max(&mut emit, x, &out)?;
    let reg = emit.cx.declare(Expr::Const(Scalar::zero(ty.dtype)), depth);
    let k = emit.cx.open_all(&window.size);
    let tap = walk.tap(&mut emit, &out, &k);
    let here = walk.is_chosen(&mut emit, chosen, &k);
    let value = emit.value(t, &tap.at)?;
    let new = Expr::Apply(ScalarOp::SELECT, vec![here.expr, value.expr, Expr::Reg(reg)]);
    emit.cx.push(Stmt::Assign { reg, value: new });
    emit.cx.close_to(depth);
    emit.values.drop_below(depth);
    store_results(&mut emit, anchor, results, &out, Placed { expr: Expr::Reg(reg), level: depth })?;
    emit.finish(name);
    Ok(())
}

/// The gradients of both kinds of pooling.
fn gradient(
    lowering: &mut Lowering<'_>,
    cluster: u32,
    anchor: NodeId,
    results: &[NodeId],
    walk: &Walk<'_>,
) -> Result<(), PassError> {
    let graph = lowering.graph;
    let tiling = tiles(walk.window);
    if !tiling {
        clear(lowering, cluster, anchor)?;
    }
    let operands = graph.operands(anchor);
    let (x, dy) = if operands.len() == 2 { (Some(operands[0]), operands[1]) } else { (None, operands[0]) };
    let windows = graph.ty(dy).shape.clone();
    let name = lowering.kernel_name(&[anchor]);
    let (mut emit, batch) = begin(lowering, cluster, &windows[..1]);
    if tiling {
        clear_rest(&mut emit, anchor, results, walk, &windows, &batch)?;
    }
    let mut out = batch;
    out.extend(emit.cx.open_all(&windows[1..]));
    let depth = emit.cx.depth();
    let chosen = x.map(|x| walk.arg_max(&mut emit, x, &out)).transpose()?;
    let upstream = emit.value(dy, &out)?;
    let k = emit.cx.open_all(&walk.window.size);
    let tap = walk.tap(&mut emit, &out, &k);
    let zero = emit.cx.constant(Scalar::zero(walk.input.dtype));
    let mut value = upstream;
    let chosen_here = chosen.map(|chosen| walk.is_chosen(&mut emit, chosen, &k));
    for condition in chosen_here.into_iter().chain(tap.inside) {
        value = emit.cx.apply(ScalarOp::SELECT, &[condition, value, zero.clone()]);
    }
    if tiling {
        store_results(&mut emit, anchor, results, &tap.at, value)?;
    } else {
        accumulate(&mut emit, anchor, &tap.at, value);
    }
    emit.cx.close_to(depth);
    emit.values.drop_below(depth);
    emit.finish(name);
    Ok(())
}

/// Adds to an element of the anchor's buffer.
fn accumulate(emit: &mut Emit<'_, '_>, anchor: NodeId, at: &[Affine], value: Placed) {
    let ty = emit.lowering.graph.ty(anchor).clone();
    let buffer = emit.lowering.result_buffer(anchor);
    let buf = emit.cx.param(buffer, ty.dtype, ty.shape.numel(), Access::ReadWrite);
    let depth = emit.cx.depth();
    let index = flatten(at, &ty.shape);
    let old = emit.cx.load_at(buf, &index, depth);
    let sum = emit.cx.apply(ScalarOp::ADD, &[old, value]);
    emit.cx.store(buf, &index, sum.expr);
}

/// A kernel that sets the whole gradient to 0.
fn clear(lowering: &mut Lowering<'_>, cluster: u32, anchor: NodeId) -> Result<(), PassError> {
    let ty = lowering.graph.ty(anchor).clone();
    let (mut emit, at) = begin(lowering, cluster, &ty.shape);
    emit.store_node(anchor, &at, Expr::Const(Scalar::zero(ty.dtype)));
    emit.finish("clear".into());
    Ok(())
}

/// The rows and columns that no window reaches: the gradient is 0 there.
fn clear_rest(
    emit: &mut Emit<'_, '_>,
    anchor: NodeId,
    results: &[NodeId],
    walk: &Walk<'_>,
    windows: &[usize],
    batch: &[Affine],
) -> Result<(), PassError> {
    let shape = walk.input.shape.clone();
    let spatial = walk.window.size.len();
    for axis in 1..=spatial {
        let covered = |a: usize| windows[a] * walk.window.stride[a - 1];
        if covered(axis) == shape[axis] {
            continue;
        }
        let depth = emit.cx.depth();
        let mut at = batch.to_vec();
        for a in 1..shape.rank() {
            // Axes before this one were cleared on their own; they are walked where windows reach.
            let (start, extent) = match a {
                _ if a == axis => (covered(a), shape[a] - covered(a)),
                _ if a < axis => (0, covered(a)),
                _ => (0, shape[a]),
            };
            let var = emit.cx.open(extent);
            at.push(Affine::term(var, 1).plus(start as i64));
        }
        let zero = emit.cx.constant(Scalar::zero(walk.input.dtype));
        store_results(emit, anchor, results, &at, zero)?;
        emit.cx.close_to(depth);
        emit.values.drop_below(depth);
    }
    Ok(())
}
