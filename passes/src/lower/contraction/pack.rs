//! Packing of the right factor: panels of the tile's width, each with one row per step of the reduction.

use super::spec::{Dim, Spec};
use crate::PassError;
use crate::lower::Lowering;
use crate::lower::expr::Emit;
use crate::lower::tile::{Run, Tiling};
use ir::NodeId;
use kernel::{Access, Affine, BufferId};

/// Fewer rows than this don't pay for a copy of a factor that is contiguous along its columns.
const MIN_ROWS: usize = 48;

/// A packed right factor. Element (outer, k, column j of the panel that starts at column c of width w) stands at
/// `outer + c * depth + k * w + j`.
pub(super) struct Packed {
    pub(super) buffer: BufferId,
    pub(super) len: usize,
    /// Steps of the whole reduction.
    pub(super) depth: usize,
    outer: Vec<(Dim, i64)>,
}

impl Packed {
    /// What one step along an outer dimension adds to the packed index; 0 for dimensions that the factor doesn't have.
    pub(super) fn outer_stride(&self, dim: &Dim) -> i64 {
        self.outer.iter().find(|(d, _)| d == dim).map_or(0, |(_, stride)| *stride)
    }
}

/// Emits the kernels that pack the right factor, if reading it in place is impossible or slower.
pub(super) fn pack_if_worth_it(
    lowering: &mut Lowering<'_>,
    cluster: u32,
    anchor: NodeId,
    spec: &Spec,
    tiling: &Tiling,
) -> Result<Option<Packed>, PassError> {
    let Some(column) = spec.n.last() else { return Ok(None) };
    let dtype = lowering.graph.ty(anchor).dtype;
    let depth = Spec::size(&spec.k);
    let bytes = depth * column.extent * dtype.size_bytes();
    let reused = Spec::size(&spec.m) >= MIN_ROWS;
    let small = bytes <= lowering.target.l1_bytes / 2;
    if column.b == 1 && (!reused || small) {
        return Ok(None);
    }
    let dims: Vec<Dim> = spec.batch.iter().chain(&spec.n[..spec.n.len() - 1]).copied().collect();
    let mut stride = (depth * column.extent) as i64;
    let mut outer: Vec<(Dim, i64)> = vec![];
    for &dim in dims.iter().rev() {
        outer.push((dim, stride));
        stride *= dim.extent as i64;
    }
    outer.reverse();
    let len = stride as usize;
    let packed = Packed { buffer: lowering.temp(dtype, len), len, depth, outer };
    for &run in &tiling.columns {
        emit(lowering, cluster, anchor, spec, &packed, run)?;
    }
    Ok(Some(packed))
}

/// One kernel for the panels of one width.
fn emit(
    lowering: &mut Lowering<'_>,
    cluster: u32,
    anchor: NodeId,
    spec: &Spec,
    packed: &Packed,
    run: Run,
) -> Result<(), PassError> {
    let operand = lowering.graph.operands(anchor)[1];
    let ty = lowering.graph.ty(operand).clone();
    let buffer = lowering.operand_buffer(operand)?;
    let column = spec.n[spec.n.len() - 1];
    let mut emit = Emit::new(lowering, Some(cluster));
    let (mut from, mut to) = (Affine::default(), Affine::default());
    for (dim, stride) in &packed.outer {
        let var = emit.cx.open(dim.extent);
        from = from.plus_term(var, dim.b);
        to = to.plus_term(var, *stride);
    }
    let panel = emit.cx.open(run.count);
    let first = Affine::term(panel, run.size as i64).plus(run.start as i64);
    from = from.add(&first.scale(column.b));
    to = to.add(&first.scale(packed.depth as i64));
    emit.cx.floor = 1;
    let mut step = (packed.depth * run.size) as i64;
    for dim in &spec.k {
        let var = emit.cx.open(dim.extent);
        step /= dim.extent as i64;
        from = from.plus_term(var, dim.b);
        to = to.plus_term(var, step);
    }
    let j = emit.cx.open(run.size);
    from = from.plus_term(j, column.b);
    to = to.plus_term(j, 1);
    let source = emit.cx.param(buffer, ty.dtype, ty.shape.numel(), Access::Read);
    let value = emit.cx.load(source, &from);
    let target = emit.cx.param(packed.buffer, ty.dtype, packed.len, Access::Write);
    emit.cx.store(target, &to, value.expr);
    emit.finish("pack".into());
    Ok(())
}
