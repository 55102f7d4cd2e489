//! Which machine instruction does what, by element size (4 bytes, 8 bytes), encoding and width: [`math`] computes, [`moves`] moves and converts.

use crate::x86::encoding::{Encoding, Width};
use iced_x86::Code;

/// One operation on lanes of one size.
#[derive(Debug)]
pub(super) struct Form {
    /// Bytes of an element that may be broadcast from memory, with EVEX; 0 if none may.
    pub(super) element: u8,
    /// Whether the first two sources may change places.
    pub(super) commutes: bool,
    vex: [Code; 2],
    evex: [Code; 3],
}

impl Form {
    /// The instruction, if that set has it.
    pub(super) fn code(&self, encoding: Encoding, width: Width) -> Option<Code> {
        let code = match (encoding, width) {
            (Encoding::Vex, Width::Z) => return None,
            (Encoding::Vex, _) => self.vex[width as usize],
            (Encoding::Evex, _) => self.evex[width as usize],
        };
        (code != Code::INVALID).then_some(code)
    }

    /// Whether the last source may be in memory. Shifts by a constant take registers only with VEX.
    pub(super) fn folds(&self, encoding: Encoding) -> bool {
        let shift = matches!(
            self.vex[0],
            Code::VEX_Vpslld_xmm_xmm_imm8
                | Code::VEX_Vpsllq_xmm_xmm_imm8
                | Code::VEX_Vpsrld_xmm_xmm_imm8
                | Code::VEX_Vpsrlq_xmm_xmm_imm8
        );
        encoding == Encoding::Evex || !shift
    }
}

/// The form for lanes of 4 or 8 bytes.
pub(super) fn of_size(forms: &'static [Form; 2], size: usize) -> &'static Form {
    &forms[usize::from(size == 8)]
}

macro_rules! form {
    ($element:literal, $commutes:literal, [$($vex:ident),*], [$($evex:ident),*]) => {
        Form {
            element: $element,
            commutes: $commutes,
            vex: [$(Code::$vex),*],
            evex: [$(Code::$evex),*],
        }
    };
}

mod math;
mod moves;

pub(super) use math::*;
pub(super) use moves::*;
