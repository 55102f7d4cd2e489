//! A server of trained models.
//!
//! [`engine`] knows models, versions and batches, and nothing of how requests come; [`http`] speaks the Open Inference Protocol (version 2) and TensorFlow Serving's REST form, [`grpc`] the former over gRPC.
//! [`monitor`] and [`keys`] stand before both.
//! `docs/serving.md` says how it is used.

pub mod engine;
pub mod grpc;
pub mod http;
pub mod keys;
pub mod monitor;
pub mod page;
pub mod server;
pub mod tensor;
#[cfg(feature = "tls")]
pub mod tls;

pub use engine::{Engine, Failure, InferRequest, InferResponse};
pub use tensor::{Datatype, InferTensor};

/// What the server calls itself.
const NAME: &str = "gradc";
/// Its version.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What it provides of the protocol's extensions.
const EXTENSIONS: [&str; 2] = ["binary_tensor_data", "model_repository"];
