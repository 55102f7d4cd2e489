//! Packing of the right factor: panels of the tile's width, each with one row per step of the reduction.

use super::spec::{BatchedMatmul, Dim};
use crate::PassError;
use crate::lower::Lowering;
use crate::lower::cx::KernelCx;
use crate::lower::expr::ValueEmitter;
use crate::lower::subview::Subview;
use crate::lower::tile::TileRun;
use ir::{DType, Graph, NodeId, Op};
use kernel::{Access, Affine, BufferId, Expr, Micro, Target};

/// Elements of a cache line of `f32`.
const LINE: usize = 16;
/// Fewer rows than this don't pay for a copy of a factor that is contiguous along its columns.
const MIN_ROWS: usize = 48;

/// A packed right factor, from its first packed column on. Element (outer, k, column j of the panel that starts at column c of width w) stands at
/// `outer + (c - first) * depth + k * w + j`, in quads if the factors are of those; the length counts elements.
pub(super) struct PackedFactor {
    pub(super) buffer: BufferId,
    pub(super) len: usize,
    /// Steps of the whole reduction.
    pub(super) depth: usize,
    first: usize,
    outer: Vec<(Dim, i64)>,
}

impl PackedFactor {
    /// The index of column 0, were it packed.
    pub(super) fn origin(&self) -> i64 {
        -((self.first * self.depth) as i64)
    }

    /// What one step along an outer dimension adds to the packed index; 0 for dimensions that the factor doesn't have.
    pub(super) fn outer_stride(&self, dim: &Dim) -> i64 {
        self.outer.iter().find(|(d, _)| d == dim).map_or(0, |(_, stride)| *stride)
    }
}

/// The node whose elements are in memory as a contraction's right factor: that, or the 16-bit floats that it is `f32` of, which are converted where they are packed.
pub(super) fn in_memory(graph: &Graph, anchor: NodeId) -> NodeId {
    let factor = graph.operands(anchor)[1];
    match (graph.op(factor), graph.operands(factor)) {
        (Op::Cast(_), &[half]) if graph.cluster(factor).is_none() => half,
        _ => factor,
    }
}

/// Whether a right factor is better copied into panels of these widths than read in place: if it isn't contiguous along its columns, or it is
/// read often, larger than what the caches keep anyway, and not one panel as it stands.
pub(super) fn is_worth_it(spec: &BatchedMatmul, columns: &[TileRun], dtype: DType, target: &Target) -> bool {
    let Some(column) = spec.n.last() else { return false };
    if column.b != 1 {
        return true;
    }
    let bytes = BatchedMatmul::size(&spec.k) * column.extent * dtype.size_bytes();
    let reused = BatchedMatmul::size(&spec.batch) * BatchedMatmul::size(&spec.m) >= MIN_ROWS;
    let is_panel =
        matches!(columns, [run] if run.count == 1) && spec.k.last().is_none_or(|d| d.b <= 2 * column.extent as i64);
    let stays = is_panel || bytes <= target.caches().l1_bytes / 2 || stays_in_l2(spec, dtype, target);
    reused && !stays
}

/// Whether both factors and the result stay in the second-level cache together, and the right one is stored without gaps: then its rows come fast
/// enough in place. A copy would be made by one thread and read by the others, from that one's cache.
fn stays_in_l2(spec: &BatchedMatmul, dtype: DType, target: &Target) -> bool {
    let [rows, columns, steps] = [&spec.m, &spec.n, &spec.k].map(|dims| BatchedMatmul::size(dims));
    let elements = rows * steps + steps * columns + rows * columns;
    let dense = spec.k.last().is_none_or(|d| d.b <= columns as i64);
    let batches = BatchedMatmul::size(&spec.batch);
    dense && batches * elements * dtype.size_bytes() <= target.caches().l2_bytes
}

/// Whether each thread better packs the panels of a width that it is about to use, a block of `steps` at a time, than all of them are packed before: where a
/// panel is read along its columns, where the cache has the right factor, and where that is so large that what is packed would go to memory and come back.
/// There the cache must keep the block beside the left factor's part of it: all rows are gone down for one panel at a time, rather than for several. So it must
/// where rows have several dimensions, which would be loops around the panels otherwise.
pub(super) fn is_own(spec: &BatchedMatmul, (steps, width): (usize, usize), dtype: DType, target: &Target) -> bool {
    let Some(column) = spec.n.last() else { return false };
    let bytes = |elements: usize| elements * dtype.size_bytes();
    let (right, block) =
        (bytes(BatchedMatmul::size(&spec.k) * column.extent), bytes((BatchedMatmul::size(&spec.m) + width) * steps));
    let keeps = right > target.caches().l2_bytes && block <= target.caches().l2_bytes / 8 * 5;
    keeps || (spec.m.len() < 2 && (column.b != 1 || right <= target.caches().l2_bytes / 4))
}

/// Emits the kernels that pack the panels of these columns.
pub(super) fn pack(
    lowering: &mut Lowering<'_>,
    cluster: u32,
    anchor: NodeId,
    spec: &BatchedMatmul,
    columns: &[TileRun],
) -> Result<Option<PackedFactor>, PassError> {
    let ([first, ..], [.., last], false) = (columns, columns, spec.n.is_empty()) else { return Ok(None) };
    let packed_columns = last.start + last.count * last.size - first.start;
    let dtype = lowering.graph.ty(lowering.graph.operands(anchor)[1]).dtype;
    let depth = BatchedMatmul::size(&spec.k);
    let of_factor = spec.batch.iter().filter(|d| d.b != 0);
    let dims: Vec<Dim> = of_factor.chain(&spec.n[..spec.n.len() - 1]).copied().collect();
    let mut stride = (depth * packed_columns) as i64;
    let mut outer: Vec<(Dim, i64)> = vec![];
    for &dim in dims.iter().rev() {
        outer.push((dim, stride));
        stride *= dim.extent as i64;
    }
    outer.reverse();
    let len = stride as usize * Micro::step_elements(dtype) as usize;
    let packed = PackedFactor { buffer: lowering.temp(dtype, len), len, depth, first: first.start, outer };
    for &run in columns {
        emit(lowering, cluster, anchor, spec, &packed, run)?;
    }
    Ok(Some(packed))
}

/// One kernel for the panels of one width.
fn emit(
    lowering: &mut Lowering<'_>,
    cluster: u32,
    anchor: NodeId,
    spec: &BatchedMatmul,
    packed: &PackedFactor,
    run: TileRun,
) -> Result<(), PassError> {
    let dtype = lowering.graph.ty(lowering.graph.operands(anchor)[1]).dtype;
    let factor = in_memory(lowering.graph, anchor);
    let ty = lowering.graph.ty(factor).clone();
    let buffer = lowering.operand_buffer(factor)?;
    let converted = (ty.dtype != dtype).then_some(dtype);
    let column = spec.n[spec.n.len() - 1];
    let mut emit = ValueEmitter::new(lowering, Some(cluster));
    let (mut from, mut to) = (Affine::constant(spec.origin.b), Affine::constant(packed.origin()));
    for (dim, stride) in &packed.outer {
        let var = emit.cx.open(dim.extent);
        from = from.plus_term(var, dim.b);
        to = to.plus_term(var, *stride);
    }
    emit.cx.floor = 1;
    let source = emit.cx.param(buffer, ty.dtype, ty.shape.numel(), Access::Read);
    let target = emit.cx.param(packed.buffer, dtype, packed.len, Access::Write);
    let panel = |emit: &mut ValueEmitter<'_, '_>, from: &mut Affine, to: &mut Affine| {
        let panel = emit.cx.open(run.count);
        let first = Affine::term(panel, run.size as i64).plus(run.start as i64);
        *from = from.add(&first.scale(column.b));
        *to = to.add(&first.scale(packed.depth as i64));
    };
    if column.b == 1 {
        // Whole rows, of which each panel gets its piece.
        for (dim, stride) in spec.k.iter().zip(row_strides(&spec.k, run.size)) {
            let var = emit.cx.open(dim.extent);
            (from, to) = (from.plus_term(var, dim.b), to.plus_term(var, stride));
        }
        panel(&mut emit, &mut from, &mut to);
        // Quads are copied as so many columns of a byte.
        let elements = Micro::step_elements(dtype);
        let from = Subview { buf: source, offset: from.scale(elements) };
        let to = Subview { buf: target, offset: to.scale(elements) };
        let width = run.size * elements as usize;
        copy_columns(&mut emit.cx, &from, &to, PanelColumns { width, step: 1, to: converted }, &[(0, 0)]);
    } else {
        panel(&mut emit, &mut from, &mut to);
        let (from, to) = (Subview { buf: source, offset: from }, Subview { buf: target, offset: to });
        copy(&mut emit.cx, from, to, &spec.k, PanelColumns { width: run.size, step: column.b, to: converted });
    }
    emit.finish("pack".into());
    Ok(())
}

/// The columns of a panel, and how far one is from the next in the factor.
#[derive(Clone, Copy)]
pub(super) struct PanelColumns {
    pub(super) width: usize,
    pub(super) step: i64,
    /// The type that elements are converted to, if it isn't that of the factor in memory.
    pub(super) to: Option<DType>,
}

/// Loops that copy a block of the right factor into a panel: the steps of `dims`, whose first may be a part of the reduction's.
pub(super) fn copy(cx: &mut KernelCx, mut from: Subview, mut to: Subview, dims: &[Dim], columns: PanelColumns) {
    let width = columns.width;
    let depth = cx.depth();
    let strides = row_strides(dims, width);
    let (outer, along) = match dims.split_last() {
        Some((last, outer)) if columns.step != 1 && last.b == 1 => (outer, Some(*last)),
        _ => (dims, None),
    };
    for (dim, &stride) in outer.iter().zip(&strides) {
        let var = cx.open(dim.extent);
        from.offset = from.offset.plus_term(var, dim.b);
        to.offset = to.offset.plus_term(var, stride);
    }
    let Some(dim) = along else {
        copy_columns(cx, &from, &to, columns, &[(0, 0)]);
        return cx.close_to(depth);
    };
    // Columns are contiguous along the reduction: a cache line of one after the other, so that no line is fetched twice.
    let (lines, rest) = (dim.extent / LINE, dim.extent % LINE);
    let steps = |count: usize| (0..count as i64).map(|s| (s, s * width as i64)).collect::<Vec<_>>();
    let inside = cx.depth();
    if lines > 0 {
        let line = cx.open(lines);
        let (mut from, mut to) = (from.clone(), to.clone());
        from.offset = from.offset.plus_term(line, LINE as i64);
        to.offset = to.offset.plus_term(line, (LINE * width) as i64);
        copy_columns(cx, &from, &to, columns, &steps(LINE));
        cx.close_to(inside);
    }
    if rest > 0 {
        let done = (lines * LINE) as i64;
        from.offset = from.offset.plus(done);
        to.offset = to.offset.plus(done * width as i64);
        copy_columns(cx, &from, &to, columns, &steps(rest));
    }
    cx.close_to(depth);
}

/// A loop over columns that copies some elements of each, at these distances from the first in both buffers.
fn copy_columns(cx: &mut KernelCx, from: &Subview, to: &Subview, columns: PanelColumns, elements: &[(i64, i64)]) {
    let column = cx.open(columns.width);
    let first = (from.offset.clone().plus_term(column, columns.step), to.offset.clone().plus_term(column, 1));
    for &(source_at, target_at) in elements {
        let value = cx.load(from.buf, &first.0.clone().plus(source_at)).expr;
        let value = match columns.to {
            Some(dtype) => Expr::Cast(dtype, Box::new(value)),
            None => value,
        };
        cx.store(to.buf, &first.1.clone().plus(target_at), value);
    }
}

/// What one iteration of each reduction dimension adds to an index in a panel of that width.
pub(super) fn row_strides(dims: &[Dim], width: usize) -> Vec<i64> {
    dims.iter().map(|d| (d.steps * width) as i64).collect()
}
