//! The functions around a step, in Cranelift's IR: they check what the caller gives, find the variant for the processor, and put addresses where the step
//! expects them.

mod convert;
mod evaluate;
mod fill;
pub(crate) mod init;
pub(crate) mod message;
pub(crate) mod parallel;
pub(crate) mod processor;
pub(crate) mod step;

use crate::layout::{ArenaLayout, Layout};
use crate::link::Linked;
use cranelift::codegen::Context;
use cranelift::codegen::ir::condcodes::IntCC;
use cranelift::codegen::ir::{AbiParam, Block, BlockArg, InstBuilder, MemFlagsData, Signature, Type, Value, types};
use cranelift::frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift::module::{DataId, FuncId, Linkage, Module, ModuleResult};
use cranelift_object::ObjectModule;

/// The object that functions are added to.
pub(crate) struct WrapperBuilder<'a> {
    pub(crate) module: &'a mut ObjectModule,
    pub(crate) layout: &'a Layout<'a>,
    pub(crate) arena: &'a ArenaLayout,
    pub(crate) variants: &'a [Linked],
}

/// A function while it is emitted.
pub(crate) struct FunctionEmitter<'m, 'f> {
    pub(crate) b: FunctionBuilder<'f>,
    pub(crate) module: &'m mut ObjectModule,
    /// Where doubles stand that formulas of initial values load and store by number.
    pub(crate) scratch: Option<Value>,
}

impl WrapperBuilder<'_> {
    /// A function's name in the object.
    pub(crate) fn symbol(&self, what: &str) -> String {
        format!("{}_{what}", self.layout.name)
    }

    pub(crate) fn signature(&self, params: &[Type], result: Option<Type>) -> Signature {
        let mut signature = Signature::new(self.module.isa().default_call_conv());
        signature.params.extend(params.iter().copied().map(AbiParam::new));
        signature.returns.extend(result.map(AbiParam::new));
        signature
    }

    /// Declares a function that is defined elsewhere in the object, or called from outside.
    pub(crate) fn declare(&mut self, name: &str, linkage: Linkage, signature: &Signature) -> ModuleResult<FuncId> {
        self.module.declare_function(name, linkage, signature)
    }

    /// Defines a function; `body` gets its parameters, and must end it.
    pub(crate) fn define(
        &mut self,
        id: FuncId,
        signature: Signature,
        body: impl FnOnce(&mut FunctionEmitter<'_, '_>, &[Value]) -> ModuleResult<()>,
    ) -> ModuleResult<()> {
        let mut context = Context::new();
        context.func.signature = signature;
        let mut builder = FunctionBuilderContext::new();
        let config = self.module.isa().frontend_config();
        let mut b = FunctionBuilder::new(&mut context.func, &mut builder);
        let entry = b.create_block();
        b.append_block_params_for_function_params(entry);
        b.switch_to_block(entry);
        b.seal_block(entry);
        let params = b.block_params(entry).to_vec();
        let mut emit = FunctionEmitter { b, module: self.module, scratch: None };
        body(&mut emit, &params)?;
        emit.b.finalize(config);
        self.module.define_function(id, &mut context)
    }
}

impl FunctionEmitter<'_, '_> {
    pub(crate) fn load(&mut self, ty: Type, base: Value, offset: i32) -> Value {
        self.b.ins().load(ty, MemFlagsData::new(), base, offset)
    }

    pub(crate) fn store(&mut self, value: Value, base: Value, offset: i32) {
        self.b.ins().store(MemFlagsData::new(), value, base, offset);
    }

    pub(crate) fn int(&mut self, value: i64) -> Value {
        self.b.ins().iconst(types::I64, value)
    }

    /// The address of a table.
    pub(crate) fn table(&mut self, id: DataId) -> Value {
        let table = self.module.declare_data_in_func(id, self.b.func);
        self.b.ins().symbol_value(types::I64, table)
    }

    pub(crate) fn call(&mut self, function: FuncId, args: &[Value]) -> Option<Value> {
        let function = self.module.declare_func_in_func(function, self.b.func);
        let call = self.b.ins().call(function, args);
        self.b.inst_results(call).first().copied()
    }

    /// Goes on in a block to which all jumps have been emitted.
    pub(crate) fn enter(&mut self, block: Block) {
        self.b.switch_to_block(block);
        self.b.seal_block(block);
    }

    /// Returns a status if a condition holds.
    pub(crate) fn fail_if(&mut self, condition: Value, status: i32) {
        let (failed, next) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(failed);
        self.b.ins().brif(condition, failed, &[], next, &[]);
        self.enter(failed);
        let status = self.b.ins().iconst(types::I32, i64::from(status));
        self.b.ins().return_(&[status]);
        self.enter(next);
    }

    /// Whether a pointer is null or no multiple of a power of two.
    pub(crate) fn is_unusable(&mut self, pointer: Value, align: usize) -> Value {
        let null = self.b.ins().icmp_imm_u(IntCC::Equal, pointer, 0);
        if align == 1 {
            return null;
        }
        let low = self.b.ins().band_imm_u(pointer, align as i64 - 1);
        let askew = self.b.ins().icmp_imm_u(IntCC::NotEqual, low, 0);
        self.b.ins().bor(null, askew)
    }

    /// Runs a body for each number below `count`, which is the same size as a pointer.
    pub(crate) fn repeat(&mut self, count: Value, body: impl FnOnce(&mut Self, Value)) {
        let [header, round, exit] = [(); 3].map(|()| self.b.create_block());
        let at = self.b.append_block_param(header, types::I64);
        let zero = self.int(0);
        self.b.ins().jump(header, &[BlockArg::Value(zero)]);
        self.b.switch_to_block(header);
        let more = self.b.ins().icmp(IntCC::UnsignedLessThan, at, count);
        self.b.ins().brif(more, round, &[], exit, &[]);
        self.enter(round);
        body(self, at);
        let next = self.b.ins().iadd_imm_s(at, 1);
        self.b.ins().jump(header, &[BlockArg::Value(next)]);
        self.b.seal_block(header);
        self.enter(exit);
    }
}
