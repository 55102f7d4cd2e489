//! Counter-based random numbers: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
//!
//! Element `e` of an op is a pure function of (key, step, stream, e), so results don't depend on threads or schedules: the
//! Philox key is the two halves of the `key` operand; the counter is (`e / 4`, `stream`, low half of `step`, high half of `step`);
//! the word is number `e % 4` of the block.

use crate::TensorType;

/// What is drawn.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RandomKind {
    /// Uniform on [0, 1): the word's upper 24 bits times 2^-24. Floats.
    Uniform,
    /// Normal with mean 0 and variance 1, by Box and Muller from words 0 and 1 (even `e`: the cosine branch, odd: the sine branch)
    /// of the block (`e / 2`, ...). Floats.
    Normal,
}

/// Random elements. Operands: `key` and `step`, both `i64[]`. Text: `random_uniform %key, %step {stream=3} : f32[32,128]`,
/// `random_normal`. No derivative.
#[derive(Clone, PartialEq, Debug)]
pub struct Random {
    /// What is drawn.
    pub kind: RandomKind,
    /// Keeps the ops of one graph apart; below 2^32.
    pub stream: u32,
    /// The result's type.
    pub ty: TensorType,
}
