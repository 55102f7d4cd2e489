//! Loops that reach the limits of a machine: what other code is measured against.
//!
//! Each is a function by the convention of kernels, `fn(args, scratch, lo, hi)`, that runs `hi - lo` passes; memory is the thread's
//! scratch. They compute nothing of use.

use super::asm::{Asm, Operand, PhysMem};
use super::encoding::Encoding;
use crate::error::{EmitError, unsupported};
use iced_x86::{Code, Register};

/// What a loop does to arrays of `f32` in scratch memory, or without any.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PeakLoop {
    /// Fused multiply-adds from registers, as many independent chains as hide their latency.
    MultiplyAdd,
    /// Writes one array.
    Fill,
    /// Reads one array.
    Read,
    /// Reads one array, writes another.
    Copy,
    /// Reads two arrays, writes a third: `c = a + s b`.
    Triad,
    /// As [`PeakLoop::Copy`], past the caches.
    StreamCopy,
    /// As [`PeakLoop::Triad`], past the caches.
    StreamTriad,
}

impl PeakLoop {
    /// How many arrays it works on.
    pub fn arrays(self) -> usize {
        match self {
            Self::MultiplyAdd => 0,
            Self::Fill | Self::Read => 1,
            Self::Copy | Self::StreamCopy => 2,
            Self::Triad | Self::StreamTriad => 3,
        }
    }
}

/// Vectors that an iteration of a memory loop handles of each array.
const UNROLL: usize = 8;
/// Multiply-adds in a pass of [`PeakLoop::MultiplyAdd`].
const CHAIN_STEPS: usize = 64;
/// From the end of an array to the start of the next: not a multiple of any cache's stride, so that arrays don't fall on the same sets.
const STAGGER: usize = 17 * 64;

/// A loop's machine code and what one pass of it does.
pub(crate) struct Assembled {
    pub(crate) code: Vec<u8>,
    /// Floating-point operations of a pass.
    pub(crate) flops: usize,
    /// Bytes read and written in a pass.
    pub(crate) bytes: usize,
    /// Bytes of scratch memory.
    pub(crate) scratch_bytes: usize,
}

/// Where the scratch memory is, by the convention.
const SCRATCH: Register = Register::RSI;
/// The passes that are left.
const PASSES: Register = Register::RAX;
/// The place in the first array, and the blocks that are left of it.
const PLACE: Register = Register::R8;
const BLOCKS: Register = Register::R9;
/// Jumps if a counter hasn't come to 0: short, long.
const AGAIN: [Code; 2] = [Code::Jne_rel8_64, Code::Jne_rel32_64];

/// The instructions for one width of vectors.
struct PeakCodes {
    first: Register,
    load: Code,
    store: Code,
    stream: Code,
    add: Code,
    /// `a = a + b c`, and `a = a b + c`.
    multiply_add: [Code; 2],
}

/// Vectors of 16, 32 and 64 bytes.
static CODES: [PeakCodes; 3] = [
    PeakCodes {
        first: Register::XMM0,
        load: Code::VEX_Vmovaps_xmm_xmmm128,
        store: Code::VEX_Vmovaps_xmmm128_xmm,
        stream: Code::VEX_Vmovntps_m128_xmm,
        add: Code::VEX_Vaddps_xmm_xmm_xmmm128,
        multiply_add: [Code::VEX_Vfmadd231ps_xmm_xmm_xmmm128, Code::VEX_Vfmadd213ps_xmm_xmm_xmmm128],
    },
    PeakCodes {
        first: Register::YMM0,
        load: Code::VEX_Vmovaps_ymm_ymmm256,
        store: Code::VEX_Vmovaps_ymmm256_ymm,
        stream: Code::VEX_Vmovntps_m256_ymm,
        add: Code::VEX_Vaddps_ymm_ymm_ymmm256,
        multiply_add: [Code::VEX_Vfmadd231ps_ymm_ymm_ymmm256, Code::VEX_Vfmadd213ps_ymm_ymm_ymmm256],
    },
    PeakCodes {
        first: Register::ZMM0,
        load: Code::EVEX_Vmovaps_zmm_k1z_zmmm512,
        store: Code::EVEX_Vmovaps_zmmm512_k1z_zmm,
        stream: Code::EVEX_Vmovntps_m512_zmm,
        add: Code::EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er,
        multiply_add: [
            Code::EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er,
            Code::EVEX_Vfmadd213ps_zmm_k1z_zmm_zmmm512b32_er,
        ],
    },
];

/// Assembles a loop in vectors of 16, 32 or 64 bytes on arrays of at most `array_bytes`.
pub(crate) fn assemble(what: PeakLoop, vector_bytes: usize, array_bytes: usize) -> Result<Assembled, EmitError> {
    let block = UNROLL * vector_bytes;
    let blocks = (array_bytes / block).max(1);
    let array = if what.arrays() == 0 { 0 } else { blocks * block };
    let codes = match vector_bytes {
        64 => &CODES[2],
        32 => &CODES[1],
        _ => &CODES[0],
    };
    let mut emit = PeakEmitter { asm: Asm::new(0, false)?, codes, vector_bytes, next: (array + STAGGER) as i64 };
    let chains = emit.chains();
    emit.prologue()?;
    let (pass, done) = (emit.asm.fresh_label(), emit.asm.fresh_label());
    emit.asm.general2(Code::Mov_rm64_r64, PASSES, Register::RCX)?;
    emit.asm.general2(Code::Sub_rm64_r64, PASSES, Register::RDX)?;
    emit.asm.jump(Code::Jle_rel32_64, done)?;
    emit.asm.label(pass);
    match what {
        PeakLoop::MultiplyAdd => (0..CHAIN_STEPS * chains).try_for_each(|i| emit.multiply_add(i % chains))?,
        _ => emit.over_arrays(what, blocks)?,
    }
    emit.asm.general1(Code::Dec_rm64, PASSES)?;
    emit.asm.jump_back(AGAIN, pass)?;
    emit.asm.label(done);
    emit.asm.plain(Code::Sfence)?;
    emit.asm.plain(Code::VEX_Vzeroupper)?;
    emit.asm.general2(Code::Xor_rm32_r32, Register::EAX, Register::EAX)?;
    emit.asm.plain(Code::Retnq)?;
    let lanes = vector_bytes / size_of::<f32>();
    let (function, _) = emit.asm.finish(&[], Encoding::Vex)?;
    Ok(Assembled {
        code: function.bytes,
        flops: if what == PeakLoop::MultiplyAdd { 2 * lanes * CHAIN_STEPS * chains } else { 0 },
        bytes: what.arrays() * array,
        scratch_bytes: what.arrays() * (array + STAGGER),
    })
}

struct PeakEmitter {
    asm: Asm,
    codes: &'static PeakCodes,
    vector_bytes: usize,
    /// From one array to the next.
    next: i64,
}

impl PeakEmitter {
    /// Independent sums; two registers hold the factors.
    fn chains(&self) -> usize {
        if self.vector_bytes == 64 { 24 } else { 12 }
    }

    /// The number of the constant factor's register.
    fn factor_number(&self) -> usize {
        if self.vector_bytes == 64 { 31 } else { 15 }
    }

    fn factor(&self) -> Operand {
        self.vector(self.factor_number())
    }

    fn vector(&self, number: usize) -> Operand {
        Operand::Reg(self.codes.first + number as u32)
    }

    /// A vector in memory.
    fn place(&self, offset: i64) -> Result<Operand, EmitError> {
        match i32::try_from(offset) {
            Ok(offset) => Ok(Operand::Mem(PhysMem::at(PLACE, offset))),
            Err(_) => unsupported("arrays of more than 2 GiB"),
        }
    }

    fn op(&mut self, code: Code, operands: &[Operand]) -> Result<(), EmitError> {
        self.asm.machine(code, operands, None)
    }

    /// All registers that are read before they are written hold zeros, which are as fast as any normal number.
    fn prologue(&mut self) -> Result<(), EmitError> {
        let (first, code) = match self.vector_bytes {
            64 => (Register::ZMM0, Code::EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32),
            _ => (Register::XMM0, Code::VEX_Vpxor_xmm_xmm_xmmm128),
        };
        for number in (0..self.chains()).chain([self.factor_number()]) {
            self.op(code, &[Operand::Reg(first + number as u32); 3])?;
        }
        Ok(())
    }

    fn multiply_add(&mut self, chain: usize) -> Result<(), EmitError> {
        self.op(self.codes.multiply_add[0], &[self.vector(chain), self.factor(), self.factor()])
    }

    /// One pass over the arrays, block by block.
    fn over_arrays(&mut self, what: PeakLoop, blocks: usize) -> Result<(), EmitError> {
        self.asm.general2(Code::Mov_rm64_r64, PLACE, SCRATCH)?;
        self.asm.set_long(BLOCKS, blocks as i64)?;
        let top = self.asm.fresh_label();
        self.asm.label(top);
        for vector in 0..UNROLL {
            self.element(what, vector, (vector * self.vector_bytes) as i64)?;
        }
        self.asm.address(PLACE, PhysMem::at(PLACE, (UNROLL * self.vector_bytes) as i32))?;
        self.asm.general1(Code::Dec_rm64, BLOCKS)?;
        self.asm.jump_back(AGAIN, top)
    }

    fn element(&mut self, what: PeakLoop, register: usize, at: i64) -> Result<(), EmitError> {
        let (next, value) = (self.next, self.vector(register));
        match what {
            PeakLoop::MultiplyAdd => Ok(()),
            PeakLoop::Fill => self.store(value, at, false),
            // A sum for each vector, so that no addition waits for the one before it.
            PeakLoop::Read => self.op(self.codes.add, &[value, value, self.place(at)?]),
            PeakLoop::Copy | PeakLoop::StreamCopy => {
                self.op(self.codes.load, &[value, self.place(at)?])?;
                self.store(value, at + next, what == PeakLoop::StreamCopy)
            }
            PeakLoop::Triad | PeakLoop::StreamTriad => {
                self.op(self.codes.load, &[value, self.place(at + next)?])?;
                self.op(self.codes.multiply_add[1], &[value, self.factor(), self.place(at)?])?;
                self.store(value, at + 2 * next, what == PeakLoop::StreamTriad)
            }
        }
    }

    fn store(&mut self, value: Operand, at: i64, stream: bool) -> Result<(), EmitError> {
        let code = if stream { self.codes.stream } else { self.codes.store };
        self.op(code, &[self.place(at)?, value])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_counts_its_work() {
        let fma = assemble(PeakLoop::MultiplyAdd, 64, 0).unwrap();
        assert_eq!((fma.flops, fma.bytes), (24 * CHAIN_STEPS * 16 * 2, 0));
        let triad = assemble(PeakLoop::Triad, 32, 5000).unwrap();
        // Whole blocks of 8 vectors.
        assert_eq!((triad.flops, triad.bytes), (0, 3 * 4864));
        assert!(triad.scratch_bytes >= triad.bytes);
    }
}
