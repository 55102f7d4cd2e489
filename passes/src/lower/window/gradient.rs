//! Gradients of pooling: what each window gets goes to one of its places, or to all.

use super::pool::{Wanted, tap_type};
use super::{Chosen, Cluster, Places, Walk, begin, store_results, tiles};
use crate::PassError;
use crate::lower::Lowering;
use crate::lower::cx::{Placed, flatten};
use crate::lower::expr::Emit;
use ir::{NodeId, Scalar, ScalarOp};
use kernel::{Access, Affine, Expr};

/// Lowers a gradient of pooling by `dy`.
pub(super) fn lower(
    lowering: &mut Lowering<'_>,
    cluster: &Cluster<'_>,
    walk: &Walk<'_>,
    places: &Places,
    dy: NodeId,
) -> Result<(), PassError> {
    let graph = lowering.graph;
    let tiling = tiles(walk.window);
    if !tiling {
        clear(lowering, cluster)?;
    }
    let windows = graph.ty(dy).shape.clone();
    let name = lowering.kernel_name(&[cluster.anchor]);
    let (mut emit, batch) = begin(lowering, cluster, &windows[..1]);
    if tiling {
        clear_rest(&mut emit, cluster, walk, &windows, &batch)?;
    }
    let mut out = batch;
    out.extend(emit.cx.open_all(&windows[1..]));
    let depth = emit.cx.depth();
    let chosen = match *places {
        Places::All => None,
        Places::Find(x) => Some(walk.arg_max(&mut emit, x, tap_type(walk.input.dtype), &out, Wanted::Place)?.tap),
        Places::Given(tap) => Some(Chosen { number: emit.value(tap, &out)?, dtype: graph.ty(tap).dtype }),
    };
    let mut upstream = emit.value(dy, &out)?;
    if tiling && walk.input.dtype.is_float() {
        // A place gets the sum of what its windows give, which is +0 where the only one gives -0.
        let zero = emit.cx.constant(Scalar::zero(walk.input.dtype));
        upstream = emit.cx.apply(ScalarOp::ADD, &[upstream, zero]);
    }
    let k = emit.cx.open_all(&walk.window.size);
    let tap = walk.tap(&mut emit, &out, &k);
    let zero = emit.cx.constant(Scalar::zero(walk.input.dtype));
    let mut value = upstream;
    let chosen_here = chosen.map(|chosen| walk.is_chosen(&mut emit, &chosen, &k));
    for condition in chosen_here.into_iter().chain(tap.inside) {
        value = emit.cx.apply(ScalarOp::SELECT, &[condition, value, zero.clone()]);
    }
    if tiling {
        store_results(&mut emit, cluster, &tap.at, value)?;
    } else {
        accumulate(&mut emit, cluster.anchor, &tap.at, value);
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
fn clear(lowering: &mut Lowering<'_>, cluster: &Cluster<'_>) -> Result<(), PassError> {
    let ty = lowering.graph.ty(cluster.anchor).clone();
    let (mut emit, at) = begin(lowering, cluster, &ty.shape);
    emit.store_node(cluster.anchor, &at, Expr::Const(Scalar::zero(ty.dtype)));
    emit.finish("clear".into());
    Ok(())
}

/// The rows and columns that no window reaches: the gradient is 0 there.
fn clear_rest(
    emit: &mut Emit<'_, '_>,
    cluster: &Cluster<'_>,
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
        store_results(emit, cluster, &at, zero)?;
        emit.cx.close_to(depth);
        emit.values.drop_below(depth);
    }
    Ok(())
}
