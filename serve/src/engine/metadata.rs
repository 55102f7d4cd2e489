//! What is told of the server and its models.

use crate::tensor::Datatype;
use std::fmt;

/// An input or an output of a model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TensorMetadata {
    /// Its name.
    pub name: String,
    /// Its element type.
    pub datatype: Datatype,
    /// Its extents: -1 for the number of samples, which each request chooses.
    pub shape: Vec<i64>,
}

/// What a model takes and gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelMetadata {
    /// Its name.
    pub name: String,
    /// The versions that are ready, the newest last.
    pub versions: Vec<String>,
    /// What it is made of: `gradc`, `onnx`, or `gradc_built` for code that was compiled ahead of time.
    pub platform: &'static str,
    /// The inputs.
    pub inputs: Vec<TensorMetadata>,
    /// The outputs.
    pub outputs: Vec<TensorMetadata>,
    /// Samples of a request at most.
    pub max_batch: usize,
}

/// How far a version of a model is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ModelState {
    /// It is read and compiled.
    Loading,
    /// It answers.
    Ready,
    /// It answers what it has taken, and goes.
    Unloading,
    /// It was unloaded, or couldn't be loaded: the reason says which.
    Unavailable,
}

/// The reason of a version that isn't there since somebody wanted so.
pub const UNLOADED: &str = "unloaded";

impl fmt::Display for ModelState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loading => "LOADING",
            Self::Ready => "READY",
            Self::Unloading => "UNLOADING",
            Self::Unavailable => "UNAVAILABLE",
        })
    }
}

/// A version of a model, as the repository's index lists it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelStatus {
    /// The model's name.
    pub name: String,
    /// The version.
    pub version: String,
    /// How far it is.
    pub state: ModelState,
    /// Why it isn't ready; empty if it is.
    pub reason: String,
}

/// Numbers of a version that is ready, at the moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelUsage {
    /// The model's name.
    pub name: String,
    /// The version.
    pub version: String,
    /// Requests that wait.
    pub waiting: usize,
    /// Samples that a batch may have so far: larger programs are compiled while smaller ones answer.
    pub room: usize,
    /// Bytes of weights and of programs' memory.
    pub bytes: usize,
}
