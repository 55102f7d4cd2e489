//! Encoding of what isn't vector code: index arithmetic, loops, branches, checks, calls. Each works whether its registers are registers
//! or slots of the frame; `rax` and `rdx` are free within an instruction.

use super::alloc::RegLocation;
use super::asm::{Operand, PhysMem};
use super::encode::{KernelEncoder, general, vector};
use super::lir::{Arg, Argument, Class, Index, Label, Mem, VReg};
use crate::error::{EmitError, malformed};
use crate::x86::encoding::Width;
use iced_x86::{Code, Register};

impl KernelEncoder<'_> {
    /// A general register as an operand.
    fn general_operand(&self, reg: VReg) -> Operand {
        match self.place(reg) {
            RegLocation::Reg(n) => Operand::Reg(general(n)),
            RegLocation::Slot(slot) => Operand::Mem(self.frame.slot(Class::General, slot)),
            RegLocation::Pool(_) | RegLocation::Nowhere => Operand::Reg(Register::RAX),
        }
    }

    /// A general register's value in a register: its own, or the one given.
    pub(super) fn general_source(&mut self, reg: VReg, otherwise: Register) -> Result<Register, EmitError> {
        match self.general_operand(reg) {
            Operand::Reg(register) => Ok(register),
            Operand::Mem(slot) => {
                self.asm.load(otherwise, slot)?;
                Ok(otherwise)
            }
            Operand::Imm(_) => Err(EmitError::Malformed("an immediate as a register".into())),
        }
    }

    /// Puts a register's value where a virtual one is.
    fn put(&mut self, dst: VReg, from: Register) -> Result<(), EmitError> {
        match self.general_operand(dst) {
            Operand::Reg(to) if to == from => Ok(()),
            Operand::Reg(to) => self.asm.general2(Code::Mov_r64_rm64, to, from),
            Operand::Mem(slot) => self.asm.store(slot, from),
            Operand::Imm(_) => Ok(()),
        }
    }

    /// Where a result is best computed: in its own register, if it has one.
    fn result(&self, dst: VReg) -> Register {
        match self.general_operand(dst) {
            Operand::Reg(register) => register,
            _ => Register::RAX,
        }
    }

    pub(super) fn index(&mut self, index: &Index) -> Result<(), EmitError> {
        match index {
            Index::Copy { dst, src } => {
                let from = self.general_source(*src, Register::RAX)?;
                self.put(*dst, from)
            }
            Index::Set { dst, value } => {
                let to = self.result(*dst);
                self.asm.set(to, *value)?;
                self.put(*dst, to)
            }
            Index::Advance { dst, by } => self.advance(*dst, *by),
            Index::MulAdd { dst, src, factor, base } => self.mul_add(*dst, *src, *factor, *base),
            Index::Offset { dst, base, disp } => self.offset(*dst, *base, *disp),
            Index::Param { dst, number } => {
                let to = self.result(*dst);
                self.asm.load(Register::RAX, self.frame.table())?;
                self.asm.load(to, PhysMem::at(Register::RAX, *number as i32 * 8))?;
                self.put(*dst, to)
            }
            Index::Argument { dst, argument } => {
                let to = self.result(*dst);
                let at = match argument {
                    Argument::Scratch => self.frame.scratch(),
                    Argument::Low => self.frame.low(),
                };
                self.asm.load(to, at)?;
                self.put(*dst, to)
            }
            Index::Divide { dst, src, by, remainder } => self.divide(*dst, *src, *by, *remainder),
            Index::Clamp { dst, src, low, high } => self.clamp(*dst, *src, *low, *high),
            Index::Range { dst, empty } => {
                self.asm.load(Register::RAX, self.frame.high())?;
                self.asm.read_memory(Code::Sub_r64_rm64, Register::RAX, self.frame.low())?;
                self.asm.jump(Code::Jle_rel32_64, *empty)?;
                self.put(*dst, Register::RAX)
            }
        }
    }

    /// Adds a number of any size to `rax`.
    fn add_to_rax(&mut self, by: i64) -> Result<(), EmitError> {
        if let Ok(short) = i32::try_from(by) {
            return self.asm.address(Register::RAX, PhysMem::at(Register::RAX, short));
        }
        self.asm.set(Register::RDX, by)?;
        self.asm.general2(Code::Add_r64_rm64, Register::RAX, Register::RDX)
    }

    fn advance(&mut self, dst: VReg, by: i64) -> Result<(), EmitError> {
        let code = if i8::try_from(by).is_ok() { Code::Add_rm64_imm8 } else { Code::Add_rm64_imm32 };
        match (self.general_operand(dst), i32::try_from(by)) {
            (Operand::Reg(register), Ok(_)) => self.asm.general_imm(code, register, by),
            (Operand::Mem(slot), Ok(_)) => self.asm.memory_imm(code, slot, by),
            _ => {
                let from = self.general_source(dst, Register::RAX)?;
                self.asm.general2(Code::Mov_r64_rm64, Register::RAX, from)?;
                self.add_to_rax(by)?;
                self.put(dst, Register::RAX)
            }
        }
    }

    fn mul_add(&mut self, dst: VReg, src: VReg, factor: i64, base: Option<VReg>) -> Result<(), EmitError> {
        if let (1 | 2 | 4 | 8, Some(Operand::Reg(base)), Operand::Reg(index)) =
            (factor, base.map(|base| self.general_operand(base)), self.general_operand(src))
        {
            let to = self.result(dst);
            self.asm.scaled_address(to, base, index, factor as u32)?;
            return self.put(dst, to);
        }
        if i32::try_from(factor).is_ok() {
            let src = self.general_operand(src);
            self.asm.multiply(Register::RAX, src, factor)?;
        } else {
            self.asm.set(Register::RDX, factor)?;
            let from = self.general_source(src, Register::RAX)?;
            self.asm.general2(Code::Mov_r64_rm64, Register::RAX, from)?;
            self.asm.general2(Code::Imul_r64_rm64, Register::RAX, Register::RDX)?;
        }
        match base.map(|base| self.general_operand(base)) {
            Some(Operand::Reg(base)) => self.asm.general2(Code::Add_r64_rm64, Register::RAX, base)?,
            Some(Operand::Mem(base)) => self.asm.read_memory(Code::Add_r64_rm64, Register::RAX, base)?,
            _ => {}
        }
        self.put(dst, Register::RAX)
    }

    fn offset(&mut self, dst: VReg, base: VReg, disp: i64) -> Result<(), EmitError> {
        let Ok(short) = i32::try_from(disp) else {
            let base = self.address(&Mem { base, disp: 0, broadcast: false })?;
            self.asm.address(Register::RAX, base)?;
            self.add_to_rax(disp)?;
            return self.put(dst, Register::RAX);
        };
        let from = self.address(&Mem { base, disp: short, broadcast: false })?;
        let to = self.result(dst);
        self.asm.address(to, from)?;
        self.put(dst, to)
    }

    fn divide(&mut self, dst: VReg, src: VReg, by: i64, remainder: bool) -> Result<(), EmitError> {
        let from = self.general_source(src, Register::RAX)?;
        if from != Register::RAX {
            self.asm.general2(Code::Mov_r64_rm64, Register::RAX, from)?;
        }
        let power = by.count_ones() == 1;
        if power && !remainder {
            self.asm.general_imm(Code::Shr_rm64_imm8, Register::RAX, i64::from(by.trailing_zeros()))?;
            return self.put(dst, Register::RAX);
        }
        if power && i32::try_from(by).is_ok() {
            self.asm.general_imm(Code::And_rm64_imm32, Register::RAX, by - 1)?;
            return self.put(dst, Register::RAX);
        }
        // The divisor waits in a slot of the frame: `rdx` is the upper half of the dividend.
        self.asm.set(Register::RDX, by)?;
        self.asm.store(self.frame.word(), Register::RDX)?;
        self.asm.general2(Code::Xor_r32_rm32, Register::EDX, Register::EDX)?;
        self.asm.divide(self.frame.word())?;
        self.put(dst, if remainder { Register::RDX } else { Register::RAX })
    }

    fn clamp(&mut self, dst: VReg, src: VReg, low: i64, high: i64) -> Result<(), EmitError> {
        let from = self.general_source(src, Register::RAX)?;
        if from != Register::RAX {
            self.asm.general2(Code::Mov_r64_rm64, Register::RAX, from)?;
        }
        for (bound, replace) in [(low, Code::Cmovl_r64_rm64), (high, Code::Cmovg_r64_rm64)] {
            self.asm.set(Register::RDX, bound)?;
            self.asm.general2(Code::Cmp_r64_rm64, Register::RAX, Register::RDX)?;
            self.asm.general2(replace, Register::RAX, Register::RDX)?;
        }
        self.put(dst, Register::RAX)
    }

    pub(super) fn lane_value(&mut self, dst: VReg, src: &Arg, size: u8) -> Result<(), EmitError> {
        let code = if size == 8 { Code::Mov_r64_rm64 } else { Code::Movsxd_r64_rm32 };
        let src = match src {
            Arg::Vec(src, _) => *src,
            Arg::Mem(mem) => {
                let (from, to) = (self.address(mem)?, self.result(dst));
                self.asm.read_memory(code, to, from)?;
                return self.put(dst, to);
            }
            _ => return malformed("a lane of what has none"),
        };
        match self.place(src) {
            RegLocation::Slot(slot) => {
                self.asm.read_memory(code, Register::RAX, self.frame.slot(Class::Vector, slot))?
            }
            RegLocation::Reg(n) => {
                let lane = Operand::Reg(vector(n, Width::X));
                // The encodings for the upper half of the registers serve for all where there is one.
                let (quad, double) = if n < 16 {
                    (Code::VEX_Vmovq_rm64_xmm, Code::VEX_Vmovd_rm32_xmm)
                } else {
                    (Code::EVEX_Vmovq_rm64_xmm, Code::EVEX_Vmovd_rm32_xmm)
                };
                if size == 8 {
                    self.asm.machine(quad, &[Operand::Reg(Register::RAX), lane], None)?;
                } else {
                    self.asm.machine(double, &[Operand::Reg(Register::EAX), lane], None)?;
                    self.asm.general2(Code::Movsxd_r64_rm32, Register::RAX, Register::EAX)?;
                }
            }
            RegLocation::Pool(id) => {
                self.asm.read_constant(code, Register::RAX, id)?;
            }
            RegLocation::Nowhere => {}
        }
        self.put(dst, Register::RAX)
    }

    pub(super) fn loop_end(&mut self, counter: VReg, start: Label) -> Result<(), EmitError> {
        match self.general_operand(counter) {
            Operand::Mem(slot) => self.asm.memory_imm(Code::Sub_rm64_imm8, slot, 1)?,
            Operand::Reg(register) => self.asm.general_imm(Code::Sub_rm64_imm8, register, 1)?,
            Operand::Imm(_) => {}
        }
        self.asm.jump(Code::Jne_rel32_64, start)
    }

    pub(super) fn jump_unless(&mut self, condition: VReg, target: Label) -> Result<(), EmitError> {
        let is_mask = self.is_mask(condition);
        match self.place(condition) {
            RegLocation::Reg(n) if is_mask => {
                let mask = Operand::Reg(Register::K0 + u32::from(n));
                self.asm.machine(Code::VEX_Kmovw_r32_kr, &[Operand::Reg(Register::EAX), mask], None)?;
            }
            RegLocation::Reg(n) => {
                let lane = Operand::Reg(vector(n, Width::X));
                self.asm.machine(Code::VEX_Vmovd_rm32_xmm, &[Operand::Reg(Register::EAX), lane], None)?;
            }
            RegLocation::Slot(slot) => {
                let class = if is_mask { Class::Mask } else { Class::Vector };
                self.asm.load(Register::RAX, self.frame.slot(class, slot))?;
            }
            RegLocation::Pool(id) => self.asm.read_constant(Code::Mov_r32_rm32, Register::EAX, id)?,
            RegLocation::Nowhere => {}
        }
        self.asm.general_imm(Code::Test_rm32_imm32, Register::EAX, 1)?;
        self.asm.jump(Code::Je_rel32_64, target)
    }

    pub(super) fn check(&mut self, index: VReg, bound: i64, status: u32) -> Result<(), EmitError> {
        let from = self.general_source(index, Register::RAX)?;
        self.asm.set(Register::RDX, bound)?;
        self.asm.general2(Code::Cmp_r64_rm64, from, Register::RDX)?;
        let stub = self.asm.fresh_label();
        self.stubs.push((stub, status));
        // Unsigned: what is negative is large.
        self.asm.jump(Code::Jae_rel32_64, stub)
    }

    /// The arguments' registers hold nothing: kernels with calls don't assign them.
    pub(super) fn call(&mut self, function: u32, args: &[Mem; 3]) -> Result<(), EmitError> {
        for (to, mem) in [Register::RDI, Register::RSI, Register::RDX].into_iter().zip(args) {
            let from = self.address(mem)?;
            self.asm.address(to, from)?;
        }
        self.asm.call(function)
    }
}
