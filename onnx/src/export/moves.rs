//! Movement and places given by values, as nodes.

use super::ExportError;
use super::write::{ModelWriter, int, ints};
use ir::op::movement::{Broadcast, Concat, Pad, Permute, Reverse, Slice};
use ir::op::take::TakeAlongAxis;
use ir::{NodeId, Op, Scalar, Shape};

/// Writes a node of these families; false if it is of another one.
pub(super) fn node(w: &mut ModelWriter<'_>, id: NodeId, op: &Op) -> Result<bool, ExportError> {
    let x = w.operands(id);
    match op {
        Op::Reshape(_) => {
            let dims = w.ty(id).shape.dims().to_vec();
            let y = w.reshaped(&x[0], &dims);
            w.is(id, y);
        }
        Op::Permute(Permute { perm }) => {
            let y = w.permuted(&x[0], perm);
            w.is(id, y);
        }
        Op::Broadcast(Broadcast { shape, axes }) => broadcast(w, id, shape, axes),
        Op::Slice(Slice { start, limit, stride }) => {
            let axes: Vec<usize> = (0..start.len()).collect();
            let lists = [w.numbers(start), w.numbers(limit), w.numbers(&axes), w.numbers(stride)];
            w.op(id, "Slice", &[&x[..1], &lists].concat(), vec![]);
        }
        Op::Reverse(Reverse { axes }) => {
            let each = |v: i64| vec![v; axes.len()];
            // From the last place to before the first one, which no number but a very small one says.
            let lists = [w.numbers(&each(-1)), w.numbers(&each(i64::MIN + 1)), w.numbers(axes), w.numbers(&each(-1))];
            w.op(id, "Slice", &[&x[..1], &lists].concat(), vec![]);
        }
        Op::Concat(Concat { axis }) => w.op(id, "Concat", &x, vec![int("axis", *axis as i64)]),
        Op::Pad(pad) => padded(w, id, pad)?,
        Op::Gather(_) => w.op(id, "Gather", &x, vec![int("axis", 0)]),
        Op::ScatterAdd(_) => {
            let mut dims = w.ty(w.operand_ids(id)[1]).shape.dims().to_vec();
            dims.push(1);
            let places = w.reshaped(&x[1], &dims);
            let add = crate::proto::AttributeProto {
                name: "reduction".into(),
                s: b"add".to_vec(),
                r#type: 3,
                ..Default::default()
            };
            w.op(id, "ScatterND", &[x[0].clone(), places, x[2].clone()], vec![add]);
        }
        Op::TakeAlongAxis(TakeAlongAxis { axis }) => taken(w, id, *axis),
        _ => return Ok(false),
    }
    Ok(true)
}

fn broadcast(w: &mut ModelWriter<'_>, id: NodeId, shape: &Shape, axes: &[usize]) {
    let from = w.ty(w.operand_ids(id)[0]).shape.dims().to_vec();
    let mut lifted = vec![1; shape.rank()];
    axes.iter().zip(&from).for_each(|(&axis, &extent)| lifted[axis] = extent);
    let x = w.operands(id).remove(0);
    let x = if lifted == from { x } else { w.reshaped(&x, &lifted) };
    let dims = w.numbers(shape.dims());
    w.op(id, "Expand", &[x, dims], vec![]);
}

fn padded(w: &mut ModelWriter<'_>, id: NodeId, pad: &Pad) -> Result<(), ExportError> {
    let Pad { value, low, high, interior } = pad;
    if interior.iter().any(|&n| n != 0) {
        return Err(w.case(id, "models have no places between elements"));
    }
    let (x, pads) = (w.operands(id).remove(0), w.numbers(&[&low[..], high].concat()));
    let zero = value.to_bits() == Scalar::zero(value.dtype()).to_bits();
    let value = w.scalar(id, value.as_f64());
    let inputs = if zero { vec![x, pads] } else { vec![x, pads, value] };
    w.op(id, "Pad", &inputs, vec![]);
    Ok(())
}

/// Indices without the axis get it for the operator, and the result loses it again.
fn taken(w: &mut ModelWriter<'_>, id: NodeId, axis: usize) {
    let (x, ids) = (w.operands(id), w.operand_ids(id));
    let (table, places) = (w.ty(ids[0]).shape.rank(), w.ty(ids[1]).shape.dims().to_vec());
    let along = || vec![int("axis", axis as i64)];
    if places.len() == table {
        return w.op(id, "GatherElements", &x, along());
    }
    let mut wide = places.clone();
    wide.insert(axis, 1);
    let lifted = w.reshaped(&x[1], &wide);
    let y = w.part("GatherElements", &[x[0].clone(), lifted], along());
    let y = w.reshaped(&y, &places);
    w.is(id, y);
}

/// Axes as an attribute.
pub(super) fn axes(list: &[usize]) -> crate::proto::AttributeProto {
    ints("axes", list)
}
