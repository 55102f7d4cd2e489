//! A model as a function of tensors: branches, residual connections, several inputs and outputs.

use super::{Model, OUTPUT};
use crate::dsl::{Tensor, TypeSpec};
use crate::nn::LayerId;
use std::sync::Arc;

/// What a functional model does with its inputs.
type Forward = dyn Fn(&[Tensor]) -> Vec<Tensor> + Send + Sync;

/// A model given by a function that applies layers to tensors. The function runs for each graph that is made; layers that it makes are found again by the order in which it applies
/// them, those that it captures by themselves.
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
    /// Shared by clones. What is no longer the same model has another one.
    pub(super) id: Arc<LayerId>,
    inputs: Vec<(String, TypeSpec)>,
    outputs: Vec<String>,
    forward: Arc<Forward>,
}

impl std::fmt::Debug for Functional {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Functional({:?}, {:?})", self.name, self.inputs)
    }
}

impl Functional {
    /// A model of one input, `x`; the type is a sample's, without the batch axis, which the tensor has in front.
    pub fn new(sample: TypeSpec, forward: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static) -> Self {
        Self::with_inputs([("x", sample)], move |inputs| forward(&inputs[0]))
    }

    /// A model of named inputs, which the function gets in the same order. Without any input a graph has no batch.
    pub fn with_inputs<'a>(
        inputs: impl IntoIterator<Item = (&'a str, TypeSpec)>,
        forward: impl Fn(&[Tensor]) -> Tensor + Send + Sync + 'static,
    ) -> Self {
        Self::with_outputs(inputs, [OUTPUT], move |inputs| [forward(inputs)])
    }

    /// A model of named inputs and outputs, given in the same order.
    ///
    /// ```
    /// use gradc::dsl::f32;
    /// use gradc::model::{Functional, Model};
    /// use gradc::nn::{Dense, Layer};
    /// let inputs = [("image", f32([784])), ("place", f32([2]))];
    /// let model = Functional::with_outputs(inputs, ["class", "size"], |x| {
    ///     let both = Dense::new(32).apply(&x[0].concat(&[&x[1]], -1)).relu();
    ///     [Dense::new(10).apply(&both), Dense::new(1).apply(&both)]
    /// });
    /// let outputs = model.inference_graph(4).unwrap().graph.outputs().to_vec();
    /// assert_eq!([&outputs[0].0, &outputs[1].0], ["class", "size"]);
    /// ```
    pub fn with_outputs<'a, const N: usize>(
        inputs: impl IntoIterator<Item = (&'a str, TypeSpec)>,
        outputs: [&str; N],
        forward: impl Fn(&[Tensor]) -> [Tensor; N] + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: "functional".into(),
            id: Arc::default(),
            inputs: inputs.into_iter().map(|(name, ty)| (name.to_string(), ty)).collect(),
            outputs: outputs.map(String::from).to_vec(),
            forward: Arc::new(move |inputs| forward(inputs).to_vec()),
        }
    }

    /// With another name than `functional`.
    pub fn named(mut self, name: &str) -> Self {
        (self.name, self.id) = (name.into(), Arc::default());
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

    fn outputs(&self) -> Vec<String> {
        self.outputs.clone()
    }

    fn forward(&self, inputs: &[Tensor]) -> Vec<Tensor> {
        (self.forward)(inputs)
    }
}
