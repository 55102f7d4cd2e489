//! Tensors with their axes, or their elements' types, in another order than the file has them.

use ir::op::movement::{Concat, Permute, Reshape, Slice};
use ir::{OpRules, Scalar, Shape, Value};

/// The axes from last to first.
pub(super) fn reversed_axes(rank: usize) -> Vec<usize> {
    (0..rank).rev().collect()
}

/// What an op makes of values; nothing if they don't fit it.
fn evaluated(op: &impl OpRules, values: &[&Value]) -> Option<Value> {
    let types: Vec<_> = values.iter().map(|value| value.ty()).collect();
    op.eval(values, &op.infer(&types).ok()?).ok()
}

/// The value with its axes in another order: axis `i` of the result is axis `axes[i]`. The axes are a permutation of the value's.
pub(super) fn permuted(value: &Value, axes: &[usize]) -> Value {
    evaluated(&Permute { perm: axes.to_vec() }, &[value]).unwrap_or_else(|| value.clone())
}

/// The same elements in another shape; nothing if there are more or fewer of them.
pub(super) fn reshaped(value: &Value, shape: &Shape) -> Option<Value> {
    evaluated(&Reshape { shape: shape.clone() }, &[value])
}

/// Values side by side along the last axis; all have the same extents before it.
pub(super) fn side_by_side(values: &[Value]) -> Option<Value> {
    let axis = values.first()?.ty().shape.rank().checked_sub(1)?;
    evaluated(&Concat { axis }, &values.iter().collect::<Vec<_>>())
}

/// The part of a value that lies in a range of an axis; nothing if the axis has no such range.
pub(super) fn part(value: &Value, axis: usize, range: std::ops::Range<usize>) -> Option<Value> {
    let dims = value.ty().shape.dims();
    let (mut start, mut limit) = (vec![0; dims.len()], dims.to_vec());
    (*start.get_mut(axis)?, *limit.get_mut(axis)?) = (range.start, range.end);
    evaluated(&Slice { start, limit, stride: vec![1; dims.len()] }, &[value])
}

/// The elements as another type; the first one that the type doesn't have is an error: a finite number that would be infinite.
pub(super) fn converted(value: &Value, dtype: ir::DType) -> Result<Value, String> {
    let mut lost = None;
    let mut cast = |i: usize| -> Scalar {
        let (before, after) = (value.get(i), value.get(i).cast(dtype));
        if before.as_f64().is_finite() && !after.as_f64().is_finite() {
            lost.get_or_insert((i, before.as_f64()));
        }
        after
    };
    let result = Value::from_fn(value.ty().with_dtype(dtype), &mut cast);
    match lost {
        Some((i, x)) => Err(format!("element {i} is {x:e}, more than {dtype} has")),
        None => Ok(result),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::array;
    use ir::DType;

    #[test]
    fn axes_are_permuted() {
        let value = array([2, 3, 4], (0..24).collect::<Vec<i32>>()).unwrap();
        let moved = permuted(&value, &[2, 0, 1]);
        assert_eq!(moved.ty().shape.dims(), [4, 2, 3]);
        for (i, j, k) in (0..4).flat_map(|i| (0..2).flat_map(move |j| (0..3).map(move |k| (i, j, k)))) {
            assert_eq!(moved.get(6 * i + 3 * j + k), value.get(12 * j + 4 * k + i));
        }
        assert_eq!(permuted(&moved, &[1, 2, 0]), value);
        let scalar = array([], vec![1i32]).unwrap();
        assert_eq!(permuted(&scalar, &[]), scalar);
    }

    #[test]
    fn values_stand_side_by_side() {
        let (a, b) = (array([2, 1], vec![1.0f32, 2.0]).unwrap(), array([2, 2], vec![3.0f32, 4.0, 5.0, 6.0]).unwrap());
        let joined = side_by_side(&[a.clone(), b]).unwrap();
        assert_eq!((joined.ty().shape.dims(), joined.to_f64_vec()), (&[2, 3][..], vec![1.0, 3.0, 4.0, 2.0, 5.0, 6.0]));
        assert!(side_by_side(&[a, array([3, 1], vec![0.0f32; 3]).unwrap()]).is_none());
        assert!(side_by_side(&[]).is_none());
        assert_eq!(part(&joined, 1, 1..3).unwrap().to_f64_vec(), [3.0, 4.0, 5.0, 6.0]);
        assert!(part(&joined, 1, 2..4).is_none() && part(&joined, 2, 0..1).is_none());
    }

    #[test]
    fn numbers_that_a_type_lacks_are_told() {
        let value = array([3], vec![1.0f64, f64::INFINITY, 1e300]).unwrap();
        assert_eq!(converted(&value, DType::F32).unwrap_err(), "element 2 is 1e300, more than f32 has");
        let value = array([2], vec![1.5f64, f64::NAN]).unwrap();
        assert_eq!(converted(&value, DType::F16).unwrap().get(0).as_f64(), 1.5);
    }
}
