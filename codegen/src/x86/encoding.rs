//! Encodings of vector instructions, and widths of vector registers.

use kernel::{InstructionSet, Target};

/// How vector instructions are encoded, which decides what registers and masks there are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Encoding {
    /// VEX: 16 registers of 256 bits, masks are vectors.
    Vex,
    /// EVEX: 32 registers of 512 bits, masks have registers of their own.
    Evex,
}

/// Which part of a vector register an instruction works on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Width {
    /// 128 bits.
    X,
    /// 256 bits.
    Y,
    /// 512 bits.
    Z,
}

impl Width {
    /// The smallest that holds so many bytes.
    pub(crate) fn holding(bytes: usize) -> Self {
        match bytes {
            0..=16 => Self::X,
            17..=32 => Self::Y,
            _ => Self::Z,
        }
    }

    pub(crate) fn bytes(self) -> usize {
        16 << self as usize
    }

    /// Half of it, but at least 128 bits.
    pub(crate) fn half(self) -> Self {
        if self == Self::Z { Self::Y } else { Self::X }
    }
}

impl Encoding {
    /// What code for a target uses.
    pub(crate) fn of(target: &Target) -> Self {
        if target.instruction_set() >= InstructionSet::Avx512 { Self::Evex } else { Self::Vex }
    }

    /// Bytes of a full vector.
    pub(crate) fn bytes(self) -> usize {
        self.width().bytes()
    }

    /// The full vector.
    pub(crate) fn width(self) -> Width {
        match self {
            Self::Vex => Width::Y,
            Self::Evex => Width::Z,
        }
    }

    /// Vector registers.
    pub(crate) fn vectors(self) -> u8 {
        match self {
            Self::Vex => 16,
            Self::Evex => 32,
        }
    }

    pub(crate) fn has_masks(self) -> bool {
        self == Self::Evex
    }
}
