//! The one building block of all contractions: a register tile of a batch-reduce matrix product (BRGEMM: Georganas et al., "High-
//! Performance Deep Learning via a Single Building Block", arXiv 1906.06440).

use crate::{Affine, BufRef, DType};

/// One of the two factors: element (row or column `t`, reduction indices `r...`) stands at
/// `base + t * stride + Σ r * its stride in [`ReduceDim`]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TileOperand {
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

/// Where the sums of a tile go: that of row `i` and column `j` to `base + i * stride + j`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TileSums {
    /// The buffer; no factor's.
    pub buf: BufRef,
    /// The first sum; uses variables of the loops around only.
    pub base: Affine,
    /// From one row to the next: at least as much as a row is long, or less than nothing by as much.
    pub stride: i64,
    /// Whether sums are added to what stands there.
    pub accumulate: bool,
}

/// For each row `i < m` and column `j < n` of the tile:
///
/// ```text
/// sum = 0
/// for r in reduce (outermost first): sum = fma(a[i, r], b[r, j], sum)
/// c[i, j] = sum                               (or add(c[i, j], sum))
/// ```
///
/// This is also how the interpreter runs it; every emitter keeps the order of each sum, so results agree to the bit. The
/// element type is that of `a`, `b` and `c` alike, `f32` or `f64`; or factors are `i32`, each of which holds a pair of `bf16`, and sums are `f32`: a step then
/// is [`dot_pair`]. Only machines whose [`crate::Target`] has `bf16_pairs` run that. Or `a` is `u8`, `b` is `i8`, each place that is read has four elements side by
/// side, and sums are `i32`: a step then is [`dot_quad`], for machines with `byte_quads`. `b`'s columns are side by side: their stride is 1, of quads 4. Sums are at distinct places of a buffer that no
/// factor stands in, and may be computed in any order (invariant 8 of [`mod@crate::verify`]).
///
/// What happens with sums is no part of a tile: loops behind it read them from where they are, scratch memory most often, and are vectorized as others are.
///
/// # What an emitter decides
/// A tile is the one statement whose instructions the kernel's text doesn't show one by one. Sums stay in registers over the whole reduction; which registers, how
/// many steps of the innermost reduction come in a row, which factors are broadcast, and in which vectors the columns are held is the contract of the emitter's
/// micro-kernel. It depends on the tile's numbers and the target alone, and changes no bit of a result.
///
/// Text:
/// ```text
/// micro 6x8 a=p0[i0*784] stride 784, b=p1[i1*8], reduce=[(784, 1, 8)], c=l0[0] stride 8
/// micro 6x8 a=p0[i0*784] stride 784, b=p1[i1*8], reduce=[(784, 1, 8)], c add=p2[i1*8] stride 64
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Micro {
    /// Rows of the tile.
    pub m: usize,
    /// Columns of the tile.
    pub n: usize,
    /// The left factor.
    pub a: TileOperand,
    /// The right factor; `stride` is 1.
    pub b: TileOperand,
    /// The reduction's loops, outermost first; at least one.
    pub reduce: Vec<ReduceDim>,
    /// The sums.
    pub c: TileSums,
}

impl Micro {
    /// The type of the sum for factors of these types; `None` if no tile multiplies those.
    pub fn sum_type(a: DType, b: DType) -> Option<DType> {
        match (a, b) {
            (DType::F32, DType::F32) | (DType::F64, DType::F64) => Some(a),
            (DType::I32, DType::I32) => Some(DType::F32),
            (DType::U8, DType::I8) => Some(DType::I32),
            _ => None,
        }
    }

    /// How many elements of a factor, side by side, a step multiplies.
    pub fn step_elements(factor: DType) -> i64 {
        if factor.size_bytes() == 1 { QUAD } else { 1 }
    }
}

/// What a step adds to a sum where factors are pairs of `bf16`, the first in the lower half: `a1 * b1` first, then `a0 * b0`, each by a fused
/// multiply-add that is rounded to even. Numbers below the least normal one are taken for zeros of their sign, in the factors, the sum and each result.
/// This is the instruction `vdpbf16ps`, to the bit but for the payloads of NaN.
pub fn dot_pair(a: i32, b: i32, sum: f32) -> f32 {
    let halves = |pair: i32| [pair << 16, pair & !0xffff].map(|bits| flushed(f32::from_bits(bits.cast_unsigned())));
    let ([a0, a1], [b0, b1]) = (halves(a), halves(b));
    let sum = flushed(a1.mul_add(b1, flushed(sum)));
    flushed(a0.mul_add(b0, sum))
}

/// Elements of a quad.
const QUAD: i64 = 4;

/// What a step adds to a sum where factors are `u8` and `i8`: four products, wrapping. This is the instruction `vpdpbusd`.
pub fn dot_quad(a: [u8; 4], b: [i8; 4], sum: i32) -> i32 {
    a.into_iter().zip(b).fold(sum, |sum, (a, b)| sum.wrapping_add(i32::from(a) * i32::from(b)))
}

/// Zero with the sign of a number below the least normal one; any other number as it is.
fn flushed(x: f32) -> f32 {
    if x.is_subnormal() { 0f32.copysign(x) } else { x }
}
