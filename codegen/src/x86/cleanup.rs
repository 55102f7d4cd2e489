//! What is better said once all code is there: instructions whose results nothing uses go, and loads that are used once become operands in
//! memory.

use super::forms::{BROADCAST, MOVE};
use super::lir::{Arg, Index, Inst, Lists, Machine, Mem, RegAccess, VReg};
use crate::x86::encoding::{Encoding, Width};
use iced_x86::Code;

/// How far behind a load its use may be.
const FOLD_WITHIN: usize = 48;

/// Removes what isn't used, and folds loads.
pub(super) fn run(code: &mut Vec<Inst>, lists: &Lists, encoding: Encoding) {
    remove_unused(code, lists.regs.len());
    code.retain(|inst| !matches!(inst, Inst::Nothing));
    fold_loads(code, lists.regs.len(), encoding);
    code.retain(|inst| !matches!(inst, Inst::Nothing));
}

/// Backwards: what only serves instructions that go, goes as well. A pointer's own advance doesn't count as a use.
fn remove_unused(code: &mut [Inst], regs: usize) {
    let mut uses = vec![0u32; regs];
    for inst in code.iter() {
        count(inst, &mut |reg| uses[reg.0 as usize] += 1);
    }
    let mut changed = true;
    while changed {
        changed = false;
        for inst in code.iter_mut().rev() {
            let mut written = None;
            inst.visit(&mut |reg, usage| {
                if usage != RegAccess::Read {
                    written = Some(reg);
                }
            });
            if inst.is_pure() && written.is_some_and(|reg| uses[reg.0 as usize] == 0) {
                count(inst, &mut |reg| uses[reg.0 as usize] -= 1);
                *inst = Inst::Nothing;
                changed = true;
            }
        }
    }
}

/// The registers that an instruction needs; what only changes a register doesn't need it.
fn count(inst: &Inst, f: &mut impl FnMut(VReg)) {
    let counts = !inst.is_pure();
    inst.visit(&mut |reg, usage| {
        if usage == RegAccess::Read || (usage == RegAccess::Both && counts) {
            f(reg);
        }
    });
}

/// A load that could be an operand.
#[derive(Clone, Copy)]
struct Load {
    dst: VReg,
    width: Width,
    mem: Mem,
    /// Bytes of the element that it broadcasts; 0 if it loads a whole vector.
    element: u8,
    /// Bytes of the one element that it loads to the first lane; 0 if it loads more.
    single: u8,
}

fn as_load(inst: &Inst, encoding: Encoding) -> Option<Load> {
    let Inst::Machine(Machine { code, args, mask: None, store: false, updates: false, .. }) = inst else { return None };
    let [Arg::Vec(dst, width), Arg::Mem(mem)] = args[..] else { return None };
    let is = |form: &super::forms::Form| form.code(encoding, width) == Some(*code);
    if is(&MOVE) {
        return Some(Load { dst, width, mem, element: 0, single: 0 });
    }
    let single = match code {
        Code::VEX_Vmovss_xmm_m32 | Code::EVEX_Vmovss_xmm_k1z_m32 => 4,
        Code::VEX_Vmovsd_xmm_m64 | Code::EVEX_Vmovsd_xmm_k1z_m64 => 8,
        _ => 0,
    };
    if single > 0 {
        return Some(Load { dst, width, mem, element: 0, single });
    }
    let element = if is(&BROADCAST[0]) { 4 } else { 8 };
    (encoding == Encoding::Evex && (is(&BROADCAST[0]) || is(&BROADCAST[1]))).then_some(Load {
        dst,
        width,
        mem,
        element,
        single: 0,
    })
}

fn fold_loads(code: &mut [Inst], regs: usize, encoding: Encoding) {
    let (mut reads, mut writes) = (vec![0u32; regs], vec![0u32; regs]);
    for inst in code.iter() {
        inst.visit(&mut |reg, usage| {
            reads[reg.0 as usize] += u32::from(usage != RegAccess::Write);
            writes[reg.0 as usize] += u32::from(usage != RegAccess::Read);
        });
    }
    for at in 0..code.len() {
        let Some(load) = as_load(&code[at], encoding) else { continue };
        if (reads[load.dst.0 as usize], writes[load.dst.0 as usize]) != (1, 1) {
            continue;
        }
        let user =
            code[at + 1..].iter().take(FOLD_WITHIN).position(|inst| stops(inst, &load) || reads_reg(inst, load.dst));
        let Some(user) = user.map(|distance| at + 1 + distance) else { continue };
        if reads_reg(&code[user], load.dst) && take_operand(&mut code[user], &load) {
            code[at] = Inst::Nothing;
        }
    }
}

fn reads_reg(inst: &Inst, of: VReg) -> bool {
    let mut found = false;
    inst.visit(&mut |reg, _| found |= reg == of);
    found
}

/// Whether a load can't be moved past an instruction: it may change the memory, the pointer, or not be run as often.
fn stops(inst: &Inst, load: &Load) -> bool {
    match inst {
        Inst::Machine(machine) => machine.store,
        Inst::Index(Index::Advance { dst, .. }) => load.mem.base == *dst,
        Inst::Fma { .. } | Inst::Copy { .. } | Inst::Constant { .. } | Inst::Index(_) | Inst::FromLane { .. } => false,
        _ => true,
    }
}

/// Puts a load's memory in the place of its register, if the instruction can have it there.
fn take_operand(inst: &mut Inst, load: &Load) -> bool {
    let operand = Arg::Mem(Mem { broadcast: load.element != 0, ..load.mem });
    let register = Arg::Vec(load.dst, load.width);
    let in_memory = |arg: &Arg| matches!(arg, Arg::Mem(_));
    match inst {
        Inst::FromLane { src, size, .. } if load.single > 0 => {
            let fits = *src == register && *size == load.single;
            if fits {
                *src = Arg::Mem(load.mem);
            }
            fits
        }
        // Others would read a whole vector.
        _ if load.single > 0 => false,
        Inst::Fma { a, b, c, double, .. } => {
            let element = if *double { 8 } else { 4 };
            let mut places = [a, b, c];
            if (load.element != 0 && load.element != element) || places.iter().any(|arg| in_memory(arg)) {
                return false;
            }
            let Some(place) = places.iter_mut().find(|arg| ***arg == register) else { return false };
            **place = operand;
            true
        }
        Inst::Machine(machine) => {
            let fold = usize::from(machine.fold);
            if fold == 0 || machine.args.iter().any(in_memory) {
                return false;
            }
            if load.element != 0 && load.element != machine.element {
                return false;
            }
            if machine.commutes && fold == 2 && machine.args[1] == register {
                machine.args.swap(1, 2);
            }
            let fits = machine.args[fold] == register;
            if fits {
                machine.args[fold] = operand;
            }
            fits
        }
        _ => false,
    }
}
