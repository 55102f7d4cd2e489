//! Which variant the processor runs: `NAME.processor() -> number`, counted from 1, or 0 if none.
//!
//! It asks the processor as the Intel and AMD manuals say (CPUID leaves 1, 7 and 0x80000001, and XCR0 for what the system saves of vector registers), for what
//! `runtime::host_target` asks. AArch64 has one instruction set, which is part of its ABI.

use super::{FunctionEmitter, WrapperBuilder};
use cranelift::codegen::ir::condcodes::IntCC;
use cranelift::codegen::ir::{InstBuilder, StackSlotData, StackSlotKind, Value, types};
use cranelift::module::{FuncId, Linkage, Module, ModuleResult};
use kernel::InstructionSet;

/// `fn(leaf, subleaf, *mut [u32; 4])` by the System V convention: `mov r8, rdx; mov r9, rbx; mov eax, edi; mov ecx, esi; cpuid;` stores of `eax`, `ebx`, `ecx`,
/// `edx`; `mov rbx, r9; ret`.
const CPUID: [u8; 31] = [
    0x49, 0x89, 0xd0, 0x49, 0x89, 0xd9, 0x89, 0xf8, 0x89, 0xf1, 0x0f, 0xa2, 0x41, 0x89, 0x00, 0x41, 0x89, 0x58, 0x04,
    0x41, 0x89, 0x48, 0x08, 0x41, 0x89, 0x50, 0x0c, 0x4c, 0x89, 0xcb, 0xc3,
];

/// `fn() -> u32`, the low half of XCR0: `xor ecx, ecx; xgetbv; ret`.
const XGETBV: [u8; 6] = [0x31, 0xc9, 0x0f, 0x01, 0xd0, 0xc3];

/// Where features are told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    /// Leaf 1, `ecx`.
    Leaf1C,
    /// Leaf 7, `ebx`.
    Leaf7B,
    /// Leaf 7, `ecx`.
    Leaf7C,
    /// Leaf 7, subleaf 1, `eax`.
    Leaf7SubA,
    /// Leaf 0x80000001, `ecx`.
    ExtendedC,
    /// XCR0.
    Xcr0,
}

/// Bits that a set needs beside those of the sets before it.
const NEEDS: [(InstructionSet, &[(Word, u32)]); 6] = [
    // SSE3, SSSE3, SSE4.1, SSE4.2, POPCNT.
    (InstructionSet::X86_64, &[(Word::Leaf1C, 1 | 1 << 9 | 1 << 19 | 1 << 20 | 1 << 23)]),
    // FMA, OSXSAVE, AVX; the system saves 128 and 256 bits.
    (InstructionSet::Fma, &[(Word::Leaf1C, 1 << 12 | 1 << 27 | 1 << 28), (Word::Xcr0, 0b110)]),
    // F16C; BMI1, AVX2, BMI2; LZCNT.
    (
        InstructionSet::Avx2,
        &[(Word::Leaf1C, 1 << 29), (Word::Leaf7B, 1 << 3 | 1 << 5 | 1 << 8), (Word::ExtendedC, 1 << 5)],
    ),
    // F, DQ, BW, VL; the system saves masks and 512 bits.
    (InstructionSet::Avx512, &[(Word::Leaf7B, 1 << 16 | 1 << 17 | 1 << 30 | 1 << 31), (Word::Xcr0, 0b1110_0000)]),
    (InstructionSet::Avx512Vnni, &[(Word::Leaf7C, 1 << 11)]),
    (InstructionSet::Avx512Bf16, &[(Word::Leaf7SubA, 1 << 5)]),
];

/// Defines the function.
pub(crate) fn define(code: &mut WrapperBuilder<'_>) -> ModuleResult<()> {
    let id = declare(code)?;
    let signature = code.signature(&[], Some(types::I32));
    let sets = &code.layout.sets;
    if !sets.iter().all(|set| set.is_x86()) {
        return code.define(id, signature, |e, _| {
            let first = e.b.ins().iconst(types::I32, 1);
            e.b.ins().return_(&[first]);
            Ok(())
        });
    }
    let mut plain = code.signature(&[types::I32, types::I32, types::I64], None);
    plain.call_conv = cranelift::codegen::isa::CallConv::SystemV;
    let cpuid = bytes(code, "cpuid", &plain, &CPUID)?;
    plain = code.signature(&[], Some(types::I32));
    plain.call_conv = cranelift::codegen::isa::CallConv::SystemV;
    let xgetbv = bytes(code, "xgetbv", &plain, &XGETBV)?;
    code.define(id, signature, |e, _| {
        let words = read(e, cpuid, xgetbv);
        let mut number = e.b.ins().iconst(types::I32, 0);
        for (at, set) in sets.iter().enumerate() {
            let runs = has(e, &words, *set);
            let this = e.b.ins().iconst(types::I32, at as i64 + 1);
            number = e.b.ins().select(runs, this, number);
        }
        e.b.ins().return_(&[number]);
        Ok(())
    })
}

/// The function, for those who call it.
pub(crate) fn declare(code: &mut WrapperBuilder<'_>) -> ModuleResult<FuncId> {
    let signature = code.signature(&[], Some(types::I32));
    let name = format!("{}.processor", code.layout.name);
    code.declare(&name, Linkage::Local, &signature)
}

/// A function of given machine code.
fn bytes(
    code: &mut WrapperBuilder<'_>,
    what: &str,
    signature: &cranelift::codegen::ir::Signature,
    bytes: &[u8],
) -> ModuleResult<FuncId> {
    let name = format!("{}.{what}", code.layout.name);
    let id = code.declare(&name, Linkage::Local, signature)?;
    code.module.define_function_bytes(id, 16, bytes, &[])?;
    Ok(id)
}

/// All words that tell features.
fn read(e: &mut FunctionEmitter<'_, '_>, cpuid: FuncId, xgetbv: FuncId) -> Vec<(Word, Value)> {
    let slot = e.b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, 16, 3));
    let ask = |e: &mut FunctionEmitter<'_, '_>, leaf: u32, subleaf: i64, register: i32| {
        let place = e.b.ins().stack_addr(types::I64, slot, 0);
        let leaf = e.b.ins().iconst(types::I32, i64::from(leaf));
        let subleaf = e.b.ins().iconst(types::I32, subleaf);
        e.call(cpuid, &[leaf, subleaf, place]);
        e.load(types::I32, place, 4 * register)
    };
    let one = ask(e, 1, 0, 2);
    // Processors without leaf 7 have no AVX, and don't get further than the first word.
    let seven = ask(e, 7, 0, 1);
    let seven_c = ask(e, 7, 0, 2);
    let most = ask(e, 7, 0, 0);
    let sub = ask(e, 7, 1, 0);
    let extended = ask(e, 0x8000_0001, 0, 2);
    let none = e.b.ins().iconst(types::I32, 0);
    let has_sub = e.b.ins().icmp_imm_u(IntCC::UnsignedGreaterThan, most, 0);
    let sub = e.b.ins().select(has_sub, sub, none);
    // XGETBV is no instruction where the system doesn't use XSAVE.
    let (asks, after) = (e.b.create_block(), e.b.create_block());
    let xcr0 = e.b.append_block_param(after, types::I32);
    let enabled = e.b.ins().band_imm_u(one, 1 << 27);
    e.b.ins().brif(enabled, asks, &[], after, &[none.into()]);
    e.enter(asks);
    let saved = e.call(xgetbv, &[]).unwrap_or(none);
    e.b.ins().jump(after, &[saved.into()]);
    e.enter(after);
    vec![
        (Word::Leaf1C, one),
        (Word::Leaf7B, seven),
        (Word::Leaf7C, seven_c),
        (Word::Leaf7SubA, sub),
        (Word::ExtendedC, extended),
        (Word::Xcr0, xcr0),
    ]
}

/// Whether all bits of a set, and of those before it, are there.
fn has(e: &mut FunctionEmitter<'_, '_>, words: &[(Word, Value)], set: InstructionSet) -> Value {
    let mut all = e.b.ins().iconst(types::I8, 1);
    for (word, value) in words {
        let needed = NEEDS.iter().filter(|(of, _)| set.includes(*of)).flat_map(|(_, bits)| *bits);
        let mask = needed.filter(|(of, _)| of == word).fold(0, |mask, (_, bits)| mask | bits);
        let there = e.b.ins().band_imm_u(*value, i64::from(mask));
        let same = e.b.ins().icmp_imm_u(IntCC::Equal, there, i64::from(mask));
        all = e.b.ins().band(all, same);
    }
    all
}
