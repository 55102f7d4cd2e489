//! Index arithmetic: affine functions of index variables, and the few other ways to get an index.

use crate::Expr;
use smallvec::SmallVec;

/// Terms that an index has without memory of their own: nearly all have at most so many.
const INLINE: usize = 4;

/// A variable that holds an index: a loop's, or one bound by [`crate::Stmt::LetIndex`]. Unique within its kernel. Text: `i3`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IndexVar(pub u32);

/// `offset + Σ coefficient * variable`, in elements. Terms are sorted by variable, coefficients are not 0.
/// Text: `i0*784 + i1 + 3`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Affine {
    terms: SmallVec<[(IndexVar, i64); INLINE]>,
    offset: i64,
}

impl Affine {
    /// A constant index.
    pub fn constant(offset: i64) -> Self {
        Self { terms: SmallVec::new(), offset }
    }

    /// `coefficient * var`.
    pub fn term(var: IndexVar, coefficient: i64) -> Self {
        Self::constant(0).plus_term(var, coefficient)
    }

    /// The terms, by ascending variable.
    pub fn terms(&self) -> &[(IndexVar, i64)] {
        &self.terms
    }

    /// The constant part.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// The factor of `var`, 0 if it isn't there.
    pub fn coefficient(&self, var: IndexVar) -> i64 {
        self.terms.iter().find(|(v, _)| *v == var).map_or(0, |(_, c)| *c)
    }

    /// True if no variable is there.
    pub fn is_constant(&self) -> bool {
        self.terms.is_empty()
    }

    /// This plus `coefficient * var`.
    #[must_use]
    pub fn plus_term(mut self, var: IndexVar, coefficient: i64) -> Self {
        match self.terms.binary_search_by_key(&var, |(v, _)| *v) {
            Ok(at) => {
                self.terms[at].1 += coefficient;
                if self.terms[at].1 == 0 {
                    self.terms.remove(at);
                }
            }
            Err(at) if coefficient != 0 => self.terms.insert(at, (var, coefficient)),
            Err(_) => {}
        }
        self
    }

    /// As [`Affine::plus_term`]; `None` if a number doesn't fit.
    pub fn checked_plus_term(self, var: IndexVar, coefficient: i64) -> Option<Self> {
        // Not the least number either: code may negate a coefficient.
        self.coefficient(var).checked_add(coefficient).filter(|&c| c != i64::MIN)?;
        Some(self.plus_term(var, coefficient))
    }

    /// As [`Affine::plus`]; `None` if a number doesn't fit.
    pub fn checked_plus(self, offset: i64) -> Option<Self> {
        self.offset.checked_add(offset)?;
        Some(self.plus(offset))
    }

    /// As [`Affine::substitute`]; `None` if a number doesn't fit.
    pub fn checked_substitute(&self, var: IndexVar, by: &Self) -> Option<Self> {
        let c = self.coefficient(var);
        let mut sum = self.clone().plus_term(var, -c).checked_plus(by.offset.checked_mul(c)?)?;
        for &(v, k) in &by.terms {
            sum = sum.checked_plus_term(v, k.checked_mul(c)?)?;
        }
        Some(sum)
    }

    /// This plus a constant.
    #[must_use]
    pub fn plus(mut self, offset: i64) -> Self {
        self.offset += offset;
        self
    }

    /// The sum of two.
    #[must_use]
    pub fn add(&self, other: &Self) -> Self {
        let mut sum = self.clone().plus(other.offset);
        for &(var, c) in &other.terms {
            sum = sum.plus_term(var, c);
        }
        sum
    }

    /// This times a constant.
    #[must_use]
    pub fn scale(&self, by: i64) -> Self {
        if by == 0 {
            return Self::default();
        }
        Self { terms: self.terms.iter().map(|&(v, c)| (v, c * by)).collect(), offset: self.offset * by }
    }

    /// This with `var` replaced.
    #[must_use]
    pub fn substitute(&self, var: IndexVar, by: &Self) -> Self {
        let c = self.coefficient(var);
        if c == 0 { self.clone() } else { self.clone().plus_term(var, -c).add(&by.scale(c)) }
    }
}

/// The ways to bind an index variable that are not affine.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum IndexExpr {
    /// The value of an affine expression. Text: `i0*2 + i1`.
    Affine(Affine),
    /// The quotient, rounded down, by a positive constant; the dividend must not be negative. Text: `(i0 + 1) / 4`.
    Div(Affine, i64),
    /// The remainder of that division. Text: `(i0 + 1) % 4`.
    Rem(Affine, i64),
    /// The nearest value in `lo..=hi`. Text: `clamp(i0 + -1, 0, 27)`.
    Clamp(Affine, i64, i64),
    /// An element (`i32` or `i64`) used as an index: outside `0..bound` the kernel returns at once with the status of check number
    /// `check` (see [`crate::Program::checks`]). Text: `checked(load p1[i0], 10, #2)`.
    Checked {
        /// The element.
        value: Box<Expr>,
        /// The first value that is too large.
        bound: i64,
        /// The index of the check in the program's list.
        check: u32,
    },
}
