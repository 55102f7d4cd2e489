//! Runs the tile of a contraction: element by element, each sum in the documented order.

use super::compile::{MicroStep, TileFactor};
use super::exec::{ExecResult, KernelRun, Trap};
use crate::{DType, Micro, ReduceDim, Scalar, ScalarOp, dot_pair, dot_quad};

/// Element types that a tile multiplies.
trait TileElement: Copy {
    /// The type of the sum.
    type Sum: Copy;
    const SIZE: usize;
    fn read(bytes: &[u8]) -> Self;
    fn fma(self, b: Self, c: Self::Sum) -> Self::Sum;
}

macro_rules! element {
    ($type:ty, $sum:ty, $size:literal, $fma:expr) => {
        impl TileElement for $type {
            type Sum = $sum;
            const SIZE: usize = $size;
            fn read(bytes: &[u8]) -> Self {
                let mut word = [0; $size];
                word.copy_from_slice(bytes);
                Self::from_le_bytes(word)
            }
            fn fma(self, b: Self, c: $sum) -> $sum {
                $fma(self, b, c)
            }
        }
    };
}
element!(f32, f32, 4, f32::mul_add);
element!(f64, f64, 8, f64::mul_add);
element!(i32, f32, 4, dot_pair);

/// Four elements of a byte each.
macro_rules! quad {
    ($factor:ident) => {
        fn $factor(bytes: &[u8]) -> [$factor; 4] {
            let mut quad = [0; 4];
            quad.iter_mut().zip(bytes).for_each(|(to, byte)| *to = *byte as $factor);
            quad
        }
    };
}
quad!(u8);
quad!(i8);

/// The sum over all reduction loops of quads. Offsets as for [`sum`].
fn sum_quads(arena: &[u8], dims: &[ReduceDim], mut a: i64, mut b: i64, mut acc: i32) -> i32 {
    let Some((dim, inner)) = dims.split_first() else { return acc };
    let quad = |at: i64| &arena[at as usize..at as usize + 4];
    for _ in 0..dim.extent {
        acc =
            if inner.is_empty() { dot_quad(u8(quad(a)), i8(quad(b)), acc) } else { sum_quads(arena, inner, a, b, acc) };
        a += dim.a_stride;
        b += dim.b_stride;
    }
    acc
}

/// The sum over all reduction loops. Offsets are in bytes from the arena's start and known to be in bounds.
fn sum<T: TileElement>(arena: &[u8], dims: &[ReduceDim], mut a: i64, mut b: i64, mut acc: T::Sum) -> T::Sum {
    let Some((dim, inner)) = dims.split_first() else { return acc };
    let element = |at: i64| T::read(&arena[at as usize..at as usize + T::SIZE]);
    for _ in 0..dim.extent {
        acc = if inner.is_empty() { element(a).fma(element(b), acc) } else { sum::<T>(arena, inner, a, b, acc) };
        a += dim.a_stride * T::SIZE as i64;
        b += dim.b_stride * T::SIZE as i64;
    }
    acc
}

impl KernelRun<'_> {
    pub(super) fn micro(&mut self, micro: &MicroStep) -> ExecResult<()> {
        let a = self.first_byte(&micro.a, micro.m, micro.reduce.iter().map(|r| (r.extent, r.a_stride)))?;
        let b = self.first_byte(&micro.b, micro.n, micro.reduce.iter().map(|r| (r.extent, r.b_stride)))?;
        let c = self.index(&micro.c.base);
        let size = micro.dtype.size_bytes() as i64;
        for i in 0..micro.m {
            for j in 0..micro.n {
                let (row, column) = (a + i * micro.a.stride * size, b + j * micro.b.stride * size);
                let sum = match micro.dtype {
                    DType::F64 => Scalar::F64(sum::<f64>(self.arena, &micro.reduce, row, column, 0.0)),
                    DType::U8 => Scalar::I32(sum_quads(self.arena, &micro.reduce, row, column, 0)),
                    DType::I32 => Scalar::F32(sum::<i32>(self.arena, &micro.reduce, row, column, 0.0)),
                    _ => Scalar::F32(sum::<f32>(self.arena, &micro.reduce, row, column, 0.0)),
                };
                let at = c + i * micro.c.stride + j;
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
