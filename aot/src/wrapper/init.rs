//! `NAME_init(context) -> status`: what the states start with.

use super::{WrapperBuilder, step};
use crate::data::{InitialValues, STRETCH_BYTES};
use crate::layout::context;
use crate::link::table;
use cranelift::codegen::ir::condcodes::IntCC;
use cranelift::codegen::ir::{InstBuilder, types};
use cranelift::module::{Linkage, ModuleResult};

/// Defines it.
pub(crate) fn define(code: &mut WrapperBuilder<'_>, initial: InitialValues) -> ModuleResult<()> {
    let name = &code.layout.name;
    let (values, stretches) = (format!("{name}.initial"), format!("{name}.stretches"));
    let values = table(code.module, &values, initial.bytes)?;
    let stretches = table(code.module, &stretches, initial.stretches)?;
    let signature = code.signature(&[types::I64], Some(types::I32));
    let id = code.declare(&code.symbol("init"), Linkage::Export, &signature)?;
    let bytes = code.layout.states.bytes;
    code.define(id, signature, |e, params| {
        let ctx = params[0];
        step::check_states(e, ctx, bytes);
        let states = e.load(types::I64, ctx, context::STATES);
        let (words, zero) = (e.int(bytes as i64 / 8), e.int(0));
        e.repeat(words, |e, at| {
            let to = e.b.ins().imul_imm_s(at, 8);
            let to = e.b.ins().iadd(states, to);
            e.store(zero, to, 0);
            Ok(())
        })?;
        let (values, stretches, count) = (e.table(values), e.table(stretches), e.int(initial.count as i64));
        e.repeat(count, |e, at| {
            let entry = e.b.ins().imul_imm_s(at, STRETCH_BYTES as i64);
            let entry = e.b.ins().iadd(stretches, entry);
            let [to, from, all, kept] = [0, 8, 16, 24].map(|field| e.load(types::I64, entry, field));
            let (to, from) = (e.b.ins().iadd(states, to), e.b.ins().iadd(values, from));
            let one = e.b.ins().icmp_imm_u(IntCC::Equal, kept, 1);
            e.repeat(all, |e, word| {
                let offset = e.b.ins().imul_imm_s(word, 8);
                let zero = e.int(0);
                let source = e.b.ins().select(one, zero, offset);
                let source = e.b.ins().iadd(from, source);
                let value = e.load(types::I64, source, 0);
                let place = e.b.ins().iadd(to, offset);
                e.store(value, place, 0);
                Ok(())
            })
        })?;
        let success = e.b.ins().iconst(types::I32, 0);
        e.b.ins().return_(&[success]);
        Ok(())
    })
}
