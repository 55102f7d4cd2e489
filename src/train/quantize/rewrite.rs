//! Contractions of floats in a graph become contractions of bytes.

use super::calibrate::ActivationRange;
use super::setting;
use super::weights::{ByteKernel, KernelLayout, kernel_layout};
use crate::dsl::{StateRole, StateSpec, Step, zeros};
use crate::train::TrainError;
use ir::op::contraction::Conv;
use ir::op::elementwise::Cast;
use ir::op::movement::{Concat, Pad, Reshape, Slice};
use ir::op::source::State;
use ir::op::window::{Pool, PoolKind, Window};
use ir::{
    BuildError, BuildResult, Builder, DType, Graph, Loc, NodeId, Op, Scalar, ScalarOp, Shape, ShapeError, TensorType,
    Value,
};
use std::collections::BTreeMap;

/// A contraction that can be one of bytes.
pub(super) struct Site {
    node: NodeId,
    /// Its left factor.
    pub(super) x: NodeId,
    /// The name of its kernel.
    pub(super) kernel: String,
    /// Where the user put the layer.
    pub(super) loc: Option<Loc>,
}

/// All of them, in the order in which they are computed.
pub(super) fn sites(graph: &Graph) -> Vec<Site> {
    let site = |node: NodeId| {
        let &[x, w] = graph.operands(node) else { return None };
        let (Op::State(State { name, ty }), DType::F32) = (graph.op(w), graph.ty(x).dtype) else { return None };
        let fits = match graph.op(node) {
            Op::Dot(op) => {
                let last = graph.ty(x).shape.rank().checked_sub(1)?;
                op.batch.is_empty() && op.contract == [(last, 0)] && ty.shape.rank() == 2
            }
            Op::Conv(op) => op.groups == 1,
            _ => false,
        };
        let is_wide = ty.shape.last().is_some_and(|&columns| columns > 1);
        (fits && is_wide).then(|| Site { node, x, kernel: name.clone(), loc: graph.loc(node).cloned() })
    };
    graph.topological().into_iter().filter_map(site).collect()
}

/// The step with those contractions in bytes. `old` has the values of its states; those of new states are put into `new`.
pub(super) fn rewritten(
    step: &Step,
    ranges: &[ActivationRange],
    old: &BTreeMap<String, Value>,
    new: &mut BTreeMap<String, Value>,
) -> Result<Step, TrainError> {
    let mut graph = step.graph.clone();
    for (number, (site, range)) in sites(&step.graph).iter().zip(ranges).enumerate() {
        let missing = || setting(&format!("the state `{}` has no value", site.kernel));
        let kernel = old.get(&site.kernel).ok_or_else(missing)?;
        let layout = kernel_layout(graph.op(site.node), kernel.ty());
        let Some(bytes) = ByteKernel::of(kernel, layout, *range) else {
            return Err(setting(&format!("`{}` holds numbers that aren't finite", site.kernel)));
        };
        let names = StateNames { kernel: format!("{}/bytes", site.kernel), site: number };
        let built = replace(&mut graph, site, *range, (&bytes, &names));
        built.map_err(|e| TrainError::Setting(e.to_string()))?;
        new.extend(names.with(bytes));
    }
    graph.sweep();
    Ok(with_graph(step, graph))
}

/// A step of another graph, whose states are those of the step, or new ones.
pub(super) fn with_graph(step: &Step, graph: Graph) -> Step {
    let spec = |(_, state): (NodeId, &State)| match step.state(&state.name) {
        Some(spec) => spec.clone(),
        None => StateSpec { name: state.name.clone(), ty: state.ty.clone(), init: zeros(), role: StateRole::Buffer },
    };
    let states = graph.states().map(spec).collect();
    Step { graph, states, layers: vec![] }
}

/// What the states of a contraction in bytes are called.
struct StateNames {
    kernel: String,
    site: usize,
}

impl StateNames {
    /// Of the scales of its sums. They depend on the range of the left factor, too: a layer that is applied twice has two.
    fn scale(&self) -> String {
        format!("{}/scale/{}", self.kernel, self.site)
    }

    /// Of what is added to scaled sums.
    fn offset(&self) -> String {
        format!("{}/offset/{}", self.kernel, self.site)
    }

    fn with(&self, kernel: ByteKernel) -> [(String, Value); 3] {
        [(self.kernel.clone(), kernel.bytes), (self.scale(), kernel.scale), (self.offset(), kernel.offset)]
    }
}

/// A state, which may be there already.
fn state(build: &mut Builder<'_>, name: String, ty: &TensorType) -> BuildResult {
    let known = build.graph().states().find(|(_, state)| state.name == name).map(|(node, _)| node);
    known.map_or_else(|| build.add(Op::State(State { name, ty: ty.clone() }), &[]), Ok)
}

/// Puts the contraction in bytes in the place of a site.
fn replace(
    graph: &mut Graph,
    site: &Site,
    range: ActivationRange,
    (kernel, names): (&ByteKernel, &StateNames),
) -> Result<(), BuildError> {
    let (op, weights) = (graph.op(site.node).clone(), graph.operands(site.node)[1]);
    // Not the site's: where nothing stands between two contractions, that was the first one, which is gone.
    let x = graph.operands(site.node)[0];
    let result = graph.ty(site.node).clone();
    let mut build = Builder::new(graph, site.loc.clone());
    let x = quantized(&mut build, x, site.node, range)?;
    let bytes = state(&mut build, names.kernel.clone(), kernel.bytes.ty())?;
    let (op, x) = match op {
        Op::Conv(op) => image(&mut build, op, x, range.zero, &kernel.layout)?,
        op => (op, filled(&mut build, x, range.zero)?),
    };
    let w = in_order(&mut build, bytes)?;
    let [x, w] = [build.cast(x, DType::I32)?, build.cast(w, DType::I32)?];
    let sums = build.add(op, &[x, w])?;
    let floats = build.cast(sums, DType::F32)?;
    let last = [result.shape.rank() - 1];
    let [scale, offset] = [(names.scale(), &kernel.scale), (names.offset(), &kernel.offset)]
        .map(|(name, value)| (name, value.ty().clone()));
    let scale = state(&mut build, scale.0, &scale.1)?;
    let scale = build.broadcast(scale, result.shape.clone(), &last)?;
    let mut y = build.binary(ScalarOp::MUL, floats, scale)?;
    if range.zero != 0 {
        let offset = state(&mut build, offset.0, &offset.1)?;
        let offset = build.broadcast(offset, result.shape.clone(), &last)?;
        y = build.binary(ScalarOp::ADD, y, offset)?;
    }
    graph.replace_uses(site.node, y);
    graph.remove(site.node);
    // The last use of a kernel takes it along: states stay otherwise.
    if !graph.has_users(weights) && !graph.is_result(weights) {
        graph.remove(weights);
    }
    Ok(())
}

/// A tensor in bytes. What keeps the order of its elements and nothing else reads is done in bytes, too: a pooling reads a quarter then.
fn quantized(build: &mut Builder<'_>, x: NodeId, user: NodeId, range: ActivationRange) -> BuildResult {
    let mut moves = vec![];
    let (mut node, mut user) = (x, user);
    loop {
        let graph = build.graph();
        let is_maximum = |pool: &Pool| pool.kind == PoolKind::Max && pool.window.pad.iter().all(|&pad| pad == (0, 0));
        let follows = match graph.op(node) {
            Op::Reshape(_) => true,
            Op::Pool(pool) => is_maximum(pool),
            _ => false,
        };
        if !follows || graph.is_result(node) || graph.users(node) != [user] {
            break;
        }
        moves.push(graph.op(node).clone());
        (user, node) = (node, graph.operands(node)[0]);
    }
    let scaled = build.full_like(node, f64::from(range.scale.recip()))?;
    let mut y = build.binary(ScalarOp::MUL, node, scaled)?;
    if range.zero != 0 {
        let zero = build.full_like(node, f64::from(range.zero))?;
        y = build.binary(ScalarOp::ADD, y, zero)?;
    }
    y = build.unary(ScalarOp::ROUND, y)?;
    y = build.add(Op::Cast(Cast { dtype: DType::U8 }), &[y])?;
    moves.into_iter().rev().try_fold(y, |y, op| build.add(op, &[y]))
}

/// A convolution's image as its kernel takes it, and what it then is. Taps along the last axis become channels where images have so few that most of a quad would be zeros.
fn image(
    build: &mut Builder<'_>,
    op: Conv,
    x: NodeId,
    zero: u8,
    layout: &KernelLayout,
) -> Result<(Op, NodeId), BuildError> {
    let mut window = op.window;
    let along = window.rank() - 1;
    let mut x = x;
    if zero != 0 || layout.folds {
        x = padded(build, x, &window, zero)?;
        window.pad.iter_mut().for_each(|pad| *pad = (0, 0));
    }
    if layout.folds {
        let dims = build.ty(x).shape.dims().to_vec();
        let (stride, dilation) = (window.stride[along], window.dilation[along]);
        let places = (dims[along + 1] - (window.size[along] - 1) * dilation - 1) / stride + 1;
        let mut taps = vec![];
        for tap in 0..window.size[along] {
            let (mut start, mut limit, mut step) = (vec![0; dims.len()], dims.clone(), vec![1; dims.len()]);
            start[along + 1] = tap * dilation;
            limit[along + 1] = tap * dilation + (places - 1) * stride + 1;
            step[along + 1] = stride;
            taps.push(build.add(Op::Slice(Slice { start, limit, stride: step }), &[x])?);
        }
        x = build.add(Op::Concat(Concat { axis: dims.len() - 1 }), &taps)?;
        (window.size[along], window.stride[along], window.dilation[along]) = (1, 1, 1);
    }
    let x = filled(build, x, zero)?;
    Ok((Op::Conv(Conv { window, groups: 1 }), x))
}

/// An image with its border, whose bytes stand for 0.
fn padded(build: &mut Builder<'_>, x: NodeId, window: &Window, zero: u8) -> BuildResult {
    if window.pad.iter().all(|&pad| pad == (0, 0)) {
        return Ok(x);
    }
    let side =
        |f: fn(&(usize, usize)) -> usize| [&[0][..], &window.pad.iter().map(f).collect::<Vec<_>>(), &[0]].concat();
    let (low, high) = (side(|pad| pad.0), side(|pad| pad.1));
    let interior = vec![0; low.len()];
    build.add(Op::Pad(Pad { value: Scalar::U8(zero), low, high, interior }), &[x])
}

/// As many more along the last axis as make a multiple of four; the kernel has zeros there.
fn filled(build: &mut Builder<'_>, x: NodeId, zero: u8) -> BuildResult {
    let dims = build.ty(x).shape.dims().to_vec();
    let last = dims.len() - 1;
    let missing = dims[last].next_multiple_of(4) - dims[last];
    if missing == 0 {
        return Ok(x);
    }
    let none = vec![0; dims.len()];
    let mut high = none.clone();
    high[last] = missing;
    build.add(Op::Pad(Pad { value: Scalar::U8(zero), low: none.clone(), high, interior: none }), &[x])
}

/// The stored kernel, four steps of a column side by side, in the order that a contraction takes: `[..., in, out]`.
fn in_order(build: &mut Builder<'_>, kernel: NodeId) -> BuildResult {
    let dims = build.ty(kernel).shape.dims().to_vec();
    let spatial = dims.len() - 3;
    let order: Vec<usize> = (0..=spatial).chain([spatial + 2, spatial + 1]).collect();
    let turned = build.permute(kernel, &order)?;
    let mut whole = dims[..spatial].to_vec();
    whole.extend([dims[spatial] * 4, dims[spatial + 1]]);
    let refused = |e: ShapeError| BuildError { op: "reshape".into(), operands: vec![], rule: e.into(), loc: None };
    let shape = Shape::new(whole).map_err(refused)?;
    build.add(Op::Reshape(Reshape { shape }), &[turned])
}
