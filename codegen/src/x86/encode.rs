//! From linear code with registers assigned to bytes: operands that live in memory are folded or brought into scratch registers, jumps
//! and constants get their distances.

use super::alloc::{Allocation, RegLocation};
use super::asm::{Asm, Emitted, Operand, PhysMem};
use super::forms::{BROADCAST, FMA, Form, MOVE, STORE, of_size};
use super::frame::Frame;
use super::lir::{Arg, Class, ConstId, Inst, Label, Lists, Machine, Mem, PoolConstant, VReg};
use crate::error::EmitError;
use crate::x86::encoding::{Encoding, Width};
use iced_x86::{Code, Register};
use smallvec::SmallVec;

/// Encodes a kernel.
pub(super) fn encode(
    code: &[Inst],
    lists: &Lists,
    allocation: &Allocation,
    encoding: Encoding,
    listing: bool,
) -> Result<Emitted, EmitError> {
    let frame = Frame::new(allocation.slots, encoding.bytes());
    let mut encoder = KernelEncoder {
        asm: Asm::new(lists.labels(), listing)?,
        allocation,
        lists,
        encoding,
        frame,
        stubs: vec![],
        leave: Label(lists.labels() as u32),
    };
    encoder.prologue()?;
    for inst in code {
        encoder.inst(inst)?;
    }
    encoder.epilogue()?;
    encoder.asm.finish(&lists.pool, encoding)
}

pub(super) struct KernelEncoder<'a> {
    pub(super) asm: Asm,
    pub(super) allocation: &'a Allocation,
    lists: &'a Lists,
    encoding: Encoding,
    pub(super) frame: Frame,
    /// What runs where a check fails: the jump's label and the status.
    pub(super) stubs: Vec<(Label, u32)>,
    /// Where the function ends, whatever the status.
    leave: Label,
}

impl KernelEncoder<'_> {
    fn prologue(&mut self) -> Result<(), EmitError> {
        for &register in &self.allocation.saved {
            self.asm.general1(Code::Push_r64, general(register))?;
        }
        let frame = self.frame;
        self.asm.general2(Code::Mov_r64_rm64, Register::RAX, Register::RSP)?;
        self.asm.general_imm(Code::Sub_rm64_imm32, Register::RSP, frame.bytes() as i64)?;
        self.asm.general_imm(Code::And_rm64_imm8, Register::RSP, -64)?;
        let kept = [
            (frame.stack(), Register::RAX),
            (frame.table(), Register::RDI),
            (frame.scratch(), Register::RSI),
            (frame.low(), Register::RDX),
            (frame.high(), Register::RCX),
        ];
        kept.into_iter().try_for_each(|(at, register)| self.asm.store(at, register))
    }

    fn epilogue(&mut self) -> Result<(), EmitError> {
        self.asm.general2(Code::Xor_r32_rm32, Register::EAX, Register::EAX)?;
        self.asm.label(self.leave);
        if self.lists.streams {
            // Stores past the caches are ordered by nothing else.
            self.asm.plain(Code::Sfence)?;
        }
        self.asm.plain(Code::VEX_Vzeroupper)?;
        self.asm.load(Register::RSP, self.frame.stack())?;
        for &register in self.allocation.saved.iter().rev() {
            self.asm.general1(Code::Pop_r64, general(register))?;
        }
        self.asm.plain(Code::Retnq)?;
        for (label, status) in std::mem::take(&mut self.stubs) {
            self.asm.label(label);
            self.asm.set(Register::EAX, i64::from(status))?;
            self.asm.jump(Code::Jmp_rel32_64, self.leave)?;
        }
        Ok(())
    }

    pub(super) fn place(&self, reg: VReg) -> RegLocation {
        self.allocation.places[reg.0 as usize]
    }

    fn constant(&self, id: ConstId) -> &PoolConstant {
        &self.lists.pool[id.0 as usize]
    }

    pub(super) fn is_mask(&self, reg: VReg) -> bool {
        self.class(reg) == Class::Mask
    }

    fn class(&self, reg: VReg) -> Class {
        self.lists.regs[reg.0 as usize].class
    }

    fn inst(&mut self, inst: &Inst) -> Result<(), EmitError> {
        match inst {
            Inst::Machine(machine) => self.machine(machine),
            Inst::Fma { dst, a, b, c, width, double } => self.fma(*dst, [*a, *b, *c], *width, *double),
            Inst::Copy { dst, src, width } => self.copy(*dst, *src, *width),
            Inst::Constant { dst } => self.load_constant(*dst),
            Inst::Index(index) => self.index(index),
            Inst::FromLane { dst, src, size } => self.lane_value(*dst, src, *size),
            Inst::Label(label) => {
                self.asm.label(*label);
                Ok(())
            }
            Inst::LoopStart(label) => {
                self.asm.align_loop()?;
                self.asm.label(*label);
                Ok(())
            }
            Inst::LoopEnd { counter, start } => self.loop_end(*counter, *start),
            Inst::Jump(label) => self.asm.jump(Code::Jmp_rel32_64, *label),
            Inst::JumpUnless { condition, target } => self.jump_unless(*condition, *target),
            Inst::Check { index, bound, status } => self.check(*index, *bound, *status),
            Inst::Call { function, args } => self.call(*function, args),
            Inst::Nothing => Ok(()),
        }
    }

    /// An address; a base that lives in the frame is brought into `rax`.
    pub(super) fn address(&mut self, mem: &Mem) -> Result<PhysMem, EmitError> {
        let base = self.general_source(mem.base, Register::RAX)?;
        Ok(PhysMem::at(base, mem.disp).broadcasting(mem.broadcast))
    }

    /// An argument, in memory where it is there.
    fn source(&mut self, arg: &Arg, element: u8) -> Result<Operand, EmitError> {
        Ok(match arg {
            Arg::Imm(imm) => Operand::Imm(*imm),
            Arg::Mem(mem) => Operand::Mem(self.address(mem)?),
            Arg::General64(reg) => Operand::Reg(self.general_source(*reg, Register::RAX)?),
            Arg::General32(reg) => {
                let whole = self.general_source(*reg, Register::RAX)?;
                Operand::Reg(Register::EAX + (whole as u32 - Register::RAX as u32))
            }
            Arg::Mask(reg) => match self.place(*reg) {
                RegLocation::Reg(n) => Operand::Reg(Register::K0 + u32::from(n)),
                place => Operand::Mem(self.in_memory(place, Class::Mask, 0)),
            },
            Arg::Vec(reg, width) => match self.place(*reg) {
                RegLocation::Reg(n) => Operand::Reg(vector(n, *width)),
                place => Operand::Mem(self.in_memory(place, Class::Vector, element)),
            },
        })
    }

    /// Where a register is that has none. A constant that can be broadcast is.
    fn in_memory(&self, place: RegLocation, class: Class, element: u8) -> PhysMem {
        match place {
            RegLocation::Pool(id) => {
                let broadcast = self.encoding == Encoding::Evex
                    && matches!(self.constant(id), PoolConstant::Splat { size, .. } if *size == element);
                PhysMem::pool(id).broadcasting(broadcast)
            }
            RegLocation::Slot(slot) => self.frame.slot(class, slot),
            RegLocation::Reg(_) | RegLocation::Nowhere => self.frame.slot(class, 0),
        }
    }

    /// Whether a memory operand stands for the whole vector that an instruction wants.
    fn is_whole(&self, mem: &PhysMem) -> bool {
        match mem.constant() {
            Some(id) if self.encoding == Encoding::Evex => {
                mem.is_broadcast() || matches!(self.constant(id), PoolConstant::Bytes(_) | PoolConstant::Mask(_))
            }
            _ => true,
        }
    }

    fn form(&self, form: &Form, width: Width) -> Result<Code, EmitError> {
        form.code(self.encoding, width).ok_or_else(|| EmitError::Unsupported("an instruction of this width".into()))
    }

    /// Brings what is in memory into a vector or mask register.
    fn fetch(&mut self, to: Register, from: PhysMem) -> Result<(), EmitError> {
        if (Register::K0..=Register::K7).contains(&to) {
            return self.asm.machine(Code::VEX_Kmovq_kr_km64, &[Operand::Reg(to), Operand::Mem(from)], None);
        }
        let width = width_of(to);
        let splat = from.constant().and_then(|id| match self.constant(id) {
            PoolConstant::Splat { size, .. } => Some(usize::from(*size)),
            _ => None,
        });
        let form = match splat {
            Some(size) if self.encoding == Encoding::Evex => of_size(&BROADCAST, size),
            _ => &MOVE,
        };
        let code = self.form(form, width)?;
        self.asm.machine(code, &[Operand::Reg(to), Operand::Mem(from.broadcasting(false))], None)
    }

    fn spill(&mut self, from: Register, to: PhysMem) -> Result<(), EmitError> {
        let code = if (Register::K0..=Register::K7).contains(&from) {
            Code::VEX_Kmovq_m64_kr
        } else {
            self.form(&STORE, width_of(from))?
        };
        self.asm.machine(code, &[Operand::Mem(to), Operand::Reg(from)], None)
    }

    fn scratch(&self, class: Class, number: usize, width: Width) -> Result<Register, EmitError> {
        let list = if class == Class::Mask { &self.allocation.scratch[1] } else { &self.allocation.scratch[0] };
        let Some(&n) = list.get(number) else {
            return Err(EmitError::Unsupported("more operands in memory than scratch registers".into()));
        };
        Ok(if class == Class::Mask { Register::K0 + u32::from(n) } else { vector(n, width) })
    }

    fn machine(&mut self, machine: &Machine) -> Result<(), EmitError> {
        let mut args = machine.args.clone();
        let fold = usize::from(machine.fold);
        if machine.commutes && fold == 2 {
            let in_memory = |arg: &Arg| arg.reg().is_none_or(|reg| !matches!(self.place(reg), RegLocation::Reg(_)));
            if in_memory(&args[1]) && !in_memory(&args[2]) {
                args.swap(1, 2);
            }
        }
        let mut used = [0, 0];
        let mut operands: SmallVec<[Operand; 4]> = SmallVec::new();
        for (at, arg) in args.iter().enumerate() {
            let source = self.source(arg, machine.element)?;
            let spilled = matches!(source, Operand::Mem(_)) && !matches!(arg, Arg::Mem(_));
            let written = at == 0 && !machine.store;
            if !spilled || written {
                operands.push(source);
                continue;
            }
            let Operand::Mem(mem) = source else { continue };
            if at == fold && self.is_whole(&mem) {
                operands.push(source);
                continue;
            }
            let (class, width) = class_and_width(arg);
            let register = self.scratch(class, used[usize::from(class == Class::Mask)], width)?;
            used[usize::from(class == Class::Mask)] += 1;
            self.fetch(register, mem)?;
            operands.push(Operand::Reg(register));
        }
        let mask = match machine.mask {
            None => None,
            Some(mask) => Some((self.mask_register(mask, used[1])?, machine.zeroing)),
        };
        // What is written to memory is computed in a register first. The scratch registers have been read by then.
        let result = match operands[0] {
            Operand::Mem(mem) if !machine.store => Some(mem),
            _ => None,
        };
        if let Some(mem) = result {
            let (class, width) = class_and_width(&args[0]);
            let last = if machine.updates || machine.mask.is_some() { 1 } else { 0 };
            let register = self.scratch(class, last, width)?;
            if machine.updates {
                self.fetch(register, mem)?;
            }
            operands[0] = Operand::Reg(register);
            self.asm.machine(machine.code, &operands, mask)?;
            return self.spill(register, mem);
        }
        self.asm.machine(machine.code, &operands, mask)
    }

    fn mask_register(&mut self, mask: VReg, used: usize) -> Result<Register, EmitError> {
        match self.source(&Arg::Mask(mask), 0)? {
            Operand::Mem(mem) => {
                let register = self.scratch(Class::Mask, used, Width::X)?;
                self.fetch(register, mem)?;
                Ok(register)
            }
            Operand::Reg(register) => Ok(register),
            Operand::Imm(_) => Err(EmitError::Malformed("an immediate as a mask".into())),
        }
    }

    fn copy(&mut self, dst: VReg, src: VReg, width: Width) -> Result<(), EmitError> {
        let class = self.class(dst);
        let as_arg = |reg| if class == Class::Mask { Arg::Mask(reg) } else { Arg::Vec(reg, width) };
        let (to, from) = (self.source(&as_arg(dst), 0)?, self.source(&as_arg(src), 0)?);
        match (to, from) {
            (Operand::Reg(to), Operand::Reg(from)) if to == from => Ok(()),
            (Operand::Reg(to), Operand::Reg(_)) => {
                let code = if class == Class::Mask { Code::VEX_Kmovq_kr_km64 } else { self.form(&MOVE, width_of(to))? };
                self.asm.machine(code, &[Operand::Reg(to), from], None)
            }
            (Operand::Reg(to), Operand::Mem(from)) => self.fetch(to, from),
            (Operand::Mem(to), Operand::Reg(from)) => self.spill(from, to),
            (Operand::Mem(to), Operand::Mem(from)) => {
                let between = self.scratch(class, 0, width)?;
                self.fetch(between, from)?;
                self.spill(between, to)
            }
            _ => Ok(()),
        }
    }

    fn load_constant(&mut self, dst: VReg) -> Result<(), EmitError> {
        let Some(id) = self.lists.regs[dst.0 as usize].constant else { return Ok(()) };
        let RegLocation::Reg(n) = self.place(dst) else { return Ok(()) };
        match self.constant(id) {
            PoolConstant::Mask(_) => self.fetch(Register::K0 + u32::from(n), PhysMem::pool(id)),
            PoolConstant::Splat { bits: 0, .. } => {
                let (form, register) = if n < 16 {
                    (Code::VEX_Vxorps_xmm_xmm_xmmm128, vector(n, Width::X))
                } else {
                    (Code::EVEX_Vpxord_xmm_k1z_xmm_xmmm128b32, vector(n, Width::X))
                };
                self.asm.machine(form, &[Operand::Reg(register); 3], None)
            }
            _ => self.fetch(vector(n, self.encoding.width()), PhysMem::pool(id)),
        }
    }

    /// The encoding by which registers are the same, and which factor is in memory.
    fn fma(&mut self, dst: VReg, args: [Arg; 3], width: Width, double: bool) -> Result<(), EmitError> {
        let element = if double { 8 } else { 4 };
        let [a, b, c] = self.fma_operands(args, width, element)?;
        let (result, spilled) = match self.source(&Arg::Vec(dst, width), 0)? {
            Operand::Mem(mem) => (Operand::Reg(self.scratch(Class::Vector, 1, width)?), Some(mem)),
            register => (register, None),
        };
        let [f132, f213, f231] = &FMA[usize::from(double)];
        let (form, second, third) = if is_memory(&c) {
            let (first, other) = if b == result { (b, a) } else { (a, b) };
            self.move_to(result, first, width)?;
            (f213, other, c)
        } else if result == c {
            (f231, a, b)
        } else if result == a && is_memory(&b) {
            (f132, c, b)
        } else if result == a {
            (f213, b, c)
        } else if result == b {
            (f213, a, c)
        } else {
            self.move_to(result, c, width)?;
            (f231, a, b)
        };
        let code = self.form(form, width)?;
        self.asm.machine(code, &[result, second, third], None)?;
        match (spilled, result) {
            (Some(mem), Operand::Reg(register)) => self.spill(register, mem),
            _ => Ok(()),
        }
    }

    /// The operands, at most one of them in memory: the second factor or the addend.
    fn fma_operands(&mut self, args: [Arg; 3], width: Width, element: u8) -> Result<[Operand; 3], EmitError> {
        let mut found = [Operand::Imm(0); 3];
        for (operand, arg) in found.iter_mut().zip(&args) {
            *operand = self.source(arg, element)?;
        }
        let [mut factors @ .., mut addend] = found;
        let partial = |e: &Self, o: &Operand| matches!(o, Operand::Mem(mem) if !e.is_whole(mem));
        let count = factors.iter().filter(|o| is_memory(o)).count();
        if partial(self, &addend) || (is_memory(&addend) && count > 0) {
            self.bring(&mut addend, 1, (width, element))?;
        }
        let first = usize::from(partial(self, &factors[1]));
        if count == 2 || partial(self, &factors[first]) {
            self.bring(&mut factors[first], 0, (width, element))?;
        }
        if partial(self, &factors[1 - first]) {
            return Err(EmitError::Unsupported("two factors that can't be operands in memory".into()));
        }
        if is_memory(&factors[0]) {
            factors.swap(0, 1);
        }
        Ok([factors[0], factors[1], addend])
    }

    /// Brings an operand into a scratch register.
    fn bring(&mut self, operand: &mut Operand, number: usize, (width, element): (Width, u8)) -> Result<(), EmitError> {
        let Operand::Mem(mem) = *operand else { return Ok(()) };
        let register = self.scratch(Class::Vector, number, width)?;
        if mem.is_broadcast() && mem.constant().is_none() {
            let code = self.form(of_size(&BROADCAST, element.into()), width)?;
            self.asm.machine(code, &[Operand::Reg(register), Operand::Mem(mem.broadcasting(false))], None)?;
        } else {
            self.fetch(register, mem)?;
        }
        *operand = Operand::Reg(register);
        Ok(())
    }

    fn move_to(&mut self, to: Operand, from: Operand, width: Width) -> Result<(), EmitError> {
        if to == from {
            return Ok(());
        }
        let code = self.form(&MOVE, width)?;
        self.asm.machine(code, &[to, from], None)
    }
}

/// A general register by its number.
pub(super) fn general(number: u8) -> Register {
    Register::RAX + u32::from(number)
}

/// A vector register by its number.
pub(super) fn vector(number: u8, width: Width) -> Register {
    let first = match width {
        Width::X => Register::XMM0,
        Width::Y => Register::YMM0,
        Width::Z => Register::ZMM0,
    };
    first + u32::from(number)
}

fn width_of(register: Register) -> Width {
    if register.is_zmm() {
        Width::Z
    } else if register.is_ymm() {
        Width::Y
    } else {
        Width::X
    }
}

fn is_memory(operand: &Operand) -> bool {
    matches!(operand, Operand::Mem(_))
}

fn class_and_width(arg: &Arg) -> (Class, Width) {
    match arg {
        Arg::Vec(_, width) => (Class::Vector, *width),
        _ => (Class::Mask, Width::X),
    }
}
