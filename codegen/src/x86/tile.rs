//! Tiles: the call of the function that computes the sums, and what follows them.
//!
//! A tile whose body only stores the sums, or adds them to what stands where it stores, hands the function the place to store them. Otherwise they wait in the function's frame, in the first
//! level of the cache, and the body runs over them in a loop over rows, a full vector of columns at a time.

use super::index::At;
use super::lir::{Inst, Mem, MemBase};
use super::stmt::Count;
use super::unit::{Base, Binding, Unit};
use crate::error::{EmitError, unsupported};
use crate::tile::form;
use kernel::{Affine, DType, Micro};

/// A row of a tile is unrolled to at most that many statements of the body; a longer one is a loop.
const MAX_UNROLLED: usize = 64;

impl Unit<'_> {
    pub(super) fn tile(&mut self, micro: &Micro) -> Result<(), EmitError> {
        let Some(form) = form(self.kernel, micro, self.target) else {
            return unsupported("a tile that doesn't fit the registers");
        };
        let Some(&function) = self.tiles.get(&form.shape) else { return unsupported("a tile that isn't assembled") };
        let a = self.address(micro.a.buf, &micro.a.base)?.mem()?;
        let b = self.address(micro.b.buf, &micro.b.base)?.mem()?;
        if let Some(place) = &form.direct {
            let c = self.address(place.buf, &place.first)?.mem()?;
            self.push(Inst::Call { function, args: [a, b, c] });
            return Ok(());
        }
        let dtype = if form.shape.double { DType::F64 } else { DType::F32 };
        let bytes = micro.m * micro.n * dtype.size_bytes();
        self.lists.sums_bytes = self.lists.sums_bytes.max(bytes);
        let sums = Mem { base: MemBase::Frame, disp: 0, broadcast: false };
        self.push(Inst::Call { function, args: [a, b, sums] });
        self.over_tile(micro, dtype, &mut |u, at, lanes| {
            let sum = u.load_from(dtype, at, lanes, 1)?;
            u.bind_reg(micro.acc, sum, false);
            u.body(&micro.body)
        })
    }

    /// Runs `emit` for each row and each vector of a row; it gets the sums' place and how many there are.
    fn over_tile(
        &mut self,
        micro: &Micro,
        dtype: DType,
        emit: &mut dyn FnMut(&mut Self, At, u16) -> Result<(), EmitError>,
    ) -> Result<(), EmitError> {
        if micro.m == 1 {
            self.bind(micro.i, Binding::Constant(0));
            return self.over_row(micro, dtype, emit);
        }
        self.open_loop(micro.i, Count::Fixed(micro.m as i64), 1, &[]);
        self.over_row(micro, dtype, emit)?;
        self.close_loop();
        Ok(())
    }

    fn over_row(
        &mut self,
        micro: &Micro,
        dtype: DType,
        emit: &mut dyn FnMut(&mut Self, At, u16) -> Result<(), EmitError>,
    ) -> Result<(), EmitError> {
        let (n, size) = (micro.n, dtype.size_bytes());
        let full = usize::from(self.per_part(size)).min(n);
        let mut column = |u: &mut Self, lanes: usize| {
            let index = Affine::term(micro.i, n as i64).plus_term(micro.j, 1);
            let at = u.address_of(Base::Sums, &index, size as i64)?;
            let outer = u.widen.replace((micro.j, lanes as u16));
            let result = emit(u, at, lanes as u16);
            u.widen = outer;
            result
        };
        let (whole, rest) = (n / full, n % full);
        let mut unrolled = 0..whole;
        if whole * (micro.body.len() + 1) > MAX_UNROLLED {
            self.open_loop(micro.j, Count::Fixed(whole as i64), full as i64, &[]);
            column(self, full)?;
            self.close_loop();
            unrolled = 0..0;
        }
        for at in unrolled {
            self.bind(micro.j, Binding::Constant((at * full) as i64));
            column(self, full)?;
        }
        if rest > 0 {
            self.bind(micro.j, Binding::Constant((whole * full) as i64));
            column(self, rest)?;
        }
        Ok(())
    }
}
