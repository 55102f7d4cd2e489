//! A server of trained models.
//!
//! [`engine`] knows models, versions and batches, and nothing of how requests come; [`http`] speaks the Open Inference Protocol (version 2) and TensorFlow Serving's REST form.
//! `docs/serving.md` says how it is used.

pub mod engine;
pub mod http;
pub mod server;
pub mod tensor;

pub use engine::{Engine, Failure, InferRequest, InferResponse};
pub use tensor::{Datatype, InferTensor};
