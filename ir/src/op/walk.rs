//! Walking over tensors: row-major coordinates, and the offsets they have under any strides.

use crate::{Shape, Value};

/// The offsets `base + Σ coordinate[i] * strides[i]` of all coordinates of a shape, in row-major order of the coordinates.
/// A stride of 0 repeats, a negative one runs backwards.
pub(crate) struct Offsets<'a> {
    shape: &'a [usize],
    strides: &'a [isize],
    at: Vec<usize>,
    offset: isize,
    left: usize,
}

impl<'a> Offsets<'a> {
    /// The walk over `shape`; there is one stride per axis.
    pub(crate) fn new(shape: &'a Shape, base: usize, strides: &'a [isize]) -> Self {
        debug_assert_eq!(shape.rank(), strides.len());
        Self { shape, strides, at: vec![0; shape.rank()], offset: base as isize, left: shape.numel() }
    }
}

impl Iterator for Offsets<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let now = self.offset as usize;
        for axis in (0..self.at.len()).rev() {
            self.at[axis] += 1;
            self.offset += self.strides[axis];
            if self.at[axis] < self.shape[axis] {
                break;
            }
            self.offset -= self.strides[axis] * self.shape[axis] as isize;
            self.at[axis] = 0;
        }
        Some(now)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// The row-major strides of a shape, signed, as [`Offsets`] takes them.
pub(crate) fn signed_strides(shape: &Shape) -> Vec<isize> {
    shape.strides().iter().map(|&s| s as isize).collect()
}

/// The tensor of `shape` whose element at each coordinate is `source`'s at the offset that `base` and `strides` give.
pub(crate) fn gather_strided(source: &Value, shape: &Shape, base: usize, strides: &[isize]) -> Value {
    let data = source.data().gather(Offsets::new(shape, base, strides));
    Value::new(source.ty().with_shape(shape.clone()), data)
        .expect("the walk has as many steps as the shape has elements")
}

/// Writes every element of `source` to `target` at the offset that `base` and `strides` give its coordinate.
pub(crate) fn scatter_strided(target: &mut Value, source: &Value, base: usize, strides: &[isize]) {
    target.data_mut().scatter(Offsets::new(&source.ty().shape, base, strides), source.data());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_forwards_backwards_and_in_place() {
        let shape = Shape::new([2, 3]).unwrap();
        let walk = |base, strides: [isize; 2]| Offsets::new(&shape, base, &strides).collect::<Vec<_>>();
        assert_eq!(walk(0, [3, 1]), [0, 1, 2, 3, 4, 5]);
        assert_eq!(walk(5, [-3, -1]), [5, 4, 3, 2, 1, 0]);
        assert_eq!(walk(1, [0, 2]), [1, 3, 5, 1, 3, 5]);
        assert_eq!(Offsets::new(&Shape::scalar(), 7, &[]).collect::<Vec<_>>(), [7]);
    }
}
