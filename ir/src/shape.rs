//! Static shapes: extents of the axes, outermost first, row-major.

use smallvec::SmallVec;
use std::fmt;
use std::ops::Deref;

/// The most axes a tensor may have.
pub const MAX_RANK: usize = 12;

/// The extents of a tensor's axes. Every extent is at least 1 and the number of elements is at most `isize::MAX / 8`,
/// so that byte sizes and offsets of every element type fit an `isize`.
///
/// A scalar has rank 0 and one element.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Shape(SmallVec<[usize; 4]>);

/// Why extents don't make a shape.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// An extent is zero: there would be no element (an empty batch, for instance).
    #[error("axis {axis} of [{}] has extent 0: a tensor needs at least one element", list(.dims))]
    Zero {
        /// The axis.
        axis: usize,
        /// All extents.
        dims: Vec<usize>,
    },
    /// The product of the extents is too large.
    #[error("[{}] has more elements than memory can hold", list(.dims))]
    Overflow {
        /// All extents.
        dims: Vec<usize>,
    },
    /// More axes than [`MAX_RANK`].
    #[error("rank {rank} is over the limit of {MAX_RANK} axes")]
    Rank {
        /// How many axes were given.
        rank: usize,
    },
    /// Two shapes do not broadcast together.
    #[error(
        "shapes {a} and {b} do not broadcast: aligned from the right, each pair of extents must be equal or one of them 1"
    )]
    Broadcast {
        /// The left shape.
        a: Shape,
        /// The right shape.
        b: Shape,
    },
}

/// The message: what a program shows that returns the error from `main`.
impl fmt::Debug for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn list(dims: &[usize]) -> String {
    dims.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

impl Shape {
    /// The shape with these extents.
    ///
    /// # Errors
    /// If an extent is 0, there are more than [`MAX_RANK`] axes, or the number of elements overflows.
    pub fn new(dims: impl AsRef<[usize]>) -> Result<Self, ShapeError> {
        let dims = dims.as_ref();
        if dims.len() > MAX_RANK {
            return Err(ShapeError::Rank { rank: dims.len() });
        }
        if let Some(axis) = dims.iter().position(|&d| d == 0) {
            return Err(ShapeError::Zero { axis, dims: dims.to_vec() });
        }
        let numel = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        match numel {
            Some(n) if n <= isize::MAX as usize / 8 => Ok(Self(SmallVec::from_slice(dims))),
            _ => Err(ShapeError::Overflow { dims: dims.to_vec() }),
        }
    }

    /// The shape of a scalar: rank 0, one element.
    pub fn scalar() -> Self {
        Self::default()
    }

    /// The extents, outermost axis first.
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The number of elements (1 for a scalar).
    pub fn numel(&self) -> usize {
        self.0.iter().product()
    }

    /// Row-major strides, in elements.
    pub fn strides(&self) -> SmallVec<[usize; 4]> {
        let mut strides = SmallVec::from_elem(1, self.rank());
        for axis in (1..self.rank()).rev() {
            strides[axis - 1] = strides[axis] * self.0[axis];
        }
        strides
    }

    /// The shape with another extent along an axis.
    ///
    /// # Errors
    /// If the extent is 0, or the number of elements overflows.
    ///
    /// # Panics
    /// If there is no such axis.
    pub fn with_extent(&self, axis: usize, extent: usize) -> Result<Self, ShapeError> {
        let mut dims = self.0.clone();
        dims[axis] = extent;
        Self::new(dims)
    }

    /// The shape of a stack of so many tensors: one more axis in front.
    ///
    /// # Errors
    /// If there are too many axes, the length is 0, or the number of elements overflows.
    pub fn stacked(&self, length: usize) -> Result<Self, ShapeError> {
        Self::new([&[length], self.dims()].concat())
    }

    /// The shape both broadcast to, by NumPy's rule: aligned from the right, extents are equal or one of them is 1.
    ///
    /// # Errors
    /// If an aligned pair of extents differs and neither is 1.
    pub fn broadcast(&self, other: &Self) -> Result<Self, ShapeError> {
        let rank = self.rank().max(other.rank());
        let at = |s: &Self, i: usize| (i + s.rank()).checked_sub(rank).map_or(1, |j| s.0[j]);
        let mut dims = SmallVec::<[usize; 4]>::new();
        for i in 0..rank {
            match (at(self, i), at(other, i)) {
                (a, b) if a == b || b == 1 => dims.push(a),
                (1, b) => dims.push(b),
                _ => {
                    return Err(ShapeError::Broadcast { a: self.clone(), b: other.clone() });
                }
            }
        }
        Self::new(dims)
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", list(&self.0))
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_what_cannot_be_held() {
        assert!(matches!(Shape::new([2, 0]), Err(ShapeError::Zero { axis: 1, .. })));
        assert!(matches!(Shape::new([usize::MAX, 2]), Err(ShapeError::Overflow { .. })));
        assert!(matches!(Shape::new([1; MAX_RANK + 1]), Err(ShapeError::Rank { .. })));
    }

    #[test]
    fn broadcasts_from_the_right() {
        let s = |d: &[usize]| Shape::new(d).unwrap();
        assert_eq!(s(&[32, 1, 5]).broadcast(&s(&[4, 5])).unwrap(), s(&[32, 4, 5]));
        assert_eq!(s(&[]).broadcast(&s(&[3])).unwrap(), s(&[3]));
        assert!(s(&[3]).broadcast(&s(&[4])).is_err());
    }

    #[test]
    fn strides_are_row_major() {
        assert_eq!(Shape::new([2, 3, 4]).unwrap().strides().as_slice(), [12, 4, 1]);
    }
}
