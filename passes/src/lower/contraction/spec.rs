//! Every contraction in one form: dimensions with a stride in each of the two factors and the result.

use crate::PassError;
use crate::lower::Lowering;
use ir::op::contraction::{Conv, ConvWeightGrad, Dot, QuadProduct};
use ir::{NodeId, Op, TensorType};

/// A dimension of the iteration space. A stride of 0 means that the tensor doesn't depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Dim {
    pub(super) extent: usize,
    pub(super) a: i64,
    pub(super) b: i64,
    pub(super) c: i64,
    /// The result's axis it runs along, where `c` is not 0.
    pub(super) axis: usize,
    /// How many steps of the reduction, in its whole extent, one iteration passes; 0 for the result's dimensions.
    pub(super) steps: usize,
}

impl Dim {
    /// A dimension of the left factor and the result.
    pub(super) fn row(extent: usize, a: i64, c: i64, axis: usize) -> Self {
        Self { extent, a, b: 0, c, axis, steps: 0 }
    }

    /// A dimension of the right factor and the result.
    pub(super) fn column(extent: usize, b: i64, c: i64, axis: usize) -> Self {
        Self { extent, a: 0, b, c, axis, steps: 0 }
    }

    /// A dimension of the reduction; [`BatchedMatmul::count_steps`] fills in `steps`.
    pub(super) fn reduced(extent: usize, a: i64, b: i64) -> Self {
        Self { extent, a, b, c: 0, axis: 0, steps: 0 }
    }
}

/// Where a part of the iteration space starts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct IterationOrigin {
    /// Offset in the left factor.
    pub(super) a: i64,
    /// Offset in the right factor.
    pub(super) b: i64,
    /// Steps of the whole reduction before it.
    pub(super) steps: usize,
    /// The first coordinate along each axis of the result; none if all are 0.
    pub(super) at: Vec<usize>,
}

/// `c[batch, m, n] = Σ_k a[batch, m, k] * b[batch, k, n]`, each group with any number of dimensions, outermost first.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct BatchedMatmul {
    pub(super) batch: Vec<Dim>,
    pub(super) m: Vec<Dim>,
    pub(super) n: Vec<Dim>,
    pub(super) k: Vec<Dim>,
    pub(super) origin: IterationOrigin,
}

fn strides(ty: &TensorType) -> Vec<i64> {
    ty.shape.strides().iter().map(|&s| s as i64).collect()
}

impl BatchedMatmul {
    /// The form of a contraction node, without regard to padding.
    pub(super) fn of(lowering: &Lowering<'_>, anchor: NodeId) -> Result<Self, PassError> {
        let graph = lowering.graph;
        let [a, b] = &factors(lowering, anchor)?;
        let c = graph.ty(anchor);
        let mut spec = match &numbers(graph.op(anchor)) {
            Op::Dot(op) => Self::dot(op, a, b, c),
            Op::Conv(op) => Self::conv(op, a, b, c),
            Op::ConvWeightGrad(op) if unpadded(&op.window.pad) => Self::weight_grad(op, a, b, c),
            op => return Err(lowering.defect(anchor, &format!("`{op}` should have been legalized"))),
        };
        spec.count_steps();
        Ok(spec)
    }

    pub(super) fn count_steps(&mut self) {
        let mut steps = 1;
        for dim in self.k.iter_mut().rev() {
            dim.steps = steps;
            steps *= dim.extent;
        }
    }

    fn dot(op: &Dot, a: &TensorType, b: &TensorType, c: &TensorType) -> Self {
        let (sa, sb, sc) = (strides(a), strides(b), strides(c));
        let mut spec = Self::default();
        let mut axis = 0;
        for &(l, r) in &op.batch {
            let (extent, a, b) = (a.shape[l], sa[l], sb[r]);
            spec.batch.push(Dim { extent, a, b, c: sc[axis], axis, steps: 0 });
            axis += 1;
        }
        for (l, &stride) in sa.iter().enumerate() {
            if !op.batch.iter().chain(&op.contract).any(|p| p.0 == l) {
                spec.m.push(Dim::row(a.shape[l], stride, sc[axis], axis));
                axis += 1;
            }
        }
        for (r, &stride) in sb.iter().enumerate() {
            if !op.batch.iter().chain(&op.contract).any(|p| p.1 == r) {
                spec.n.push(Dim::column(b.shape[r], stride, sc[axis], axis));
                axis += 1;
            }
        }
        for &(l, r) in &op.contract {
            spec.k.push(Dim::reduced(a.shape[l], sa[l], sb[r]));
        }
        spec
    }

    fn conv(op: &Conv, x: &TensorType, w: &TensorType, y: &TensorType) -> Self {
        let (sx, sw, sy) = (strides(x), strides(w), strides(y));
        let spatial = op.window.size.len();
        let (ci, co) = (w.shape[spatial], y.shape[spatial + 1] / op.groups);
        let channel = spatial + 1;
        let mut spec = Self::default();
        let (a, b, c) = (ci as i64, co as i64, co as i64);
        spec.batch.push(Dim { extent: op.groups, a, b, c, axis: channel, steps: 0 });
        spec.m.push(Dim::row(x.shape[0], sx[0], sy[0], 0));
        for d in 0..spatial {
            let a = sx[d + 1] * op.window.stride[d] as i64;
            spec.m.push(Dim::row(y.shape[d + 1], a, sy[d + 1], d + 1));
            let a = sx[d + 1] * op.window.dilation[d] as i64;
            spec.k.push(Dim::reduced(op.window.size[d], a, sw[d]));
        }
        spec.k.push(Dim::reduced(ci, 1, sw[spatial]));
        spec.n.push(Dim::column(co, 1, 1, channel));
        spec
    }

    fn weight_grad(op: &ConvWeightGrad, x: &TensorType, dy: &TensorType, w: &TensorType) -> Self {
        let (sx, sy, sw) = (strides(x), strides(dy), strides(w));
        let spatial = op.window.size.len();
        let (ci, co) = (w.shape[spatial], w.shape[spatial + 1] / op.groups);
        let mut spec = Self::default();
        let (a, b, c) = (ci as i64, co as i64, co as i64);
        spec.batch.push(Dim { extent: op.groups, a, b, c, axis: spatial + 1, steps: 0 });
        spec.k.push(Dim::reduced(x.shape[0], sx[0], sy[0]));
        for d in 0..spatial {
            let a = sx[d + 1] * op.window.stride[d] as i64;
            spec.k.push(Dim::reduced(dy.shape[d + 1], a, sy[d + 1]));
            let a = sx[d + 1] * op.window.dilation[d] as i64;
            spec.m.push(Dim::row(op.window.size[d], a, sw[d], d));
        }
        spec.m.push(Dim::row(ci, 1, sw[spatial], spatial));
        spec.n.push(Dim::column(co, 1, 1, spatial + 1));
        spec
    }

    /// Drops dimensions of one iteration and merges neighbouring dimensions that one stride can walk, in each tensor. Merged result axes
    /// must be in `mergeable`: what follows the contraction in the same kernel can't tell their coordinates apart any more.
    pub(super) fn collapse(&mut self, mergeable: impl Fn(usize) -> bool) {
        for dims in [&mut self.batch, &mut self.m, &mut self.n, &mut self.k] {
            dims.retain(|d| d.extent > 1);
            let mut merged: Vec<Dim> = vec![];
            for &dim in dims.iter() {
                if let Some(last) = merged.last_mut() {
                    let e = dim.extent as i64;
                    let in_tensors = last.a == dim.a * e && last.b == dim.b * e && last.c == dim.c * e;
                    let contiguous = in_tensors && last.steps == dim.steps * dim.extent;
                    let free = dim.c == 0 || (mergeable(last.axis) && mergeable(dim.axis));
                    if contiguous && free {
                        *last = Dim { extent: last.extent * dim.extent, ..dim };
                        continue;
                    }
                }
                merged.push(dim);
            }
            *dims = merged;
        }
    }

    /// The product of a group's extents.
    pub(super) fn size(dims: &[Dim]) -> usize {
        dims.iter().map(|d| d.extent).product()
    }
}

/// The types of the factors, as if each pair or quad in them were one number.
pub(super) fn factors(lowering: &Lowering<'_>, anchor: NodeId) -> Result<[TensorType; 2], PassError> {
    let graph = lowering.graph;
    let [a, b] = [0, 1].map(|i| graph.ty(graph.operands(anchor)[i]));
    match graph.op(anchor) {
        Op::QuadProduct(_) => QuadProduct::factors(a, b).map_err(|e| lowering.defect(anchor, &e.to_string())),
        _ => Ok([a.clone(), b.clone()]),
    }
}

/// A contraction as if each pair or quad in its factors were one number.
pub(super) fn numbers(op: &Op) -> Op {
    match op {
        Op::PairProduct(op) => op.contraction(),
        Op::QuadProduct(op) => op.contraction(),
        op => op.clone(),
    }
}

pub(super) fn unpadded(pad: &[(usize, usize)]) -> bool {
    pad.iter().all(|&(before, after)| before == 0 && after == 0)
}

/// Steps of the reduction in one iteration of its outermost dimension.
pub(super) fn inner_steps(spec: &BatchedMatmul) -> usize {
    spec.k.iter().skip(1).map(|d| d.extent).product()
}

/// All dimensions but the innermost, which tiles cut.
pub(super) fn outer(dims: &[Dim]) -> &[Dim] {
    &dims[..dims.len().saturating_sub(1)]
}
