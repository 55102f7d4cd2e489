//! The machine a program is scheduled for.

use crate::DType;

/// What a register tile of a contraction may use, and how fast that is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TileTarget {
    /// Bytes of its vectors; the emitter may have wider ones for tiles than for other code.
    pub vector_bytes: usize,
    /// Registers for sums and factors.
    pub registers: usize,
    /// Registers that must be left besides sums and a row of the right factor.
    pub spare: usize,
    /// As many sums cost nothing extra; a tile with more is a little slower.
    pub roomy: usize,
    /// Most rows.
    pub rows: usize,
    /// Fused multiply-adds of such vectors per cycle.
    pub fmas: usize,
    /// Whether columns that don't fill a vector take one masked vector, rather than a scalar each.
    pub masked: bool,
}

impl TileTarget {
    /// 128-bit vectors in 16 registers, by Cranelift.
    pub const PORTABLE: Self =
        Self { vector_bytes: 16, registers: 16, spare: 2, roomy: 8, rows: 8, fmas: 2, masked: false };

    /// 256-bit vectors in 16 registers, assembled; one register is left for a mask.
    pub const AVX2: Self =
        Self { vector_bytes: 32, registers: 16, spare: 2, roomy: 16, rows: 14, fmas: 2, masked: true };

    /// 512-bit vectors in 32 registers, assembled. Processors with two 512-bit units multiply twice a cycle; tiles that are good for
    /// one unit are good for two.
    pub const AVX512: Self =
        Self { vector_bytes: 64, registers: 32, spare: 1, roomy: 32, rows: 14, fmas: 1, masked: true };
}

/// What scheduling needs to know of a machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// A name for text and cache keys: `x86_64-sse`, `x86_64-avx2`, `aarch64-neon`.
    pub name: String,
    /// Bytes of a vector register that the emitter uses.
    pub vector_bytes: usize,
    /// Vector registers.
    pub vector_registers: usize,
    /// Whether a vector of fewer lanes than a register holds is one operation, too, rather than one for each lane.
    pub masked: bool,
    /// What register tiles are made of.
    pub tile: TileTarget,
    /// Whether fused multiply-add is an instruction.
    pub fma: bool,
    /// Whether tiles may multiply pairs of `bf16` ([`crate::dot_pair`]).
    pub bf16_pairs: bool,
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
            masked: false,
            tile: TileTarget::PORTABLE,
            fma: true,
            bf16_pairs: false,
            l1_bytes: 32 << 10,
            l2_bytes: 256 << 10,
            l3_bytes: 4 << 20,
        }
    }

    /// x86-64 with AVX2 and fused multiply-add: 256-bit vectors, 16 registers; caches as [`Target::baseline`]'s.
    pub fn avx2() -> Self {
        Self { name: "x86_64-avx2".into(), vector_bytes: 32, masked: true, tile: TileTarget::AVX2, ..Self::baseline() }
    }

    /// x86-64 with AVX-512: 512-bit vectors, 32 registers; caches as [`Target::baseline`]'s.
    pub fn avx512() -> Self {
        Self {
            name: "x86_64-avx512".into(),
            vector_bytes: 64,
            vector_registers: 32,
            masked: true,
            tile: TileTarget::AVX512,
            ..Self::baseline()
        }
    }

    /// How many elements of a type a vector holds.
    pub fn lanes(&self, dtype: DType) -> u16 {
        (self.vector_bytes / dtype.size_bytes()) as u16
    }
}
