//! Reductions, windows and sums of products, as nodes. The graph's images have their channels last, the standard's second: axes are turned around each of them.

use super::ExportError;
use super::moves::axes;
use super::write::{ModelWriter, element_type, int, ints};
use crate::proto::AttributeProto;
use ir::op::contraction::{Conv, ConvInputGrad, Dot};
use ir::op::cumsum::CumSum;
use ir::op::reduce::{ArgKind, ArgReduce, Reduce, ReduceKind};
use ir::op::window::{Pool, PoolKind, Window};
use ir::{NodeId, Op};

/// Writes a node of these families; false if it is of another one.
pub(super) fn node(w: &mut ModelWriter<'_>, id: NodeId, op: &Op) -> Result<bool, ExportError> {
    match op {
        Op::Reduce(reduce) => reduced(w, id, reduce),
        Op::ArgReduce(ArgReduce { kind, axis }) => {
            let name = if *kind == ArgKind::Max { "ArgMax" } else { "ArgMin" };
            let x = w.operands(id);
            let place = w.part(name, &x, vec![int("axis", *axis as i64), int("keepdims", 0)]);
            let to = element_type(w.dtype(id));
            w.op(id, "Cast", &[place], vec![int("to", to)]);
        }
        Op::CumSum(CumSum { axis, exclusive, reverse }) => {
            let (x, along) = (w.operands(id).remove(0), w.numbers(&[*axis]));
            let how = vec![int("exclusive", i64::from(*exclusive)), int("reverse", i64::from(*reverse))];
            w.op(id, "CumSum", &[x, along], how);
        }
        Op::Dot(dot) => product(w, id, dot),
        Op::WeightedMean(mean) => {
            let sum = product_of(w, id, &mean.dot);
            let (whole, dims) = (w.operands(id).remove(2), w.ty(id).shape.dims().to_vec());
            // One number for each row of weights: the axes of the values come after.
            let mut lifted = w.ty(w.operand_ids(id)[2]).shape.dims().to_vec();
            lifted.resize(dims.len(), 1);
            let whole = w.reshaped(&whole, &lifted);
            w.op(id, "Div", &[sum, whole], vec![]);
        }
        Op::Conv(Conv { window, groups }) => {
            let (x, k) = (images(w, id, 0), kernel(w, id));
            let y = w.part("Conv", &[x, k], [vec![int("group", *groups as i64)], geometry(window)].concat());
            back(w, id, &y);
        }
        Op::ConvInputGrad(op) => transposed(w, id, op),
        Op::Pool(Pool { kind, window }) => pooled(w, id, *kind, window),
        _ => return Ok(false),
    }
    Ok(true)
}

fn reduced(w: &mut ModelWriter<'_>, id: NodeId, reduce: &Reduce) {
    let x = w.operands(id);
    let keep = int("keepdims", 0);
    match reduce.kind {
        ReduceKind::Sum => {
            let along = w.numbers(&reduce.axes);
            w.op(id, "ReduceSum", &[x[0].clone(), along], vec![keep]);
        }
        ReduceKind::Prod => w.op(id, "ReduceProd", &x, vec![axes(&reduce.axes), keep]),
        ReduceKind::Max => w.op(id, "ReduceMax", &x, vec![axes(&reduce.axes), keep]),
        ReduceKind::Min => w.op(id, "ReduceMin", &x, vec![axes(&reduce.axes), keep]),
    }
}

fn product(w: &mut ModelWriter<'_>, id: NodeId, dot: &Dot) {
    let y = product_of(w, id, dot);
    w.is(id, y);
}

/// A product of matrices: both operands with the axes that run together first, then rows and columns.
fn product_of(w: &mut ModelWriter<'_>, id: NodeId, dot: &Dot) -> String {
    let (x, ids) = (w.operands(id), w.operand_ids(id));
    let result = w.ty(id).shape.dims().to_vec();
    let dims = [w.ty(ids[0]).shape.dims().to_vec(), w.ty(ids[1]).shape.dims().to_vec()];
    let left = |pairs: &[(usize, usize)]| pairs.iter().map(|p| p.0).collect::<Vec<_>>();
    let right = |pairs: &[(usize, usize)]| pairs.iter().map(|p| p.1).collect::<Vec<_>>();
    let free = |rank: usize, taken: Vec<usize>| (0..rank).filter(|axis| !taken.contains(axis)).collect::<Vec<_>>();
    let rows = free(dims[0].len(), [left(&dot.batch), left(&dot.contract)].concat());
    let columns = free(dims[1].len(), [right(&dot.batch), right(&dot.contract)].concat());
    let size = |dims: &[usize], axes: &[usize]| axes.iter().map(|&axis| dims[axis]).product::<usize>();
    let (batch, summed) = (size(&dims[0], &left(&dot.batch)), size(&dims[0], &left(&dot.contract)));
    let a = w.permuted(&x[0], &[left(&dot.batch), rows.clone(), left(&dot.contract)].concat());
    let b = w.permuted(&x[1], &[right(&dot.batch), right(&dot.contract), columns.clone()].concat());
    let (rows, columns) = (size(&dims[0], &rows), size(&dims[1], &columns));
    let with_batch =
        |dims: [usize; 2]| if dot.batch.is_empty() { dims.to_vec() } else { vec![batch, dims[0], dims[1]] };
    let a = w.reshaped(&a, &with_batch([rows, summed]));
    let b = w.reshaped(&b, &with_batch([summed, columns]));
    let y = w.part("MatMul", &[a, b], vec![]);
    w.reshaped(&y, &result)
}

/// An operand with its channels second.
fn images(w: &mut ModelWriter<'_>, id: NodeId, operand: usize) -> String {
    let rank = w.ty(w.operand_ids(id)[operand]).shape.rank();
    let x = w.operands(id).remove(operand);
    w.permuted(&x, &[&[0, rank - 1][..], &(1..rank - 1).collect::<Vec<_>>()].concat())
}

/// The kernel `[k..., in, out]` as `[out, in, k...]`.
fn kernel(w: &mut ModelWriter<'_>, id: NodeId) -> String {
    let rank = w.ty(w.operand_ids(id)[1]).shape.rank();
    let k = w.operands(id).remove(1);
    w.permuted(&k, &[&[rank - 1, rank - 2][..], &(0..rank - 2).collect::<Vec<_>>()].concat())
}

/// Channels last again, as the graph's node has them.
fn back(w: &mut ModelWriter<'_>, id: NodeId, y: &str) {
    let rank = w.ty(id).shape.rank();
    let perm = [&[0][..], &(2..rank).collect::<Vec<_>>(), &[1]].concat();
    let y = w.permuted(y, &perm);
    w.is(id, y);
}

/// A window's attributes.
fn geometry(window: &Window) -> Vec<AttributeProto> {
    let pads: Vec<usize> = window.pad.iter().map(|p| p.0).chain(window.pad.iter().map(|p| p.1)).collect();
    vec![
        ints("kernel_shape", &window.size),
        ints("strides", &window.stride),
        ints("pads", &pads),
        ints("dilations", &window.dilation),
    ]
}

fn transposed(w: &mut ModelWriter<'_>, id: NodeId, op: &ConvInputGrad) {
    let ConvInputGrad { window, groups, input } = op;
    let from = w.ty(w.operand_ids(id)[0]).shape.dims().to_vec();
    // Places that the borders leave, and those that no window reaches, which the operator adds.
    let added: Vec<usize> = (0..window.rank())
        .map(|axis| {
            let covered = window.dilation[axis] * (window.size[axis] - 1) + 1;
            let full = window.stride[axis] * (from[axis + 1] - 1) + covered;
            (input[axis] + window.pad[axis].0 + window.pad[axis].1).saturating_sub(full)
        })
        .collect();
    let (x, k) = (images(w, id, 0), kernel(w, id));
    let how = vec![int("group", *groups as i64), ints("output_padding", &added)];
    let y = w.part("ConvTranspose", &[x, k], [how, geometry(window)].concat());
    back(w, id, &y);
}

fn pooled(w: &mut ModelWriter<'_>, id: NodeId, kind: PoolKind, window: &Window) {
    let x = images(w, id, 0);
    let y = match kind {
        PoolKind::Max => w.part("MaxPool", &[x], geometry(window)),
        PoolKind::Sum => sum_pool(w, id, x, window),
    };
    back(w, id, &y);
}

/// Sums of windows: a convolution of each channel with ones.
fn sum_pool(w: &mut ModelWriter<'_>, id: NodeId, x: String, window: &Window) -> String {
    let channels = w.ty(id).shape.last().copied().unwrap_or(1);
    let one = w.scalar(id, 1.0);
    let dims = w.numbers(&[&[channels, 1][..], &window.size].concat());
    let ones = w.part("Expand", &[one, dims], vec![]);
    w.part("Conv", &[x, ones], [vec![int("group", channels as i64)], geometry(window)].concat())
}
