//! Register tiles in wide vectors, as both emitters see them: what a tile's code depends on.
//!
//! A tile is a function of its own, `fn(a, b, c)` by the System V convention, whose shape and strides are in its code. An emitter calls it for a
//! [`Micro`]. Each element has one sum whose steps come in ascending order, so results are those of a portable tile to the bit.

use crate::x86::encoding::Encoding;
use kernel::{DType, Kernel, Micro, Stmt, Target, walk::visit_stmts};
use std::collections::BTreeMap;

/// The functions that compute tiles, by shape: their numbers in the module.
pub(crate) type TileFunctions = BTreeMap<TileShape, u32>;

/// The shapes of all tiles of a kernel that have a wide form.
pub(crate) fn shapes(kernel: &Kernel, target: &Target) -> Vec<TileShape> {
    let mut shapes = vec![];
    visit_stmts(&kernel.body, &mut |stmt| {
        if let Stmt::Micro(micro) = stmt {
            shapes.extend(TileShape::of(kernel, micro, target));
        }
    });
    shapes
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
    pub(crate) encoding: Encoding,
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
    /// The shape of a kernel's tile; `None` if it has no wide form.
    pub(crate) fn of(kernel: &Kernel, micro: &Micro, target: &Target) -> Option<Self> {
        if !target.is_wide() {
            return None;
        }
        let dtype = kernel.dtype_of(micro.a.buf).filter(|d| Micro::sum_type(*d).is_some())?;
        let size = dtype.size_bytes() as i64;
        let reduce = micro.reduce.iter().map(|d| Dim { extent: d.extent, a: d.a_stride * size, b: d.b_stride * size });
        let shape = Self {
            encoding: Encoding::of(target),
            double: dtype == DType::F64,
            pairs: dtype == DType::I32,
            m: micro.m,
            n: micro.n,
            a_row: micro.a.stride * size,
            reduce: reduce.filter(|d| d.extent > 1).collect(),
            accumulate: micro.c.accumulate,
            // A pair has the bytes of its sum.
            c_row: micro.c.stride * size,
        };
        (shape.fits() && (!shape.pairs || target.bf16_pairs())).then_some(shape)
    }

    /// Elements of a vector.
    pub(crate) fn lanes(&self) -> usize {
        self.encoding.bytes() / if self.double { 8 } else { 4 }
    }

    /// Vectors of a row, the last one perhaps not full.
    pub(crate) fn vectors(&self) -> usize {
        self.n.div_ceil(self.lanes())
    }

    /// Whether the last vector of a row is not full.
    pub(crate) fn is_masked(&self) -> bool {
        !self.n.is_multiple_of(self.lanes())
    }

    /// Registers for a row of `b`. A tile with a single row uses each vector once: it multiplies by those in memory, and needs a register for one
    /// that is not full.
    pub(crate) fn factors(&self) -> usize {
        if self.m == 1 { 1 } else { self.vectors() }
    }

    /// Sums, a row of `b`, a broadcast element and, with 256 bits, a mask must fit the registers.
    fn fits(&self) -> bool {
        let mask = usize::from(self.is_masked() && self.encoding == Encoding::Vex);
        let registers = self.m * self.vectors() + self.factors() + 1 + mask;
        registers <= usize::from(self.encoding.vectors()) && self.reduce.len() <= 6
    }
}
