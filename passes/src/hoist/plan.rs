//! Decides what of a body stays, what goes before the scan, and what after it.

use ir::op::batch::Stacked;
use ir::op::reduce::ReduceKind;
use ir::op::scan::Scan;
use ir::scalar::Cost;
use ir::{Family, Graph, NodeId, Op};
use std::collections::{BTreeMap, BTreeSet};

/// What happens to the nodes of a body.
pub(super) struct HoistPlan<'s> {
    scan: &'s Scan,
    /// The carries that stay, ascending.
    pub(super) carries: Vec<usize>,
    /// The nodes whose values of all steps are needed after the scan and computed in it.
    pub(super) stacked: Vec<NodeId>,
    /// The nodes that are computed after the scan, or instead of it, from stacked ones, sequences and invariants.
    pub(super) sunk: BTreeSet<NodeId>,
    /// The nodes that are computed before it and become inputs.
    pub(super) hoisted: BTreeSet<NodeId>,
    /// Inputs of the body that stay, but for carries; hoisted nodes are among them.
    pub(super) inputs: Vec<NodeId>,
    /// The nodes that are computed in the body.
    pub(super) inside: BTreeSet<NodeId>,
    /// The nodes that differ from step to step.
    pub(super) over_time: BTreeSet<NodeId>,
    /// The nodes that depend on a carry that changes.
    carried: BTreeSet<NodeId>,
}

impl<'s> HoistPlan<'s> {
    /// The plan for a scan whose results of these numbers are needed.
    pub(super) fn new(scan: &'s Scan, used: impl Iterator<Item = usize>) -> Self {
        let (graph, body) = (scan.body.graph(), &scan.body);
        let changing: Vec<NodeId> =
            body.carries().iter().zip(body.next()).filter(|(carry, next)| carry != next).map(|(&c, _)| c).collect();
        let carried = below(graph, changing.iter().copied());
        let over_time = below(graph, changing.iter().chain(body.sequences()).copied());
        let mut plan = Self {
            scan,
            carries: vec![],
            stacked: vec![],
            sunk: BTreeSet::new(),
            hoisted: BTreeSet::new(),
            inputs: vec![],
            inside: BTreeSet::new(),
            over_time,
            carried,
        };
        let (finals, stacked): (Vec<usize>, Vec<usize>) = used.partition(|&select| select < body.carries().len());
        let wanted: Vec<NodeId> = stacked.iter().map(|select| body.stacked()[select - body.carries().len()]).collect();
        plan.sink(&wanted);
        plan.keep_carries(&finals);
        plan.hoist();
        plan
    }

    fn graph(&self) -> &'s Graph {
        self.scan.body.graph()
    }

    /// The number of the scan's operand that an input of the body stands for.
    pub(super) fn operand(&self, input: NodeId) -> Option<usize> {
        let body = &self.scan.body;
        body.carries().iter().chain(body.sequences()).chain(body.invariants()).position(|&id| id == input)
    }

    /// True for inputs that a scan around would have as operands: all but carries that change.
    fn is_given(&self, id: NodeId) -> bool {
        matches!(self.graph().op(id), Op::Input(_)) && !self.carried.contains(&id)
    }

    /// Says for each node that is needed after the scan whether it is stacked, or computed there.
    fn sink(&mut self, wanted: &[NodeId]) {
        let graph = self.graph();
        // What a later step depends on is computed in the loop anyway.
        let lasting = above(graph, self.scan.body.next().iter().copied(), |_| false);
        let mut later = vec![];
        let mut stack: Vec<NodeId> = wanted.to_vec();
        while let Some(id) = stack.pop() {
            if self.sunk.contains(&id) || self.stacked.contains(&id) || self.is_given(id) {
                continue;
            }
            // A scan that computes steps again does it for want of memory.
            let frugal = self.scan.recompute && self.over_time.contains(&id);
            let free = !self.carried.contains(&id) && self.cone_is_liftable(id);
            if !frugal && (free || !lasting.contains(&id) && self.leads_to_product(id)) {
                self.sunk.insert(id);
                stack.extend(graph.operands(id));
            } else if !frugal && !lasting.contains(&id) && wanted.contains(&id) && is_light(graph, id) {
                later.push(id);
            } else {
                self.stacked.push(id);
            }
        }
        self.sink_light(later);
        self.stacked.sort_unstable();
        self.stacked.dedup();
    }

    /// Sums and elementwise ops of what is there after the scan, or doesn't change, follow it.
    fn sink_light(&mut self, mut later: Vec<NodeId>) {
        later.sort_unstable();
        for id in later {
            // Sources are made anew there; but what a carry held in each step is known in the loop alone.
            let is_source =
                |o: NodeId| self.graph().operands(o).is_empty() && !matches!(self.graph().op(o), Op::Input(_));
            let there =
                |o: &NodeId| self.stacked.contains(o) || self.sunk.contains(o) || self.is_given(*o) || is_source(*o);
            if self.graph().operands(id).iter().all(there) {
                self.sunk.insert(id);
                let sources: Vec<NodeId> = self
                    .graph()
                    .operands(id)
                    .iter()
                    .copied()
                    .filter(|&o| !self.stacked.contains(&o) && !self.is_given(o))
                    .collect();
                self.sunk.extend(sources);
            } else {
                self.stacked.push(id);
            }
        }
    }

    /// A contraction, or what moves or adds up results of such.
    fn leads_to_product(&self, id: NodeId) -> bool {
        let graph = self.graph();
        let (mut stack, mut seen) = (vec![id], BTreeSet::new());
        while let Some(id) = stack.pop() {
            let goes_on = match graph.op(id) {
                Op::Dot(op) if !op.contract.is_empty() => return true,
                Op::Elementwise(op) => op.def().cost == Cost::Cheap,
                op => op.family() == Family::Movement,
            };
            if goes_on && seen.insert(id) {
                stack.extend(graph.operands(id));
            }
        }
        false
    }

    fn cone_is_liftable(&self, id: NodeId) -> bool {
        let cone = above(self.graph(), [id].into_iter(), |id| self.is_given(id));
        cone.iter().all(|&id| self.is_given(id) || self.is_liftable(id))
    }

    /// True if a node has a form over all steps, or is the same in each.
    fn is_liftable(&self, id: NodeId) -> bool {
        let graph = self.graph();
        match self.over_time.contains(&id) {
            true => stacked(graph, id, &self.over_time, self.scan.length).is_some(),
            false => !matches!(graph.op(id), Op::Input(_)),
        }
    }

    /// The carries that results need, at the end or from step to step.
    fn keep_carries(&mut self, finals: &[usize]) {
        let body = &self.scan.body;
        let changes = |at: &usize| body.carries()[*at] != body.next()[*at];
        let mut kept: BTreeSet<usize> = finals.iter().copied().filter(changes).collect();
        loop {
            let roots = kept.iter().map(|&at| body.next()[at]).chain(self.stacked.iter().copied());
            let needed = above(self.graph(), roots, |_| false);
            let more = (0..body.carries().len()).filter(|at| changes(at) && needed.contains(&body.carries()[*at]));
            let before = kept.len();
            kept.extend(more);
            if kept.len() == before {
                break;
            }
        }
        self.carries = kept.into_iter().collect();
    }

    /// Finds what goes before the scan, what stays inside, and the inputs that are left.
    fn hoist(&mut self) {
        let (graph, body) = (self.graph(), &self.scan.body);
        let next = self.carries.iter().map(|&at| body.next()[at]);
        let mut stack: Vec<NodeId> = next.chain(self.stacked.iter().copied()).collect();
        let mut seen = BTreeSet::new();
        let mut inputs = BTreeSet::new();
        while let Some(id) = stack.pop() {
            if !seen.insert(id) {
                continue;
            }
            if self.is_given(id) {
                inputs.insert(id);
            } else if self.is_worth_it(id) {
                self.hoisted.insert(id);
                inputs.insert(id);
            } else {
                self.inside.insert(id);
                stack.extend(graph.operands(id));
            }
        }
        // In the order of the old operands, so that a body from which nothing goes stays as it is.
        let mut inputs: Vec<NodeId> = inputs.into_iter().collect();
        // What is hoisted has no old one and comes last.
        let key = |id: &NodeId| (self.hoisted.contains(id), self.operand(*id), *id);
        inputs.sort_unstable_by_key(key);
        self.inputs = inputs;
    }

    /// True if a node depends on no carry and is costly, or is made of something that is. Repetition is cheaper inside.
    fn is_worth_it(&self, id: NodeId) -> bool {
        let graph = self.graph();
        if self.carried.contains(&id) || graph.operands(id).is_empty() || matches!(graph.op(id), Op::Broadcast(_)) {
            return false;
        }
        // A scan that computes steps again does it for want of memory.
        if self.scan.recompute && self.over_time.contains(&id) {
            return false;
        }
        let cone = above(graph, [id].into_iter(), |id| self.is_given(id));
        cone.iter().any(|&id| is_costly(graph.op(id))) && self.cone_is_liftable(id)
    }
}

fn is_costly(op: &Op) -> bool {
    match op {
        Op::Elementwise(op) => op.def().cost == Cost::Expensive,
        op => matches!(op.family(), Family::Contraction | Family::Reduce | Family::Index | Family::Window),
    }
}

/// Cheap where its operands are: sums, movement and cheap elementwise ops.
fn is_light(graph: &Graph, id: NodeId) -> bool {
    match graph.op(id) {
        Op::Reduce(op) => op.kind == ReduceKind::Sum,
        Op::Elementwise(op) => op.def().cost == Cost::Cheap,
        op => op.family() == Family::Movement,
    }
}

/// The nodes that depend on one of `sources`, themselves included.
fn below(graph: &Graph, sources: impl Iterator<Item = NodeId>) -> BTreeSet<NodeId> {
    let mut reached: BTreeSet<NodeId> = sources.collect();
    for id in graph.topological() {
        if graph.operands(id).iter().any(|o| reached.contains(o)) {
            reached.insert(id);
        }
    }
    reached
}

/// The nodes that `roots` depend on, themselves included, up to those where `stop` holds.
fn above(graph: &Graph, roots: impl Iterator<Item = NodeId>, stop: impl Fn(NodeId) -> bool) -> BTreeSet<NodeId> {
    let (mut seen, mut stack): (BTreeSet<NodeId>, Vec<NodeId>) = (BTreeSet::new(), roots.collect());
    while let Some(id) = stack.pop() {
        if seen.insert(id) && !stop(id) {
            stack.extend(graph.operands(id));
        }
    }
    seen
}

/// The results wanted of a scan, by number.
pub(super) type Used = BTreeMap<usize, Vec<NodeId>>;

/// A node of a body over all `length` steps, if there is such an op; `over_time` are the nodes that differ from step to step.
pub(super) fn stacked(graph: &Graph, id: NodeId, over_time: &BTreeSet<NodeId>, length: usize) -> Option<Stacked> {
    let differs: Vec<bool> = graph.operands(id).iter().map(|o| over_time.contains(o)).collect();
    let types = graph.operand_types(id);
    let fits = types.iter().chain([&graph.ty(id)]).all(|ty| ty.shape.stacked(length).is_ok());
    fits.then(|| graph.op(id).stacked(length, &differs, &types)).flatten()
}
