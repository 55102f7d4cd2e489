//! Tensors with their axes, or their elements' types, in another order than the file has them.

use ir::{Data, Scalar, Shape, Value};

/// The axes from last to first.
pub(super) fn reversed_axes(rank: usize) -> Vec<usize> {
    (0..rank).rev().collect()
}

/// The value with its axes in another order: axis `i` of the result is axis `axes[i]`. The axes are a permutation of the value's.
pub(super) fn permuted(value: &Value, axes: &[usize]) -> Value {
    let (ty, from) = (value.ty(), value.ty().shape.strides());
    let dims: Vec<usize> = axes.iter().map(|axis| ty.shape[*axis]).collect();
    let Ok(shape) = Shape::new(&dims) else { return value.clone() };
    let width = ty.dtype.size_bytes();
    let bytes = value.data().to_bytes();
    let mut moved = Vec::with_capacity(bytes.len());
    let (mut index, mut at) = (vec![0; dims.len()], 0);
    for _ in 0..shape.numel() {
        moved.extend_from_slice(&bytes[at * width..(at + 1) * width]);
        // One further along the last axis; where that ends, along the one before.
        for axis in (0..dims.len()).rev() {
            index[axis] += 1;
            at += from[axes[axis]];
            if index[axis] < dims[axis] {
                break;
            }
            at -= index[axis] * from[axes[axis]];
            index[axis] = 0;
        }
    }
    Value::new(ty.with_shape(shape), Data::from_bytes(ty.dtype, &moved)).unwrap_or_else(|_| value.clone())
}

/// The same elements in another shape; nothing if there are more or fewer of them.
pub(super) fn reshaped(value: Value, shape: &Shape) -> Option<Value> {
    let ty = value.ty().with_shape(shape.clone());
    Value::new(ty, value.data().clone()).ok()
}

/// Values side by side along the last axis; all have the same extents before it.
pub(super) fn side_by_side(values: &[Value]) -> Option<Value> {
    let first = values.first()?.ty();
    let (before, _) = first.shape.dims().split_at_checked(first.shape.rank().checked_sub(1)?)?;
    let mut widths = Vec::with_capacity(values.len());
    for value in values {
        let (ty, last) = (value.ty(), *value.ty().shape.dims().last()?);
        if ty.dtype != first.dtype || ty.shape.dims().split_last()?.1 != before {
            return None;
        }
        widths.push(last * ty.dtype.size_bytes());
    }
    let bytes: Vec<Vec<u8>> = values.iter().map(|value| value.data().to_bytes()).collect();
    let rows: usize = before.iter().product();
    let parts = (0..rows).flat_map(|row| bytes.iter().zip(&widths).map(move |(b, w)| &b[row * w..(row + 1) * w]));
    let joined = parts.collect::<Vec<_>>().concat();
    let last = widths.iter().sum::<usize>() / first.dtype.size_bytes();
    let shape = Shape::new([before, &[last]].concat()).ok()?;
    Value::new(first.with_shape(shape), Data::from_bytes(first.dtype, &joined)).ok()
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
    }

    #[test]
    fn numbers_that_a_type_lacks_are_told() {
        let value = array([3], vec![1.0f64, f64::INFINITY, 1e300]).unwrap();
        assert_eq!(converted(&value, DType::F32).unwrap_err(), "element 2 is 1e300, more than f32 has");
        let value = array([2], vec![1.5f64, f64::NAN]).unwrap();
        assert_eq!(converted(&value, DType::F16).unwrap().get(0).as_f64(), 1.5);
    }
}
