//! Gradients of pooling: what each window gets goes to one of its places, or to all.

use super::places::{Here, SpatialNest};
use super::pool::{Wanted, fold};
use super::walk::{Chosen, Cluster, Goes, Walk, is_chosen, store_results};
use crate::PassError;
use crate::lower::Lowering;
use crate::lower::cx::{Placed, flatten};
use crate::lower::expr::ValueEmitter;
use crate::window::{by_places, of_places, tap_type, tiles};
use ir::op::reduce::ReduceKind;
use ir::{NodeId, Scalar, ScalarOp, Shape};
use kernel::{Access, Affine};

/// As many pieces, together, are cut apart from what is in the middle.
const MAX_PIECES: usize = 64;

/// Lowers a gradient of pooling by `dy`.
pub(super) fn lower(
    lowering: &mut Lowering<'_>,
    cluster: &Cluster<'_>,
    walk: &Walk<'_>,
    goes: Goes,
    dy: NodeId,
) -> Result<(), PassError> {
    let windows = lowering.graph.ty(dy).shape.clone();
    if by_places(walk.window) && !matches!(goes, Goes::Largest(_)) {
        return walk
            .places(&windows)
            .lower(lowering, cluster, &mut |emit, here| fold(emit, cluster, here, ReduceKind::Sum, (dy, goes)));
    }
    if tiles(walk.window) {
        clear_rest(lowering, cluster, walk, &windows)?;
    } else {
        clear(lowering, cluster, walk.input.shape.dims(), &[])?;
    }
    walk.windows(&windows).lower(lowering, cluster, &mut |emit, here| spread(emit, cluster, walk, here, (dy, goes)))
}

impl Walk<'_> {
    /// All places of the input, `windows` being the shape of what pooling gives.
    fn places(&self, windows: &Shape) -> SpatialNest<'_> {
        let of = |cut| {
            let axis = |d: usize| of_places(self.window, d, (self.input.shape[d + 1], windows[d + 1]), cut);
            (0..self.window.rank()).map(axis).collect::<Vec<_>>()
        };
        let mut axes = of(true);
        if axes.iter().map(Vec::len).product::<usize>() > MAX_PIECES {
            axes = of(false);
        }
        SpatialNest { window: self.window, shape: self.input.shape.clone(), axes }
    }
}

/// Gives what a window gets to its taps.
fn spread(
    emit: &mut ValueEmitter<'_, '_>,
    cluster: &Cluster<'_>,
    walk: &Walk<'_>,
    here: &Here<'_>,
    (dy, goes): (NodeId, Goes),
) -> Result<(), PassError> {
    if here.taps().contains(&0) {
        return Ok(());
    }
    let graph = emit.lowering.graph;
    let depth = emit.cx.depth();
    let chosen = match goes {
        Goes::All => None,
        Goes::Largest(x) => Some(walk.arg_max(emit, x, tap_type(walk.input.dtype), here, Wanted::Place)?.tap),
        Goes::Named(tap) => Some(Chosen { number: emit.value(tap, &here.place)?, dtype: graph.ty(tap).dtype }),
    };
    let tiling = tiles(walk.window);
    let mut upstream = emit.value(dy, &here.place)?;
    let zero = emit.cx.constant(Scalar::zero(walk.input.dtype));
    if tiling && walk.input.dtype.is_float() {
        // A place gets the sum of what its windows give, which is +0 where the only one gives -0.
        upstream = emit.cx.apply(ScalarOp::ADD, &[upstream, zero.clone()]);
    }
    let k = emit.cx.open_all(&here.taps());
    let tap = here.tap(emit, &k);
    let mut value = upstream;
    let chosen_here = chosen.map(|chosen| is_chosen(emit, &chosen, &here.number(&k)));
    for condition in chosen_here.into_iter().chain(tap.inside) {
        value = emit.cx.apply(ScalarOp::SELECT, &[condition, value, zero.clone()]);
    }
    if tiling {
        // Windows at an end, one at each, are pieces of their own: all taps are inside.
        store_results(emit, cluster, &tap.at, value)?;
    } else {
        accumulate(emit, cluster.anchor, &tap.at, value);
    }
    emit.cx.close_to(depth);
    emit.values.drop_below(depth);
    Ok(())
}

/// Adds to an element of the anchor's buffer.
fn accumulate(emit: &mut ValueEmitter<'_, '_>, anchor: NodeId, at: &[Affine], value: Placed) {
    let ty = emit.lowering.graph.ty(anchor).clone();
    let buffer = emit.lowering.result_buffer(anchor);
    let buf = emit.cx.param(buffer, ty.dtype, ty.shape.numel(), Access::ReadWrite);
    let depth = emit.cx.depth();
    let index = flatten(at, &ty.shape);
    let old = emit.cx.load_at(buf, &index, depth);
    let sum = emit.cx.apply(ScalarOp::ADD, &[old, value]);
    emit.cx.store(buf, &index, sum.expr);
}

/// A kernel that sets the gradient to 0 from some place on along each axis, the first ones if there are no numbers: what elementwise ops make of 0.
fn clear(
    lowering: &mut Lowering<'_>,
    cluster: &Cluster<'_>,
    extents: &[usize],
    from: &[usize],
) -> Result<(), PassError> {
    let zero = Scalar::zero(lowering.graph.ty(cluster.anchor).dtype);
    let mut emit = ValueEmitter::new(lowering, Some(cluster.number));
    emit.cx.floor = 1;
    let mut at = emit.cx.open_all(extents);
    for (coordinate, &from) in at.iter_mut().zip(from) {
        *coordinate = coordinate.clone().plus(from as i64);
    }
    let zero = emit.cx.constant(zero);
    store_results(&mut emit, cluster, &at, zero)?;
    emit.finish("clear".into());
    Ok(())
}

/// The rows and columns that no window reaches: the gradient is 0 there.
fn clear_rest(
    lowering: &mut Lowering<'_>,
    cluster: &Cluster<'_>,
    walk: &Walk<'_>,
    windows: &[usize],
) -> Result<(), PassError> {
    let shape = walk.input.shape.clone();
    let window = walk.window;
    let covered = |a: usize| (windows[a] * window.stride[a - 1]).saturating_sub(window.pad[a - 1].0).min(shape[a]);
    for axis in (1..=window.rank()).filter(|&axis| covered(axis) < shape[axis]) {
        let (mut extents, mut from) = (shape.dims().to_vec(), vec![0; shape.rank()]);
        // Axes before this one are cleared on their own; they are walked where windows reach.
        (1..axis).for_each(|a| extents[a] = covered(a));
        (extents[axis], from[axis]) = (shape[axis] - covered(axis), covered(axis));
        clear(lowering, cluster, &extents, &from)?;
    }
    Ok(())
}
