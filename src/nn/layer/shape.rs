//! Layers that change the shape of a sample.

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
