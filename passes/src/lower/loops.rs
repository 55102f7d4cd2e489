//! Loop clusters: elementwise ops, movement and reductions over one iteration space.
//!
//! The space is the shape that reductions read (or, without any, the results' shape). Axes that are not reduced are the outer loops.
//! Inside them the reduced axes are walked once per stage: stage 0 computes what needs no reduction, stage `n + 1` what needs the
//! results of stage `n`, as in softmax or layer norm. What a later stage needs of a costly value stays in a scratch row.

use super::cx::{Placed, flatten};
use super::expr::{NodeValues, ValueEmitter};
use super::lowering::Lowering;
use super::{random, split, work};
use crate::PassError;
use crate::fuse::cluster::{outputs, through_inlined};
use ir::scalar::Cost;
use ir::{NodeId, Op, Shape};
use kernel::{Access, Affine, BufRef, Expr, Reg, Stmt};
use std::collections::BTreeMap;

/// The largest scratch row, in elements: what fits the first-level cache beside its inputs.
const MAX_ROW: usize = 16 << 10;

/// Parts of the outermost loop with fewer elements, together, are one kernel.
const MIN_SHARED: usize = 16 << 10;

/// The iteration space of a cluster.
struct Space {
    shape: Shape,
    reduced: Vec<usize>,
}

impl Space {
    fn outer(&self) -> Vec<usize> {
        (0..self.shape.rank()).filter(|a| !self.reduced.contains(a)).collect()
    }

    fn extents(&self, axes: &[usize]) -> Vec<usize> {
        axes.iter().map(|&a| self.shape[a]).collect()
    }
}

/// Nodes of a loop cluster and when they are known.
struct LoopPlan {
    space: Space,
    stage: BTreeMap<NodeId, usize>,
    reduces: Vec<NodeId>,
    full: Vec<NodeId>,
    outer: Vec<NodeId>,
    /// Elements of the rows that are taken by index.
    taken: Vec<NodeId>,
}

impl LoopPlan {
    fn new(lowering: &Lowering<'_>, cluster: u32, nodes: &[NodeId]) -> Self {
        let graph = lowering.graph;
        let reduces: Vec<NodeId> = nodes.iter().copied().filter(|&n| matches!(graph.op(n), Op::Reduce(_))).collect();
        let results = outputs(graph, cluster, nodes);
        let space = match reduces.first() {
            Some(&first) => {
                let Op::Reduce(op) = graph.op(first) else { unreachable!("filtered above") };
                Space { shape: graph.ty(graph.operands(first)[0]).shape.clone(), reduced: op.axes.clone() }
            }
            None => Space { shape: graph.ty(results[0]).shape.clone(), reduced: vec![] },
        };
        let (full, outer) =
            results.into_iter().partition(|&n| graph.ty(n).shape == space.shape && !reduces.contains(&n));
        let mut plan = Self { space, stage: BTreeMap::new(), reduces, full, outer, taken: vec![] };
        for &node in nodes {
            plan.find_stage(lowering, cluster, node);
        }
        let one = |n: &NodeId| graph.ty(*n).shape[..] == plan.space.extents(&plan.space.outer())[..];
        let taken = |n: &NodeId| matches!(graph.op(*n), Op::TakeAlongAxis(_)) && plan.stage[n] == 0 && one(n);
        plan.taken = nodes.iter().copied().filter(|n| !plan.space.reduced.is_empty() && taken(n)).collect();
        plan
    }

    /// Finds how many reductions of the cluster stand before a node, in a row, and before all that it is computed from here.
    fn find_stage(&mut self, lowering: &Lowering<'_>, cluster: u32, node: NodeId) {
        let graph = lowering.graph;
        let mut stack = vec![node];
        while let Some(&at) = stack.last() {
            let inside = graph.cluster(at) == Some(cluster);
            let loaded = !inside && lowering.buffer_of(at).is_some();
            let operands = if loaded { &[][..] } else { graph.operands(at) };
            let waiting = stack.len();
            stack.extend(operands.iter().filter(|o| !self.stage.contains_key(o)));
            if stack.len() == waiting {
                let before = operands.iter().map(|o| self.stage[o]).max().unwrap_or(0);
                let folds = inside && matches!(graph.op(at), Op::Reduce(_));
                self.stage.insert(at, before + usize::from(folds));
                stack.pop();
            }
        }
    }

    /// What the loop along an axis is cut to, given the ranges of all axes.
    fn parts(
        &self,
        lowering: &Lowering<'_>,
        cluster: u32,
        axis: usize,
        ranges: &[(usize, usize)],
    ) -> Vec<(usize, usize)> {
        let computed: Vec<NodeId> = self.full.iter().chain(&self.outer).chain(&self.reduces).copied().collect();
        let starts = split::cuts(lowering, Some(cluster), &computed, (axis, &self.space.outer()), ranges);
        let ends = starts[1..].iter().copied().chain([ranges[axis].1]);
        starts.iter().copied().zip(ends).collect()
    }

    fn last_stage(&self) -> usize {
        self.stage.values().copied().max().unwrap_or(0)
    }
}

/// Lowers a loop cluster, to one kernel unless its outermost loop is cut.
pub(super) fn lower(lowering: &mut Lowering<'_>, cluster: u32, nodes: &[NodeId]) -> Result<(), PassError> {
    let first = lowering.program.kernels.len();
    if nodes.iter().any(|&n| matches!(lowering.graph.op(n), Op::Random(_))) {
        random::lower(lowering, cluster, nodes)?;
        if cfg!(debug_assertions) {
            work::check(lowering, cluster, nodes, first, 1)?;
        }
        return Ok(());
    }
    let plan = LoopPlan::new(lowering, cluster, nodes);
    let name = lowering.kernel_name(nodes);
    lower_parts(lowering, &plan, cluster, &name)?;
    if cfg!(debug_assertions) {
        work::check(lowering, cluster, nodes, first, plan.last_stage() + 1)?;
    }
    Ok(())
}

/// Loops over the axes that aren't reduced, cut where the parts begin of what is made of parts. Those of the outermost loop are kernels of
/// their own, which threads share, unless they are small: these come several to a kernel.
fn lower_parts(lowering: &mut Lowering<'_>, plan: &LoopPlan, cluster: u32, name: &str) -> Result<(), PassError> {
    let (outer, shape) = (plan.space.outer(), &plan.space.shape);
    let mut ranges: Vec<(usize, usize)> = shape.iter().map(|&extent| (0, extent)).collect();
    let Some(&first) = outer.first() else {
        let mut emit = ValueEmitter::new(lowering, Some(cluster));
        lower_body(&mut emit, plan, &[], cluster)?;
        emit.finish(name.to_owned());
        return Ok(());
    };
    let parts = plan.parts(lowering, cluster, first, &ranges);
    let row = shape.numel() / shape[first];
    let mut parts = parts.into_iter().peekable();
    while parts.peek().is_some() {
        let mut emit = ValueEmitter::new(lowering, Some(cluster));
        emit.cx.floor = 1;
        let mut elements = 0;
        while let Some((from, to)) =
            parts.next_if(|(from, to)| elements == 0 || elements + (to - from) * row < MIN_SHARED)
        {
            elements += (to - from) * row;
            ranges[first] = (from, to);
            lower_part(&mut emit, plan, cluster, &mut ranges, &mut vec![])?;
        }
        emit.finish(name.to_owned());
    }
    Ok(())
}

/// The loops inside those at `at`, of which the next one walks its range, the others what they are cut to.
fn lower_part(
    emit: &mut ValueEmitter<'_, '_>,
    plan: &LoopPlan,
    cluster: u32,
    ranges: &mut Vec<(usize, usize)>,
    at: &mut Vec<Affine>,
) -> Result<(), PassError> {
    let outer = plan.space.outer();
    let depth = emit.cx.depth();
    let (from, to) = ranges[outer[at.len()]];
    let var = Affine::term(emit.cx.open(to - from), 1);
    at.push(var.plus(from as i64));
    match outer.get(at.len()) {
        None => lower_body(emit, plan, at, cluster)?,
        Some(&next) => {
            let whole = ranges[next];
            for part in plan.parts(emit.lowering, cluster, next, ranges) {
                ranges[next] = part;
                lower_part(emit, plan, cluster, ranges, at)?;
            }
            ranges[next] = whole;
        }
    }
    at.pop();
    emit.cx.close_to(depth);
    emit.values.drop_below(depth);
    Ok(())
}

/// What is inside the loops over the axes that aren't reduced.
fn lower_body(
    emit: &mut ValueEmitter<'_, '_>,
    plan: &LoopPlan,
    outer_at: &[Affine],
    cluster: u32,
) -> Result<(), PassError> {
    let mut rows = BTreeMap::new();
    // Before the rows are walked, so that results of the walk may be written over them.
    for &node in &plan.taken {
        let value = emit.value(node, outer_at)?;
        if plan.outer.contains(&node) {
            emit.store_node(node, outer_at, value.expr);
        }
    }
    for stage in 0..=plan.last_stage() {
        lower_stage(emit, plan, outer_at, stage, &mut rows, cluster)?;
    }
    for &node in plan.outer.iter().filter(|n| !plan.taken.contains(n)) {
        let value = emit.value(node, outer_at)?;
        emit.store_node(node, outer_at, value.expr);
    }
    Ok(())
}

/// One walk over the reduced axes.
fn lower_stage(
    emit: &mut ValueEmitter<'_, '_>,
    plan: &LoopPlan,
    outer_at: &[Affine],
    stage: usize,
    rows: &mut BTreeMap<NodeId, BufRef>,
    cluster: u32,
) -> Result<(), PassError> {
    let graph = emit.lowering.graph;
    let reduces: Vec<NodeId> = plan.reduces.iter().copied().filter(|n| plan.stage[n] == stage + 1).collect();
    let full: Vec<NodeId> = plan.full.iter().copied().filter(|n| plan.stage[n] == stage).collect();
    if reduces.is_empty() && full.is_empty() {
        return Ok(());
    }
    let depth = emit.cx.depth();
    let accumulators: Vec<_> = reduces
        .iter()
        .map(|&n| {
            let Op::Reduce(op) = graph.op(n) else { unreachable!("only reductions are listed") };
            let init = Expr::Const(op.kind.identity(graph.ty(n).dtype));
            (n, op.kind, emit.cx.declare(init, depth))
        })
        .collect();
    let reduced_at = emit.cx.open_all(&plan.space.extents(&plan.space.reduced));
    let at = merge(&plan.space, outer_at, &reduced_at);
    let row_index = flatten(&reduced_at, &plan.space.extents(&plan.space.reduced));
    for (&node, &buf) in rows.iter() {
        let level = emit.cx.depth();
        let value = emit.cx.load_at(buf, &row_index, level);
        emit.values.set(node, at.clone(), value);
    }
    for &(node, kind, reg) in &accumulators {
        let value = emit.value(graph.operands(node)[0], &at)?;
        emit.cx.push(Stmt::Accumulate { reg, op: kind.op(), value: value.expr });
    }
    for &node in &full {
        let value = emit.value(node, &at)?;
        emit.store_node(node, &at, value.expr);
    }
    for node in rows_to_keep(emit, plan, stage, cluster) {
        let value = emit.value(node, &at)?;
        let len = plan.space.extents(&plan.space.reduced).iter().product();
        let buf = emit.cx.local(graph.ty(node).dtype, len);
        emit.cx.store(buf, &row_index, value.expr);
        rows.insert(node, buf);
    }
    emit.cx.close_to(depth);
    emit.values.drop_below(depth);
    for (node, _, reg) in accumulators {
        emit.values.bind(node, Placed { expr: Expr::Reg(reg), level: depth });
    }
    Ok(())
}

/// The costly values of a stage that a later one needs too.
fn rows_to_keep(emit: &ValueEmitter<'_, '_>, plan: &LoopPlan, stage: usize, cluster: u32) -> Vec<NodeId> {
    let graph = emit.lowering.graph;
    let row: usize = plan.space.extents(&plan.space.reduced).iter().product();
    if plan.space.reduced.is_empty() || row > MAX_ROW {
        return vec![];
    }
    let costly = |n: NodeId| match graph.op(n) {
        Op::Elementwise(op) => op.def().cost == Cost::Expensive,
        _ => false,
    };
    let needed_later = |n: NodeId| {
        through_inlined(graph, n).into_iter().any(|user| {
            graph.cluster(user) == Some(cluster)
                && plan
                    .stage
                    .get(&user)
                    .is_some_and(|&s| s > stage + usize::from(matches!(graph.op(user), Op::Reduce(_))))
        })
    };
    plan.stage
        .iter()
        .filter(|&(&n, &s)| s == stage && graph.cluster(n) == Some(cluster) && graph.ty(n).shape == plan.space.shape)
        .map(|(&n, _)| n)
        .filter(|&n| costly(n) && needed_later(n))
        .collect()
}

/// Coordinates in the whole space.
fn merge(space: &Space, outer_at: &[Affine], reduced_at: &[Affine]) -> Vec<Affine> {
    let (mut outer, mut reduced) = (outer_at.iter(), reduced_at.iter());
    (0..space.shape.rank())
        .filter_map(|a| if space.reduced.contains(&a) { reduced.next() } else { outer.next() }.cloned())
        .collect()
}

impl<'a, 'g> ValueEmitter<'a, 'g> {
    pub(super) fn new(lowering: &'a mut Lowering<'g>, cluster: Option<u32>) -> Self {
        Self { lowering, cx: super::cx::KernelCx::new(), values: NodeValues::default(), cluster }
    }

    /// Stores an element of a node that has a buffer, in the innermost loop.
    pub(super) fn store_node(&mut self, node: NodeId, at: &[Affine], value: Expr) {
        let ty = self.lowering.graph.ty(node).clone();
        let buffer = self.lowering.result_buffer(node);
        let buf = self.cx.param(buffer, ty.dtype, ty.shape.numel(), Access::Write);
        self.cx.store(buf, &flatten(at, &ty.shape), value);
    }

    /// Closes the loops of a sum down to `depth`, where it stands in `acc` as the anchor's element at `at`, and stores what the results make of it.
    pub(super) fn finish_sum(
        &mut self,
        anchor: NodeId,
        (acc, depth): (Reg, usize),
        at: &[Affine],
        results: &[NodeId],
    ) -> Result<(), PassError> {
        self.cx.close_to(depth);
        self.values.drop_below(depth);
        self.values.set(anchor, at.to_vec(), Placed { expr: Expr::Reg(acc), level: depth });
        for &node in results {
            let value = self.value(node, at)?;
            self.store_node(node, at, value.expr);
        }
        Ok(())
    }

    /// Closes all loops and launches the kernel.
    pub(super) fn finish(self, name: String) {
        let (kernel, args) = self.cx.finish(name);
        self.lowering.launch(kernel, args);
    }
}
