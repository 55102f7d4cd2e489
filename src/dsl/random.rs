//! Random tensors: counter-based, a function of the key, the step and the op alone, so the same at any thread count.

use super::{GraphBuilder, Tensor, TypeSpec};
use ir::Op;
use ir::op::random::{Random, RandomKind};

impl GraphBuilder {
    /// Uniform on [0, 1), new in each step; floats.
    #[track_caller]
    pub fn random_uniform(&self, ty: impl Into<TypeSpec>) -> Tensor {
        self.random("random_uniform", RandomKind::Uniform, &ty.into())
    }

    /// Normal with mean 0 and variance 1, new in each step; floats.
    #[track_caller]
    pub fn random_normal(&self, ty: impl Into<TypeSpec>) -> Tensor {
        self.random("random_normal", RandomKind::Normal, &ty.into())
    }

    /// Uniform on [0, 1), new in each step, and others for each `number` (`i64[]`): a scan's body is declared once, and would draw the same numbers
    /// in every iteration.
    #[track_caller]
    pub(crate) fn random_uniform_of(&self, ty: impl Into<TypeSpec>, number: &Tensor) -> Tensor {
        // Neighbouring numbers give keys that differ in many bits (the step is 2^64 by the golden ratio, as in SplitMix64).
        const STEP: i64 = ir::SplitMix64::STEP as i64;
        let (key, step) = (self.random_key() + number * STEP, self.step_count());
        let Some(ty) = self.check("random_uniform", &ty.into()) else { return key.poisoned() };
        let stream = self.next_stream();
        key.builder().emit(Op::Random(Random { kind: RandomKind::Uniform, stream, ty }), &[&key, &step])
    }

    #[track_caller]
    fn random(&self, op: &str, kind: RandomKind, ty: &TypeSpec) -> Tensor {
        let (key, step) = (self.random_key(), self.step_count());
        let Some(ty) = self.check(op, ty) else { return key.poisoned() };
        let stream = self.next_stream();
        self.emit(Op::Random(Random { kind, stream, ty }), &[&key, &step])
    }
}
