//! A program under construction: buffers of nodes, checks, kernels and their launches.

use crate::PassError;
use ir::op::scan::{BodyPort, PortRole};
use ir::{Graph, NodeId, Op};
use kernel::{Buffer, BufferId, BufferKind, Check, CodePool, Kernel, Launch, Origin, Program, Target, join_origins};
use std::collections::BTreeMap;

/// A program under construction.
pub(crate) struct Lowering<'g> {
    pub(super) graph: &'g Graph,
    pub(super) target: Target,
    pub(super) program: Program,
    pub(super) buffers: BTreeMap<NodeId, BufferId>,
    pub(super) checks: BTreeMap<NodeId, u32>,
    pub(super) kinds: BTreeMap<NodeId, BufferKind>,
    /// What is being lowered: the origins of the launches to come.
    pub(super) current: Vec<u32>,
    /// The numbers of the origins so far.
    pub(super) origins: BTreeMap<Origin, u32>,
    /// The code of the kernels so far.
    pub(super) codes: CodePool,
    /// Whether this is the body of a loop, in which inputs named as invariants are the same each time: what is prepared from them is prepared once.
    pub(super) is_body: bool,
}

impl<'g> Lowering<'g> {
    /// Buffers of inputs, states and constants; kinds of the buffers that results will have.
    pub(super) fn declare_ports(&mut self) {
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

    pub(super) fn new_buffer(&mut self, node: NodeId, kind: BufferKind) -> BufferId {
        let buffer = self.add_buffer(self.graph.ty(node).dtype, self.graph.ty(node).shape.numel(), kind);
        self.buffers.insert(node, buffer);
        buffer
    }

    /// A buffer that no node has.
    pub(super) fn add_buffer(&mut self, dtype: ir::DType, len: usize, kind: BufferKind) -> BufferId {
        self.program.buffers.push(Buffer { dtype, len, kind, offset: None });
        BufferId(self.program.buffers.len() as u32 - 1)
    }

    /// The node whose buffer a node shares: itself, or what it is a reshape of.
    pub(super) fn root(&self, mut node: NodeId) -> NodeId {
        while self.graph.cluster(node).is_none() && matches!(self.graph.op(node), Op::Reshape(_)) {
            node = self.graph.operands(node)[0];
        }
        node
    }

    /// True if a node is an invariant of the loop whose body this is.
    pub(super) fn is_invariant(&self, node: NodeId) -> bool {
        self.is_body && matches!(self.graph.op(self.root(node)), Op::Input(input) if names_invariant(&input.name))
    }

    /// The buffer with a node's elements, row-major, if it has been computed to one.
    pub(super) fn buffer_of(&self, node: NodeId) -> Option<BufferId> {
        self.buffers.get(&self.root(node)).copied()
    }

    /// The buffer of a contraction's, window's or opaque op's operand.
    pub(super) fn operand_buffer(&self, node: NodeId) -> Result<BufferId, PassError> {
        self.buffer_of(node).ok_or_else(|| self.defect(node, "the operand has no buffer"))
    }

    /// The buffer that a cluster's result goes to.
    pub(super) fn result_buffer(&mut self, node: NodeId) -> BufferId {
        if let Some(&buffer) = self.buffers.get(&node) {
            return buffer;
        }
        let kind = self.kinds.get(&node).cloned().unwrap_or(BufferKind::Temp);
        self.new_buffer(node, kind)
    }

    /// A scratch buffer between the kernels of one cluster.
    pub(super) fn temp(&mut self, dtype: ir::DType, len: usize) -> BufferId {
        self.add_buffer(dtype, len, BufferKind::Temp)
    }

    /// The number of the check that indices of `node` are below `bound`.
    pub(super) fn check(&mut self, node: NodeId, bound: usize) -> u32 {
        if let Some(&check) = self.checks.get(&node) {
            return check;
        }
        let message = format!("{}: an index is out of range, valid are 0 to {}", self.graph.op(node).name(), bound - 1);
        self.program.checks.push(Check { message, loc: self.graph.loc(node).map(ToString::to_string) });
        let check = self.program.checks.len() as u32 - 1;
        self.checks.insert(node, check);
        check
    }

    /// Says what the launches to come are made of.
    pub(super) fn start(&mut self, nodes: &[NodeId]) {
        self.current.clear();
        let origin = |&node: &NodeId| {
            let loc = self.graph.loc(node);
            Origin {
                op: self.graph.op(node).name().to_owned(),
                loc: loc.map(ToString::to_string),
                section: loc.and_then(|loc| loc.section).map(|section| section.to_string()),
                layer: loc.and_then(|loc| loc.layer.as_deref()).map(str::to_owned),
            }
        };
        let origins: Vec<Origin> = nodes.iter().map(origin).collect();
        self.add_origins(&origins);
    }

    /// Says what the launches to come are made of besides.
    pub(super) fn add_origins(&mut self, origins: &[Origin]) {
        let all = &mut self.program.origins;
        let number = |origin: &Origin| {
            *self.origins.entry(origin.clone()).or_insert_with(|| {
                all.push(origin.clone());
                all.len() as u32 - 1
            })
        };
        let more: Vec<u32> = origins.iter().map(number).collect();
        self.current = join_origins(&self.current, &more);
    }

    pub(super) fn launch(&mut self, mut kernel: Kernel, args: Vec<BufferId>) {
        kernel.name = format!("{}_{}", kernel.name, self.program.kernels.len());
        // What is alike takes memory once: passes would miss the caches on every copy.
        self.codes.share(&mut kernel);
        self.program.kernels.push(kernel);
        let kernel = self.program.kernels.len() as u32 - 1;
        self.program.launches.push(Launch { kernel, args, origins: self.current.clone() });
    }

    /// A name that tells what a kernel computes: its ops, the first few.
    pub(super) fn kernel_name(&self, nodes: &[NodeId]) -> String {
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

    pub(super) fn defect(&self, node: NodeId, rule: &str) -> PassError {
        PassError::defect(self.graph, node, rule)
    }
}

/// True if an input of a scan's body that has this name is the same in every step.
pub(super) fn names_invariant(input: &str) -> bool {
    BodyPort::of_input(input).is_some_and(|port| port.role == PortRole::Invariant)
}
