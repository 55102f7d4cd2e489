//! A part of a buffer, by its first element.

use kernel::{Affine, BufRef};

/// A buffer from an element on.
#[derive(Clone)]
pub(super) struct Subview {
    pub(super) buf: BufRef,
    /// The index of its first element.
    pub(super) offset: Affine,
}

impl From<BufRef> for Subview {
    /// From its start.
    fn from(buf: BufRef) -> Self {
        Self { buf, offset: Affine::default() }
    }
}
