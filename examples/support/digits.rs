//! A network that looks at digits, for the examples.

use gradc::prelude::*;

/// Two convolutions, each followed by pooling, and `units` numbers of what they find in images `[28, 28, 1]`.
pub(crate) fn network(units: usize) -> Sequential {
    let found = Sequential::new([28, 28, 1]).conv2d(16, 3).relu().max_pool2d(2).conv2d(32, 3).relu().max_pool2d(2);
    found.flatten().dense(units)
}
