//! Loops that reach the limits of a machine: what other code is measured against.
//!
//! Each is a function by the convention of kernels, `fn(args, scratch, lo, hi)`, that runs `hi - lo` passes; memory is the thread's
//! scratch. They compute nothing of use.

use super::assemble::{ymm, zmm};
use iced_x86::IcedError;
use iced_x86::code_asm::{
    AsmRegister64, AsmRegisterXmm, CodeAssembler, ptr, r8, r9, rax, rcx, rdx, registers, rsi, xmmword_ptr, ymmword_ptr,
    zmmword_ptr,
};

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

/// Assembles a loop in vectors of 16, 32 or 64 bytes on arrays of at most `array_bytes`.
pub(crate) fn assemble(what: PeakLoop, vector_bytes: usize, array_bytes: usize) -> Result<Assembled, IcedError> {
    let block = UNROLL * vector_bytes;
    let blocks = (array_bytes / block).max(1);
    let array = if what.arrays() == 0 { 0 } else { blocks * block };
    let mut emit = Emit { asm: CodeAssembler::new(64)?, vector_bytes, next: (array + STAGGER) as i64 };
    let chains = emit.chains();
    emit.prologue()?;
    let (mut pass, mut done) = (emit.asm.create_label(), emit.asm.create_label());
    emit.asm.mov(rax, rcx)?;
    emit.asm.sub(rax, rdx)?;
    emit.asm.jle(done)?;
    emit.asm.set_label(&mut pass)?;
    match what {
        PeakLoop::MultiplyAdd => (0..CHAIN_STEPS * chains).try_for_each(|i| emit.multiply_add(i % chains))?,
        _ => emit.over_arrays(what, blocks)?,
    }
    emit.asm.dec(rax)?;
    emit.asm.jnz(pass)?;
    emit.asm.set_label(&mut done)?;
    emit.asm.sfence()?;
    emit.asm.vzeroupper()?;
    emit.asm.xor(iced_x86::code_asm::eax, iced_x86::code_asm::eax)?;
    emit.asm.ret()?;
    let lanes = vector_bytes / size_of::<f32>();
    Ok(Assembled {
        code: emit.asm.assemble(0)?,
        flops: if what == PeakLoop::MultiplyAdd { 2 * lanes * CHAIN_STEPS * chains } else { 0 },
        bytes: what.arrays() * array,
        scratch_bytes: what.arrays() * (array + STAGGER),
    })
}

fn xmm(number: usize) -> AsmRegisterXmm {
    use registers::*;
    [xmm0, xmm1, xmm2, xmm3, xmm4, xmm5, xmm6, xmm7, xmm8, xmm9, xmm10, xmm11, xmm12, xmm13, xmm14, xmm15][number]
}

struct Emit {
    asm: CodeAssembler,
    vector_bytes: usize,
    /// From one array to the next.
    next: i64,
}

/// An instruction on registers of the loop's width.
macro_rules! on_registers {
    ($emit:expr, $op:ident, $($register:expr),+) => {
        match $emit.vector_bytes {
            64 => $emit.asm.$op($(zmm($register)),+),
            32 => $emit.asm.$op($(ymm($register)),+),
            _ => $emit.asm.$op($(xmm($register)),+),
        }
    };
}

impl Emit {
    /// Independent sums; two registers hold the factors.
    fn chains(&self) -> usize {
        if self.vector_bytes == 64 { 24 } else { 12 }
    }

    /// The register of the constant factor.
    fn factor(&self) -> usize {
        if self.vector_bytes == 64 { 31 } else { 15 }
    }

    /// All registers that are read before they are written hold zeros, which are as fast as any normal number.
    fn prologue(&mut self) -> Result<(), IcedError> {
        for register in (0..self.chains()).chain([self.factor()]) {
            match self.vector_bytes {
                64 => self.asm.vpxord(zmm(register), zmm(register), zmm(register))?,
                _ => self.asm.vpxor(xmm(register), xmm(register), xmm(register))?,
            }
        }
        Ok(())
    }

    fn multiply_add(&mut self, chain: usize) -> Result<(), IcedError> {
        let factor = self.factor();
        on_registers!(self, vfmadd231ps, chain, factor, factor)
    }

    /// One pass over the arrays, block by block.
    fn over_arrays(&mut self, what: PeakLoop, blocks: usize) -> Result<(), IcedError> {
        self.asm.mov(r8, rsi)?;
        self.asm.mov(r9, blocks as u64)?;
        let mut top = self.asm.create_label();
        self.asm.set_label(&mut top)?;
        for vector in 0..UNROLL {
            self.element(what, vector, r8, (vector * self.vector_bytes) as i64)?;
        }
        self.asm.lea(r8, ptr(r8 + (UNROLL * self.vector_bytes) as i64))?;
        self.asm.dec(r9)?;
        self.asm.jnz(top)
    }

    fn element(&mut self, what: PeakLoop, register: usize, base: AsmRegister64, at: i64) -> Result<(), IcedError> {
        let next = self.next;
        match what {
            PeakLoop::MultiplyAdd => Ok(()),
            PeakLoop::Fill => self.store(register, base, at, false),
            // A sum for each vector, so that no addition waits for the one before it.
            PeakLoop::Read => match self.vector_bytes {
                64 => self.asm.vaddps(zmm(register), zmm(register), zmmword_ptr(base + at)),
                32 => self.asm.vaddps(ymm(register), ymm(register), ymmword_ptr(base + at)),
                _ => self.asm.vaddps(xmm(register), xmm(register), xmmword_ptr(base + at)),
            },
            PeakLoop::Copy | PeakLoop::StreamCopy => {
                self.load(register, base, at)?;
                self.store(register, base, at + next, what == PeakLoop::StreamCopy)
            }
            PeakLoop::Triad | PeakLoop::StreamTriad => {
                self.load(register, base, at + next)?;
                let factor = self.factor();
                match self.vector_bytes {
                    64 => self.asm.vfmadd213ps(zmm(register), zmm(factor), zmmword_ptr(base + at))?,
                    32 => self.asm.vfmadd213ps(ymm(register), ymm(factor), ymmword_ptr(base + at))?,
                    _ => self.asm.vfmadd213ps(xmm(register), xmm(factor), xmmword_ptr(base + at))?,
                }
                self.store(register, base, at + 2 * next, what == PeakLoop::StreamTriad)
            }
        }
    }

    fn load(&mut self, register: usize, base: AsmRegister64, at: i64) -> Result<(), IcedError> {
        match self.vector_bytes {
            64 => self.asm.vmovaps(zmm(register), zmmword_ptr(base + at)),
            32 => self.asm.vmovaps(ymm(register), ymmword_ptr(base + at)),
            _ => self.asm.vmovaps(xmm(register), xmmword_ptr(base + at)),
        }
    }

    fn store(&mut self, register: usize, base: AsmRegister64, at: i64, stream: bool) -> Result<(), IcedError> {
        match (self.vector_bytes, stream) {
            (64, false) => self.asm.vmovaps(zmmword_ptr(base + at), zmm(register)),
            (64, true) => self.asm.vmovntps(zmmword_ptr(base + at), zmm(register)),
            (32, false) => self.asm.vmovaps(ymmword_ptr(base + at), ymm(register)),
            (32, true) => self.asm.vmovntps(ymmword_ptr(base + at), ymm(register)),
            (_, false) => self.asm.vmovaps(xmmword_ptr(base + at), xmm(register)),
            (_, true) => self.asm.vmovntps(xmmword_ptr(base + at), xmm(register)),
        }
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
