//! Every contraction in one form: dimensions with a stride in each of the two factors and the result.

use crate::PassError;
use crate::lower::Lowering;
use ir::op::contraction::{Conv, ConvWeightGrad, Dot};
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
}

/// `c[batch, m, n] = Σ_k a[batch, m, k] * b[batch, k, n]`, each group with any number of dimensions, outermost first.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Spec {
    pub(super) batch: Vec<Dim>,
    pub(super) m: Vec<Dim>,
    pub(super) n: Vec<Dim>,
    pub(super) k: Vec<Dim>,
}

fn strides(ty: &TensorType) -> Vec<i64> {
    ty.shape.strides().iter().map(|&s| s as i64).collect()
}

impl Spec {
    /// The form of a contraction node.
    pub(super) fn of(lowering: &Lowering<'_>, anchor: NodeId) -> Result<Self, PassError> {
        let graph = lowering.graph;
        let [a, b] = [0, 1].map(|i| graph.ty(graph.operands(anchor)[i]));
        let c = graph.ty(anchor);
        let mut spec = match graph.op(anchor) {
            Op::Dot(op) => Self::dot(op, a, b, c),
            Op::Conv(op) if unpadded(&op.window.pad) => Self::conv(op, a, b, c),
            Op::ConvWeightGrad(op) if unpadded(&op.window.pad) => Self::weight_grad(op, a, b, c),
            op => return Err(lowering.defect(anchor, &format!("`{op}` should have been legalized"))),
        };
        for dims in [&mut spec.batch, &mut spec.m, &mut spec.n, &mut spec.k] {
            dims.retain(|d| d.extent > 1);
        }
        Ok(spec)
    }

    fn dot(op: &Dot, a: &TensorType, b: &TensorType, c: &TensorType) -> Self {
        let (sa, sb, sc) = (strides(a), strides(b), strides(c));
        let mut spec = Self::default();
        let mut axis = 0;
        for &(l, r) in &op.batch {
            spec.batch.push(Dim { extent: a.shape[l], a: sa[l], b: sb[r], c: sc[axis], axis });
            axis += 1;
        }
        for (l, &stride) in sa.iter().enumerate() {
            if !op.batch.iter().chain(&op.contract).any(|p| p.0 == l) {
                spec.m.push(Dim { extent: a.shape[l], a: stride, b: 0, c: sc[axis], axis });
                axis += 1;
            }
        }
        for (r, &stride) in sb.iter().enumerate() {
            if !op.batch.iter().chain(&op.contract).any(|p| p.1 == r) {
                spec.n.push(Dim { extent: b.shape[r], a: 0, b: stride, c: sc[axis], axis });
                axis += 1;
            }
        }
        for &(l, r) in &op.contract {
            spec.k.push(Dim { extent: a.shape[l], a: sa[l], b: sb[r], c: 0, axis: 0 });
        }
        spec
    }

    fn conv(op: &Conv, x: &TensorType, w: &TensorType, y: &TensorType) -> Self {
        let (sx, sw, sy) = (strides(x), strides(w), strides(y));
        let spatial = op.window.size.len();
        let (ci, co) = (w.shape[spatial], y.shape[spatial + 1] / op.groups);
        let channel = spatial + 1;
        let mut spec = Self::default();
        spec.batch.push(Dim { extent: op.groups, a: ci as i64, b: co as i64, c: co as i64, axis: channel });
        spec.m.push(Dim { extent: x.shape[0], a: sx[0], b: 0, c: sy[0], axis: 0 });
        for d in 0..spatial {
            let a = sx[d + 1] * op.window.stride[d] as i64;
            spec.m.push(Dim { extent: y.shape[d + 1], a, b: 0, c: sy[d + 1], axis: d + 1 });
            let a = sx[d + 1] * op.window.dilation[d] as i64;
            spec.k.push(Dim { extent: op.window.size[d], a, b: sw[d], c: 0, axis: 0 });
        }
        spec.k.push(Dim { extent: ci, a: 1, b: sw[spatial], c: 0, axis: 0 });
        spec.n.push(Dim { extent: co, a: 0, b: 1, c: 1, axis: channel });
        spec
    }

    fn weight_grad(op: &ConvWeightGrad, x: &TensorType, dy: &TensorType, w: &TensorType) -> Self {
        let (sx, sy, sw) = (strides(x), strides(dy), strides(w));
        let spatial = op.window.size.len();
        let (ci, co) = (w.shape[spatial], w.shape[spatial + 1] / op.groups);
        let mut spec = Self::default();
        spec.batch.push(Dim { extent: op.groups, a: ci as i64, b: co as i64, c: co as i64, axis: spatial + 1 });
        spec.k.push(Dim { extent: x.shape[0], a: sx[0], b: sy[0], c: 0, axis: 0 });
        for d in 0..spatial {
            let a = sx[d + 1] * op.window.stride[d] as i64;
            spec.k.push(Dim { extent: dy.shape[d + 1], a, b: sy[d + 1], c: 0, axis: 0 });
            let a = sx[d + 1] * op.window.dilation[d] as i64;
            spec.m.push(Dim { extent: op.window.size[d], a, b: 0, c: sw[d], axis: d });
        }
        spec.m.push(Dim { extent: ci, a: 1, b: 0, c: sw[spatial], axis: spatial });
        spec.n.push(Dim { extent: co, a: 0, b: 1, c: 1, axis: spatial + 1 });
        spec
    }

    /// Merges neighbouring dimensions that one stride can walk, in each tensor. Merged result axes must be in `mergeable`: what
    /// follows the contraction in the same kernel can't tell their coordinates apart any more.
    pub(super) fn collapse(&mut self, mergeable: impl Fn(usize) -> bool) {
        for dims in [&mut self.batch, &mut self.m, &mut self.n, &mut self.k] {
            let mut merged: Vec<Dim> = vec![];
            for &dim in dims.iter() {
                if let Some(last) = merged.last_mut() {
                    let e = dim.extent as i64;
                    let contiguous = last.a == dim.a * e && last.b == dim.b * e && last.c == dim.c * e;
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

fn unpadded(pad: &[(usize, usize)]) -> bool {
    pad.iter().all(|&(before, after)| before == 0 && after == 0)
}
