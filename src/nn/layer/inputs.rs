//! What a layer may be applied to: a tensor, or several.

use crate::dsl::Tensor;

/// Tensors that a layer is applied to, at least one: `&x`, `(&q, &k, &v)`, `[&a, &b]`.
pub trait Inputs {
    /// The tensors, in order.
    fn tensors(self) -> Vec<Tensor>;
}

impl Inputs for &Tensor {
    fn tensors(self) -> Vec<Tensor> {
        vec![self.clone()]
    }
}

/// Of at least one tensor: an empty array doesn't compile.
impl<const N: usize> Inputs for [&Tensor; N] {
    fn tensors(self) -> Vec<Tensor> {
        const { assert!(N > 0, "a layer is applied to at least one tensor") };
        self.map(Tensor::clone).to_vec()
    }
}

macro_rules! tuples {
    ($(($($of:ident $at:tt),*))*) => { $(
        impl Inputs for ($(&$of,)*) {
            fn tensors(self) -> Vec<Tensor> {
                vec![$(self.$at.clone()),*]
            }
        }
    )* };
}

tuples! {
    (Tensor 0, Tensor 1)
    (Tensor 0, Tensor 1, Tensor 2)
    (Tensor 0, Tensor 1, Tensor 2, Tensor 3)
}
