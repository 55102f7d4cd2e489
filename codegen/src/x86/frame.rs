//! The function's frame on the stack: what must be given back, the arguments, and what has no register.

use super::asm::PhysMem;
use super::lir::Class;
use iced_x86::Register;

/// Offsets from the stack pointer, which is a multiple of 64.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    slots: [u32; 3],
    vector_bytes: usize,
}

/// The fixed part: six words, in a cache line of its own.
const FIXED: usize = 64;

impl Frame {
    pub(super) fn new(slots: [u32; 3], vector_bytes: usize) -> Self {
        Self { slots, vector_bytes }
    }

    /// All of it, and what aligning may take.
    pub(super) fn bytes(&self) -> usize {
        let [vectors, masks, generals] = self.slots.map(|n| n as usize);
        FIXED + vectors * self.vector_bytes + (masks + generals) * 8 + 64
    }

    fn fixed(at: i32) -> PhysMem {
        PhysMem::at(Register::RSP, at)
    }

    /// The stack pointer before.
    pub(super) fn stack(&self) -> PhysMem {
        Self::fixed(0)
    }

    /// The table of parameters.
    pub(super) fn table(&self) -> PhysMem {
        Self::fixed(8)
    }

    /// The scratch memory's address.
    pub(super) fn scratch(&self) -> PhysMem {
        Self::fixed(16)
    }

    /// The first iteration.
    pub(super) fn low(&self) -> PhysMem {
        Self::fixed(24)
    }

    /// The end of the iterations.
    pub(super) fn high(&self) -> PhysMem {
        Self::fixed(32)
    }

    /// A word for use within an instruction.
    pub(super) fn word(&self) -> PhysMem {
        Self::fixed(40)
    }

    pub(super) fn slot(&self, class: Class, slot: u32) -> PhysMem {
        let (slot, vectors) = (slot as usize, self.slots[0] as usize * self.vector_bytes);
        let within = match class {
            Class::Vector => slot * self.vector_bytes,
            Class::Mask => vectors + slot * 8,
            Class::General => vectors + (self.slots[1] as usize + slot) * 8,
        };
        Self::fixed((FIXED + within) as i32)
    }
}
