//! What a model looks at: gradients by its input, integrated gradients, occlusion, attention maps, each as a graph that is compiled like any other step.
//!
//! A model's *score* for a sample is one element of its output: of a classifier's `[batch, classes]` that of a class, given by the input `class`
//! (`i32[batch]`; one that is no class ends the run with an error). Before a softmax it is the logit, after it the probability.
//!
//! ```
//! use gradc::compile::CompileOptions;
//! use gradc::interpret::saliency_graph;
//! use gradc::data::array;
//! use gradc::model::Sequential;
//! let model = Sequential::new([4]).dense(3);
//! let mut program = saliency_graph(&model, 1)?.compile(&CompileOptions::default())?;
//! let inputs = [("x", array([1, 4], vec![0.5f32; 4])?), ("class", array([1], vec![2i32])?)];
//! let out = program.run(inputs.iter().map(|(name, value)| (*name, value)))?;
//! // The gradient of a linear function is its weights.
//! let kernel = program.state::<f32>("dense/kernel")?;
//! assert_eq!(out["saliency"].to_f64_vec()[1], f64::from(kernel[5]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod attention;
mod gradient;
mod occlusion;
mod picture;
#[cfg(test)]
mod tests;

pub use attention::attention_graph;
pub use gradient::{integrated_gradients_graph, saliency_graph};
pub use occlusion::{Occlusion, occlusion_graph};
pub use picture::{Palette, Picture};

use crate::dsl::{GraphBuilder, Tensor, TypeSpec, i32};
use crate::model::Model;

/// The score of each sample for its class: `output [batch, classes]`, `class i32[batch]`, result `[batch]`.
#[track_caller]
fn score(output: &Tensor, class: &Tensor) -> Tensor {
    match output.shape() {
        Some(shape) if shape.rank() != 2 => {
            output.fail("score", format!("the model's output must be [batch, classes], it has {} axes", shape.rank()))
        }
        _ => output.pick(class),
    }
}

/// The one input of a model, which must be floats.
#[track_caller]
fn float_input(g: &GraphBuilder, model: &dyn Model) -> Option<TypeSpec> {
    match &model.inputs()[..] {
        [(_, ty)] if ty.dtype.is_float() => Some(ty.clone()),
        _ => {
            g.fail("an explanation", &[], "the model must have one input, of floats: tokens have no gradient");
            None
        }
    }
}

/// The output of a model, which must be one.
#[track_caller]
fn single_output(model: &dyn Model, inputs: &[Tensor]) -> Tensor {
    let outputs = model.forward(inputs);
    match &outputs[..] {
        [output] => output.clone(),
        _ => inputs[0].builder().fail(
            "an explanation",
            &[],
            format!("the model must have one output, not {}", outputs.len()),
        ),
    }
}

/// The classes of `batch` samples.
#[track_caller]
fn classes(g: &GraphBuilder, batch: usize) -> Tensor {
    g.input("class", i32([batch]))
}
