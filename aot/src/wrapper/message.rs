//! `const char *NAME_status_message(int32_t status)`.

use super::WrapperBuilder;
use crate::link::table;
use crate::status::UNKNOWN;
use cranelift::codegen::ir::condcodes::IntCC;
use cranelift::codegen::ir::{InstBuilder, types};
use cranelift::module::{Linkage, ModuleResult};

/// Defines it, for texts and where each starts: `counts` of faults, from -1 down, and of checks, from 1 up.
pub(crate) fn define(
    code: &mut WrapperBuilder<'_>,
    (mut texts, mut starts): (Vec<u8>, Vec<u8>),
    [faults, checks]: [usize; 2],
) -> ModuleResult<()> {
    for text in ["success", UNKNOWN] {
        starts.extend_from_slice(&(texts.len() as u32).to_le_bytes());
        texts.extend_from_slice(text.as_bytes());
        texts.push(0);
    }
    let name = &code.layout.name;
    let (of_texts, of_starts) = (format!("{name}.messages"), format!("{name}.message_starts"));
    let texts = table(code.module, &of_texts, texts)?;
    let starts = table(code.module, &of_starts, starts)?;
    let signature = code.signature(&[types::I32], Some(types::I64));
    let id = code.declare(&code.symbol("status_message"), Linkage::Export, &signature)?;
    code.define(id, signature, |e, params| {
        let status = params[0];
        let success = e.b.ins().iconst(types::I32, (faults + checks) as i64);
        let unknown = e.b.ins().iconst(types::I32, (faults + checks + 1) as i64);
        // -1 is the first fault, 1 the check after the last one.
        let minus_one = e.b.ins().iconst(types::I32, -1);
        let fault = e.b.ins().isub(minus_one, status);
        let check = e.b.ins().iadd_imm_s(status, faults as i64 - 1);
        let is_fault = e.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, fault, faults as i64);
        let below = e.b.ins().iadd_imm_s(status, -1);
        let is_check = e.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, below, checks as i64);
        let is_success = e.b.ins().icmp_imm_u(IntCC::Equal, status, 0);
        let at = e.b.ins().select(is_check, check, unknown);
        let at = e.b.ins().select(is_fault, fault, at);
        let at = e.b.ins().select(is_success, success, at);
        let at = e.b.ins().uextend(types::I64, at);
        let at = e.b.ins().imul_imm_s(at, 4);
        let starts = e.table(starts);
        let at = e.b.ins().iadd(starts, at);
        let start = e.load(types::I32, at, 0);
        let start = e.b.ins().uextend(types::I64, start);
        let texts = e.table(texts);
        let text = e.b.ins().iadd(texts, start);
        e.b.ins().return_(&[text]);
        Ok(())
    })
}
