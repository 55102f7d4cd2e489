//! Attention: the function, the layer of several heads, positions.

mod blocks;
mod cache;
mod causal;
mod function;
mod multi_head;
mod position;

pub use function::{AttentionMask, attention, attention_weights};
pub use multi_head::MultiHeadAttention;
pub use position::{LearnedPositions, Rotary};

#[cfg(test)]
pub(super) mod tests;
