//! Products, convolutions, pooling.

use super::{BuiltOp, RowFields};
use gradc::dsl::{GraphBuilder, Window};

pub(super) fn build(parts: &RowFields, g: &GraphBuilder) -> Option<BuiltOp> {
    match parts.op {
        // The shape is `[batch x] rows x contracted x columns`.
        "matmul_nn" | "matmul_nt" | "matmul_tn" | "matmul_tt" => product(parts, g),
        // Filters `[depth x] height x width x outputs`, stride, padding on each side, groups.
        "conv" => convolution(parts, g),
        // Filters, stride, padding on each side, groups; the result has `stride` times as many positions.
        "conv_transpose" => transposed(parts, g),
        // Window, stride, padding on each side.
        "max_pool" | "avg_pool" => pooling(parts, g),
        _ => None,
    }
}

fn product(parts: &RowFields, g: &GraphBuilder) -> Option<BuiltOp> {
    let (batch, sizes) = parts.dims.split_at(parts.dims.len().checked_sub(3)?);
    let &[m, k, n] = sizes else { return None };
    let form = parts.op.strip_prefix("matmul_")?.as_bytes();
    let operand = |name: &str, rows: usize, columns: usize, transposed: bool| {
        let own = if transposed { [columns, rows] } else { [rows, columns] };
        parts.operand(g, name, &[batch, &own].concat())
    };
    let (turned_a, turned_b) = (form[0] == b't', form[1] == b't');
    let (a, b) = (operand("x", m, k, turned_a), operand("w", k, n, turned_b));
    let left = if turned_a { a.swap_axes(-1, -2) } else { a.clone() };
    let right = if turned_b { b.swap_axes(-1, -2) } else { b.clone() };
    Some(BuiltOp { result: left.matmul(&right), by: vec![a, b] })
}

fn window(parts: &RowFields, size: &[usize], first: usize) -> Option<Window> {
    let (stride, pad): (usize, usize) = (parts.number(first)?, parts.number(first + 1)?);
    let axes = size.len();
    Some(Window { stride: vec![stride; axes], pad: vec![(pad, pad); axes], ..Window::new(size) })
}

fn convolution(parts: &RowFields, g: &GraphBuilder) -> Option<BuiltOp> {
    let filters = parts.list(0)?;
    let (outputs, size) = filters.split_last()?;
    let groups: usize = parts.number(3)?;
    let x = parts.x(g);
    let kernel = parts.operand(g, "w", &[size, &[*parts.dims.last()? / groups, *outputs]].concat());
    let result = x.conv(&kernel, window(parts, size, 1)?, groups);
    Some(BuiltOp { result, by: vec![x, kernel] })
}

fn transposed(parts: &RowFields, g: &GraphBuilder) -> Option<BuiltOp> {
    let filters = parts.list(0)?;
    let (outputs, size) = filters.split_last()?;
    let (stride, groups): (usize, usize) = (parts.number(1)?, parts.number(3)?);
    let (channels, spatial) = parts.dims.get(1..)?.split_last()?;
    let output: Vec<usize> = spatial.iter().map(|extent| extent * stride).collect();
    let x = parts.x(g);
    let kernel = parts.operand(g, "w", &[size, &[*outputs / groups, *channels]].concat());
    let result = x.conv_transpose(&kernel, window(parts, size, 1)?, groups, output);
    Some(BuiltOp { result, by: vec![x, kernel] })
}

fn pooling(parts: &RowFields, g: &GraphBuilder) -> Option<BuiltOp> {
    let window = window(parts, &parts.list(0)?, 1)?;
    let x = parts.x(g);
    let result = if parts.op == "max_pool" { x.max_pool(window) } else { x.avg_pool(window) };
    Some(BuiltOp { result, by: vec![x] })
}
