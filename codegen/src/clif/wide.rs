//! Tiles whose sums are computed by a wide-vector function: the call, and what follows the sum.
//!
//! A tile whose body only stores the sums, or adds them to what stands there, hands the function the place to store them. Otherwise they wait on the stack, and the body
//! runs over them in loops.

use super::emitter::{Binding, Emitter, IndexValue, memory_flags};
use super::memory::Address;
use super::value::{Parts, Val, clif_type};
use crate::error::EmitError;
use crate::tile::{TileShape, form};
use cranelift::codegen::ir::condcodes::IntCC;
use cranelift::codegen::ir::{
    AbiParam, BlockArg, ExtFuncData, ExternalName, InstBuilder, Signature, StackSlotData, StackSlotKind,
    UserExternalName, Value, types,
};
use cranelift::codegen::isa::CallConv;
use kernel::{DType, IndexVar, Micro};

/// A row of a tile is unrolled to at most that many statements of the body; a longer one is a loop.
const MAX_UNROLLED: i64 = 160;

/// Neighbouring sums of a row, on the stack.
#[derive(Clone, Copy)]
struct Sums {
    at: Value,
    /// In bytes.
    offset: i32,
    lanes: u16,
}

/// The signature of the functions that compute tiles: `a`, `b` and `c` as pointers.
pub(crate) fn tile_signature() -> Signature {
    let mut signature = Signature::new(CallConv::SystemV);
    signature.params.extend([AbiParam::new(types::I64); 3]);
    signature
}

impl Emitter<'_, '_> {
    /// Emits a tile by a call, if it has a wide form that has been assembled.
    pub(super) fn wide_tile(&mut self, micro: &Micro) -> Result<bool, EmitError> {
        let Some(form) = form(self.kernel, micro, self.target) else {
            return Ok(false);
        };
        let Some(&function) = self.tiles.get(&form.shape) else { return Ok(false) };
        let known = self.addresses.len();
        let a = self.address(micro.a.buf, &micro.a.base)?;
        let b = self.address(micro.b.buf, &micro.b.base)?;
        let (a, b) = (self.pointer(a), self.pointer(b));
        match &form.direct {
            Some(place) => {
                let c = self.address(place.buf, &place.first)?;
                let c = self.pointer(c);
                self.call_tile(function, [a, b, c]);
            }
            None => self.tile_with_body(micro, &form.shape, function, [a, b])?,
        }
        self.addresses.truncate(known);
        Ok(true)
    }

    fn pointer(&mut self, at: Address) -> Value {
        if at.offset == 0 { at.base } else { self.b.ins().iadd_imm_s(at.base, at.offset) }
    }

    fn call_tile(&mut self, function: u32, args: [Value; 3]) {
        let signature = self.b.import_signature(tile_signature());
        let name = self.b.func.declare_imported_user_function(UserExternalName { namespace: 0, index: function });
        let callee = self.b.import_function(ExtFuncData {
            name: ExternalName::user(name),
            signature,
            colocated: true,
            patchable: false,
        });
        self.b.ins().call(callee, &args);
    }

    fn tile_with_body(
        &mut self,
        micro: &Micro,
        shape: &TileShape,
        function: u32,
        [a, b]: [Value; 2],
    ) -> Result<(), EmitError> {
        let dtype = if shape.double { DType::F64 } else { DType::F32 };
        let bytes = micro.m * micro.n * dtype.size_bytes();
        let slot = self.b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, bytes as u32, 6));
        let sums = self.b.ins().stack_addr(types::I64, slot, 0);
        self.call_tile(function, [a, b, sums]);
        self.over_tile(micro, dtype, sums, &mut |e, sums| {
            let sum = e.b.ins().load(clif_type(dtype, sums.lanes), memory_flags(), sums.at, sums.offset);
            let sum = Val::new(dtype, sums.lanes, Parts::from_slice(&[sum]));
            e.regs.insert(micro.acc, Binding::Let(sum));
            micro.body.iter().try_for_each(|stmt| e.stmt(stmt))
        })
    }

    /// Runs `emit` for each row and each 128 bits of a row, then for each column that is left; it gets the sums' place.
    fn over_tile(
        &mut self,
        micro: &Micro,
        dtype: DType,
        sums: Value,
        emit: &mut dyn FnMut(&mut Self, Sums) -> Result<(), EmitError>,
    ) -> Result<(), EmitError> {
        let (size, lanes) = (dtype.size_bytes() as i64, 16 / dtype.size_bytes() as i64);
        let (n, whole) = (micro.n as i64, micro.n as i64 / lanes * lanes);
        self.counted(micro.i, (0, micro.m as i64, 1), |e, i| {
            let row = e.b.ins().imul_imm_s(i, n * size);
            let row = e.b.ins().iadd(sums, row);
            for (from, to, step) in [(0, whole, lanes), (whole, n, 1)] {
                if from < to {
                    e.columns(micro, (from, to, step), row, size, emit)?;
                }
            }
            Ok(())
        })
    }

    fn columns(
        &mut self,
        micro: &Micro,
        (from, to, step): (i64, i64, i64),
        row: Value,
        size: i64,
        emit: &mut dyn FnMut(&mut Self, Sums) -> Result<(), EmitError>,
    ) -> Result<(), EmitError> {
        let mut widened = |e: &mut Self, at: Value, offset: i64| {
            let outer = e.widen.take();
            e.widen = (step > 1).then_some((micro.j, step as u16));
            let result = emit(e, Sums { at, offset: offset as i32, lanes: step as u16 });
            e.widen = outer;
            result
        };
        let statements = (to - from) / step * micro.body.len() as i64;
        if statements > MAX_UNROLLED {
            return self.counted(micro.j, (from, to, step), |e, column| {
                let at = e.b.ins().imul_imm_s(column, size);
                let at = e.b.ins().iadd(row, at);
                widened(e, at, 0)
            });
        }
        (0..(to - from) / step).map(|at| from + at * step).try_for_each(|column| {
            self.bind_index(micro.j, IndexValue::Constant(column), vec![]);
            widened(self, row, column * size)
        })
    }

    /// A loop in which `var` takes the values from `from` below `to`, at least one.
    fn counted(
        &mut self,
        var: IndexVar,
        (from, to, step): (i64, i64, i64),
        body: impl FnOnce(&mut Self, Value) -> Result<(), EmitError>,
    ) -> Result<(), EmitError> {
        let known = self.addresses.len();
        let (header, exit) = (self.b.create_block(), self.b.create_block());
        let counter = self.b.append_block_param(header, types::I64);
        let start = self.b.ins().iconst(types::I64, from);
        self.b.ins().jump(header, &[BlockArg::Value(start)]);
        self.b.switch_to_block(header);
        self.bind_index(var, IndexValue::Value(counter), vec![]);
        body(self, counter)?;
        let next = self.b.ins().iadd_imm_s(counter, step);
        let again = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, next, to);
        self.b.ins().brif(again, header, &[BlockArg::Value(next)], exit, &[]);
        self.b.seal_block(header);
        self.enter(exit);
        self.addresses.truncate(known);
        Ok(())
    }
}
