//! `NAME_step(context) -> status`: checks the context, and runs the variant for this processor on it.

use super::{FunctionEmitter, WrapperBuilder, parallel, processor};
use crate::data::{PARAM_BYTES, PORTS};
use crate::layout::{ArenaLayout, Layout, MOST_THREADS, context};
use crate::link::Linked;
use crate::status::{FIRST_PORT, Fault};
use codegen::StepContext;
use cranelift::codegen::ir::condcodes::IntCC;
use cranelift::codegen::ir::{InstBuilder, StackSlotData, StackSlotKind, Value, types};
use cranelift::module::{FuncId, Linkage, Module, ModuleResult};
use runtime::ALIGN;
use std::mem::offset_of;

/// Defines `NAME_step` and `NAME_arena_bytes`.
pub(crate) fn define(code: &mut WrapperBuilder<'_>) -> ModuleResult<()> {
    define_arena_bytes(code)?;
    let parallel_for = parallel::declare(code)?;
    let processor = processor::declare(code)?;
    let signature = code.signature(&[types::I64], Some(types::I32));
    let id = code.declare(&code.symbol("step"), Linkage::Export, &signature)?;
    let (layout, arena, variants) = (code.layout, code.arena, code.variants);
    code.define(id, signature, |e, params| {
        let ctx = params[0];
        check_states(e, ctx, layout.states.bytes);
        let threads = check_arena(e, ctx, arena);
        check_ports(e, ctx, layout);
        let number = variant(e, ctx, processor, variants.len());
        for (at, variant) in variants.iter().enumerate() {
            let (this, next) = (e.b.create_block(), e.b.create_block());
            let is_this = e.b.ins().icmp_imm_u(IntCC::Equal, number, at as i64 + 1);
            e.b.ins().brif(is_this, this, &[], next, &[]);
            e.enter(this);
            run(e, (ctx, threads), variant, (layout, arena, parallel_for))?;
            e.enter(next);
        }
        let none = e.b.ins().iconst(types::I32, Fault::Processor as i64);
        e.b.ins().return_(&[none]);
        Ok(())
    })
}

/// `uint64_t NAME_arena_bytes(uint32_t threads)`.
fn define_arena_bytes(code: &mut WrapperBuilder<'_>) -> ModuleResult<()> {
    let arena = code.arena;
    let signature = code.signature(&[types::I32], Some(types::I64));
    let id = code.declare(&code.symbol("arena_bytes"), Linkage::Export, &signature)?;
    code.define(id, signature, |e, params| {
        let bytes = arena_bytes(e, arena, params[0]);
        e.b.ins().return_(&[bytes]);
        Ok(())
    })
}

/// Bytes for so many threads, none counted as one.
fn arena_bytes(e: &mut FunctionEmitter<'_, '_>, arena: &ArenaLayout, threads: Value) -> Value {
    let one = e.b.ins().iconst(types::I32, 1);
    let threads = e.b.ins().umax(threads, one);
    let threads = e.b.ins().uextend(types::I64, threads);
    let scratch = e.b.ins().imul_imm_s(threads, arena.scratch_bytes as i64);
    e.b.ins().iadd_imm_s(scratch, arena.scratch as i64)
}

/// Checks the context, its version and the states.
pub(crate) fn check_states(e: &mut FunctionEmitter<'_, '_>, ctx: Value, bytes: usize) {
    let null = e.b.ins().icmp_imm_u(IntCC::Equal, ctx, 0);
    e.fail_if(null, Fault::Context as i32);
    let version = e.load(types::I32, ctx, context::VERSION);
    let other = e.b.ins().icmp_imm_u(IntCC::NotEqual, version, i64::from(crate::ABI_VERSION));
    e.fail_if(other, Fault::Version as i32);
    if bytes > 0 {
        let states = e.load(types::I64, ctx, context::STATES);
        let unusable = e.is_unusable(states, ALIGN);
        let has = e.load(types::I64, ctx, context::STATE_BYTES);
        let small = e.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, has, bytes as i64);
        let wrong = e.b.ins().bor(unusable, small);
        e.fail_if(wrong, Fault::States as i32);
    }
}

/// Checks the number of threads and the arena; gives how many threads the step is shared among.
pub(crate) fn check_arena(e: &mut FunctionEmitter<'_, '_>, ctx: Value, arena: &ArenaLayout) -> Value {
    let threads = e.load(types::I32, ctx, context::THREADS);
    let many = e.b.ins().icmp_imm_u(IntCC::UnsignedGreaterThan, threads, i64::from(MOST_THREADS));
    e.fail_if(many, Fault::Threads as i32);
    let needs = arena_bytes(e, arena, threads);
    let start = e.load(types::I64, ctx, context::ARENA);
    let unusable = e.is_unusable(start, ALIGN);
    let has = e.load(types::I64, ctx, context::ARENA_BYTES);
    let small = e.b.ins().icmp(IntCC::UnsignedLessThan, has, needs);
    let wrong = e.b.ins().bor(unusable, small);
    e.fail_if(wrong, Fault::Arena as i32);
    // Without a callback there is one thread.
    let parallel_for = e.load(types::I64, ctx, context::PARALLEL_FOR);
    let alone = e.b.ins().icmp_imm_u(IntCC::Equal, parallel_for, 0);
    let one = e.b.ins().iconst(types::I32, 1);
    e.b.ins().select(alone, one, threads)
}

fn check_ports(e: &mut FunctionEmitter<'_, '_>, ctx: Value, layout: &Layout<'_>) {
    for (at, port) in layout.ports.iter().enumerate() {
        let pointer = e.load(types::I64, ctx, Layout::port_offset(at));
        let unusable = e.is_unusable(pointer, port.align);
        e.fail_if(unusable, FIRST_PORT - at as i32);
    }
}

/// The number of the variant for this processor, which the context remembers: asking takes longer than a small step.
pub(crate) fn variant(e: &mut FunctionEmitter<'_, '_>, ctx: Value, processor: FuncId, count: usize) -> Value {
    let known = e.load(types::I64, ctx, context::PROCESSOR);
    let (ask, after) = (e.b.create_block(), e.b.create_block());
    let number = e.b.append_block_param(after, types::I64);
    let below = e.b.ins().iadd_imm_s(known, -1);
    let is_known = e.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, below, count as i64);
    e.b.ins().brif(is_known, after, &[known.into()], ask, &[]);
    e.enter(ask);
    let zero = e.b.ins().iconst(types::I32, 0);
    let found = e.call(processor, &[]).unwrap_or(zero);
    let found = e.b.ins().uextend(types::I64, found);
    e.store(found, ctx, context::PROCESSOR);
    e.b.ins().jump(after, &[found.into()]);
    e.enter(after);
    number
}

/// Fills in the addresses of all parameters, and returns what the variant's step returns.
fn run(
    e: &mut FunctionEmitter<'_, '_>,
    (ctx, threads): (Value, Value),
    variant: &Linked,
    (layout, arena, parallel_for): (&Layout<'_>, &ArenaLayout, FuncId),
) -> ModuleResult<()> {
    let count = PORTS as usize + layout.ports.len();
    let slot = e.b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, count as u32 * 8, 3));
    let bases = e.b.ins().stack_addr(types::I64, slot, 0);
    let start = e.load(types::I64, ctx, context::ARENA);
    let states = e.load(types::I64, ctx, context::STATES);
    let constants = match variant.constants {
        Some(table) => e.table(table),
        None => e.int(0),
    };
    for (at, base) in [start, states, constants].into_iter().enumerate() {
        e.store(base, bases, 8 * at as i32);
    }
    for at in 0..layout.ports.len() {
        let port = e.load(types::I64, ctx, Layout::port_offset(at));
        e.store(port, bases, 8 * (PORTS as usize + at) as i32);
    }
    let (table, params) = (e.table(variant.params), e.b.ins().iadd_imm_s(start, arena.params as i64));
    let count = e.int(variant.param_count as i64);
    e.repeat(count, |e, at| {
        let from = e.b.ins().imul_imm_s(at, PARAM_BYTES as i64);
        let from = e.b.ins().iadd(table, from);
        let (base, offset) = (e.load(types::I64, from, 0), e.load(types::I64, from, 8));
        let base = e.b.ins().imul_imm_s(base, 8);
        let base = e.b.ins().iadd(bases, base);
        let base = e.load(types::I64, base, 0);
        let address = e.b.ins().iadd(base, offset);
        let to = e.b.ins().imul_imm_s(at, 8);
        let to = e.b.ins().iadd(params, to);
        e.store(address, to, 0);
    });
    let bytes = size_of::<StepContext>() as u32;
    let slot = e.b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, bytes, 3));
    let step = e.b.ins().stack_addr(types::I64, slot, 0);
    let version = e.b.ins().iconst(types::I32, i64::from(codegen::ABI_VERSION));
    let scratch = e.b.ins().iadd_imm_s(start, arena.scratch as i64);
    let parallel_for = e.module.declare_func_in_func(parallel_for, e.b.func);
    let parallel_for = e.b.ins().func_addr(types::I64, parallel_for);
    let fields = [
        (offset_of!(StepContext, version), version),
        (offset_of!(StepContext, threads), threads),
        (offset_of!(StepContext, args), params),
        (offset_of!(StepContext, scratch), scratch),
        (offset_of!(StepContext, parallel_for), parallel_for),
        (offset_of!(StepContext, user), ctx),
    ];
    for (at, value) in fields {
        e.store(value, step, at as i32);
    }
    let zero = e.b.ins().iconst(types::I32, 0);
    let status = e.call(variant.step, &[step]).unwrap_or(zero);
    // Variants' checks have numbers one after the other.
    let is_check = e.b.ins().icmp(IntCC::SignedGreaterThan, status, zero);
    let numbered = e.b.ins().iadd_imm_s(status, variant.first_check as i64);
    let status = e.b.ins().select(is_check, numbered, status);
    e.b.ins().return_(&[status]);
    Ok(())
}
