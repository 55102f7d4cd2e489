//! The two instruction sets that kernels are emitted for.

use crate::x86::Wide;

/// An instruction set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::x86) enum Isa {
    /// AVX2 with FMA: VEX encodings, 16 registers of 256 bits, masks are vectors.
    Avx2,
    /// AVX-512 F, VL, DQ and BW: EVEX encodings, 32 registers of 512 bits, masks have registers of their own.
    Avx512,
}

/// Which part of a vector register an instruction works on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Width {
    /// 128 bits.
    X,
    /// 256 bits.
    Y,
    /// 512 bits.
    Z,
}

impl Width {
    /// The smallest that holds so many bytes.
    pub(super) fn holding(bytes: usize) -> Self {
        match bytes {
            0..=16 => Self::X,
            17..=32 => Self::Y,
            _ => Self::Z,
        }
    }

    pub(super) fn bytes(self) -> usize {
        16 << self as usize
    }

    /// Half of it, but at least 128 bits.
    pub(super) fn half(self) -> Self {
        if self == Self::Z { Self::Y } else { Self::X }
    }
}

impl Isa {
    /// What kernels may use where tiles use vectors of that kind: an AVX-512 machine without the newer parts of it gets AVX2.
    pub(super) fn of(wide: Wide) -> Self {
        #[cfg(target_arch = "x86_64")]
        if wide == Wide::Avx512
            && std::arch::is_x86_feature_detected!("avx512vl")
            && std::arch::is_x86_feature_detected!("avx512dq")
            && std::arch::is_x86_feature_detected!("avx512bw")
        {
            return Self::Avx512;
        }
        let _ = wide;
        Self::Avx2
    }

    /// Bytes of a full vector.
    pub(super) fn bytes(self) -> usize {
        self.width().bytes()
    }

    /// The full vector.
    pub(super) fn width(self) -> Width {
        match self {
            Self::Avx2 => Width::Y,
            Self::Avx512 => Width::Z,
        }
    }

    /// Vector registers.
    pub(super) fn vectors(self) -> u8 {
        match self {
            Self::Avx2 => 16,
            Self::Avx512 => 32,
        }
    }

    pub(super) fn has_masks(self) -> bool {
        self == Self::Avx512
    }
}
