//! Invariant 8: the tile of a contraction.

use super::access::{operand_extra, sums_extra};
use super::body::Checker;
use crate::{DType, Micro, TileOperand};

impl Checker<'_> {
    pub(super) fn micro(&mut self, micro: &Micro) {
        if micro.m == 0 || micro.n == 0 || micro.reduce.is_empty() || micro.reduce.iter().any(|r| r.extent == 0) {
            self.fail(8, "a micro has at least one row, one column, and one reduction whose extent is at least 1");
        }
        let a = self.factor(&micro.a, micro.m, micro.reduce.iter().map(|r| (r.extent, r.a_stride)));
        let b = self.factor(&micro.b, micro.n, micro.reduce.iter().map(|r| (r.extent, r.b_stride)));
        let sum = a.zip(b).and_then(|(a, b)| Micro::sum_type(a, b));
        if sum.is_none() {
            let show = |d: Option<DType>| d.map_or("nothing", DType::name);
            self.fail(
                8,
                format!("factors are both f32, both f64, both i32, or u8 and i8, not {} and {}", show(a), show(b)),
            );
        }
        if b.is_some_and(|b| micro.b.stride != Micro::step_elements(b)) {
            self.fail(8, format!("columns of b are contiguous, not {} apart", micro.b.stride));
        }
        self.sums(micro, sum);
        self.stmt += 1;
    }

    /// Sums may be stored in any order, and along columns in vectors, while factors are still read.
    fn sums(&mut self, micro: &Micro, sum: Option<DType>) {
        let c = &micro.c;
        if c.accumulate {
            self.access(c.buf, false);
        }
        self.access(c.buf, true);
        let Ok(dtype) = self.types.element(c.buf) else { return self.fail(2, format!("there is no {}", c.buf)) };
        if let Some(sum) = sum.filter(|sum| *sum != dtype) {
            self.fail(3, format!("{} holds {dtype}, the sums are {sum}", c.buf));
        }
        if [micro.a.buf, micro.b.buf].contains(&c.buf) {
            self.fail(8, format!("{} is a factor, and stored to", c.buf));
        }
        if micro.m > 1 && c.stride.unsigned_abs() < micro.n as u64 {
            self.fail(8, format!("rows of {} sums that are {} apart overlap", micro.n, c.stride));
        }
        let extra = sums_extra(c, micro.m, micro.n);
        if extra.is_none() {
            self.fail(8, "the index of a sum may leave 64 bits");
        }
        self.bounds(c.buf, &c.base, extra, "a tile's sums");
    }

    fn factor(
        &mut self,
        operand: &TileOperand,
        tile: usize,
        reduce: impl Iterator<Item = (usize, i64)>,
    ) -> Option<DType> {
        self.access(operand.buf, false);
        let element = self.types.element(operand.buf).ok();
        let extra = element.and_then(|element| operand_extra(operand, element, tile, reduce));
        if extra.is_none() {
            self.fail(8, "a factor's index may leave 64 bits, or an extent is 0");
        }
        self.bounds(operand.buf, &operand.base, extra, "a factor");
        element
    }
}
