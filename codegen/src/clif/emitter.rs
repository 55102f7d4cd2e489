//! What the emission of one kernel carries along, and conversions between the shapes a value can have.

use super::value::{Parts, Val, clif_type};
use crate::error::{EmitError, malformed};
use crate::tile::TileFunctions;
use cranelift::codegen::ir::{Endianness, InstBuilder, MemFlagsData, Value, types};
use cranelift::frontend::{FunctionBuilder, Variable};
use kernel::{BufRef, DType, IndexVar, Kernel, Reg};
use std::collections::BTreeMap;

/// A bound register.
#[derive(Clone)]
pub(super) enum Binding {
    /// It doesn't change.
    Let(Val),
    /// An accumulator: one variable per part.
    Var { dtype: DType, lanes: u16, vars: Vec<Variable> },
}

/// What an index variable is known as.
pub(super) enum IndexValue {
    /// Computed.
    Value(Value),
    /// A constant: the variable of a loop that runs once.
    Constant(i64),
    /// Only as the scaled counters: nothing else is asked for.
    ScaledOnly,
}

/// A bound index variable.
pub(super) struct BoundIndex {
    pub(super) value: IndexValue,
    /// The variable times these bytes, where the loop keeps such a counter.
    pub(super) scaled: Vec<(i64, Value)>,
    /// Order of binding: outer variables first.
    pub(super) order: usize,
}

/// The variable part of an address that has been computed in this scope.
pub(super) struct KnownAddress {
    pub(super) buf: BufRef,
    pub(super) terms: Vec<(IndexVar, i64)>,
    pub(super) value: Value,
}

/// The emission of one kernel.
pub(super) struct Emitter<'a, 'f> {
    pub(super) b: FunctionBuilder<'f>,
    pub(super) kernel: &'a Kernel,
    /// The pointers of the parameters.
    pub(super) params: Vec<Value>,
    pub(super) scratch: Value,
    /// Byte offsets of the locals in the scratch memory.
    pub(super) locals: Vec<i64>,
    pub(super) index: BTreeMap<IndexVar, BoundIndex>,
    pub(super) regs: BTreeMap<Reg, Binding>,
    pub(super) addresses: Vec<KnownAddress>,
    /// The functions that compute tiles.
    pub(super) tiles: &'a TileFunctions,
}

/// Loads and stores of kernels: addresses are valid (the verifier's promise), alignment is that of the element.
pub(super) fn memory_flags() -> MemFlagsData {
    MemFlagsData::new().with_notrap().with_endianness(Endianness::Little)
}

impl Emitter<'_, '_> {
    pub(super) fn buffer_dtype(&self, buf: BufRef) -> Result<DType, EmitError> {
        self.kernel.dtype_of(buf).map_or_else(|| malformed(format!("there is no buffer {buf:?}")), Ok)
    }

    pub(super) fn bind_index(&mut self, var: IndexVar, value: IndexValue, scaled: Vec<(i64, Value)>) {
        let order = self.index.len();
        self.index.insert(var, BoundIndex { value, scaled, order });
    }

    pub(super) fn register(&mut self, reg: Reg) -> Result<Val, EmitError> {
        match self.regs.get(&reg) {
            Some(Binding::Let(val)) => Ok(val.clone()),
            Some(Binding::Var { dtype, lanes, vars }) => {
                let parts = vars.iter().map(|&v| self.b.use_var(v)).collect();
                Ok(Val::new(*dtype, *lanes, parts))
            }
            None => malformed(format!("register {reg:?} is used before it is bound")),
        }
    }

    /// The value in parts of `chunk` lanes.
    pub(super) fn rechunk(&mut self, val: &Val, chunk: u16) -> Parts {
        let from = val.chunk();
        if from == chunk {
            return val.parts.clone();
        }
        if val.dtype == DType::Bool && from == 4 && chunk == 2 {
            return self.widen_masks(val);
        }
        let lanes = self.split(val);
        if chunk == 1 { lanes } else { lanes.chunks(usize::from(chunk)).map(|c| self.pack(val.dtype, c)).collect() }
    }

    /// Masks of 32-bit lanes as masks of 64-bit lanes.
    fn widen_masks(&mut self, val: &Val) -> Parts {
        let mut parts = Parts::new();
        for &mask in &val.parts {
            parts.push(self.b.ins().swiden_low(mask));
            parts.push(self.b.ins().swiden_high(mask));
        }
        parts
    }

    /// The lanes as scalars.
    pub(super) fn split(&mut self, val: &Val) -> Parts {
        let chunk = val.chunk();
        if chunk == 1 {
            return val.parts.clone();
        }
        let mut lanes = Parts::new();
        for &part in &val.parts {
            for lane in 0..chunk {
                let element = self.b.ins().extractlane(part, lane as u8);
                lanes.push(if val.dtype == DType::Bool {
                    let byte = self.b.ins().ireduce(types::I8, element);
                    self.b.ins().band_imm_u(byte, 1)
                } else {
                    element
                });
            }
        }
        lanes
    }

    /// A vector from scalars.
    pub(super) fn pack(&mut self, dtype: DType, lanes: &[Value]) -> Value {
        let ty = clif_type(dtype, lanes.len() as u16);
        let mut elements = Parts::from_slice(lanes);
        if dtype == DType::Bool {
            for element in &mut elements {
                let wide = self.b.ins().uextend(ty.lane_type(), *element);
                *element = self.b.ins().ineg(wide);
            }
        }
        let mut vector = self.b.ins().splat(ty, elements[0]);
        for (lane, &element) in elements.iter().enumerate().skip(1) {
            if element != elements[0] {
                vector = self.b.ins().insertlane(vector, element, lane as u8);
            }
        }
        vector
    }

    /// A scalar in all lanes.
    pub(super) fn splat(&mut self, val: &Val, lanes: u16, chunk: u16) -> Val {
        let part = if chunk == 1 {
            val.parts[0]
        } else if val.dtype == DType::Bool {
            let ty = clif_type(DType::Bool, chunk);
            let wide = self.b.ins().uextend(ty.lane_type(), val.parts[0]);
            let mask = self.b.ins().ineg(wide);
            self.b.ins().splat(ty, mask)
        } else {
            self.b.ins().splat(clif_type(val.dtype, chunk), val.parts[0])
        };
        let parts = std::iter::repeat_n(part, usize::from(lanes / chunk)).collect();
        Val { dtype: val.dtype, lanes, parts, constant: val.constant }
    }

    /// The same bits with another type of the same width.
    pub(super) fn reinterpret(&mut self, value: Value, ty: cranelift::codegen::ir::Type) -> Value {
        if self.b.func.dfg.value_type(value) == ty {
            return value;
        }
        self.b.ins().bitcast(ty, MemFlagsData::new().with_endianness(Endianness::Little), value)
    }
}
