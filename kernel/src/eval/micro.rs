//! Runs the tile of a contraction, row by row, each sum in the documented order.

use super::compile::{MicroStep, TileFactor};
use super::exec::{ExecResult, KernelRun, Trap};
use crate::{DType, Micro, ReduceDim, Scalar, ScalarOp, dot_pair, dot_quad};
use ir::scalar::add_scaled;

/// What a tile multiplies and adds up.
trait TileProduct {
    /// What it takes of each factor at once.
    type A: Copy;
    /// As [`Self::A`].
    type B: Copy;
    /// What the sums are.
    type Sum: Copy + Default;
    /// Bytes of what it takes of a factor.
    const SIZE: usize;
    fn a(bytes: &[u8]) -> Self::A;
    fn b(bytes: &[u8]) -> Self::B;
    fn add(a: Self::A, b: Self::B, sum: Self::Sum) -> Self::Sum;

    /// Adds the products of `a` with one of `bytes` after the other to the sums.
    fn add_all(a: Self::A, bytes: &[u8], sums: &mut [Self::Sum]) {
        for (sum, b) in sums.iter_mut().zip(bytes.chunks_exact(Self::SIZE)) {
            *sum = Self::add(a, Self::b(b), *sum);
        }
    }
}

/// A number from its bytes.
macro_rules! number {
    ($type:ty, $bytes:expr) => {{
        let mut word = [0; size_of::<$type>()];
        word.copy_from_slice($bytes);
        <$type>::from_le_bytes(word)
    }};
}

/// Products of two numbers of one type.
macro_rules! product {
    ($name:ident, $type:ty, $sum:ty, $add:expr) => {
        struct $name;

        impl TileProduct for $name {
            type A = $type;
            type B = $type;
            type Sum = $sum;
            const SIZE: usize = size_of::<$type>();
            fn a(bytes: &[u8]) -> $type {
                number!($type, bytes)
            }
            fn b(bytes: &[u8]) -> $type {
                number!($type, bytes)
            }
            fn add(a: $type, b: $type, sum: $sum) -> $sum {
                $add(a, b, sum)
            }
        }
    };
}
product!(DoubleTile, f64, f64, f64::mul_add);
product!(PairTile, i32, f32, dot_pair);

struct SingleTile;

impl TileProduct for SingleTile {
    type A = f32;
    type B = f32;
    type Sum = f32;
    const SIZE: usize = 4;
    fn a(bytes: &[u8]) -> f32 {
        number!(f32, bytes)
    }
    fn b(bytes: &[u8]) -> f32 {
        number!(f32, bytes)
    }
    fn add(a: f32, b: f32, sum: f32) -> f32 {
        a.mul_add(b, sum)
    }
    fn add_all(a: f32, bytes: &[u8], sums: &mut [f32]) {
        let mut row = [0.0; 64];
        for (sums, bytes) in sums.chunks_mut(row.len()).zip(bytes.chunks(4 * row.len())) {
            row.iter_mut().zip(bytes.chunks_exact(4)).for_each(|(to, b)| *to = number!(f32, b));
            add_scaled(sums, a, &row[..sums.len()]);
        }
    }
}

struct QuadTile;

impl TileProduct for QuadTile {
    type A = [u8; 4];
    type B = [i8; 4];
    type Sum = i32;
    const SIZE: usize = 4;
    fn a(bytes: &[u8]) -> [u8; 4] {
        number!(u32, bytes).to_le_bytes()
    }
    fn b(bytes: &[u8]) -> [i8; 4] {
        Self::a(bytes).map(u8::cast_signed)
    }
    fn add(a: [u8; 4], b: [i8; 4], sum: i32) -> i32 {
        dot_quad(a, b, sum)
    }
}

/// Where a row of a tile reads, in bytes from the arena's start, known to be in bounds.
#[derive(Clone, Copy)]
struct TileRow {
    a: i64,
    b: i64,
    /// Bytes of an element.
    size: i64,
}

impl TileRow {
    /// Adds to a row's sums over all reduction loops, the last of which is the innermost; columns of `b` stand side by side.
    fn add<P: TileProduct>(mut self, arena: &[u8], dims: &[ReduceDim], sums: &mut [P::Sum]) {
        let Some((dim, inner)) = dims.split_first() else {
            let a = P::a(&arena[self.a as usize..][..P::SIZE]);
            return P::add_all(a, &arena[self.b as usize..][..sums.len() * P::SIZE], sums);
        };
        for _ in 0..dim.extent {
            self.add::<P>(arena, inner, sums);
            self.a += dim.a_stride * self.size;
            self.b += dim.b_stride * self.size;
        }
    }

    /// The sums of a row.
    fn sums<P: TileProduct>(
        self,
        arena: &[u8],
        micro: &MicroStep,
        scalar: fn(P::Sum) -> Scalar,
    ) -> impl Iterator<Item = Scalar> + use<P> {
        let mut sums = vec![P::Sum::default(); micro.n as usize];
        self.add::<P>(arena, &micro.reduce, &mut sums);
        sums.into_iter().map(scalar)
    }
}

impl KernelRun<'_> {
    pub(super) fn micro(&mut self, micro: &MicroStep) -> ExecResult<()> {
        let a = self.first_byte(&micro.a, micro.m, micro.reduce.iter().map(|r| (r.extent, r.a_stride)))?;
        let b = self.first_byte(&micro.b, micro.n, micro.reduce.iter().map(|r| (r.extent, r.b_stride)))?;
        let c = self.index(&micro.c.base);
        let size = micro.dtype.size_bytes() as i64;
        for i in 0..micro.m {
            let row = TileRow { a: a + i * micro.a.stride * size, b, size };
            let sums: Vec<Scalar> = match micro.dtype {
                DType::F64 => row.sums::<DoubleTile>(self.arena, micro, Scalar::F64).collect(),
                DType::U8 => row.sums::<QuadTile>(self.arena, micro, Scalar::I32).collect(),
                DType::I32 => row.sums::<PairTile>(self.arena, micro, Scalar::F32).collect(),
                _ => row.sums::<SingleTile>(self.arena, micro, Scalar::F32).collect(),
            };
            for (sum, at) in sums.into_iter().zip(c + i * micro.c.stride..) {
                let sum = match micro.accumulate {
                    true => ScalarOp::ADD.eval(&[self.load(micro.c.buf, at)?, sum]),
                    false => sum,
                };
                self.store(micro.c.buf, at, sum)?;
            }
        }
        Ok(())
    }

    /// Where a factor's first element is, once all of the factor is known to be in its buffer.
    fn first_byte(
        &self,
        factor: &TileFactor,
        tile: i64,
        reduce: impl Iterator<Item = (usize, i64)>,
    ) -> ExecResult<i64> {
        let base = self.index(&factor.base);
        let place = self.places[factor.buf];
        let (mut lo, mut hi) = (base, base + Micro::step_elements(place.dtype) - 1);
        for (extent, stride) in reduce.chain([(tile as usize, factor.stride)]) {
            let reach = (extent as i64 - 1) * stride;
            lo += reach.min(0);
            hi += reach.max(0);
        }
        let outside = |index: i64| !usize::try_from(index).is_ok_and(|at| at < place.len);
        if let Some(index) = [lo, hi].into_iter().find(|&at| outside(at)) {
            return Err(Trap::OutOfBounds { slot: factor.buf, params: self.params, index, len: place.len });
        }
        Ok(place.start as i64 + base * place.dtype.size_bytes() as i64)
    }
}
