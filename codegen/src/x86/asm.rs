//! Bytes of instructions, with the distances of jumps and constants filled in at the end.

use super::lir::{ConstId, Label, PoolConstant};
use crate::error::EmitError;
use crate::object::Function;
use crate::x86::encoding::Encoding;
use cranelift::codegen::binemit::Reloc;
use cranelift::module::{ModuleReloc, ModuleRelocTarget};
use iced_x86::{Code, FastFormatter, Instruction, MemoryOperand, OpKind, Register};

/// A kernel's code with the constants behind it, and the code as text, if asked for.
pub(super) type Emitted = (Function, Option<String>);

/// An operand of the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operand {
    Reg(Register),
    Mem(PhysMem),
    Imm(u8),
}

/// An operand in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PhysMem {
    base: Register,
    disp: i32,
    broadcast: bool,
    constant: Option<ConstId>,
}

impl PhysMem {
    pub(super) fn at(base: Register, disp: i32) -> Self {
        Self { base, disp, broadcast: false, constant: None }
    }

    /// A constant after the code.
    pub(super) fn pool(id: ConstId) -> Self {
        Self { base: Register::RIP, disp: 0, broadcast: false, constant: Some(id) }
    }

    pub(super) fn broadcasting(self, broadcast: bool) -> Self {
        Self { broadcast, ..self }
    }

    pub(super) fn is_broadcast(&self) -> bool {
        self.broadcast
    }

    pub(super) fn constant(&self) -> Option<ConstId> {
        self.constant
    }

    fn operand(&self) -> MemoryOperand {
        // One byte of displacement where it fits; none where it is 0 is the encoder's choice by size 0.
        let size = if self.base == Register::RIP { 8 } else { u32::from(self.disp != 0) };
        MemoryOperand::new(self.base, Register::None, 1, i64::from(self.disp), size, self.broadcast, Register::None)
    }
}

/// A kernel's bytes while they are made.
pub(super) struct Asm {
    encoder: iced_x86::Encoder,
    at: usize,
    labels: Vec<Option<usize>>,
    /// Ends of the instructions whose last four bytes are the distance to a label.
    jumps: Vec<(usize, Label)>,
    /// Where a distance to a constant stands, and the end of its instruction.
    constants: Vec<(usize, usize, ConstId)>,
    relocs: Vec<ModuleReloc>,
    listing: Option<String>,
    formatter: FastFormatter,
}

fn refused(error: iced_x86::IcedError) -> EmitError {
    EmitError::Unsupported(format!("an instruction that the assembler refuses: {error}"))
}

impl Asm {
    /// Room for that many labels, and one for the end.
    pub(super) fn new(labels: usize, listing: bool) -> Result<Self, EmitError> {
        Ok(Self {
            encoder: iced_x86::Encoder::try_with_capacity(64, 4096).map_err(refused)?,
            at: 0,
            labels: vec![None; labels + 1],
            jumps: vec![],
            constants: vec![],
            relocs: vec![],
            listing: listing.then(String::new),
            formatter: FastFormatter::new(),
        })
    }

    fn emit(&mut self, instruction: &Instruction) -> Result<(), EmitError> {
        if let Some(text) = &mut self.listing {
            text.push_str("  ");
            self.formatter.format(instruction, text);
            text.push('\n');
        }
        self.at += self.encoder.encode(instruction, self.at as u64).map_err(refused)?;
        Ok(())
    }

    /// An instruction on vectors or masks; the mask comes with whether other lanes become 0.
    pub(super) fn machine(
        &mut self,
        code: Code,
        operands: &[Operand],
        mask: Option<(Register, bool)>,
    ) -> Result<(), EmitError> {
        let mut instruction = Instruction::default();
        instruction.set_code(code);
        let mut constant = None;
        for (at, operand) in operands.iter().enumerate() {
            let at = at as u32;
            match operand {
                Operand::Reg(register) => {
                    instruction.set_op_kind(at, OpKind::Register);
                    instruction.set_op_register(at, *register);
                }
                Operand::Imm(imm) => {
                    instruction.set_op_kind(at, OpKind::Immediate8);
                    instruction.set_immediate8(*imm);
                }
                Operand::Mem(mem) => {
                    instruction.set_op_kind(at, OpKind::Memory);
                    set_memory(&mut instruction, mem);
                    constant = mem.constant;
                }
            }
        }
        if let Some((mask, zeroing)) = mask {
            instruction.set_op_mask(mask);
            instruction.set_zeroing_masking(zeroing);
        }
        let start = self.at;
        self.emit(&instruction)?;
        if let Some(id) = constant {
            let within = self.encoder.get_constant_offsets().displacement_offset();
            self.constants.push((start + within, self.at, id));
        }
        Ok(())
    }

    /// Loads a general register from a constant.
    pub(super) fn read_constant(&mut self, code: Code, to: Register, id: ConstId) -> Result<(), EmitError> {
        self.machine(code, &[Operand::Reg(to), Operand::Mem(PhysMem::pool(id))], None)
    }

    /// Divides `rdx:rax` by a word in memory.
    pub(super) fn divide(&mut self, by: PhysMem) -> Result<(), EmitError> {
        let instruction = Instruction::with1(Code::Div_rm64, by.operand()).map_err(refused)?;
        self.emit(&instruction)
    }

    pub(super) fn plain(&mut self, code: Code) -> Result<(), EmitError> {
        self.emit(&Instruction::with(code))
    }

    pub(super) fn general1(&mut self, code: Code, a: Register) -> Result<(), EmitError> {
        let instruction = Instruction::with1(code, a).map_err(refused)?;
        self.emit(&instruction)
    }

    pub(super) fn general2(&mut self, code: Code, a: Register, b: Register) -> Result<(), EmitError> {
        let instruction = Instruction::with2(code, a, b).map_err(refused)?;
        self.emit(&instruction)
    }

    pub(super) fn general_imm(&mut self, code: Code, a: Register, imm: i64) -> Result<(), EmitError> {
        let instruction = Instruction::with2(code, a, imm as i32).map_err(refused)?;
        self.emit(&instruction)
    }

    /// The same on memory.
    pub(super) fn memory_imm(&mut self, code: Code, at: PhysMem, imm: i64) -> Result<(), EmitError> {
        let instruction = Instruction::with2(code, at.operand(), imm as i32).map_err(refused)?;
        self.emit(&instruction)
    }

    /// An instruction that reads its second operand from memory.
    pub(super) fn read_memory(&mut self, code: Code, a: Register, at: PhysMem) -> Result<(), EmitError> {
        let instruction = Instruction::with2(code, a, at.operand()).map_err(refused)?;
        self.emit(&instruction)
    }

    pub(super) fn load(&mut self, to: Register, from: PhysMem) -> Result<(), EmitError> {
        self.read_memory(Code::Mov_r64_rm64, to, from)
    }

    pub(super) fn store(&mut self, to: PhysMem, from: Register) -> Result<(), EmitError> {
        let instruction = Instruction::with2(Code::Mov_rm64_r64, to.operand(), from).map_err(refused)?;
        self.emit(&instruction)
    }

    pub(super) fn address(&mut self, to: Register, at: PhysMem) -> Result<(), EmitError> {
        self.read_memory(Code::Lea_r64_m, to, at)
    }

    /// `to = base + index * scale`, a scale of 1, 2, 4 or 8.
    pub(super) fn scaled_address(
        &mut self,
        to: Register,
        base: Register,
        index: Register,
        scale: u32,
    ) -> Result<(), EmitError> {
        let at = MemoryOperand::with_base_index_scale(base, index, scale);
        let instruction = Instruction::with2(Code::Lea_r64_m, to, at).map_err(refused)?;
        self.emit(&instruction)
    }

    /// `a = b * imm`, `b` in a register or in memory.
    pub(super) fn multiply(&mut self, a: Register, b: Operand, imm: i64) -> Result<(), EmitError> {
        let instruction = match b {
            Operand::Reg(b) => Instruction::with3(Code::Imul_r64_rm64_imm32, a, b, imm as i32),
            Operand::Mem(b) => Instruction::with3(Code::Imul_r64_rm64_imm32, a, b.operand(), imm as i32),
            Operand::Imm(_) => return Err(EmitError::Malformed("a product of two immediates".into())),
        };
        self.emit(&instruction.map_err(refused)?)
    }

    /// A register becomes a constant; 32-bit registers take numbers of 32 bits.
    pub(super) fn set(&mut self, to: Register, value: i64) -> Result<(), EmitError> {
        let instruction = if to.is_gpr32() {
            Instruction::with2(Code::Mov_r32_imm32, to, value as i32)
        } else if let Ok(short) = i32::try_from(value) {
            Instruction::with2(Code::Mov_rm64_imm32, to, short)
        } else {
            Instruction::with2(Code::Mov_r64_imm64, to, value)
        };
        self.emit(&instruction.map_err(refused)?)
    }

    /// The same by the longest form, whatever the value.
    pub(super) fn set_long(&mut self, to: Register, value: i64) -> Result<(), EmitError> {
        let instruction = Instruction::with2(Code::Mov_r64_imm64, to, value).map_err(refused)?;
        self.emit(&instruction)
    }

    pub(super) fn label(&mut self, label: Label) {
        self.labels[label.0 as usize] = Some(self.at);
        if let Some(text) = &mut self.listing {
            text.push_str(&format!("L{}:\n", label.0));
        }
    }

    /// A label of its own.
    pub(super) fn fresh_label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() as u32 - 1)
    }

    /// A loop starts at a multiple of 32 bytes.
    pub(super) fn align_loop(&mut self) -> Result<(), EmitError> {
        const NOPS: [Code; 2] = [Code::Nopd, Code::Nop_rm32];
        while !self.at.is_multiple_of(32) {
            let left = 32 - self.at % 32;
            if left >= 8 {
                let far = MemoryOperand::new(Register::RAX, Register::RAX, 1, 0, 8, false, Register::None);
                self.emit(&Instruction::with1(NOPS[1], far).map_err(refused)?)?;
            } else {
                self.plain(NOPS[0])?;
            }
        }
        Ok(())
    }

    pub(super) fn jump(&mut self, code: Code, label: Label) -> Result<(), EmitError> {
        let instruction = Instruction::with_branch(code, self.at as u64).map_err(refused)?;
        self.emit_jump(&instruction, &format!("L{}", label.0))?;
        self.jumps.push((self.at, label));
        Ok(())
    }

    /// A jump to a label that stands before it: the short form where that reaches, else the long one.
    pub(super) fn jump_back(&mut self, [short, long]: [Code; 2], label: Label) -> Result<(), EmitError> {
        const SHORT_BYTES: usize = 2;
        match self.labels[label.0 as usize] {
            Some(target) if self.at + SHORT_BYTES - target <= i8::MIN.unsigned_abs().into() => {
                let instruction = Instruction::with_branch(short, target as u64).map_err(refused)?;
                self.emit_jump(&instruction, &format!("L{}", label.0))
            }
            _ => self.jump(long, label),
        }
    }

    pub(super) fn call(&mut self, function: u32) -> Result<(), EmitError> {
        let instruction = Instruction::with_branch(Code::Call_rel32_64, self.at as u64).map_err(refused)?;
        self.emit_jump(&instruction, &format!("function {function}"))?;
        // The distance counts from the end of the instruction.
        let (kind, name) = (Reloc::X86CallPCRel4, ModuleRelocTarget::user(0, function));
        self.relocs.push(ModuleReloc { offset: self.at as u32 - 4, kind, name, addend: -4 });
        Ok(())
    }

    fn emit_jump(&mut self, instruction: &Instruction, target: &str) -> Result<(), EmitError> {
        let before = self.listing.as_ref().map(String::len);
        self.emit(instruction)?;
        if let (Some(text), Some(before)) = (&mut self.listing, before) {
            text.truncate(before);
            text.push_str(&format!("  {:?} {target}\n", instruction.mnemonic()).to_lowercase());
        }
        Ok(())
    }

    /// The bytes, constants after the code.
    pub(super) fn finish(mut self, pool: &[PoolConstant], encoding: Encoding) -> Result<Emitted, EmitError> {
        let mut bytes = self.encoder.take_buffer();
        for (end, label) in &self.jumps {
            let Some(target) = self.labels[label.0 as usize] else {
                return Err(EmitError::Malformed("a jump to nowhere".into()));
            };
            let distance = target as i32 - *end as i32;
            bytes[end - 4..*end].copy_from_slice(&distance.to_le_bytes());
        }
        let mut used: Vec<ConstId> = self.constants.iter().map(|(.., id)| *id).collect();
        used.sort_unstable();
        used.dedup();
        let contents: Vec<(ConstId, Vec<u8>)> =
            used.into_iter().map(|id| (id, bytes_of(&pool[id.0 as usize], encoding))).collect();
        let mut places = vec![0; pool.len()];
        // The large ones first: each is then aligned to its size.
        for size in [64, 32, 8, 4] {
            for (id, content) in contents.iter().filter(|(_, c)| c.len() == size) {
                bytes.resize(bytes.len().next_multiple_of(size), 0);
                places[id.0 as usize] = bytes.len();
                bytes.extend_from_slice(content);
            }
        }
        for (at, end, id) in &self.constants {
            let distance = places[id.0 as usize] as i32 - *end as i32;
            bytes[*at..at + 4].copy_from_slice(&distance.to_le_bytes());
        }
        Ok((Function { align: 64, bytes, relocs: self.relocs }, self.listing))
    }
}

/// What stands in memory for a constant: with broadcasts one element is enough.
fn bytes_of(constant: &PoolConstant, encoding: Encoding) -> Vec<u8> {
    match constant {
        PoolConstant::Bytes(bytes) => bytes.clone(),
        PoolConstant::Mask(bits) => bits.to_le_bytes().to_vec(),
        PoolConstant::Splat { bits, size } => {
            let element = &bits.to_le_bytes()[..usize::from(*size)];
            let times = if encoding == Encoding::Evex { 1 } else { encoding.bytes() / element.len() };
            element.repeat(times)
        }
    }
}

fn set_memory(instruction: &mut Instruction, mem: &PhysMem) {
    instruction.set_memory_base(mem.base);
    instruction.set_memory_displacement64(i64::from(mem.disp) as u64);
    instruction.set_memory_displ_size(if mem.base == Register::RIP { 8 } else { u32::from(mem.disp != 0) });
    instruction.set_is_broadcast(mem.broadcast);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_back_is_short_where_that_reaches() {
        for (between, end) in [(126, &[0x75, 0x80][..]), (127, &[0x0f, 0x85, 0x7b, 0xff, 0xff, 0xff])] {
            let mut asm = Asm::new(1, false).unwrap();
            asm.label(Label(0));
            (0..between).for_each(|_| asm.plain(Code::Nopd).unwrap());
            asm.jump_back([Code::Jne_rel8_64, Code::Jne_rel32_64], Label(0)).unwrap();
            let (function, _) = asm.finish(&[], Encoding::Vex).unwrap();
            assert_eq!(function.bytes[between..], *end);
        }
    }
}
