//! The machine a program is scheduled for.

use crate::DType;

/// What scheduling needs to know of a machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// A name for text and cache keys: `x86_64-sse`, `x86_64-avx2`, `aarch64-neon`.
    pub name: String,
    /// Bytes of a vector register that the emitter uses.
    pub vector_bytes: usize,
    /// Vector registers.
    pub vector_registers: usize,
    /// Vectors of sums that a register tile holds at most: fewer than registers, for the factors need some, and a tile that
    /// takes all of them leaves none for the loop around.
    pub tile_sums: usize,
    /// Whether fused multiply-add is an instruction.
    pub fma: bool,
    /// Bytes of the first-level data cache.
    pub l1_bytes: usize,
    /// Bytes of the second-level cache, per core.
    pub l2_bytes: usize,
    /// Bytes of the last-level cache.
    pub l3_bytes: usize,
}

impl Target {
    /// What every x86-64 or AArch64 machine of the last ten years has: 128-bit vectors, 16 registers, 32 KiB and 256 KiB of cache.
    pub fn baseline() -> Self {
        Self {
            name: "baseline".into(),
            vector_bytes: 16,
            vector_registers: 16,
            tile_sums: 12,
            fma: true,
            l1_bytes: 32 << 10,
            l2_bytes: 256 << 10,
            l3_bytes: 4 << 20,
        }
    }

    /// How many elements of a type a vector holds.
    pub fn lanes(&self, dtype: DType) -> u16 {
        (self.vector_bytes / dtype.size_bytes()) as u16
    }
}
