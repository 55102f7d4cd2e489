//! Reductions over axes. The reduced axes are gone from the result's shape.

/// What folds the elements.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ReduceKind {
    /// Sum; numbers.
    Sum,
    /// Product; numbers.
    Prod,
    /// Maximum, NaN if any element is; numbers.
    Max,
    /// Minimum, NaN if any element is; numbers.
    Min,
}

/// A reduction. Text: `reduce_sum %0 {axes=[0,2]}`, likewise `reduce_prod`, `reduce_max`, `reduce_min`.
#[derive(Clone, PartialEq, Debug)]
pub struct Reduce {
    /// What folds.
    pub kind: ReduceKind,
    /// The axes, ascending, at least one.
    pub axes: Vec<usize>,
}

/// The position of an extremum along one axis.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ArgKind {
    /// Of the largest element.
    Max,
    /// Of the smallest element.
    Min,
}

/// The position (`i32`) of the first largest or smallest element along an axis; of the first NaN if there is one.
/// Text: `argmax %0 {axis=1}`, `argmin %0 {axis=1}`. No derivative.
#[derive(Clone, PartialEq, Debug)]
pub struct ArgReduce {
    /// Of which extremum.
    pub kind: ArgKind,
    /// The axis, gone from the result.
    pub axis: usize,
}
