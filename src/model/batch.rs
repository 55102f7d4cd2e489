//! The samples of a step, and what graphs of models call their ports.

/// The name of the output of a model that has one.
pub const OUTPUT: &str = "output";
/// The name of the input that holds the targets of a model with one output.
pub const TARGET: &str = "y";
/// The name of the input that holds one weight per sample.
pub const SAMPLE_WEIGHT: &str = "sample_weight";

/// The samples of a step.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Batch {
    /// How many; at least 1.
    pub size: usize,
    /// Whether each has a weight, an input `sample_weight` in the output's element type: 0 for one that only fills the batch.
    pub weighted: bool,
}

impl Batch {
    /// With a weight for each sample.
    pub fn weighted(size: usize) -> Self {
        Self { size, weighted: true }
    }
}

impl From<usize> for Batch {
    fn from(size: usize) -> Self {
        Self { size, weighted: false }
    }
}
