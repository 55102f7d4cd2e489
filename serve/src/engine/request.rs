//! What is asked of a model, and what it answers.

use crate::tensor::InferTensor;
use std::time::Instant;

/// What is asked of a model.
#[derive(Clone, Debug, Default)]
pub struct InferRequest {
    /// The model's name.
    pub model: String,
    /// Its version; without one, the newest that is ready.
    pub version: Option<String>,
    /// What the client calls the request; the answer has it, too.
    pub id: Option<String>,
    /// The inputs, in any order.
    pub inputs: Vec<InferTensor>,
    /// The outputs that are asked for, by name; all, if there is none.
    pub outputs: Vec<String>,
    /// When nobody waits for the answer any longer, if that is sooner than the server's own limit.
    pub deadline: Option<Instant>,
}

/// What a model answers.
#[derive(Clone, Debug)]
pub struct InferResponse {
    /// The model's name.
    pub model: String,
    /// The version that answered.
    pub version: String,
    /// What the client called the request.
    pub id: Option<String>,
    /// The outputs, in the order in which they were asked for, else in the model's.
    pub outputs: Vec<InferTensor>,
}
