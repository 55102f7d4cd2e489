//! The verifier: the fence between passes and machine code, which trusts every index.
//!
//! Names, types and shape of a kernel:
//!
//! 1. A kernel's name is a letter, then letters, digits and `_`; unique in the program.
//! 2. Every value and index is bound once in its kernel, and used only after that, in the same body or in bodies within.
//! 3. Every expression has a type ([`crate::Types`]); what is stored, accumulated or assigned has the type of its place; only what
//!    `var` declares is set; accumulating ops are associative and commutative; a condition is one `bool`.
//! 4. Loops run at least once. `parallel` is the one statement of its kernel. A `vector` body holds `let`, `store`, accumulations
//!    and assignments only.
//! 5. Statements and expressions nest at most [`crate::text::MAX_NESTING`] deep.
//! 6. Index arithmetic stays in 64 bits, dividends aren't negative, divisors and bounds are positive; an `index` value fits its
//!    type; a `checked` index names a check of the program.
//!
//! Memory, by interval arithmetic over the ranges of indices:
//!
//! 7. Every load and store, those of a `micro`'s factors and sums included, is within its buffer. Where a branch asks `lt(index i : i64, n)`, the
//!    variable is below `n` on one side of it, and not below on the other.
//! 8. A `micro` has rows, columns and a reduction; factors of one type, `f32`, `f64` or pairs of `bf16` in `i32`; `b`'s columns are contiguous; rows of
//!    sums don't overlap, and stand in a buffer that no factor stands in.
//! 9. A `read` parameter isn't stored to, a `write` or `stream` parameter isn't loaded.
//! 10. Iterations of a `parallel` loop don't touch what another one stores. Proved by digits: if the loop variable, or its quotients and
//!     remainders that determine it, have coefficients so large that the rest of the index can't bridge them.
//!
//! Programs:
//!
//! 11. Buffers hold at least one element; constants have the bytes of their elements; ports have unique names; `next` goes with a
//!     `state` of the same type.
//! 12. A launch names a kernel and as many buffers as that has parameters, with equal types and lengths; inputs and constants aren't
//!     written; what isn't there from the start is written before it is read; outputs and `next` values are written.
//! 13. Two parameters are bound to one memory only if neither is written, or if every element is loaded through one before it is stored
//!     through the other ([`in_place_safe`]).
//!
//! Where the [`Spec`] asks for it:
//!
//! 14. (decomposed) No scalar op with an expansion is left.
//! 15. (planned) Offsets are multiples of [`ALIGNMENT`], and the arena covers all buffers but states, which have memory of their own, and next values
//!     without an offset, which stand in that of their states.
//! 16. (planned) Buffers that live at the same time don't overlap, but for a hand-over within one launch, at the same address, that is
//!     safe in place: a dying buffer to a new one, a state to its next value.
//! 17. (planned) The next value of a state ends up in the state's memory.

mod access;
mod body;
mod disjoint;
mod in_place;
mod micro;
mod plan;
mod program;

use crate::text::{Notes, TextLine, annotate};
use crate::{Check, Fingerprint, Kernel, Program};
use std::collections::BTreeSet;
use std::fmt;

pub use access::{Definitions, expand};
pub use in_place::{InPlaceProofs, in_place_safe};

/// What buffers' offsets are multiples of, in bytes: a cache line, and the widest vector.
pub const ALIGNMENT: usize = 64;

/// What a stage of the pipeline promises beyond what always holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spec {
    /// Scalar ops that have an expansion are gone.
    pub decomposed: bool,
    /// Buffers have offsets.
    pub planned: bool,
}

impl Spec {
    /// After lowering.
    pub const LOWERED: Self = Self { decomposed: false, planned: false };
    /// After the kernel passes.
    pub const DECOMPOSED: Self = Self { decomposed: true, planned: false };
    /// What code generation takes.
    pub const PLANNED: Self = Self { decomposed: true, planned: true };
}

/// An invariant that doesn't hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifyError {
    /// The invariant's number in the module's doc.
    pub invariant: u32,
    /// What breaks it.
    pub message: String,
    pub(crate) site: TextLine,
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.message, self.invariant)
    }
}

/// All invariants that don't hold. Prints the kernels, buffers and launches concerned, with each error under its line.
#[derive(Clone, PartialEq, Debug)]
pub struct VerifyErrors {
    errors: Vec<VerifyError>,
    program: Box<Program>,
}

impl VerifyErrors {
    /// The errors, in no particular order; at least one.
    pub fn errors(&self) -> &[VerifyError] {
        &self.errors
    }
}

impl std::error::Error for VerifyErrors {}

impl fmt::Display for VerifyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut notes = Notes::new();
        for error in &self.errors {
            notes.entry(error.site).or_default().push(error.to_string());
        }
        annotate(&self.program, &notes, f)
    }
}

/// Collects errors.
#[derive(Default)]
pub(crate) struct ErrorReport(Vec<VerifyError>);

impl ErrorReport {
    pub(crate) fn add(&mut self, invariant: u32, site: TextLine, message: impl Into<String>) {
        let error = VerifyError { invariant, message: message.into(), site };
        if !self.0.contains(&error) {
            self.0.push(error);
        }
    }
}

/// Checks every invariant of the module's doc that the stage has.
///
/// # Errors
/// All that don't hold.
pub fn verify(program: &Program, spec: Spec) -> Result<(), VerifyErrors> {
    verify_but(program, &program.fingerprint(), spec, &BTreeSet::new())
}

/// As [`verify`], but kernels with these numbers are taken for what they are: they have been checked before, against the same spec and in a program
/// with as many checks. `fingerprint` is the program's.
///
/// # Errors
/// As [`verify`].
pub fn verify_but(
    program: &Program,
    fingerprint: &Fingerprint,
    spec: Spec,
    sound_before: &BTreeSet<u64>,
) -> Result<(), VerifyErrors> {
    let mut report = ErrorReport::default();
    program::check(program, &mut report);
    let first = program.first_of_equal();
    let mut sound = vec![false; first.len()];
    for (at, kernel) in program.kernels.iter().enumerate() {
        body::check_name(kernel, at, &mut report);
        if !sound[first[at]] && !sound_before.contains(&fingerprint.kernels[at]) {
            let before = report.0.len();
            body::check(kernel, at, program.checks.len(), spec, &mut report);
            sound[at] = report.0.len() == before;
        }
    }
    // What builds on sound kernels and launches would only repeat their errors.
    if report.0.is_empty() {
        let mut proofs = InPlaceProofs::with_first_of_equal(program, first);
        program::check_aliases(&mut proofs, &mut report);
        if spec.planned {
            plan::check(&mut proofs, &mut report);
        }
    }
    finish(report, || program.clone())
}

/// Checks the invariants that concern one kernel; `checks` are the program's.
///
/// # Errors
/// All that don't hold.
pub fn verify_kernel(kernel: &Kernel, checks: &[Check], spec: Spec) -> Result<(), VerifyErrors> {
    let mut report = ErrorReport::default();
    body::check_name(kernel, 0, &mut report);
    body::check(kernel, 0, checks.len(), spec, &mut report);
    finish(report, || Program { kernels: vec![kernel.clone()], checks: checks.to_vec(), ..Program::default() })
}

/// Whether the iterations of the one parallel loop that a kernel is touch nothing that another one stores (invariant 10). The kernel is sound otherwise.
pub fn iterations_are_independent(kernel: &Kernel) -> bool {
    let mut report = ErrorReport::default();
    match access::Accesses::of(kernel) {
        Ok(accesses) => disjoint::check_parallel(kernel, 0, &accesses, &mut report),
        Err(_) => return false,
    }
    report.0.is_empty()
}

fn finish(report: ErrorReport, program: impl FnOnce() -> Program) -> Result<(), VerifyErrors> {
    if report.0.is_empty() { Ok(()) } else { Err(VerifyErrors { errors: report.0, program: Box::new(program()) }) }
}
