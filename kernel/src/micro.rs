//! The one building block of all contractions: a register tile of a batch-reduce matrix product (BRGEMM: Georganas et al., "High-
//! Performance Deep Learning via a Single Building Block", arXiv 1906.06440).

use crate::{Affine, BufRef, IndexVar, Reg, Stmt};

/// One of the two factors: element (row or column `t`, reduction indices `r...`) stands at
/// `base + t * stride + Σ r * its stride in [`ReduceDim`]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Operand {
    /// Where the elements are.
    pub buf: BufRef,
    /// The tile's first element; uses variables of the loops around only.
    pub base: Affine,
    /// From one row of `a`, or one column of `b`, to the next.
    pub stride: i64,
}

/// One loop of the reduction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ReduceDim {
    /// How many iterations, at least 1.
    pub extent: usize,
    /// What one iteration adds to `a`'s index.
    pub a_stride: i64,
    /// What one iteration adds to `b`'s index.
    pub b_stride: i64,
}

/// For each row `i < m` and column `j < n` of the tile:
///
/// ```text
/// acc = 0
/// for r in reduce (outermost first): acc = fma(a[i, r], b[r, j], acc)
/// body                                        (stores, with i, j and acc in scope)
/// ```
///
/// This is also how the interpreter runs it; every emitter keeps the order of the sum, so results agree to the bit. The
/// element type is that of `a`, `b` and `acc` alike, `f32` or `f64`. `b`'s column stride is 1. The body is straight-line (`Let`, `LetIndex`-free, `Store`) and
/// may be vectorized along `j`: every load and store in it has coefficient 0 or 1 for `j`. Elements of the tile may be computed in any
/// order: they are stored at distinct places, none of which a factor or another element's load touches (invariant 8 of
/// [`mod@crate::verify`]).
///
/// Text:
/// ```text
/// micro 6x8 a=p0[i0*784] stride 784, b=p1[i1*8], reduce=[(784, 1, 8)], i=i5, j=i6, acc=v3 { .. }
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Micro {
    /// Rows of the tile.
    pub m: usize,
    /// Columns of the tile.
    pub n: usize,
    /// The left factor.
    pub a: Operand,
    /// The right factor; `stride` is 1.
    pub b: Operand,
    /// The reduction's loops, outermost first; at least one.
    pub reduce: Vec<ReduceDim>,
    /// The row, in `body`.
    pub i: IndexVar,
    /// The column, in `body`.
    pub j: IndexVar,
    /// The sum, in `body`.
    pub acc: Reg,
    /// What happens with the sum.
    pub body: Vec<Stmt>,
}
