//! Short ways to write types and tensors in tests.

use ir::{DType, Scalar, Shape, TensorType, Value};

/// A type from its text form, `f32[2,3]`.
pub(crate) fn ty(text: &str) -> TensorType {
    let (dtype, dims) = text.strip_suffix(']').unwrap().split_once('[').unwrap();
    let dims: Vec<usize> = dims.split(',').filter(|d| !d.is_empty()).map(|d| d.parse().unwrap()).collect();
    TensorType::new(DType::from_name(dtype).unwrap(), Shape::new(dims).unwrap())
}

/// A shape from its text form, `[2,3]`.
pub(crate) fn shape(text: &str) -> Shape {
    ty(&format!("f32{text}")).shape
}

/// A tensor of that type with these elements.
pub(crate) fn tensor(text: &str, elements: &[f64]) -> Value {
    let ty = ty(text);
    assert_eq!(ty.shape.numel(), elements.len(), "elements of {text}");
    Value::from_fn(ty.clone(), |i| Scalar::from_f64(elements[i], ty.dtype))
}
