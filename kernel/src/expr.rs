//! Expressions: scalars and short vectors, computed without side effects.

use crate::{Affine, DType, Scalar, ScalarOp};

/// A value bound by [`crate::Stmt::Let`] or [`crate::Stmt::Decl`]. Unique within its kernel. Text: `v7`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Reg(pub u32);

/// What a load or a store addresses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum BufRef {
    /// A parameter of the kernel, by position. Text: `p0`.
    Param(u32),
    /// A scratch buffer of the kernel, by position in [`crate::Code::locals`]. Text: `l0`.
    Local(u32),
}

/// An expression. Every expression has an element type and a number of lanes, 1 for a scalar; operands of a [`Expr::Apply`] agree
/// in lanes, of which there are 1 to [`crate::MAX_LANES`]: as many as a register holds, fewer for the rest of a row, or more, which an
/// emitter splits. `bool` in memory is a byte of 0 or 1; as a value it is a truth value or a mask.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Expr {
    /// A constant. Text: `1.5f32`, `true`, `nan:f32`, `-inf:f64`, the bits of another NaN `0x7fc00001:f32`.
    Const(Scalar),
    /// A bound value. Text: `v7`.
    Reg(Reg),
    /// An index as an element of type `i32` or `i64`; with lanes > 1, lane `l` is `index + l * stride`.
    /// Text: `index i0*2 + 1 : i32`, with lanes `index i0*4 : i32x4 stride 1`. With 1 lane the stride means nothing and is 1.
    Index {
        /// The index (of lane 0).
        index: Affine,
        /// `i32` or `i64`.
        dtype: DType,
        /// Lanes.
        lanes: u16,
        /// From one lane to the next.
        stride: i64,
    },
    /// Elements from memory; lane `l` from `index + l * stride`. Stride 0 isn't allowed with lanes > 1 (use [`Expr::Splat`]); with 1
    /// lane the stride means nothing and is 1.
    /// Text: `load p0[i0*4 + i1]`, with lanes `load.x4 p0[i0*4]`, with stride `load.x4 p0[i0*4] stride 8`.
    Load {
        /// From where.
        buf: BufRef,
        /// Element index of lane 0.
        index: Affine,
        /// Lanes.
        lanes: u16,
        /// From one lane to the next, in elements.
        stride: i64,
    },
    /// A scalar op, lane by lane. Text: `add(v1, v2)`.
    Apply(ScalarOp, Vec<Expr>),
    /// Conversion, lane by lane. Text: `cast(v1 : f32)`.
    Cast(DType, Box<Expr>),
    /// The same bits as another type of the same size, lane by lane. Text: `bitcast(v1 : i32)`.
    Bitcast(DType, Box<Expr>),
    /// A scalar in all lanes. Text: `splat.x4(v1)`.
    Splat(u16, Box<Expr>),
    /// The lanes of a vector folded by an associative and commutative op, pairwise from the halves: `(l0 op l2) op (l1 op l3)`. Lanes
    /// that lack to a power of two change nothing: 3 lanes are `(l0 op l2) op l1` (an emitter that pads an `add` does it with -0).
    /// Text: `fold add(v1)`.
    Fold(ScalarOp, Box<Expr>),
}
