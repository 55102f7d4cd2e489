//! What is better said once all code is there: instructions whose results nothing uses go.

use super::lir::{Inst, Lists, Use, VReg};

/// Removes what isn't used.
pub(super) fn run(code: &mut Vec<Inst>, lists: &Lists) {
    remove_unused(code, lists.regs.len());
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
                if usage != Use::Read {
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
        if usage == Use::Read || (usage == Use::Both && counts) {
            f(reg);
        }
    });
}
