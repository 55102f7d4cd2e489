//! Parallel loops by the caller's threads: what stands between the step, which asks for iterations of a kernel, and the caller's `parallel_for`, which knows
//! nothing of kernels.
//!
//! The job is on the stack of the thread that runs the step: the kernel, its parameters, where threads' scratch memory is, what may be asked for, and the
//! smallest status of all parts, which threads change by an atomic operation.

use super::WrapperBuilder;
use crate::layout::context;
use crate::status::Fault;
use codegen::StepContext;
use cranelift::codegen::ir::condcodes::IntCC;
use cranelift::codegen::ir::{AtomicRmwOp, InstBuilder, MemFlagsData, StackSlotData, StackSlotKind, types};
use cranelift::module::{FuncId, Linkage, Module, ModuleResult};
use std::mem::offset_of;

/// Offsets in a job.
mod job {
    pub(super) const KERNEL: i32 = 0;
    pub(super) const ARGS: i32 = 8;
    pub(super) const SCRATCH: i32 = 16;
    pub(super) const EXTENT: i32 = 24;
    pub(super) const THREADS: i32 = 32;
    pub(super) const STATUS: i32 = 36;
    pub(super) const BYTES: u32 = 40;
}

/// The status of a job of which no part has failed.
const NONE_FAILED: i64 = 0xffff_ffff;

/// `fn(step context, kernel, args, extent) -> status`: a [`codegen::ParallelFor`].
pub(crate) fn declare(code: &mut WrapperBuilder<'_>) -> ModuleResult<FuncId> {
    let signature = code.signature(&[types::I64; 4], Some(types::I32));
    let name = format!("{}.parallel_for", code.layout.name);
    code.declare(&name, Linkage::Local, &signature)
}

/// Defines it, and the task.
pub(crate) fn define(code: &mut WrapperBuilder<'_>) -> ModuleResult<()> {
    let task = define_task(code)?;
    let id = declare(code)?;
    let signature = code.signature(&[types::I64; 4], Some(types::I32));
    // `void (*)(void *user, uint32_t threads, task, void *job, int64_t extent)`.
    let callback = code.signature(&[types::I64, types::I32, types::I64, types::I64, types::I64], None);
    code.define(id, signature, |e, params| {
        let [step, kernel, args, extent] = [0, 1, 2, 3].map(|at| params[at]);
        let context = e.load(types::I64, step, offset_of!(StepContext, user) as i32);
        let scratch = e.load(types::I64, step, offset_of!(StepContext, scratch) as i32);
        let threads = e.load(types::I32, step, offset_of!(StepContext, threads) as i32);
        let slot = e.b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, job::BYTES, 3));
        let job = e.b.ins().stack_addr(types::I64, slot, 0);
        for (at, value) in [
            (job::KERNEL, kernel),
            (job::ARGS, args),
            (job::SCRATCH, scratch),
            (job::EXTENT, extent),
            (job::THREADS, threads),
        ] {
            e.store(value, job, at);
        }
        let none = e.b.ins().iconst(types::I32, NONE_FAILED);
        e.store(none, job, job::STATUS);
        let parallel_for = e.load(types::I64, context, context::PARALLEL_FOR);
        let user = e.load(types::I64, context, context::USER);
        let task = e.module.declare_func_in_func(task, e.b.func);
        let task = e.b.ins().func_addr(types::I64, task);
        let callback = e.b.import_signature(callback);
        e.b.ins().call_indirect(callback, parallel_for, &[user, threads, task, job, extent]);
        let status = e.load(types::I32, job, job::STATUS);
        let fine = e.b.ins().icmp_imm_u(IntCC::Equal, status, NONE_FAILED);
        let success = e.b.ins().iconst(types::I32, 0);
        let status = e.b.ins().select(fine, success, status);
        e.b.ins().return_(&[status]);
        Ok(())
    })
}

/// `void NAME.task(void *job, uint32_t thread, int64_t begin, int64_t end)`: a part of the iterations.
fn define_task(code: &mut WrapperBuilder<'_>) -> ModuleResult<FuncId> {
    let signature = code.signature(&[types::I64, types::I32, types::I64, types::I64], None);
    let kernel_signature = code.signature(&[types::I64; 4], Some(types::I32));
    let name = format!("{}.task", code.layout.name);
    let id = code.declare(&name, Linkage::Local, &signature)?;
    let scratch_bytes = code.arena.scratch_bytes;
    code.define(id, signature, |e, params| {
        let [job, thread, begin, end] = [0, 1, 2, 3].map(|at| params[at]);
        let threads = e.load(types::I32, job, job::THREADS);
        let extent = e.load(types::I64, job, job::EXTENT);
        let (runs, done, after) = (e.b.create_block(), e.b.create_block(), e.b.create_block());
        let status = e.b.append_block_param(done, types::I32);
        // What wasn't asked for would run beyond the buffers.
        let other = e.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, thread, threads);
        let backwards = e.b.ins().icmp(IntCC::UnsignedGreaterThan, begin, end);
        let beyond = e.b.ins().icmp(IntCC::UnsignedGreaterThan, end, extent);
        let wrong = e.b.ins().bor(other, backwards);
        let wrong = e.b.ins().bor(wrong, beyond);
        let fault = e.b.ins().iconst(types::I32, Fault::Range as i64);
        e.b.ins().brif(wrong, done, &[fault.into()], runs, &[]);
        e.enter(runs);
        let kernel = e.load(types::I64, job, job::KERNEL);
        let args = e.load(types::I64, job, job::ARGS);
        let scratch = e.load(types::I64, job, job::SCRATCH);
        let thread = e.b.ins().uextend(types::I64, thread);
        let own = e.b.ins().imul_imm_s(thread, scratch_bytes as i64);
        let scratch = e.b.ins().iadd(scratch, own);
        let signature = e.b.import_signature(kernel_signature);
        let call = e.b.ins().call_indirect(signature, kernel, &[args, scratch, begin, end]);
        let result = e.b.inst_results(call)[0];
        e.b.ins().brif(result, done, &[result.into()], after, &[]);
        e.enter(done);
        let place = e.b.ins().iadd_imm_s(job, i64::from(job::STATUS));
        e.b.ins().atomic_rmw(types::I32, MemFlagsData::trusted(), AtomicRmwOp::Umin, place, status);
        e.b.ins().jump(after, &[]);
        e.enter(after);
        e.b.ins().return_(&[]);
        Ok(())
    })?;
    Ok(id)
}
