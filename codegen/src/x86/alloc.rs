//! Registers: live intervals on the linear code, extended over loops, and a linear scan (Poletto and Sarkar, "Linear Scan Register
//! Allocation", 1999) that leaves in memory what costs least there: constants, then what is rarely used for its length.

use super::lir::{Class, ConstId, Inst, Label, RegAccess, RegInfo, VReg};
use crate::x86::encoding::Encoding;

/// Where a virtual register is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RegLocation {
    /// The machine's register of its class, by number.
    Reg(u8),
    /// A slot of the frame, by number among those of its class.
    Slot(u32),
    /// A constant, used from memory.
    Pool(ConstId),
    /// Nowhere: nothing uses it.
    Nowhere,
}

/// The result.
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) places: Vec<RegLocation>,
    /// Slots for vectors, masks and general registers.
    pub(super) slots: [u32; 3],
    /// Registers that a function must give back as they were, and that are used.
    pub(super) saved: Vec<u8>,
    /// Vector and mask registers kept free for what is in memory.
    pub(super) scratch: [Vec<u8>; 2],
}

/// Registers by their numbers in the encoding.
const RAX: u8 = 0;
const RDX: u8 = 2;
const RSP: u8 = 4;
const RSI: u8 = 6;
const RDI: u8 = 7;
/// What a called function gives back as it was: rbx, rbp, r12 to r15.
const CALLEE_SAVED: [u8; 6] = [3, 5, 12, 13, 14, 15];

#[derive(Clone, Debug)]
struct LiveInterval {
    reg: VReg,
    start: u32,
    end: u32,
    weight: f32,
    crosses_call: bool,
}

/// Assigns registers. `rax` and `rdx` are never given away: they serve within instructions.
pub(super) fn allocate(code: &[Inst], regs: &[RegInfo], encoding: Encoding) -> Allocation {
    let (intervals, has_call) = intervals(code, regs);
    let mut scan = LinearScan {
        regs,
        encoding,
        has_call,
        allocation: Allocation {
            places: vec![RegLocation::Nowhere; regs.len()],
            slots: [0; 3],
            saved: vec![],
            scratch: [vec![], vec![]],
        },
    };
    for class in [Class::Vector, Class::Mask, Class::General] {
        let mut of_class: Vec<LiveInterval> =
            intervals.iter().filter(|i| regs[i.reg.0 as usize].class == class).cloned().collect();
        of_class.sort_by_key(|i| (i.start, i.end, i.reg));
        // First with all registers; if that isn't enough, some are kept free for what is then in memory.
        if !scan.run(&of_class, class, 0) {
            let keep = if class == Class::General { 0 } else { 2 };
            scan.run(&of_class, class, keep);
        }
    }
    scan.allocation
}

/// The intervals of all registers that are used, and whether anything is called.
fn intervals(code: &[Inst], regs: &[RegInfo]) -> (Vec<LiveInterval>, bool) {
    let mut found: Vec<Option<LiveInterval>> = vec![None; regs.len()];
    let mut open: Vec<(Label, u32)> = vec![];
    let mut loops: Vec<(u32, u32)> = vec![];
    let mut calls: Vec<u32> = vec![];
    let mut frequency = 1.0f32;
    for (at, inst) in code.iter().enumerate() {
        let at = at as u32;
        match inst {
            Inst::LoopStart(label) => {
                open.push((*label, at));
                frequency *= 8.0;
            }
            Inst::Call { .. } => calls.push(at),
            _ => {}
        }
        inst.visit(&mut |reg, usage| {
            // What an instruction reads is free again for what it writes.
            let at = 2 * at + u32::from(usage == RegAccess::Write);
            let fresh = LiveInterval { reg, start: at, end: at, weight: 0.0, crosses_call: false };
            let interval = found[reg.0 as usize].get_or_insert(fresh);
            interval.end = at + u32::from(usage == RegAccess::Both);
            interval.weight += frequency;
        });
        if let Inst::LoopEnd { start, .. } = inst {
            if let Some((label, from)) = open.pop() {
                debug_assert_eq!(label, *start);
                loops.push((2 * from, 2 * at + 1));
            }
            frequency /= 8.0;
        }
    }
    let mut intervals: Vec<LiveInterval> = found.into_iter().flatten().collect();
    for interval in &mut intervals {
        // Inner loops close first, so that an extension to the end of one is seen by those around it.
        for &(start, end) in &loops {
            if interval.start < start && interval.end >= start && interval.end < end {
                interval.end = end;
            }
        }
        interval.crosses_call = calls.iter().any(|&at| interval.start < 2 * at && interval.end > 2 * at + 1);
        if regs[interval.reg.0 as usize].constant.is_some() {
            interval.weight *= 0.25;
        }
        interval.weight /= (interval.end - interval.start + 2) as f32;
    }
    (intervals, !calls.is_empty())
}

struct LinearScan<'a> {
    regs: &'a [RegInfo],
    encoding: Encoding,
    has_call: bool,
    allocation: Allocation,
}

impl LinearScan<'_> {
    /// Runs the scan with some registers kept free. Returns whether every interval got a register or needs none.
    fn run(&mut self, intervals: &[LiveInterval], class: Class, keep: usize) -> bool {
        let mut usable = self.registers(class);
        let kept = usable.split_off(usable.len() - keep);
        let mut saved: Vec<u8> = vec![];
        let mut active: Vec<(LiveInterval, u8)> = vec![];
        let (mut complete, mut slots) = (true, 0);
        for interval in intervals {
            active.retain(|(other, _)| other.end >= interval.start);
            let allowed =
                |register: u8| !interval.crosses_call || (class == Class::General && CALLEE_SAVED.contains(&register));
            let free =
                usable.iter().copied().filter(|&r| allowed(r)).find(|r| active.iter().all(|(_, used)| used != r));
            if let Some(register) = free {
                self.place(interval, RegLocation::Reg(register));
                if class == Class::General && CALLEE_SAVED.contains(&register) {
                    saved.push(register);
                }
                active.push((interval.clone(), register));
                continue;
            }
            let victim = (0..active.len())
                .filter(|&at| allowed(active[at].1))
                .min_by(|&a, &b| active[a].0.weight.total_cmp(&active[b].0.weight))
                .filter(|&at| active[at].0.weight < interval.weight);
            let evicted = match victim {
                Some(at) => {
                    let register = active[at].1;
                    let (evicted, _) = std::mem::replace(&mut active[at], (interval.clone(), register));
                    self.place(interval, RegLocation::Reg(register));
                    evicted
                }
                None => interval.clone(),
            };
            let place = match self.regs[evicted.reg.0 as usize].constant {
                Some(constant) => RegLocation::Pool(constant),
                None => {
                    slots += 1;
                    RegLocation::Slot(slots - 1)
                }
            };
            self.place(&evicted, place);
            complete = false;
        }
        saved.sort_unstable();
        saved.dedup();
        match class {
            Class::General => self.allocation.saved = saved,
            Class::Vector => self.allocation.scratch[0] = kept,
            Class::Mask => self.allocation.scratch[1] = kept,
        }
        self.allocation.slots[class as usize] = slots;
        complete
    }

    fn place(&mut self, interval: &LiveInterval, place: RegLocation) {
        self.allocation.places[interval.reg.0 as usize] = place;
    }

    fn registers(&self, class: Class) -> Vec<u8> {
        match class {
            Class::Vector => (0..self.encoding.vectors()).collect(),
            // `k0` can't select lanes.
            Class::Mask => (1..8).collect(),
            Class::General => {
                // Those that need not be saved first.
                let free = [1, RSI, RDI, 8, 9, 10, 11];
                let argument = |r: &u8| self.has_call && (*r == RSI || *r == RDI);
                debug_assert!(!free.contains(&RAX) && !free.contains(&RDX) && !free.contains(&RSP));
                free.into_iter().filter(|r| !argument(r)).chain(CALLEE_SAVED).collect()
            }
        }
    }
}
