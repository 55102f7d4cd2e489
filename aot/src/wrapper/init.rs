//! `NAME_init(context, seed) -> status`: what the states start with.

use super::{FunctionEmitter, WrapperBuilder, fill, processor, step};
use crate::data::{InitialValues, STRETCH_BYTES};
use crate::entry::Initial;
use crate::layout::context;
use crate::link::{common_table, table};
use crate::states::StateField;
use crate::status::Fault;
use cranelift::codegen::ir::condcodes::IntCC;
use cranelift::codegen::ir::{InstBuilder, Value, types};
use cranelift::module::{DataId, FuncId, Linkage, ModuleResult};
use gradc::dsl::Fill;
use gradc::dsl::sampling::{Draw, Evaluator, name_hash};
use kernel::DType;
use std::collections::BTreeMap;

/// The functions that fill states, by what they fill them with.
#[derive(Default)]
struct Fills {
    samples: BTreeMap<(Draw, DType), FuncId>,
    orthogonal: BTreeMap<DType, FuncId>,
}

impl Fills {
    /// Defines those that the states need.
    fn define(code: &mut WrapperBuilder<'_>, initial: &BTreeMap<String, Initial>) -> ModuleResult<Self> {
        let mut fills = Self::default();
        for Initial { ty, init } in initial.values() {
            match init.fill(ty) {
                Fill::Sample(sample) if !fills.samples.contains_key(&(sample.draw, ty.dtype)) => {
                    let function = fill::define_sample(code, sample.draw, ty.dtype)?;
                    fills.samples.insert((sample.draw, ty.dtype), function);
                }
                Fill::Orthogonal { .. } if !fills.orthogonal.contains_key(&ty.dtype) => {
                    fills.orthogonal.insert(ty.dtype, fill::define_orthogonal(code, ty.dtype)?);
                }
                _ => {}
            }
        }
        Ok(fills)
    }

    /// Fills one state, if it isn't filled by the tables.
    fn call(
        &self,
        e: &mut FunctionEmitter<'_, '_>,
        (state, initial): (&StateField, &Initial),
        (ctx, seed): (Value, Value),
    ) -> ModuleResult<()> {
        let states = e.load(types::I64, ctx, context::STATES);
        let (to, hash) = (e.b.ins().iadd_imm_s(states, state.offset as i64), e.word(name_hash(&state.name)));
        match initial.init.fill(&initial.ty) {
            Fill::Sample(sample) => {
                let (count, offset, scale) = (e.int(state.len() as i64), e.float(sample.offset), e.float(sample.scale));
                if let Some(function) = self.samples.get(&(sample.draw, state.dtype)) {
                    e.call(*function, &[to, count, seed, hash, offset, scale]);
                }
            }
            Fill::Orthogonal { gain, rows, cols } => {
                let arena = e.load(types::I64, ctx, context::ARENA);
                let (rows, cols, gain) = (e.int(rows as i64), e.int(cols as i64), e.float(gain));
                if let Some(function) = self.orthogonal.get(&state.dtype) {
                    e.call(*function, &[to, arena, rows, cols, seed, hash, gain]);
                }
            }
            Fill::Seed => {
                let (count, element) = (e.int(state.len() as i64), e.element_of_word(seed, state.dtype));
                e.repeat(count, |e, at| {
                    let offset = e.b.ins().imul_imm_s(at, state.dtype.size_bytes() as i64);
                    let place = e.b.ins().iadd(to, offset);
                    e.store(element, place, 0);
                });
            }
            Fill::Blocks(_) | Fill::Given(_) => {}
        }
        Ok(())
    }
}

/// Defines it.
pub(crate) fn define(code: &mut WrapperBuilder<'_>) -> ModuleResult<()> {
    let initial = &code.layout.states.initial;
    let data = InitialValues::of(code.layout.states);
    let name = &code.layout.name;
    let (values, stretches) = (format!("{name}.initial"), format!("{name}.stretches"));
    let values = common_table(code.module, &values, data.bytes)?;
    let stretches = table(code.module, &stretches, data.stretches)?;
    let fills = Fills::define(code, initial)?;
    let processor = processor::declare(code)?;
    let signature = code.signature(&[types::I64, types::I64], Some(types::I32));
    let id = code.declare(&code.symbol("init"), Linkage::Export, &signature)?;
    let (layout, arena, variants) = (code.layout, code.arena, code.variants.len());
    code.define(id, signature, |e, params| {
        let (ctx, seed) = (params[0], params[1]);
        step::check_states(e, ctx, layout.states.bytes);
        step::check_arena(e, ctx, arena);
        let number = step::variant(e, ctx, processor, variants);
        let none = e.b.ins().icmp_imm_u(IntCC::Equal, number, 0);
        e.fail_if(none, Fault::Processor as i32);
        let states = e.load(types::I64, ctx, context::STATES);
        let (words, zero) = (e.int(layout.states.bytes as i64 / 8), e.int(0));
        e.repeat(words, |e, at| {
            let to = e.b.ins().imul_imm_s(at, 8);
            let to = e.b.ins().iadd(states, to);
            e.store(zero, to, 0);
        });
        copy(e, states, (values, stretches, data.count));
        for state in &layout.states.fields {
            if let Some(initial) = initial.get(&state.name) {
                fills.call(e, (state, initial), (ctx, seed))?;
            }
        }
        let success = e.b.ins().iconst(types::I32, 0);
        e.b.ins().return_(&[success]);
        Ok(())
    })
}

/// Copies the tables' contents, again and again where a state has more words than they.
fn copy(e: &mut FunctionEmitter<'_, '_>, states: Value, (values, stretches, count): (DataId, DataId, usize)) {
    let (values, stretches, count) = (e.table(values), e.table(stretches), e.int(count as i64));
    e.repeat(count, |e, at| {
        let entry = e.b.ins().imul_imm_s(at, STRETCH_BYTES as i64);
        let entry = e.b.ins().iadd(stretches, entry);
        let [to, from, all, kept] = [0, 8, 16, 24].map(|field| e.load(types::I64, entry, field));
        let (to, from) = (e.b.ins().iadd(states, to), e.b.ins().iadd(values, from));
        e.repeat(all, |e, word| {
            let source = e.b.ins().urem(word, kept);
            let [source, place] = [(from, source), (to, word)].map(|(start, word)| {
                let offset = e.b.ins().imul_imm_s(word, 8);
                e.b.ins().iadd(start, offset)
            });
            let value = e.load(types::I64, source, 0);
            e.store(value, place, 0);
        });
    });
}
