//! Comparisons.

use super::args::{Args, Emit};
use super::bits::in_masks;
use crate::error::EmitError;
use crate::x86::encoding::{Encoding, Width};
use crate::x86::forms::{Form, ICMP, IEQ, IGT, MAX, MIN, UCMP, XOR, of_size};
use crate::x86::lir::VReg;
use crate::x86::unit::{Compared, Unit, lane_size};
use iced_x86::Code;
use kernel::{DType, ScalarOp};

pub(super) const OPS: &[(ScalarOp, Emit)] = &[
    (ScalarOp::EQ, |u, a| compare(u, a, Order::Eq)),
    (ScalarOp::NE, |u, a| compare(u, a, Order::Ne)),
    (ScalarOp::LT, |u, a| compare(u, a, Order::Lt)),
    (ScalarOp::LE, |u, a| compare(u, a, Order::Le)),
    (ScalarOp::GT, |u, a| compare(u, a, Order::Gt)),
    (ScalarOp::GE, |u, a| compare(u, a, Order::Ge)),
];

/// What is asked of two numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::x86) enum Order {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// The predicate of `cmpps` for "one of them is NaN".
pub(in crate::x86) const UNORDERED: u8 = 3;

impl Order {
    /// The predicate of `cmpps`: quiet, false for NaN but for "unequal".
    pub(in crate::x86) fn of_floats(self) -> u8 {
        match self {
            Self::Eq => 0x00,
            Self::Ne => 0x04,
            Self::Lt => 0x11,
            Self::Le => 0x12,
            Self::Gt => 0x1e,
            Self::Ge => 0x1d,
        }
    }

    /// The predicate of `vpcmpd`.
    fn of_ints(self) -> u8 {
        match self {
            Self::Eq => 0,
            Self::Lt => 1,
            Self::Le => 2,
            Self::Ne => 4,
            Self::Ge => 5,
            Self::Gt => 6,
        }
    }
}

fn compare(u: &mut Unit<'_>, a: &Args, order: Order) -> Result<VReg, EmitError> {
    let (x, y) = (a.regs[0], a.regs[1]);
    if in_masks(u, a) {
        let code = if order == Order::Eq { Code::VEX_Kxnorw_kr_kr_kr } else { Code::VEX_Kxorw_kr_kr_kr };
        return Ok(u.mask_op(code, &[x, y]));
    }
    if !a.is_float() {
        return u.compare_integers(order, a.dtype, a.width, x, y);
    }
    let mask = u.compare_floats(order.of_floats(), a.size, a.width, x, y)?;
    let stays = |reg: &VReg| !u.mutable.contains(reg);
    if matches!(order, Order::Lt | Order::Gt) && stays(&x) && stays(&y) {
        u.compared.insert(mask, Compared { less: order == Order::Lt, left: x, right: y });
    }
    Ok(mask)
}

impl Unit<'_> {
    /// A comparison of integers of a type, or of truth values in vectors: a mask.
    pub(in crate::x86) fn compare_integers(
        &mut self,
        order: Order,
        dtype: DType,
        width: Width,
        a: VReg,
        b: VReg,
    ) -> Result<VReg, EmitError> {
        let size = lane_size(dtype);
        // Shorter ones are numbers of 32 bits with a sign.
        if !matches!(dtype, DType::U64 | DType::U32) || matches!(order, Order::Eq | Order::Ne) {
            return self.compare_ints(order, size, width, a, b);
        }
        if self.encoding == Encoding::Evex {
            return self.comparison(of_size(&UCMP, size), width, &[a, b], Some(order.of_ints()));
        }
        // With their upper bits turned, numbers with a sign have the same order.
        let upper = self.splat_bits(1 << (8 * size - 1), size);
        let a = self.op(of_size(&XOR, size), width, &[a, upper], None)?;
        let b = self.op(of_size(&XOR, size), width, &[b, upper], None)?;
        self.compare_ints(order, size, width, a, b)
    }

    /// A comparison of integers with a sign: a mask.
    pub(in crate::x86) fn compare_ints(
        &mut self,
        order: Order,
        size: usize,
        width: Width,
        a: VReg,
        b: VReg,
    ) -> Result<VReg, EmitError> {
        if self.encoding == Encoding::Evex {
            return self.comparison(of_size(&ICMP, size), width, &[a, b], Some(order.of_ints()));
        }
        let (form, swapped, inverted) = match order {
            Order::Eq => (&IEQ, false, false),
            Order::Ne => (&IEQ, false, true),
            Order::Gt => (&IGT, false, false),
            Order::Lt => (&IGT, true, false),
            Order::Le => (&IGT, false, true),
            Order::Ge => (&IGT, true, true),
        };
        let operands = if swapped { [b, a] } else { [a, b] };
        let mask = self.op(of_size(form, size), width, &operands, None)?;
        if !inverted {
            return Ok(mask);
        }
        let ones = self.splat_bits(0xffff_ffff, 4);
        self.op(&XOR[0], width, &[mask, ones], None)
    }

    /// The instruction that does what a selection between the two that were compared does: the first operand where it is beyond the second.
    pub(in crate::x86) fn extremum_by(
        &self,
        mask: VReg,
        yes: VReg,
        no: VReg,
    ) -> Option<(&'static [Form; 2], VReg, VReg)> {
        let Compared { less, left, right } = *self.compared.get(&mask)?;
        let form = |less| if less { &MIN } else { &MAX };
        if (yes, no) == (left, right) {
            Some((form(less), left, right))
        } else if (yes, no) == (right, left) {
            // `a < b ? b : a` is `b > a ? b : a`.
            Some((form(!less), right, left))
        } else {
            None
        }
    }
}
