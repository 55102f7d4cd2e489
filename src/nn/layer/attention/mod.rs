//! Attention: the function, the layer of several heads, positions.

mod additive;
mod blocks;
mod cache;
mod causal;
mod function;
mod multi_head;
mod position;
mod relative;

pub use additive::AdditiveAttention;
pub use function::{AttentionMask, attention, attention_weights};
pub use multi_head::MultiHeadAttention;
pub use position::{LearnedPositions, Rotary};
pub use relative::RelativePositionBias;

#[cfg(test)]
pub(super) mod tests;
