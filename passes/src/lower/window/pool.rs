//! Pooling, the places of maxima, and what stands at such places.

use super::places::{Here, SpatialNest};
use super::walk::{Chosen, Cluster, Goes, Walk, is_chosen, store_results};
use crate::PassError;
use crate::lower::Lowering;
use crate::lower::cx::Placed;
use crate::lower::expr::ValueEmitter;
use crate::window::{of_windows, tap_type};
use ir::op::reduce::ReduceKind;
use ir::op::window::PoolKind;
use ir::{DType, NodeId, Op, Scalar, ScalarOp, Shape};
use kernel::{Expr, Stmt};

/// Windows of at most that many taps are compared in straight-line code.
const MAX_STRAIGHT: usize = 16;

/// The largest element of a window and where it stands.
pub(super) struct Largest {
    value: Placed,
    pub(super) tap: Chosen,
}

/// What is wanted of the largest element of a window.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Its tap alone: among zeros of both signs, which are equal, the first.
    Place,
    /// The maximum too: among zeros of both signs +0.
    Maximum,
}

/// Lowers pooling, the places of maxima, or both in one trip.
pub(super) fn lower(
    lowering: &mut Lowering<'_>,
    cluster: &Cluster<'_>,
    nodes: &[NodeId],
    walk: &Walk<'_>,
) -> Result<(), PassError> {
    let graph = lowering.graph;
    let of_kind = |wanted: fn(&Op) -> bool| nodes.iter().copied().find(|&n| wanted(graph.op(n)));
    let x = graph.operands(cluster.anchor)[0];
    let all = walk.windows(&graph.ty(cluster.anchor).shape);
    let Some(places) = of_kind(|op| matches!(op, Op::PoolArgMax(_))) else {
        let sums = matches!(graph.op(cluster.anchor), Op::Pool(op) if op.kind == PoolKind::Sum);
        let kind = if sums { ReduceKind::Sum } else { ReduceKind::Max };
        return all.lower(lowering, cluster, &mut |emit, here| fold(emit, cluster, here, kind, (x, Goes::All)));
    };
    let pooling = of_kind(|op| matches!(op, Op::Pool(_)));
    let wanted = if pooling.is_some() { Wanted::Maximum } else { Wanted::Place };
    all.lower(lowering, cluster, &mut |emit, here| {
        let largest = walk.arg_max(emit, x, graph.ty(places).dtype, here, wanted)?;
        emit.values.set(places, here.place.clone(), largest.tap.number);
        if let Some(max) = pooling {
            emit.values.set(max, here.place.clone(), largest.value);
        }
        for &node in cluster.results {
            let value = emit.value(node, &here.place)?;
            emit.store_node(node, &here.place, value.expr);
        }
        Ok(())
    })
}

/// Folds what the taps of a place read, all of them or those that a tensor names, by sum or maximum.
pub(super) fn fold(
    emit: &mut ValueEmitter<'_, '_>,
    cluster: &Cluster<'_>,
    here: &Here<'_>,
    kind: ReduceKind,
    (operand, goes): (NodeId, Goes),
) -> Result<(), PassError> {
    let graph = emit.lowering.graph;
    let depth = emit.cx.depth();
    let init = kind.identity(graph.ty(cluster.anchor).dtype);
    if here.taps().contains(&0) {
        let nothing = emit.cx.constant(init);
        return store_results(emit, cluster, &here.place, nothing);
    }
    let reg = emit.cx.declare(Expr::Const(init), depth);
    let k = emit.cx.open_all(&here.taps());
    let tap = here.tap(emit, &k);
    let chosen = match goes {
        Goes::Named(taps) => {
            let chosen = Chosen { number: emit.value(taps, &tap.at)?, dtype: graph.ty(taps).dtype };
            Some(is_chosen(emit, &chosen, &here.number(&k)))
        }
        _ => None,
    };
    let mut value = emit.value(operand, &tap.at)?;
    for condition in chosen.into_iter().chain(tap.inside) {
        let nothing = emit.cx.constant(init);
        value = emit.cx.apply(ScalarOp::SELECT, &[condition, value, nothing]);
    }
    emit.cx.push(Stmt::Accumulate { reg, op: kind.op(), value: value.expr });
    emit.cx.close_to(depth);
    emit.values.drop_below(depth);
    store_results(emit, cluster, &here.place, Placed { expr: Expr::Reg(reg), level: depth })
}

/// Lowers `pool_max_take`.
pub(super) fn take(lowering: &mut Lowering<'_>, cluster: &Cluster<'_>, walk: &Walk<'_>) -> Result<(), PassError> {
    let graph = lowering.graph;
    let operands = graph.operands(cluster.anchor);
    let (x, t, ty) = (operands[0], operands[1], graph.ty(cluster.anchor).clone());
    walk.windows(&ty.shape).lower(lowering, cluster, &mut |emit, here| {
        let depth = emit.cx.depth();
        let chosen = walk.arg_max(emit, x, tap_type(ty.dtype), here, Wanted::Place)?.tap;
        let reg = emit.cx.declare(Expr::Const(Scalar::zero(ty.dtype)), depth);
        if !here.taps().contains(&0) {
            let k = emit.cx.open_all(&here.taps());
            let tap = here.tap(emit, &k);
            let is_here = is_chosen(emit, &chosen, &here.number(&k));
            let value = emit.value(t, &tap.at)?;
            let new = Expr::Apply(ScalarOp::SELECT, vec![is_here.expr, value.expr, Expr::Reg(reg)]);
            emit.cx.push(Stmt::Assign { reg, value: new });
        }
        emit.cx.close_to(depth);
        emit.values.drop_below(depth);
        store_results(emit, cluster, &here.place, Placed { expr: Expr::Reg(reg), level: depth })
    })
}

impl Walk<'_> {
    /// All windows, `shape` being that of what pooling gives.
    pub(super) fn windows(&self, shape: &Shape) -> SpatialNest<'_> {
        let axis = |d: usize| of_windows(self.window, d, (self.input.shape[d + 1], shape[d + 1]));
        SpatialNest { window: self.window, shape: shape.clone(), axes: (0..self.window.rank()).map(axis).collect() }
    }

    /// The element of a window where `x` is largest, the first of them, or the first NaN; and its tap's number in `dtype`.
    pub(super) fn arg_max(
        &self,
        emit: &mut ValueEmitter<'_, '_>,
        x: NodeId,
        dtype: DType,
        here: &Here<'_>,
        wanted: Wanted,
    ) -> Result<Largest, PassError> {
        let taps: usize = here.taps().iter().product();
        if taps > MAX_STRAIGHT {
            return self.arg_max_loop(emit, x, dtype, here, wanted);
        }
        let mut best: Option<Largest> = None;
        // There is a largest element once a tap has been inside for certain.
        let mut certain = false;
        for k in here.each_tap() {
            let tap = here.tap(emit, &k);
            let value = emit.value(x, &tap.at)?;
            let number = emit.cx.constant(Scalar::from_i64(here.number(&k).offset(), dtype));
            let was_certain = certain;
            certain |= tap.inside.is_none();
            let now = match best.take() {
                // Any element wins over none.
                None if tap.inside.is_none() => {
                    best = Some(Largest { value, tap: Chosen { number, dtype } });
                    continue;
                }
                None => self.nothing_yet(emit, dtype),
                Some(now) => now,
            };
            let mut wins = self.wins(emit, &value, &now, was_certain);
            if let Some(inside) = &tap.inside {
                wins = emit.cx.apply(ScalarOp::AND, &[wins, inside.clone()]);
            }
            let number = emit.cx.apply(ScalarOp::SELECT, &[wins.clone(), number, now.tap.number]);
            let value = self.larger(emit, [value, now.value], wins, tap.inside, wanted);
            best = Some(Largest { value, tap: Chosen { number, dtype } });
        }
        Ok(best.unwrap_or_else(|| self.nothing_yet(emit, dtype)))
    }

    /// What stands for the largest element before there is one.
    fn nothing_yet(&self, emit: &ValueEmitter<'_, '_>, dtype: DType) -> Largest {
        let value = emit.cx.constant(ReduceKind::Max.identity(self.input.dtype));
        Largest { value, tap: Chosen { number: emit.cx.constant(Scalar::from_i64(-1, dtype)), dtype } }
    }

    /// Whether an element takes the place of the largest so far, of which there is one for certain or not.
    fn wins(&self, emit: &mut ValueEmitter<'_, '_>, value: &Placed, now: &Largest, certain: bool) -> Placed {
        let mut wins = if self.input.dtype.is_float() {
            // Larger or a NaN, unless the best is a NaN already.
            let not_above = emit.cx.apply(ScalarOp::LE, &[value.clone(), now.value.clone()]);
            let above = emit.cx.apply(ScalarOp::NOT, &[not_above]);
            let number = emit.cx.apply(ScalarOp::EQ, &[now.value.clone(), now.value.clone()]);
            emit.cx.apply(ScalarOp::AND, &[above, number])
        } else {
            emit.cx.apply(ScalarOp::GT, &[value.clone(), now.value.clone()])
        };
        if !certain {
            let none = emit.cx.constant(Scalar::from_i64(-1, now.tap.dtype));
            let first = emit.cx.apply(ScalarOp::EQ, &[now.tap.number.clone(), none]);
            wins = emit.cx.apply(ScalarOp::OR, &[wins, first]);
        }
        wins
    }

    /// The element or the best so far, whichever is larger; `wins` says where the element is.
    fn larger(
        &self,
        emit: &mut ValueEmitter<'_, '_>,
        [value, now]: [Placed; 2],
        wins: Placed,
        inside: Option<Placed>,
        wanted: Wanted,
    ) -> Placed {
        if wanted == Wanted::Place || !self.input.dtype.is_float() {
            return emit.cx.apply(ScalarOp::SELECT, &[wins, value, now]);
        }
        let larger = emit.cx.apply(ScalarOp::MAX, &[now.clone(), value]);
        match inside {
            Some(inside) => emit.cx.apply(ScalarOp::SELECT, &[inside, larger, now]),
            None => larger,
        }
    }

    /// As [`Walk::arg_max`], by loops over the taps.
    fn arg_max_loop(
        &self,
        emit: &mut ValueEmitter<'_, '_>,
        x: NodeId,
        dtype: DType,
        here: &Here<'_>,
        wanted: Wanted,
    ) -> Result<Largest, PassError> {
        let depth = emit.cx.depth();
        let best = emit.cx.declare(Expr::Const(ReduceKind::Max.identity(self.input.dtype)), depth);
        let chosen = emit.cx.declare(Expr::Const(Scalar::from_i64(-1, dtype)), depth);
        let k = emit.cx.open_all(&here.taps());
        let tap = here.tap(emit, &k);
        let value = emit.value(x, &tap.at)?;
        let at = |reg, level| Placed { expr: Expr::Reg(reg), level };
        let level = emit.cx.depth();
        let now = Largest { value: at(best, level), tap: Chosen { number: at(chosen, level), dtype } };
        let mut wins = self.wins(emit, &value, &now, false);
        if let Some(inside) = &tap.inside {
            wins = emit.cx.apply(ScalarOp::AND, &[wins, inside.clone()]);
        }
        let number = emit.cx.index_value(&here.number(&k), dtype);
        let new_chosen = Expr::Apply(ScalarOp::SELECT, vec![wins.expr.clone(), number.expr, Expr::Reg(chosen)]);
        let new_best = self.larger(emit, [value, now.value], wins, tap.inside, wanted);
        emit.cx.push(Stmt::Assign { reg: chosen, value: new_chosen });
        emit.cx.push(Stmt::Assign { reg: best, value: new_best.expr });
        emit.cx.close_to(depth);
        emit.values.drop_below(depth);
        Ok(Largest { value: at(best, depth), tap: Chosen { number: at(chosen, depth), dtype } })
    }
}
