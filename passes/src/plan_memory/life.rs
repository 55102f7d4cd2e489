//! When buffers are used.

/// When a buffer's contents matter: from the launch that first writes it to the last that reads it; launches are numbered from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Life {
    /// The first.
    pub first: usize,
    /// The last; the number of launches if it matters after the step.
    pub last: usize,
}

impl Life {
    /// Whether two lives have a launch in common.
    pub(super) fn meets(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    pub(super) fn length(self) -> usize {
        self.last - self.first
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}
