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

    #[track_caller]
    fn random(&self, op: &str, kind: RandomKind, ty: &TypeSpec) -> Tensor {
        let (key, step) = (self.random_key(), self.step_count());
        let Some(ty) = self.check(op, ty) else { return key.poisoned() };
        let stream = self.next_stream();
        self.emit(Op::Random(Random { kind, stream, ty }), &[&key, &step])
    }
}
