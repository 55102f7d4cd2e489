//! Intervals of index values: what the verifier proves bounds with. All arithmetic is checked; `None` means that a value may not
//! fit an `i64`, so nothing is known.

use crate::{Affine, IndexExpr, IndexVar};
use std::collections::BTreeMap;

/// The integers `lo..=hi`; never empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interval {
    /// The smallest.
    pub lo: i64,
    /// The largest.
    pub hi: i64,
}

/// What index variables may be.
pub type Ranges = BTreeMap<IndexVar, Interval>;

impl Interval {
    /// One value.
    pub fn point(value: i64) -> Self {
        Self { lo: value, hi: value }
    }

    /// What a loop of that many iterations (at least 1) gives: `0..=extent - 1`; `None` if the extent is 0 or too large.
    pub fn of_extent(extent: usize) -> Option<Self> {
        let hi = i64::try_from(extent).ok()?.checked_sub(1)?;
        (hi >= 0).then_some(Self { lo: 0, hi })
    }

    /// The sums of two values.
    pub fn plus(self, other: Self) -> Option<Self> {
        Some(Self { lo: self.lo.checked_add(other.lo)?, hi: self.hi.checked_add(other.hi)? })
    }

    /// The products with a constant.
    pub fn scale(self, by: i64) -> Option<Self> {
        let (a, b) = (self.lo.checked_mul(by)?, self.hi.checked_mul(by)?);
        Some(Self { lo: a.min(b), hi: a.max(b) })
    }

    /// The smallest interval that holds both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi) }
    }

    /// True if every value is in `0..len`.
    pub fn is_within(self, len: usize) -> bool {
        self.lo >= 0 && usize::try_from(self.hi).is_ok_and(|hi| hi < len)
    }

    /// `hi - lo`.
    pub fn span(self) -> Option<i64> {
        self.hi.checked_sub(self.lo)
    }
}

impl Affine {
    /// The interval of values, given what the variables may be; `None` for an unknown variable or an overflow.
    pub fn range(&self, ranges: &Ranges) -> Option<Interval> {
        let mut sum = Interval::point(self.offset());
        for (var, coefficient) in self.terms() {
            sum = sum.plus(ranges.get(var)?.scale(*coefficient)?)?;
        }
        Some(sum)
    }
}

impl IndexExpr {
    /// The interval of values, given what the variables may be; `None` for an unknown variable, an overflow, or a use outside the
    /// definition: a divisor below 1, a dividend that may be negative, an empty clamp.
    pub fn range(&self, ranges: &Ranges) -> Option<Interval> {
        match self {
            Self::Affine(value) => value.range(ranges),
            Self::Div(value, by) => {
                let x = value.range(ranges)?;
                (*by >= 1 && x.lo >= 0).then(|| Interval { lo: x.lo / by, hi: x.hi / by })
            }
            Self::Rem(value, by) => {
                let x = value.range(ranges)?;
                if *by < 1 || x.lo < 0 {
                    return None;
                }
                // Within one period the remainder is monotonic.
                let same_period = x.lo / by == x.hi / by;
                Some(if same_period {
                    Interval { lo: x.lo % by, hi: x.hi % by }
                } else {
                    Interval { lo: 0, hi: by - 1 }
                })
            }
            Self::Clamp(value, lo, hi) => {
                let x = value.range(ranges)?;
                (lo <= hi).then(|| Interval { lo: x.lo.clamp(*lo, *hi), hi: x.hi.clamp(*lo, *hi) })
            }
            Self::Checked { bound, .. } => (*bound >= 1).then(|| Interval { lo: 0, hi: bound - 1 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_expressions_cover_every_value() {
        for (lo, hi) in [(0, 7), (3, 9), (5, 6), (8, 8)] {
            let ranges = Ranges::from([(IndexVar(0), Interval { lo, hi })]);
            let x = Affine::term(IndexVar(0), 1);
            let values = |f: &dyn Fn(i64) -> i64| {
                let all: Vec<i64> = (lo..=hi).map(f).collect();
                (*all.iter().min().unwrap(), *all.iter().max().unwrap())
            };
            let of = |e: IndexExpr| e.range(&ranges).map(|r| (r.lo, r.hi)).unwrap();
            assert_eq!(of(IndexExpr::Div(x.clone(), 4)), values(&|v| v / 4));
            assert_eq!(of(IndexExpr::Clamp(x.clone(), 4, 6)), values(&|v| v.clamp(4, 6)));
            let (a, b) = of(IndexExpr::Rem(x.clone(), 4));
            let (c, d) = values(&|v| v % 4);
            assert!(a <= c && d <= b);
            assert_eq!(of(IndexExpr::Affine(x.scale(-2).plus(1))), values(&|v| 1 - 2 * v));
        }
    }

    #[test]
    fn overflow_is_unknown() {
        let ranges = Ranges::from([(IndexVar(0), Interval { lo: 0, hi: i64::MAX })]);
        assert_eq!(Affine::term(IndexVar(0), 2).range(&ranges), None);
        assert_eq!(Affine::term(IndexVar(0), 1).plus(1).range(&ranges), None);
        assert_eq!(IndexExpr::Div(Affine::term(IndexVar(0), -1), 2).range(&ranges), None);
        assert!(!Interval { lo: -1, hi: 2 }.is_within(8));
    }
}
