//! Scans: one kernel with a loop over the steps, in which the kernels of the body stand one after the other.
//!
//! The body, whose nodes are in clusters like those of the graph around, is lowered to a program of its own; its kernels are then inlined. What
//! a step carries and what its kernels hand to one another are scratch buffers of the kernel; sequences and stacked results are addressed by
//! the step. Kernels that read nothing that changes (packing of weights) run once, before the loop. So the code doesn't depend on the number
//! of steps.
//!
//! Where no row of the leading axis depends on another one (`block`), the kernel's outermost loop is over blocks of rows, each with a loop over
//! the steps of its own: threads share the blocks and never wait for each other within a scan.

mod block;
mod inline;

use super::lowering::Lowering;
use super::subview::Subview;
use crate::PassError;
use block::RowBlocks;
use inline::Inliner;
use ir::op::scan::{BodyPort, PortRole, Scan};
use ir::op::source::Full;
use ir::{NodeId, Op};
use kernel::{Access, Affine, BufRef, BufferId, BufferKind, Expr, IndexVar, Launch, LoopKind, Program, Stmt};
use std::collections::{BTreeMap, BTreeSet};

/// Lowers the scan that `anchor` and the other nodes of its cluster are results of.
pub(super) fn lower(lowering: &mut Lowering<'_>, anchor: NodeId, nodes: &[NodeId]) -> Result<(), PassError> {
    let graph = lowering.graph;
    let Op::Scan(scan) = graph.op(anchor) else { return Err(lowering.defect(anchor, "no scan")) };
    let mut results: BTreeMap<usize, NodeId> = BTreeMap::new();
    for &node in nodes {
        let Op::Scan(own) = graph.op(node) else { continue };
        match results.get(&own.select).copied() {
            // A second node for one result shares the buffer of the first.
            Some(first) => {
                let buffer = lowering.result_buffer(first);
                lowering.buffers.insert(node, buffer);
            }
            None => {
                lowering.result_buffer(node);
                results.insert(own.select, node);
            }
        }
    }
    let blocks = RowBlocks::of(scan.body.graph());
    let body = blocks.as_ref().map_or(scan.body.graph(), |blocks| &blocks.body);
    let program = super::lower(body, &lowering.target, true)?.program;
    lowering.add_origins(&program.origins);
    let inner = LoweredBody::new(lowering, anchor, program)?;
    let prepared = prepare(lowering, anchor, &inner)?;
    let emitter = ScanLowering::new(lowering, anchor, scan, results, inner, prepared, blocks.as_ref());
    emitter.run(blocks.as_ref())
}

/// What a buffer of a body's program is to the scan.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BodyBuffer {
    Input(BodyPort),
    Output(BodyPort),
    Constant,
    Temp,
}

/// A body as a program of its own, and what its buffers are, by their numbers.
struct LoweredBody {
    program: Program,
    buffers: Vec<BodyBuffer>,
}

impl LoweredBody {
    /// What the buffers are, read off their names once.
    fn new(lowering: &Lowering<'_>, anchor: NodeId, program: Program) -> Result<Self, PassError> {
        let known = |kind: &BufferKind| match kind {
            BufferKind::Input { name } => BodyPort::of_input(name).map(BodyBuffer::Input),
            BufferKind::Output { name } => BodyPort::of_output(name).map(BodyBuffer::Output),
            BufferKind::Constant { .. } => Some(BodyBuffer::Constant),
            BufferKind::Temp => Some(BodyBuffer::Temp),
            BufferKind::State { .. } | BufferKind::Next { .. } => None,
        };
        let buffers: Option<Vec<BodyBuffer>> = program.buffers.iter().map(|buffer| known(&buffer.kind)).collect();
        let buffers = buffers.ok_or_else(|| lowering.defect(anchor, "a buffer that no body of a scan has"))?;
        Ok(Self { program, buffers })
    }

    fn is(&self, buffer: BufferId) -> BodyBuffer {
        self.buffers[buffer.0 as usize]
    }
}

/// The launches of a body that run before the loop, and the buffers that they write.
struct Prepared {
    launches: BTreeSet<usize>,
    buffers: BTreeMap<BufferId, BufferId>,
    /// What is added to the body's numbers of checks.
    checks: u32,
}

/// Emits the launches that read only invariants, constants, and what such launches write.
fn prepare(lowering: &mut Lowering<'_>, anchor: NodeId, inner: &LoweredBody) -> Result<Prepared, PassError> {
    let checks = lowering.program.checks.len() as u32;
    lowering.program.checks.extend(inner.program.checks.iter().cloned());
    let mut prepared = Prepared { launches: fixed_launches(inner), buffers: BTreeMap::new(), checks };
    for &at in &prepared.launches.clone() {
        let launch = &inner.program.launches[at];
        let mut args = vec![];
        for &arg in &launch.args {
            args.push(match prepared.buffers.get(&arg) {
                Some(&buffer) => buffer,
                None => {
                    let buffer = outer_buffer(lowering, anchor, inner, arg)?;
                    prepared.buffers.insert(arg, buffer);
                    buffer
                }
            });
        }
        let mut kernel = inner.program.kernels[launch.kernel as usize].clone();
        inline::renumber_checks(&mut kernel.body, checks);
        let end = kernel.name.rfind('_').unwrap_or(kernel.name.len());
        kernel.name.truncate(end);
        lowering.launch(kernel, args);
    }
    Ok(prepared)
}

/// The buffer in the program around of one that is the same in all steps.
fn outer_buffer(
    lowering: &mut Lowering<'_>,
    anchor: NodeId,
    inner: &LoweredBody,
    buffer: BufferId,
) -> Result<BufferId, PassError> {
    let found = inner.program.buffer(buffer);
    match inner.is(buffer) {
        BodyBuffer::Input(port) => {
            let operand = operand(lowering, anchor, port)?;
            lowering.operand_buffer(operand)
        }
        _ => Ok(lowering.add_buffer(found.dtype, found.len, found.kind.clone())),
    }
}

/// The operand of a scan that an input of its body stands for.
fn operand(lowering: &Lowering<'_>, anchor: NodeId, port: BodyPort) -> Result<NodeId, PassError> {
    let graph = lowering.graph;
    let Op::Scan(scan) = graph.op(anchor) else { return Err(lowering.defect(anchor, "no scan")) };
    let at = scan.body.inputs().into_iter().position(|input| input == port);
    let operand = at.and_then(|at| graph.operands(anchor).get(at));
    operand.copied().ok_or_else(|| lowering.defect(anchor, "a port of the body that isn't an operand"))
}

/// The launches that do the same in every step: they read what never changes, and what only such launches write.
fn fixed_launches(inner: &LoweredBody) -> BTreeSet<usize> {
    let LoweredBody { program, .. } = inner;
    let uses = |at: usize| {
        let launch = &program.launches[at];
        launch.args.iter().zip(&program.kernels[launch.kernel as usize].params)
    };
    let mut fixed: BTreeSet<usize> = (0..program.launches.len()).collect();
    loop {
        let stays = |&at: &usize| {
            uses(at).all(|(arg, param)| {
                let by_others = (0..program.launches.len())
                    .filter(|other| !fixed.contains(other))
                    .any(|other| uses(other).any(|(a, p)| a == arg && p.access.stores()));
                let may_be_used = match inner.is(*arg) {
                    BodyBuffer::Input(port) => port.role == PortRole::Invariant,
                    BodyBuffer::Constant => true,
                    BodyBuffer::Temp => !by_others,
                    BodyBuffer::Output(_) => false,
                };
                may_be_used && (!param.access.stores() || inner.is(*arg) == BodyBuffer::Temp)
            })
        };
        let left: BTreeSet<usize> = fixed.iter().filter(|at| stays(at)).copied().collect();
        if left.len() == fixed.len() {
            return left;
        }
        fixed = left;
    }
}

/// Makes the kernel.
struct ScanLowering<'a, 'g> {
    lowering: &'a mut Lowering<'g>,
    anchor: NodeId,
    scan: &'g Scan,
    operands: Vec<NodeId>,
    /// The nodes that are wanted, by the number of the result.
    results: BTreeMap<usize, NodeId>,
    inner: LoweredBody,
    prepared: Prepared,
    inliner: Inliner,
    /// The variables of the loops over steps and blocks.
    step: IndexVar,
    block: IndexVar,
    /// The operands and results that blocks cut.
    cut: BTreeSet<BodyPort>,
}

/// A carry as the step before left it, or as this one leaves it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Now,
    Next,
}

/// Something of a step in the memory of a whole operand or result.
struct StepSlice {
    /// Elements of a step, over all blocks.
    step: usize,
    /// Elements of one block's part of it.
    block: usize,
    stacked: bool,
    cut: bool,
}

impl<'a, 'g> ScanLowering<'a, 'g> {
    fn new(
        lowering: &'a mut Lowering<'g>,
        anchor: NodeId,
        scan: &'g Scan,
        results: BTreeMap<usize, NodeId>,
        inner: LoweredBody,
        prepared: Prepared,
        blocks: Option<&RowBlocks>,
    ) -> Self {
        let mut inliner = Inliner::default();
        let (step, block) = (inliner.fresh.index(), inliner.fresh.index());
        let operands = lowering.graph.operands(anchor).to_vec();
        let cut = blocks.map(|b| b.cut.clone()).unwrap_or_default();
        Self { lowering, anchor, scan, operands, results, inner, prepared, inliner, step, block, cut }
    }

    fn run(mut self, blocks: Option<&RowBlocks>) -> Result<(), PassError> {
        let carries = self.scan.body.carries().len();
        let mut body = vec![];
        for carry in 0..carries {
            body.extend(self.first_carry(carry)?);
        }
        let mut steps = vec![];
        for (at, launch) in self.inner.program.launches.clone().iter().enumerate() {
            if !self.prepared.launches.contains(&at) {
                steps.extend(self.inlined(launch)?);
            }
        }
        for carry in 0..carries {
            let (next, current) = (self.carry_local(carry, When::Next)?, self.carry_local(carry, When::Now)?);
            let len = self.inliner.len(current);
            steps.push(self.inliner.copy(len, Expr::load(next, Affine::default()), current.into()));
        }
        body.push(Stmt::serial(self.step, self.scan.length, steps));
        for carry in 0..carries {
            body.extend(self.last_carry(carry)?);
        }
        if let Some(blocks) = blocks {
            body = vec![Stmt::For { var: self.block, extent: blocks.count, kind: LoopKind::Serial, body }];
        }
        let (kernel, args) = self.inliner.finish("scan", body);
        self.lowering.launch(kernel, args);
        Ok(())
    }

    /// The scratch buffer of a carry.
    fn carry_local(&mut self, carry: usize, when: When) -> Result<BufRef, PassError> {
        let port = BodyPort::carry(carry);
        let wanted = match when {
            When::Now => BodyBuffer::Input(port),
            When::Next => BodyBuffer::Output(port),
        };
        let at = self.inner.buffers.iter().position(|buffer| *buffer == wanted);
        let at = at.ok_or_else(|| self.lowering.defect(self.anchor, "a carry that its body doesn't have"))?;
        let (dtype, len) = (self.inner.program.buffers[at].dtype, self.inner.program.buffers[at].len);
        Ok(self.inliner.local(BufferId(at as u32), dtype, len))
    }

    /// Sets a carry to its first value.
    fn first_carry(&mut self, carry: usize) -> Result<Option<Stmt>, PassError> {
        let current = self.carry_local(carry, When::Now)?;
        let len = self.inliner.len(current);
        let operand = self.operands[carry];
        let graph = self.lowering.graph;
        let first = match graph.op(operand) {
            Op::Full(Full { value, .. }) if self.lowering.buffer_of(operand).is_none() => Expr::Const(*value),
            _ => {
                let buffer = self.lowering.operand_buffer(operand)?;
                let ty = graph.ty(operand);
                let from = self.inliner.param(buffer, ty.dtype, ty.shape.numel(), Access::Read);
                Expr::load(from, self.offset(&self.whole(BodyPort::carry(carry), len)))
            }
        };
        Ok(Some(self.inliner.copy(len, first, current.into())))
    }

    /// Copies a carry to where the scan's result goes, if it is wanted.
    fn last_carry(&mut self, carry: usize) -> Result<Option<Stmt>, PassError> {
        let Some(&node) = self.results.get(&carry) else { return Ok(None) };
        let current = self.carry_local(carry, When::Now)?;
        let len = self.inliner.len(current);
        let to = self.result(node);
        let at = self.offset(&self.whole(BodyPort::carry(carry), len));
        Ok(Some(self.inliner.copy(len, Expr::load(current, Affine::default()), Subview { buf: to, offset: at })))
    }

    /// What stands in a whole operand or result that is the same in every step, of which a block has so many elements.
    fn whole(&self, port: BodyPort, block: usize) -> StepSlice {
        StepSlice { step: 0, block, stacked: false, cut: self.cut.contains(&port) }
    }

    fn result(&mut self, node: NodeId) -> BufRef {
        let ty = self.lowering.graph.ty(node).clone();
        let buffer = self.lowering.result_buffer(node);
        self.inliner.param(buffer, ty.dtype, ty.shape.numel(), Access::Write)
    }

    /// Where a part begins, at the step and the block that the loops are at.
    fn offset(&self, part: &StepSlice) -> Affine {
        let mut offset = Affine::default();
        if part.stacked {
            let last = (self.scan.length - 1) as i64;
            let at =
                if self.scan.reverse { Affine::term(self.step, -1).plus(last) } else { Affine::term(self.step, 1) };
            offset = at.scale(part.step as i64);
        }
        if part.cut {
            offset = offset.plus_term(self.block, part.block as i64);
        }
        offset
    }

    /// The statements of a kernel of the body, on the buffers of this one.
    fn inlined(&mut self, launch: &Launch) -> Result<Vec<Stmt>, PassError> {
        let kernel = self.inner.program.kernels[launch.kernel as usize].clone();
        let mut params = vec![];
        for (&arg, param) in launch.args.iter().zip(&kernel.params) {
            params.push(self.place(arg, param.access)?);
        }
        Ok(self.inliner.inline(&kernel, &params, self.prepared.checks))
    }

    /// What a buffer of the body is in this kernel.
    fn place(&mut self, buffer: BufferId, access: Access) -> Result<Subview, PassError> {
        let found = self.inner.program.buffer(buffer).clone();
        if let Some(&outer) = self.prepared.buffers.get(&buffer) {
            let buf = self.inliner.param(outer, found.dtype, found.len, access);
            return Ok(buf.into());
        }
        let local = |emitter: &mut Self| Ok(emitter.inliner.local(buffer, found.dtype, found.len).into());
        match self.inner.is(buffer) {
            BodyBuffer::Input(port) if port.role != PortRole::Carry => {
                let operand = operand(self.lowering, self.anchor, port)?;
                let outer = self.lowering.operand_buffer(operand)?;
                if port.role == PortRole::Sequence {
                    return self.in_stack(port, operand, outer, found.len, access);
                }
                let ty = self.lowering.graph.ty(operand);
                let buf = self.inliner.param(outer, ty.dtype, ty.shape.numel(), access);
                Ok(Subview { buf, offset: self.offset(&self.whole(port, found.len)) })
            }
            BodyBuffer::Output(port @ BodyPort { role: PortRole::Stacked, number }) => {
                match self.results.get(&(self.scan.body.carries().len() + number)).copied() {
                    Some(node) => {
                        let outer = self.lowering.result_buffer(node);
                        self.in_stack(port, node, outer, found.len, access)
                    }
                    None => local(self),
                }
            }
            BodyBuffer::Constant => {
                let outer = self.lowering.add_buffer(found.dtype, found.len, found.kind.clone());
                self.prepared.buffers.insert(buffer, outer);
                self.place(buffer, access)
            }
            _ => local(self),
        }
    }

    /// The current step's part of a sequence or of a stacked result.
    fn in_stack(
        &mut self,
        port: BodyPort,
        node: NodeId,
        outer: BufferId,
        len: usize,
        access: Access,
    ) -> Result<Subview, PassError> {
        let ty = self.lowering.graph.ty(node).clone();
        let numel = ty.shape.numel();
        let buf = self.inliner.param(outer, ty.dtype, numel, access);
        let part =
            StepSlice { step: numel / self.scan.length, block: len, stacked: true, cut: self.cut.contains(&port) };
        Ok(Subview { buf, offset: self.offset(&part) })
    }
}
