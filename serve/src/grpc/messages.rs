//! The messages of the Open Inference Protocol v2 over gRPC (`inference.GRPCInferenceService`), by prost's derive, so that no `protoc` is needed. Names and tags are the published ones.

use bytes::Bytes;
use prost::{Message, Oneof};
use std::collections::BTreeMap;

/// Asks whether the server runs.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ServerLiveRequest {}

/// Whether the server runs.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ServerLiveResponse {
    #[prost(bool, tag = "1")]
    pub(crate) live: bool,
}

/// Asks whether all models can be asked.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ServerReadyRequest {}

/// Whether all models can be asked.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ServerReadyResponse {
    #[prost(bool, tag = "1")]
    pub(crate) ready: bool,
}

/// Asks whether a model can be asked.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ModelReadyRequest {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// Empty for the newest.
    #[prost(string, tag = "2")]
    pub(crate) version: String,
}

/// Whether a model can be asked.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ModelReadyResponse {
    #[prost(bool, tag = "1")]
    pub(crate) ready: bool,
}

/// Asks what the server is.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ServerMetadataRequest {}

/// What the server is.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ServerMetadataResponse {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) version: String,
    #[prost(string, repeated, tag = "3")]
    pub(crate) extensions: Vec<String>,
}

/// Asks what a model takes and gives.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ModelMetadataRequest {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// Empty for the newest.
    #[prost(string, tag = "2")]
    pub(crate) version: String,
}

/// An input or output of a model.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct MetadataTensor {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) datatype: String,
    /// -1 where any extent will do.
    #[prost(int64, repeated, tag = "3")]
    pub(crate) shape: Vec<i64>,
}

/// What a model takes and gives.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ModelMetadataResponse {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, repeated, tag = "2")]
    pub(crate) versions: Vec<String>,
    #[prost(string, tag = "3")]
    pub(crate) platform: String,
    #[prost(message, repeated, tag = "4")]
    pub(crate) inputs: Vec<MetadataTensor>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) outputs: Vec<MetadataTensor>,
}

/// A parameter's value.
#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum ParameterChoice {
    #[prost(bool, tag = "1")]
    Bool(bool),
    #[prost(int64, tag = "2")]
    Int64(i64),
    #[prost(string, tag = "3")]
    String(String),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(uint64, tag = "5")]
    Uint64(u64),
}

/// A parameter of a request, a response or a tensor.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct InferParameter {
    #[prost(oneof = "ParameterChoice", tags = "1, 2, 3, 4, 5")]
    pub(crate) choice: Option<ParameterChoice>,
}

/// Elements in the message, flattened with the last axis fastest: in the list of their kind, which small integers share with those of 32 bits. Floats of 16 bits have none.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct InferTensorContents {
    #[prost(bool, repeated, tag = "1")]
    pub(crate) bool_contents: Vec<bool>,
    #[prost(int32, repeated, tag = "2")]
    pub(crate) int_contents: Vec<i32>,
    #[prost(int64, repeated, tag = "3")]
    pub(crate) int64_contents: Vec<i64>,
    #[prost(uint32, repeated, tag = "4")]
    pub(crate) uint_contents: Vec<u32>,
    #[prost(uint64, repeated, tag = "5")]
    pub(crate) uint64_contents: Vec<u64>,
    #[prost(float, repeated, tag = "6")]
    pub(crate) fp32_contents: Vec<f32>,
    #[prost(double, repeated, tag = "7")]
    pub(crate) fp64_contents: Vec<f64>,
    #[prost(bytes = "bytes", repeated, tag = "8")]
    pub(crate) bytes_contents: Vec<Bytes>,
}

/// An input of a request: its elements stand here, or in the request's `raw_input_contents`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct InferInputTensor {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) datatype: String,
    #[prost(int64, repeated, tag = "3")]
    pub(crate) shape: Vec<i64>,
    #[prost(btree_map = "string, message", tag = "4")]
    pub(crate) parameters: BTreeMap<String, InferParameter>,
    #[prost(message, optional, tag = "5")]
    pub(crate) contents: Option<InferTensorContents>,
}

/// An output that a request asks for.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct InferRequestedOutputTensor {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(btree_map = "string, message", tag = "2")]
    pub(crate) parameters: BTreeMap<String, InferParameter>,
}

/// Asks for a prediction.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ModelInferRequest {
    #[prost(string, tag = "1")]
    pub(crate) model_name: String,
    /// Empty for the newest.
    #[prost(string, tag = "2")]
    pub(crate) model_version: String,
    /// The client's, which the response gives back.
    #[prost(string, tag = "3")]
    pub(crate) id: String,
    #[prost(btree_map = "string, message", tag = "4")]
    pub(crate) parameters: BTreeMap<String, InferParameter>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) inputs: Vec<InferInputTensor>,
    /// None for all of the model's.
    #[prost(message, repeated, tag = "6")]
    pub(crate) outputs: Vec<InferRequestedOutputTensor>,
    /// The inputs' elements as they lie in memory, little endian: one entry for each input, or none at all.
    #[prost(bytes = "bytes", repeated, tag = "7")]
    pub(crate) raw_input_contents: Vec<Bytes>,
}

/// An output: its elements stand here, or in the response's `raw_output_contents`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct InferOutputTensor {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) datatype: String,
    #[prost(int64, repeated, tag = "3")]
    pub(crate) shape: Vec<i64>,
    #[prost(btree_map = "string, message", tag = "4")]
    pub(crate) parameters: BTreeMap<String, InferParameter>,
    #[prost(message, optional, tag = "5")]
    pub(crate) contents: Option<InferTensorContents>,
}

/// A prediction.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ModelInferResponse {
    #[prost(string, tag = "1")]
    pub(crate) model_name: String,
    #[prost(string, tag = "2")]
    pub(crate) model_version: String,
    #[prost(string, tag = "3")]
    pub(crate) id: String,
    #[prost(btree_map = "string, message", tag = "4")]
    pub(crate) parameters: BTreeMap<String, InferParameter>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) outputs: Vec<InferOutputTensor>,
    /// The outputs' elements as they lie in memory, little endian: one entry for each output, or none at all.
    #[prost(bytes = "bytes", repeated, tag = "6")]
    pub(crate) raw_output_contents: Vec<Bytes>,
}

/// An answer of a stream: a prediction, or why there is none.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ModelStreamInferResponse {
    /// Empty where there is a prediction.
    #[prost(string, tag = "1")]
    pub(crate) error_message: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) infer_response: Option<ModelInferResponse>,
}

/// Asks which models there are.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RepositoryIndexRequest {
    /// There is one, without a name.
    #[prost(string, tag = "1")]
    pub(crate) repository_name: String,
    /// Only those that can be asked.
    #[prost(bool, tag = "2")]
    pub(crate) ready: bool,
}

/// A version of a model, and whether it can be asked.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ModelIndex {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) version: String,
    /// `READY`, `LOADING` or `UNAVAILABLE`.
    #[prost(string, tag = "3")]
    pub(crate) state: String,
    /// Why it can't be asked.
    #[prost(string, tag = "4")]
    pub(crate) reason: String,
}

/// Which models there are.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RepositoryIndexResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) models: Vec<ModelIndex>,
}

/// Asks to load a model, or to load it anew. Its parameters (tag 3) are for servers that take models from clients, and are passed over.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RepositoryModelLoadRequest {
    #[prost(string, tag = "1")]
    pub(crate) repository_name: String,
    #[prost(string, tag = "2")]
    pub(crate) model_name: String,
}

/// The model is loaded.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RepositoryModelLoadResponse {}

/// Asks to unload a model. Its parameters (tag 3) are passed over: no model here depends on another.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RepositoryModelUnloadRequest {
    #[prost(string, tag = "1")]
    pub(crate) repository_name: String,
    #[prost(string, tag = "2")]
    pub(crate) model_name: String,
}

/// The model is unloaded.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RepositoryModelUnloadResponse {}
