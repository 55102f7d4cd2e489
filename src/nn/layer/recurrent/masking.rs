//! Steps that don't count because they only fill a sequence.

use crate::dsl::Tensor;
use crate::nn::layer::{Layer, LayerId};

/// Its input `[batch, time, features]`, unchanged, with a mask: steps whose features all are `value` don't count.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Masking {
    value: f64,
}

impl Masking {
    /// Steps filled with that value don't count.
    pub fn new(value: f64) -> Self {
        Self { value }
    }
}

impl Default for Masking {
    fn default() -> Self {
        Self::new(0.0)
    }
}

impl Layer for Masking {
    fn base(&self) -> &str {
        "masking"
    }

    fn kind(&self) -> &str {
        "Masking"
    }

    fn id(&self) -> Option<&LayerId> {
        None
    }

    #[track_caller]
    fn call(&self, x: &Tensor, _: &str) -> Tensor {
        let Some(ty) = x.ty() else { return x.clone() };
        if ty.shape.rank() < 3 || !ty.dtype.is_float() {
            return x.fail("masking", "the input must be [batch, time, features] of floats");
        }
        let axes: Vec<isize> = (2..ty.shape.rank() as isize).collect();
        let differs = x.ne(self.value).cast(ty.dtype).max_axes(&axes);
        x.with_mask(&differs.gt(0.5))
    }
}
