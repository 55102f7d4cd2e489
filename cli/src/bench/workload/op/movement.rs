//! Elements moved, repeated, put together.

use super::{BuiltOp, RowFields};
use gradc::dsl::{GraphBuilder, Tensor};

pub(super) fn build(parts: &RowFields, g: &GraphBuilder) -> Option<BuiltOp> {
    let dims = &parts.dims;
    let axis = |i: usize| parts.number::<usize>(i).filter(|axis| *axis < dims.len());
    let apply = |f: &dyn Fn(&Tensor) -> Option<Tensor>| {
        let x = parts.x(g);
        Some(BuiltOp { result: f(&x)?, by: vec![x] })
    };
    match parts.op {
        "transpose" => apply(&|x| Some(x.transpose())),
        // The order of the axes, `0x2x1x3`.
        "permute" => {
            let order: Vec<isize> = parts.list(0)?.into_iter().map(|axis| axis as isize).collect();
            apply(&|x| Some(x.permute(&order)))
        }
        "flip" => apply(&|x| Some(x.reverse([axis(0)? as isize]))),
        "roll" => apply(&|x| Some(roll(x, axis(0)?, parts.number(1)?, dims))),
        "strided_slice" => apply(&|x| {
            let (axis, stride) = (axis(0)?, parts.number(1)?);
            let mut strides = vec![1; dims.len()];
            strides[axis] = stride;
            Some(x.slice_strided(vec![0; dims.len()], dims, &strides))
        }),
        "pad" => apply(&|x| Some(x.pad(0.0, vec![(1, 1); dims.len()]))),
        "broadcast" => {
            // The axis along which the operand is repeated.
            let x = one_along(parts, g, axis(0)?);
            Some(BuiltOp { result: x.broadcast_to(dims), by: vec![x] })
        }
        "add_broadcast" => {
            let (w, x) = (one_along(parts, g, axis(0)?), parts.x(g));
            Some(BuiltOp { result: &x + &w, by: vec![x, w] })
        }
        // Parts of the row's shape along an axis.
        "concat" => {
            let (axis, count) = (axis(0)? as isize, parts.number::<usize>(1)?);
            let operands: Vec<Tensor> = (0..count).map(|i| parts.operand(g, &format!("x{i}"), dims)).collect();
            let (first, others) = operands.split_first()?;
            Some(BuiltOp { result: first.concat(&others.iter().collect::<Vec<_>>(), axis), by: operands })
        }
        // Each round the mean of a value and of it moved by one.
        "rolled_means" => apply(&|x| {
            let rounds = parts.number::<usize>(0)?;
            Some((0..rounds).fold(x.clone(), |y, _| (&y + roll(&y, 0, 1, dims)) * 0.5))
        }),
        // Each round the half of a value beside its other half, and itself.
        "doubled" => apply(&|x| {
            let rounds = parts.number::<usize>(0)?;
            Some((0..rounds).fold(x.clone(), |y, _| (&y + roll(&y, 1, dims[1] / 2, dims)) * 0.5))
        }),
        // Each round the mean of the four neighbours.
        "stencil" => apply(&|x| {
            let rounds = parts.number::<usize>(0)?;
            let step = |y: Tensor| {
                let (above, below) = (roll(&y, 0, 1, dims), roll(&y, 0, dims[0] - 1, dims));
                let (left, right) = (roll(&y, 1, 1, dims), roll(&y, 1, dims[1] - 1, dims));
                (above + below + left + right) * 0.25
            };
            Some((0..rounds).fold(x.clone(), |y, _| step(y)))
        }),
        _ => None,
    }
}

/// `x` moved by `by` towards the front of an axis; what falls off comes in at the end.
fn roll(x: &Tensor, axis: usize, by: usize, dims: &[usize]) -> Tensor {
    x.slice_axis(axis as isize, by..dims[axis]).concat(&[&x.slice_axis(axis as isize, 0..by)], axis as isize)
}

/// An operand of the row's shape with the extent 1 along an axis.
fn one_along(parts: &RowFields, g: &GraphBuilder, axis: usize) -> Tensor {
    let mut dims = parts.dims.clone();
    dims[axis] = 1;
    parts.operand(g, "w", &dims)
}
