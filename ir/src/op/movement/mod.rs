//! Movement: the same elements at other places. Fusion turns these into index arithmetic.

mod extent;
mod order;

pub use extent::{Concat, Pad, Slice};
pub use order::{Broadcast, Permute, Reshape, Reverse};
