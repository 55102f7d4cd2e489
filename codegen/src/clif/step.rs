//! The step: a function that runs all launches in order.

use super::{enter, kernel_signature, reference};
use crate::abi::StepContext;
use cranelift::codegen::ir::condcodes::IntCC;
use cranelift::codegen::ir::{
    AbiParam, Block, BlockArg, FuncRef, Function, InstBuilder, MemFlagsData, Signature, Type, Value, types,
};
use cranelift::codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift::frontend::{FunctionBuilder, FunctionBuilderContext};
use std::mem::offset_of;

/// One launch as the step sees it.
pub(crate) struct StepLaunch {
    /// The kernel's function, by its number in the linker.
    pub(crate) kernel: u32,
    /// Position of its first parameter in the table of addresses.
    pub(crate) args: usize,
    /// Iterations of its parallel loop, which threads share; 1 if there is none.
    pub(crate) extent: usize,
}

/// The signature of the step: `(context) -> status`.
pub(crate) fn step_signature(call_conv: CallConv) -> Signature {
    let mut signature = Signature::new(call_conv);
    signature.params.push(AbiParam::new(types::I64));
    signature.returns.push(AbiParam::new(types::I32));
    signature
}

/// Emits the step into an empty function that has the step's signature.
pub(crate) fn emit_step(
    launches: &[StepLaunch],
    config: TargetFrontendConfig,
    function: &mut Function,
    context: &mut FunctionBuilderContext,
) {
    let call_conv = function.signature.call_conv;
    let mut b = FunctionBuilder::new(function, context);
    // `(context, kernel, args, extent) -> status`: four words and a status, as a kernel.
    let parallel_for = b.import_signature(kernel_signature(call_conv));
    let kernels: Vec<FuncRef> =
        launches.iter().map(|l| reference(&mut b, l.kernel, kernel_signature(call_conv))).collect();
    let (ctx, failed) = begin(&mut b);
    let field = |b: &mut FunctionBuilder<'_>, ty: Type, at: usize| {
        b.ins().load(ty, MemFlagsData::trusted().with_readonly().with_can_move(), ctx, at as i32)
    };
    let args = field(&mut b, types::I64, offset_of!(StepContext, args));
    let scratch = field(&mut b, types::I64, offset_of!(StepContext, scratch));
    let threads = field(&mut b, types::I32, offset_of!(StepContext, threads));
    let threaded = b.ins().icmp_imm_u(IntCC::UnsignedGreaterThan, threads, 1);
    for (launch, kernel) in launches.iter().zip(kernels) {
        let launch_args = b.ins().iadd_imm_s(args, launch.args as i64 * 8);
        let extent = b.ins().iconst(types::I64, launch.extent as i64);
        let result = if launch.extent > 1 {
            let callee = field(&mut b, types::I64, offset_of!(StepContext, parallel_for));
            let (fork, alone, after) = (b.create_block(), b.create_block(), b.create_block());
            let result = b.append_block_param(after, types::I32);
            b.ins().brif(threaded, fork, &[], alone, &[]);
            enter(&mut b, fork);
            let address = b.ins().func_addr(types::I64, kernel);
            let call = b.ins().call_indirect(parallel_for, callee, &[ctx, address, launch_args, extent]);
            jump_with_result(&mut b, call, after);
            enter(&mut b, alone);
            let call = direct_call(&mut b, kernel, launch_args, scratch, extent);
            jump_with_result(&mut b, call, after);
            enter(&mut b, after);
            result
        } else {
            let call = direct_call(&mut b, kernel, launch_args, scratch, extent);
            b.inst_results(call)[0]
        };
        fail_unless_zero(&mut b, result, failed);
    }
    end(b, failed, config);
}

/// Emits a function with the step's signature that calls others of that signature, by their numbers in the linker, until one fails.
pub(crate) fn emit_parts(
    parts: &[u32],
    config: TargetFrontendConfig,
    function: &mut Function,
    context: &mut FunctionBuilderContext,
) {
    let mut b = FunctionBuilder::new(function, context);
    let signature = b.func.signature.clone();
    let (ctx, failed) = begin(&mut b);
    for &part in parts {
        let part = reference(&mut b, part, signature.clone());
        let call = b.ins().call(part, &[ctx]);
        let result = b.inst_results(call)[0];
        fail_unless_zero(&mut b, result, failed);
    }
    end(b, failed, config);
}

/// The first block of a function with the step's signature: its argument, and the block that returns the status it is given.
fn begin(b: &mut FunctionBuilder<'_>) -> (Value, Block) {
    let context = super::begin(b)[0];
    let failed = b.create_block();
    b.append_block_param(failed, types::I32);
    b.set_cold_block(failed);
    (context, failed)
}

/// Goes on in a new block if a status is that of success.
fn fail_unless_zero(b: &mut FunctionBuilder<'_>, status: Value, failed: Block) {
    let next = b.create_block();
    b.ins().brif(status, failed, &[BlockArg::Value(status)], next, &[]);
    enter(b, next);
}

/// Returns success, and the status from where something failed.
fn end(mut b: FunctionBuilder<'_>, failed: Block, config: TargetFrontendConfig) {
    let success = b.ins().iconst(types::I32, 0);
    b.ins().return_(&[success]);
    enter(&mut b, failed);
    let status = b.block_params(failed)[0];
    b.ins().return_(&[status]);
    b.finalize(config);
}

fn jump_with_result(b: &mut FunctionBuilder<'_>, call: cranelift::codegen::ir::Inst, to: Block) {
    let result = b.inst_results(call)[0];
    b.ins().jump(to, &[BlockArg::Value(result)]);
}

fn direct_call(
    b: &mut FunctionBuilder<'_>,
    kernel: FuncRef,
    args: Value,
    scratch: Value,
    extent: Value,
) -> cranelift::codegen::ir::Inst {
    let zero = b.ins().iconst(types::I64, 0);
    b.ins().call(kernel, &[args, scratch, zero, extent])
}
