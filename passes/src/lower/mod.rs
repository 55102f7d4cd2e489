//! Lowers a fused and scheduled graph to a program of kernels.
//!
//! # Does
//! Gives every value that is kept a buffer, and makes each cluster, in ascending order, into kernels and launches: loop clusters
//! (`loops`), contractions (`contraction`), windows (`window`), scans (`scan`), the rest (`opaque`).
//! # Requires
//! Stage `scheduled`: no gradients, valid convolutions only, clusters numbered in an order of execution.
//! # Ensures
//! A program that the kernel verifier accepts, unplanned: buffers have no offsets yet.
//! # Example
//! `%2 = relu %1 : f32[8] @0` becomes a kernel with one loop, and one launch of it.

mod contraction;
mod cumsum;
mod cx;
mod expr;
mod index;
mod loops;
mod opaque;
mod random;
mod scan;
mod split;
mod tile;
mod window;
mod work;

pub(crate) use contraction::in_regions;
pub(crate) use window::{margins, remainders, stores_once, tap_type, tiles};

use crate::fuse::cluster::{Clusters, Kind};
use crate::{PassContext, PassError};
use expr::Values;
use ir::{Graph, NodeId, Op};
use kernel::{Buffer, BufferId, BufferKind, Check, Codes, Kernel, Launch, Program, Target};
use std::collections::{BTreeMap, BTreeSet};

/// A program under construction.
pub(crate) struct Lowering<'g> {
    graph: &'g Graph,
    target: Target,
    program: Program,
    buffers: BTreeMap<NodeId, BufferId>,
    checks: BTreeMap<NodeId, u32>,
    kinds: BTreeMap<NodeId, BufferKind>,
    /// The cluster being lowered.
    cluster: Option<u32>,
    /// The cluster of each kernel.
    clusters: Vec<Option<u32>>,
    /// The code of the kernels so far.
    codes: Codes,
    /// Whether this is the body of a loop, in which inputs named as invariants are the same each time: what is prepared from them is prepared once.
    is_body: bool,
}

/// What a kernel was made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The kernel's name, which it keeps through the passes that follow.
    pub kernel: String,
    /// The nodes of its cluster, in the order of their ids; none for a copy that no cluster asked for.
    pub nodes: Vec<NodeId>,
}

/// Lowers a graph.
///
/// # Errors
/// If the graph is not in the stage that this pass requires.
pub fn run(graph: &Graph, context: &PassContext) -> Result<Program, PassError> {
    Ok(lower(graph, &context.target, false)?.program)
}

/// What each kernel is made of that [`run`] makes of the same graph, in the program's order: for profiles, which name the user's lines.
///
/// # Errors
/// As [`run`].
pub fn origins(graph: &Graph, context: &PassContext) -> Result<Vec<Origin>, PassError> {
    let lowering = lower(graph, &context.target, false)?;
    let origin = |(kernel, cluster): (&Kernel, &Option<u32>)| Origin {
        kernel: kernel.name.clone(),
        nodes: graph.ids().filter(|&id| cluster.is_some() && graph.cluster(id) == *cluster).collect(),
    };
    Ok(lowering.program.kernels.iter().zip(&lowering.clusters).map(origin).collect())
}

fn lower<'g>(graph: &'g Graph, target: &Target, is_body: bool) -> Result<Lowering<'g>, PassError> {
    let mut lowering = Lowering {
        graph,
        target: target.clone(),
        program: Program { name: graph.name().to_owned(), ..Program::default() },
        buffers: BTreeMap::new(),
        checks: BTreeMap::new(),
        kinds: BTreeMap::new(),
        cluster: None,
        clusters: vec![],
        codes: Codes::default(),
        is_body,
    };
    lowering.declare_ports();
    let clusters = Clusters::of(graph);
    for (&cluster, nodes) in &clusters.nodes {
        lowering.cluster = Some(cluster);
        match clusters.kind(graph, cluster) {
            Kind::Loop => loops::lower(&mut lowering, cluster, nodes)?,
            Kind::Contraction(anchor) => contraction::lower(&mut lowering, cluster, anchor, nodes)?,
            Kind::Window(anchor) => window::lower(&mut lowering, cluster, anchor, nodes)?,
            Kind::Opaque(anchor) => opaque::lower(&mut lowering, cluster, anchor)?,
            Kind::Scan(anchor) => scan::lower(&mut lowering, anchor, nodes)?,
        }
    }
    lowering.cluster = None;
    lowering.copy_remaining_results()?;
    Ok(lowering)
}

impl<'g> Lowering<'g> {
    /// Buffers of inputs, states and constants; kinds of the buffers that results will have.
    fn declare_ports(&mut self) {
        for id in self.graph.ids() {
            let kind = match self.graph.op(id) {
                Op::Input(op) => BufferKind::Input { name: op.name.clone() },
                Op::State(op) => BufferKind::State { name: op.name.clone() },
                Op::Constant(op) => BufferKind::Constant { bytes: op.value.data().to_bytes().into() },
                _ => continue,
            };
            self.new_buffer(id, kind);
        }
        for (name, id) in self.graph.updates() {
            let root = self.root(*id);
            if self.graph.cluster(root).is_some() {
                self.kinds.entry(root).or_insert(BufferKind::Next { name: name.clone() });
            }
        }
        for (name, id) in self.graph.outputs() {
            let root = self.root(*id);
            if self.graph.cluster(root).is_some() {
                self.kinds.entry(root).or_insert(BufferKind::Output { name: name.clone() });
            }
        }
    }

    fn new_buffer(&mut self, node: NodeId, kind: BufferKind) -> BufferId {
        let buffer = self.add_buffer(self.graph.ty(node).dtype, self.graph.ty(node).shape.numel(), kind);
        self.buffers.insert(node, buffer);
        buffer
    }

    /// A buffer that no node has.
    fn add_buffer(&mut self, dtype: ir::DType, len: usize, kind: BufferKind) -> BufferId {
        self.program.buffers.push(Buffer { dtype, len, kind, offset: None });
        BufferId(self.program.buffers.len() as u32 - 1)
    }

    /// The node whose buffer a node shares: itself, or what it is a reshape of.
    fn root(&self, mut node: NodeId) -> NodeId {
        while self.graph.cluster(node).is_none() && matches!(self.graph.op(node), Op::Reshape(_)) {
            node = self.graph.operands(node)[0];
        }
        node
    }

    /// True if a node is an invariant of the loop whose body this is.
    fn is_invariant(&self, node: NodeId) -> bool {
        let root = self.root(node);
        self.is_body && matches!(self.graph.op(root), Op::Input(input) if input.name.starts_with('w'))
    }

    /// The buffer with a node's elements, row-major, if it has been computed to one.
    fn buffer_of(&self, node: NodeId) -> Option<BufferId> {
        self.buffers.get(&self.root(node)).copied()
    }

    /// The buffer of a contraction's, window's or opaque op's operand.
    fn operand_buffer(&self, node: NodeId) -> Result<BufferId, PassError> {
        self.buffer_of(node).ok_or_else(|| self.defect(node, "the operand has no buffer"))
    }

    /// The buffer that a cluster's result goes to.
    fn result_buffer(&mut self, node: NodeId) -> BufferId {
        if let Some(&buffer) = self.buffers.get(&node) {
            return buffer;
        }
        let kind = self.kinds.get(&node).cloned().unwrap_or(BufferKind::Temp);
        self.new_buffer(node, kind)
    }

    /// A scratch buffer between the kernels of one cluster.
    fn temp(&mut self, dtype: ir::DType, len: usize) -> BufferId {
        self.add_buffer(dtype, len, BufferKind::Temp)
    }

    /// The number of the check that indices of `node` are below `bound`.
    fn check(&mut self, node: NodeId, bound: usize) -> u32 {
        if let Some(&check) = self.checks.get(&node) {
            return check;
        }
        let message = format!("{}: an index is out of range, valid are 0 to {}", self.graph.op(node).name(), bound - 1);
        self.program.checks.push(Check { message, loc: self.graph.loc(node).map(ToString::to_string) });
        let check = self.program.checks.len() as u32 - 1;
        self.checks.insert(node, check);
        check
    }

    fn launch(&mut self, mut kernel: Kernel, args: Vec<BufferId>) {
        kernel.name = format!("{}_{}", kernel.name, self.program.kernels.len());
        // What is alike takes memory once: passes would miss the caches on every copy.
        self.codes.share(&mut kernel);
        self.program.kernels.push(kernel);
        self.clusters.push(self.cluster);
        let kernel = self.program.kernels.len() as u32 - 1;
        self.program.launches.push(Launch { kernel, args });
    }

    /// A name that tells what a kernel computes: its ops, the first few.
    fn kernel_name(&self, nodes: &[NodeId]) -> String {
        let mut names: Vec<&str> = vec![];
        for &node in nodes.iter().rev() {
            let name = self.graph.op(node).name();
            if !names.contains(&name) && names.len() < 3 {
                names.push(name);
            }
        }
        names.reverse();
        names.join("_")
    }

    fn defect(&self, node: NodeId, rule: &str) -> PassError {
        PassError::defect(self.graph, node, rule)
    }

    /// Results that no cluster computes to a buffer of their own: ports passed through, and second names.
    fn copy_remaining_results(&mut self) -> Result<(), PassError> {
        let updates = self.graph.updates().iter().map(|(n, id)| (BufferKind::Next { name: n.clone() }, *id));
        let outputs = self.graph.outputs().iter().map(|(n, id)| (BufferKind::Output { name: n.clone() }, *id));
        let results: Vec<_> = updates.chain(outputs).collect();
        let port = |kind: &BufferKind| match kind {
            BufferKind::Next { name } => Some((false, name.clone())),
            BufferKind::Output { name } => Some((true, name.clone())),
            _ => None,
        };
        let mut there: BTreeSet<(bool, String)> = self.program.buffers.iter().filter_map(|b| port(&b.kind)).collect();
        for (kind, node) in results {
            let unchanged =
                matches!((&kind, self.graph.op(node)), (BufferKind::Next { name }, Op::State(s)) if *name == s.name);
            if unchanged || !port(&kind).is_some_and(|port| there.insert(port)) {
                continue;
            }
            opaque::copy(self, node, kind)?;
        }
        Ok(())
    }
}
