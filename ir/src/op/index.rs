//! Places given by values. Indices are `i32` or `i64`; one out of range ends the run with an error that names the op's location.

/// Rows of a table: `table [v, r...]` and `indices [i...]` give `[i..., r...]`. Text: `gather %table, %indices`.
/// The gradient by the table is a [`ScatterAdd`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gather;

/// The table with rows added, in the row-major order of the indices: `table [v, r...]`, `indices [i...]`, `updates [i..., r...]`.
/// Text: `scatter_add %table, %indices, %updates`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScatterAdd;

/// Its operand (`i32` or `i64`), checked: an element below 0 or not below `bound` ends the run with an error. For labels, which are
/// compared rather than used as addresses. Text: `check_index %0 {bound=10}`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckIndex {
    /// The first value that is too large.
    pub bound: usize,
}
