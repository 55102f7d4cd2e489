//! Layers that change the shape of a sample.

use super::stateless::stateless_layer;
use super::{Layer, LayerId};
use crate::dsl::Tensor;

/// All axes of a sample as one: `[batch, ...]` to `[batch, n]`, in row-major order (height, width, channels).
#[derive(Clone, Copy, Debug, Default)]
pub struct Flatten;

impl Layer for Flatten {
    fn base(&self) -> &str {
        "flatten"
    }

    fn kind(&self) -> &str {
        "Flatten"
    }

    fn id(&self) -> Option<&LayerId> {
        None
    }

    #[track_caller]
    fn call(&self, x: &Tensor, _: &str) -> Tensor {
        match x.shape() {
            Some(shape) if shape.rank() == 1 => x.unsqueeze(-1),
            _ => x.flatten_from(1),
        }
    }
}

/// The elements of a sample under other extents; one of them may be -1.
#[derive(Clone, Debug)]
pub struct Reshape {
    dims: Vec<isize>,
}

impl Reshape {
    /// To these extents, without the batch.
    pub fn new(dims: impl AsRef<[isize]>) -> Self {
        Self { dims: dims.as_ref().to_vec() }
    }
}

impl Layer for Reshape {
    fn base(&self) -> &str {
        "reshape"
    }

    fn kind(&self) -> &str {
        "Reshape"
    }

    fn id(&self) -> Option<&LayerId> {
        None
    }

    #[track_caller]
    fn call(&self, x: &Tensor, _: &str) -> Tensor {
        let Some(shape) = x.shape() else { return x.clone() };
        let Some(&batch) = shape.first() else { return x.fail("reshape", "the input must have a batch axis") };
        let mut dims = vec![batch as isize];
        dims.extend_from_slice(&self.dims);
        x.reshape(dims)
    }
}

/// The axes of a sample in another order.
///
/// ```
/// use gradc::dsl::{f32, GraphBuilder};
/// use gradc::nn::{Layer, PermuteAxes};
/// let x = GraphBuilder::new("example").input("x", f32([8, 10, 64]));
/// assert_eq!(PermuteAxes::new([2, 1]).apply(&x).shape().unwrap().dims(), [8, 64, 10]);
/// ```
#[derive(Clone, Debug)]
pub struct PermuteAxes {
    order: Vec<usize>,
}

impl PermuteAxes {
    /// Axis `i` of the result is axis `order[i - 1]` of the input. Axes count from 1, as in Keras's `Permute`: axis 0 is the batch, which stays.
    pub fn new(order: impl AsRef<[usize]>) -> Self {
        Self { order: order.as_ref().to_vec() }
    }

    #[track_caller]
    fn permute(&self, x: &Tensor) -> Tensor {
        let all: Vec<isize> = std::iter::once(0).chain(self.order.iter().map(|&axis| axis as isize)).collect();
        x.permute(all)
    }
}

stateless_layer!(PermuteAxes, "permute", "Permute", PermuteAxes::permute);

/// Each sample `count` times: `[batch, features]` to `[batch, count, features]`.
#[derive(Clone, Copy, Debug)]
pub struct RepeatVector {
    count: usize,
}

impl RepeatVector {
    /// That many times, at least once.
    pub fn new(count: usize) -> Self {
        Self { count }
    }

    #[track_caller]
    fn repeat(&self, x: &Tensor) -> Tensor {
        let Some(shape) = x.shape() else { return x.clone() };
        match shape.dims() {
            &[batch, features] => x.unsqueeze(1).broadcast_to([batch, self.count, features]),
            _ => x.fail("repeat_vector", format!("the input must be [batch, features], not {shape}")),
        }
    }
}

stateless_layer!(RepeatVector, "repeat_vector", "RepeatVector", RepeatVector::repeat);
