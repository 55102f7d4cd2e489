//! Elements and rows chosen by indices.

use super::{BuiltOp, RowFields};
use gradc::dsl::{GraphBuilder, Tensor, TypeSpec};
use gradc::nn::sparse_cross_entropy;
use ir::DType;

pub(super) fn build(parts: &RowFields, g: &GraphBuilder) -> Option<BuiltOp> {
    let dims = &parts.dims;
    let indices = |below: usize, dims: &[usize]| -> Tensor {
        g.input(&format!("index_{below}"), TypeSpec::new(DType::I32, dims))
    };
    match parts.op {
        // One element of each row.
        "pick" => {
            let x = parts.x(g);
            let result = x.pick(indices(*dims.last()?, &dims[..dims.len() - 1]));
            Some(BuiltOp { result, by: vec![x] })
        }
        // Along an axis, that many elements of each row.
        "take_along_axis" => {
            let (x, axis) = (parts.x(g), parts.number::<usize>(0)?);
            let mut taken = dims.clone();
            *taken.get_mut(axis)? = parts.number(1)?;
            let result = x.take_along_axis(indices(dims[axis], &taken), axis as isize);
            Some(BuiltOp { result, by: vec![x] })
        }
        "sparse_cross_entropy" => {
            let x = parts.x(g);
            let labels = indices(*dims.last()?, &dims[..dims.len() - 1]);
            Some(BuiltOp { result: sparse_cross_entropy(&x, labels), by: vec![x] })
        }
        // That many rows of a table.
        "gather" => {
            let x = parts.x(g);
            let result = x.gather(indices(dims[0], &[parts.number(0)?]));
            Some(BuiltOp { result, by: vec![x] })
        }
        // That many rows added to a table.
        "scatter_add" => {
            let count = parts.number(0)?;
            let mut rows = dims.clone();
            rows[0] = count;
            let (x, w) = (parts.x(g), parts.operand(g, "w", &rows));
            Some(BuiltOp { result: x.scatter_add(indices(dims[0], &[count]), &w), by: vec![x, w] })
        }
        // Along an axis.
        "sort" => {
            let x = parts.x(g);
            Some(BuiltOp { result: x.sort(parts.number(0)?, false), by: vec![x] })
        }
        // Along an axis, that many.
        "top_k" => {
            let x = parts.x(g);
            Some(BuiltOp { result: x.top_k(parts.number(1)?, parts.number(0)?).0, by: vec![x] })
        }
        "one_hot" => {
            let (depth, rows) = (*dims.last()?, &dims[..dims.len() - 1]);
            Some(BuiltOp { result: indices(depth, rows).one_hot(depth, parts.dtype), by: vec![] })
        }
        _ => None,
    }
}
