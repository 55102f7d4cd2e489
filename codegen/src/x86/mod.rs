//! Register tiles in wide vectors: what Cranelift's x86-64 backend, which stops at 128 bits, can't emit.
//!
//! A tile is a function of its own, `fn(a, b, c)` by the System V convention, whose shape and strides are in its code. The portable
//! emitter calls it for a [`::kernel::Micro`] and runs what follows the sum. Each element has one sum whose steps come in ascending
//! order, so results are those of the portable tile to the bit.

mod assemble;
pub(crate) mod kernel;
pub(crate) mod peak;

pub(crate) use assemble::assemble;

use crate::CodegenError;
use ::kernel::{DType, Micro};

/// The widest vectors with fused multiply-add that tiles may use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Wide {
    /// 256 bits, 16 registers; a register masks columns that don't fill a vector.
    Avx2,
    /// 512 bits, 32 registers; masks have registers of their own.
    Avx512,
}

impl Wide {
    /// What this process may use: what the processor has, but no more than the environment variable `GRADC_TARGET` allows, which can be
    /// `baseline` (no wide vectors at all), `avx2` or `avx512`. Other values allow nothing wide; [`crate::jit`] refuses them.
    pub fn of_host() -> Option<Self> {
        Self::of_processor().min(Self::allowed().ok().flatten())
    }

    /// The limit that the environment sets.
    ///
    /// # Errors
    /// If it isn't one of the names there are.
    pub(crate) fn allowed() -> Result<Option<Self>, CodegenError> {
        let Some(name) = std::env::var_os("GRADC_TARGET") else { return Ok(Some(Self::Avx512)) };
        match name.to_str() {
            Some("baseline") => Ok(None),
            Some("avx2") => Ok(Some(Self::Avx2)),
            Some("avx512") => Ok(Some(Self::Avx512)),
            _ => Err(CodegenError::Host(format!("GRADC_TARGET is {name:?}, it can be baseline, avx2 or avx512"))),
        }
    }

    pub(crate) fn of_processor() -> Option<Self> {
        #[cfg(all(target_arch = "x86_64", not(windows)))]
        {
            if std::arch::is_x86_feature_detected!("avx512f") {
                return Some(Self::Avx512);
            }
            // Conversions of half-precision floats came before AVX2 and FMA; a virtual machine may hide them all the same.
            let halves = std::arch::is_x86_feature_detected!("f16c");
            if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") && halves {
                return Some(Self::Avx2);
            }
        }
        None
    }

    /// Whether the processor multiplies pairs of `bf16` in vectors of that kind.
    pub fn has_bf16_pairs(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        if self == Self::Avx512 {
            return std::arch::is_x86_feature_detected!("avx512bf16");
        }
        false
    }

    /// Bytes of a vector.
    pub fn vector_bytes(self) -> usize {
        match self {
            Self::Avx2 => 32,
            Self::Avx512 => 64,
        }
    }

    /// Vector registers.
    pub fn registers(self) -> usize {
        match self {
            Self::Avx2 => 16,
            Self::Avx512 => 32,
        }
    }
}

/// One loop of the reduction; what an iteration adds to the pointers, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Dim {
    pub(crate) extent: usize,
    pub(crate) a: i64,
    pub(crate) b: i64,
}

/// Everything that the code of a tile depends on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct TileShape {
    pub(crate) wide: Wide,
    /// `f64`, else `f32`.
    pub(crate) double: bool,
    /// Whether factors are pairs of `bf16`.
    pub(crate) pairs: bool,
    pub(crate) m: usize,
    pub(crate) n: usize,
    /// From one row of `a` to the next, in bytes.
    pub(crate) a_row: i64,
    pub(crate) reduce: Vec<Dim>,
    /// Whether sums are added to what stands in `c`.
    pub(crate) accumulate: bool,
    /// From one row of `c` to the next, in bytes.
    pub(crate) c_row: i64,
}

impl TileShape {
    /// The shape of a tile that writes rows of `c` that far apart; `None` if it has no wide form.
    pub(crate) fn of(micro: &Micro, dtype: DType, wide: Wide, accumulate: bool, c_row: i64) -> Option<Self> {
        let size = dtype.size_bytes() as i64;
        let reduce = micro.reduce.iter().map(|d| Dim { extent: d.extent, a: d.a_stride * size, b: d.b_stride * size });
        let shape = Self {
            wide,
            double: dtype == DType::F64,
            pairs: dtype == DType::I32,
            m: micro.m,
            n: micro.n,
            a_row: micro.a.stride * size,
            reduce: reduce.filter(|d| d.extent > 1).collect(),
            accumulate,
            c_row,
        };
        shape.fits().then_some(shape)
    }

    /// Elements of a vector.
    fn lanes(&self) -> usize {
        self.wide.vector_bytes() / if self.double { 8 } else { 4 }
    }

    /// Vectors of a row, the last one perhaps not full.
    fn vectors(&self) -> usize {
        self.n.div_ceil(self.lanes())
    }

    /// Whether the last vector of a row is not full.
    fn is_masked(&self) -> bool {
        !self.n.is_multiple_of(self.lanes())
    }

    /// Registers for a row of `b`. A tile with a single row uses each vector once: it multiplies by those in memory, and needs a register for one
    /// that is not full.
    fn factors(&self) -> usize {
        if self.m == 1 { 1 } else { self.vectors() }
    }

    /// Sums, a row of `b`, a broadcast element and, with 256 bits, a mask must fit the registers.
    fn fits(&self) -> bool {
        let mask = usize::from(self.is_masked() && self.wide == Wide::Avx2);
        let registers = self.m * self.vectors() + self.factors() + 1 + mask;
        registers <= self.wide.registers() && self.reduce.len() <= 6 && (!self.pairs || self.wide.has_bf16_pairs())
    }
}
