//! The portable emitter: kernels as functions in Cranelift's IR (CLIF).

mod cast;
mod emitter;
mod expr;
mod memory;
mod ops;
mod short;
pub(crate) mod step;
mod stmt;
mod strides;
mod tile;
mod value;

use crate::error::EmitError;
use crate::tile::TileFunctions;
use cranelift::codegen::ir::condcodes::IntCC;
use cranelift::codegen::ir::{
    AbiParam, Block, ExtFuncData, ExternalName, FuncRef, Function, InstBuilder, MemFlagsData, Signature,
    UserExternalName, Value, types,
};
use cranelift::codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift::frontend::{FunctionBuilder, FunctionBuilderContext};
use emitter::Emitter;
use kernel::{Kernel, LoopKind, Stmt};
use std::collections::BTreeMap;
use strides::index_use;
pub(crate) use tile::emit_tile;

/// The signature of a kernel's function: `(args, scratch, lo, hi) -> status`.
pub(crate) fn kernel_signature(call_conv: CallConv) -> Signature {
    let mut signature = Signature::new(call_conv);
    signature.params.extend([AbiParam::new(types::I64); 4]);
    signature.returns.push(AbiParam::new(types::I32));
    signature
}

/// Starts an empty function: its parameters.
fn begin(b: &mut FunctionBuilder<'_>) -> Vec<Value> {
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    enter(b, entry);
    b.block_params(entry).to_vec()
}

/// A function of the program, by its number, as something to call.
fn reference(b: &mut FunctionBuilder<'_>, function: u32, signature: Signature) -> FuncRef {
    let signature = b.import_signature(signature);
    let name = b.func.declare_imported_user_function(UserExternalName { namespace: 0, index: function });
    let name = ExternalName::user(name);
    b.import_function(ExtFuncData { name, signature, colocated: true, patchable: false })
}

/// Goes on in a block to which all jumps have been emitted.
fn enter(b: &mut FunctionBuilder<'_>, block: Block) {
    b.switch_to_block(block);
    b.seal_block(block);
}

/// Emits a kernel into an empty function that has the kernel signature.
pub(crate) fn emit_kernel(
    kernel: &Kernel,
    tiles: &TileFunctions,
    config: TargetFrontendConfig,
    function: &mut Function,
    context: &mut FunctionBuilderContext,
) -> Result<(), EmitError> {
    let mut b = FunctionBuilder::new(function, context);
    let given = begin(&mut b);
    let [args, scratch, lo, hi] = [0, 1, 2, 3].map(|p| given[p]);
    // The table of pointers is written before the step and never by it.
    let table = MemFlagsData::trusted().with_readonly().with_can_move();
    let params = (0..kernel.params.len()).map(|p| b.ins().load(types::I64, table, args, p as i32 * 8)).collect();
    let mut emitter = Emitter {
        b,
        kernel,
        params,
        scratch,
        locals: crate::layout::scratch_layout(kernel).0,
        index: BTreeMap::new(),
        regs: BTreeMap::new(),
        addresses: Vec::new(),
        tiles,
    };
    if let [Stmt::For { kind: LoopKind::Parallel, var, body, .. }] = kernel.body.as_slice() {
        let (run, done) = (emitter.b.create_block(), emitter.b.create_block());
        let some = emitter.b.ins().icmp(IntCC::SignedLessThan, lo, hi);
        emitter.b.ins().brif(some, run, &[], done, &[]);
        emitter.enter(run);
        let uses = index_use(kernel, *var, body);
        emitter.range_loop(*var, lo, hi, &uses, body)?;
        emitter.b.ins().jump(done, &[]);
        emitter.enter(done);
    } else {
        emitter.scope(&kernel.body)?;
    }
    let mut b = emitter.b;
    let success = b.ins().iconst(types::I32, 0);
    b.ins().return_(&[success]);
    b.finalize(config);
    Ok(())
}
