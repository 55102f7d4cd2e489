//! Functions that fill a state with random elements: one for each kind of them and element type that a step's states have.

use super::{FunctionEmitter, WrapperBuilder};
use cranelift::codegen::ir::condcodes::IntCC;
use cranelift::codegen::ir::{InstBuilder, Type, Value, types};
use cranelift::module::{FuncId, Linkage, ModuleResult};
use gradc::dsl::sampling::{Draw, Evaluator, Sample, affine, orthonormalize, stream};
use kernel::DType;

/// `(to, count, seed, hash of the name, offset, scale)`.
const SAMPLE_PARAMS: [Type; 6] = [types::I64, types::I64, types::I64, types::I64, types::F64, types::F64];
/// `(to, scratch memory of as many doubles, rows, columns, seed, hash of the name, gain)`.
const ORTHOGONAL_PARAMS: [Type; 7] =
    [types::I64, types::I64, types::I64, types::I64, types::I64, types::I64, types::F64];

/// Defines the function for elements `offset + scale * draw`.
pub(super) fn define_sample(code: &mut WrapperBuilder<'_>, draw: Draw, dtype: DType) -> ModuleResult<FuncId> {
    let signature = code.signature(&SAMPLE_PARAMS, None);
    let name = format!("{}.{}.{}", code.layout.name, draw.name(), dtype.name());
    let id = code.declare(&name, Linkage::Local, &signature)?;
    code.define(id, signature, |e, params| {
        let [to, count, seed, hash, offset, scale] = [0, 1, 2, 3, 4, 5].map(|at| params[at]);
        let stream = stream(e, seed, hash);
        e.repeat(count, |e, at| {
            let draw = draw.element(e, stream, at);
            let value = affine(e, draw, offset, scale);
            e.store_element(value, (to, at), dtype);
        });
        e.b.ins().return_(&[]);
        Ok(())
    })?;
    Ok(id)
}

/// Defines the function for matrices with orthonormal columns, or rows.
pub(super) fn define_orthogonal(code: &mut WrapperBuilder<'_>, dtype: DType) -> ModuleResult<FuncId> {
    let signature = code.signature(&ORTHOGONAL_PARAMS, None);
    let name = format!("{}.orthogonal.{}", code.layout.name, dtype.name());
    let id = code.declare(&name, Linkage::Local, &signature)?;
    code.define(id, signature, |e, params| {
        let [to, scratch, rows, cols, seed, hash, gain] = [0, 1, 2, 3, 4, 5, 6].map(|at| params[at]);
        e.scratch = Some(scratch);
        let stream = stream(e, seed, hash);
        let count = e.b.ins().imul(rows, cols);
        let Sample { draw, offset, scale } = Sample::STANDARD_NORMAL;
        e.repeat(count, |e, at| {
            let draw = draw.element(e, stream, at);
            let (offset, scale) = (e.float(offset), e.float(scale));
            let value = affine(e, draw, offset, scale);
            Evaluator::store(e, at, value);
        });
        let (long, short) = (e.b.ins().umax(rows, cols), e.b.ins().umin(rows, cols));
        orthonormalize(e, short, long);
        // The vectors are rows of a wide matrix, columns of another one.
        let is_wide = e.b.ins().icmp(IntCC::UnsignedLessThan, rows, cols);
        let one = e.int(1);
        let (by_row, by_col) = (e.select(is_wide, cols, one), e.select(is_wide, one, rows));
        e.repeat(rows, |e, row| {
            e.repeat(cols, |e, col| {
                let (from, rest) = (e.b.ins().imul(row, by_row), e.b.ins().imul(col, by_col));
                let from = e.b.ins().iadd(from, rest);
                let value = Evaluator::load(e, from);
                let value = e.multiply(gain, value);
                let start = e.b.ins().imul(row, cols);
                let at = e.b.ins().iadd(start, col);
                e.store_element(value, (to, at), dtype);
            });
        });
        e.b.ins().return_(&[]);
        Ok(())
    })?;
    Ok(id)
}

impl FunctionEmitter<'_, '_> {
    /// Stores a double as the element number `at` of a state.
    fn store_element(&mut self, value: Value, (to, at): (Value, Value), dtype: DType) {
        let element = self.element_of_float(value, dtype);
        let offset = self.b.ins().imul_imm_s(at, dtype.size_bytes() as i64);
        let place = self.b.ins().iadd(to, offset);
        self.store(element, place, 0);
    }
}
