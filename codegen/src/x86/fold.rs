//! Folds of the lanes of a vector, the upper half onto the lower one until one lane is left.

use super::forms::SHUFFLE;
use super::lir::VReg;
use super::unit::{Parts, Unit, Val};
use crate::error::EmitError;
use crate::x86::encoding::Width;
use kernel::{DType, ScalarOp};

impl Unit<'_> {
    /// Lanes that are no power of two fold as if they were one, and those that are missing changed nothing.
    pub(super) fn fold(&mut self, op: ScalarOp, value: Val) -> Result<Val, EmitError> {
        if value.dtype == DType::Bool {
            // And, or, exclusive or: of 0 and 1 as well.
            let numbers = self.cast(&value, DType::I32)?;
            let folded = self.fold(op, numbers)?;
            return self.cast(&folded, DType::Bool);
        }
        let mut current = value;
        while current.lanes > 1 {
            let half = current.lanes.next_power_of_two() / 2;
            current = self.fold_half(op, current, half)?;
        }
        Ok(current)
    }

    /// Lanes from `half` on onto the first ones.
    fn fold_half(&mut self, op: ScalarOp, value: Val, half: u16) -> Result<Val, EmitError> {
        let (size, per, upper_lanes) = (value.size, self.per_part(value.size), value.lanes - half);
        let low_parts: Parts;
        let high_parts: Parts;
        if half >= per {
            let at = usize::from(half / per);
            low_parts = value.parts[..at].iter().copied().collect();
            high_parts = value.parts[at..].iter().copied().collect();
        } else {
            let high = self.shift_down(value.parts[0], usize::from(half) * size)?;
            low_parts = Parts::from_slice(&value.parts);
            high_parts = Parts::from_slice(&[high]);
        }
        let low_of = |parts: &[VReg], lanes| Val { lanes, parts: parts.into(), constant: None, ..value.clone() };
        let covered = high_parts.len();
        let both = self.apply(op, &[low_of(&low_parts[..covered], upper_lanes), low_of(&high_parts, upper_lanes)])?;
        let mut parts = both.parts;
        // Where a part of the upper half is missing, or lanes of it, the lower half stays.
        let rest = upper_lanes % per;
        let last_lanes = half.min(per);
        if upper_lanes < half && rest != 0 && rest < last_lanes {
            let last = covered - 1;
            let mask = self.first_lanes(rest, size);
            let width = Width::holding(usize::from(last_lanes) * size);
            parts[last] = self.blend(mask, (parts[last], low_parts[last]), size, width)?;
        }
        parts.extend(low_parts[covered..].iter().copied());
        Ok(low_of(&parts, half))
    }

    /// Lanes from so many bytes on, as first lanes.
    fn shift_down(&mut self, from: VReg, bytes: usize) -> Result<VReg, EmitError> {
        match bytes {
            32 => self.upper_half(from, Width::Z),
            16 => self.upper_half(from, Width::Y),
            8 => self.upper_half(from, Width::X),
            _ => self.op(&SHUFFLE, Width::X, &[from], Some(0b01)),
        }
    }
}
