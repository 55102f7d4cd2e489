//! A model as a function of tensors: branches, residual connections, several inputs.

use super::Model;
use crate::dsl::{Tensor, TypeSpec};
use std::rc::Rc;

/// What a functional model does with its inputs.
type Forward = dyn Fn(&[Tensor]) -> Tensor;

/// A model given by a function that applies layers to tensors. The function runs once for each graph that is made.
///
/// ```
/// use gradc::dsl::f32;
/// use gradc::model::{Functional, Model};
/// use gradc::nn::{Conv2d, Dense, GlobalAvgPool2d, Layer, Padding};
/// let model = Functional::new(f32([32, 32, 16]), |x| {
///     let y = Conv2d::new(16, 3).padding(Padding::Same).apply(x).relu();
///     let y = Conv2d::new(16, 3).padding(Padding::Same).apply(&y);
///     Dense::new(10).apply(&GlobalAvgPool2d.apply(&(y + x).relu()))
/// });
/// assert_eq!(model.summary().unwrap().trainable, 2 * (9 * 16 * 16 + 16) + 170);
/// ```
#[derive(Clone)]
pub struct Functional {
    name: String,
    inputs: Vec<(String, TypeSpec)>,
    forward: Rc<Forward>,
}

impl std::fmt::Debug for Functional {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Functional({:?}, {:?})", self.name, self.inputs)
    }
}

impl Functional {
    /// A model of one input, `x`; the type is a sample's, without the batch axis, which the tensor has in front.
    pub fn new(sample: TypeSpec, forward: impl Fn(&Tensor) -> Tensor + 'static) -> Self {
        Self::with_inputs([("x", sample)], move |inputs| forward(&inputs[0]))
    }

    /// A model of named inputs, which the function gets in the same order. Without any input a graph has no batch.
    pub fn with_inputs<'a>(
        inputs: impl IntoIterator<Item = (&'a str, TypeSpec)>,
        forward: impl Fn(&[Tensor]) -> Tensor + 'static,
    ) -> Self {
        let inputs = inputs.into_iter().map(|(name, ty)| (name.to_string(), ty)).collect();
        Self { name: "functional".into(), inputs, forward: Rc::new(forward) }
    }

    /// With another name than `functional`.
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }
}

impl Model for Functional {
    fn name(&self) -> &str {
        &self.name
    }

    fn inputs(&self) -> Vec<(String, TypeSpec)> {
        self.inputs.clone()
    }

    fn forward(&self, inputs: &[Tensor]) -> Tensor {
        (self.forward)(inputs)
    }
}
