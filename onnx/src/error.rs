//! What an import may fail of: each error says where in the model, why, and what to do.

use gradc::dsl::DType;
use std::path::PathBuf;

/// Why a model isn't imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file can't be read.
    #[error("{}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The bytes are no ONNX model.
    #[error("no ONNX model: {0}")]
    Decode(String),
    /// The model is written in operators of a version that isn't known.
    #[error(
        "the model needs version {version} of the operators of domain {domain:?}, {known} are provided: convert it by onnx.version_converter"
    )]
    Opset {
        /// The domain.
        domain: String,
        /// The version asked for.
        version: i64,
        /// Those that are provided.
        known: String,
    },
    /// An input has an extent that the model leaves open.
    #[error(
        "axis {axis} of input {input:?} has no extent ({dimension}): give it by `Import::dim` or `Import::input_shape`"
    )]
    Dimension {
        /// The input.
        input: String,
        /// The axis.
        axis: usize,
        /// The extent's name in the model.
        dimension: String,
    },
    /// An input is nothing that a graph takes, or a setting of the import doesn't fit it.
    #[error("input {input:?}: {reason}")]
    Input {
        /// The input.
        input: String,
        /// Why.
        reason: Refusal,
    },
    /// A tensor stored in the model can't be read.
    #[error("initializer {name:?}: {reason}")]
    Initializer {
        /// The tensor.
        name: String,
        /// Why.
        reason: Refusal,
    },
    /// A node can't be imported.
    #[error("{op} (node {node:?}): {reason}")]
    Node {
        /// The operator, with its domain unless that is the default one.
        op: String,
        /// The node's name, or that of its first result.
        node: String,
        /// Why.
        reason: Refusal,
    },
    /// A result of the graph can't be had.
    #[error("output {output:?}: {reason}")]
    Output {
        /// The output.
        output: String,
        /// Why.
        reason: Refusal,
    },
}

/// Why a node or a tensor is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No such operator is provided.
    #[error(
        "the operator isn't provided: leave it out of the exported model, or express it by operators of docs/onnx.md"
    )]
    Operator,
    /// The version of the operator isn't provided.
    #[error(
        "the operator is provided from version {since} of its domain's operators on, the model has {version}: convert it by onnx.version_converter"
    )]
    Version {
        /// The first version that is provided.
        since: i64,
        /// The model's.
        version: i64,
    },
    /// Elements of a type that graphs don't have.
    #[error(
        "elements of type {0} aren't provided: export the model with f32, f64, f16, bf16, bool, or integers from i8 to i64 and from u8 to u64"
    )]
    ElementType(String),
    /// A case of the operator that isn't provided.
    #[error("{0} isn't provided")]
    Case(String),
    /// A value that decides about shapes isn't known at import.
    #[error(
        "the value of {tensor:?} decides about shapes and must be known at import: give the inputs that it is made of by `Import::value`, or export the model with a constant"
    )]
    NeedsValue {
        /// The tensor.
        tensor: String,
    },
    /// A tensor without elements.
    #[error("{0} has no elements, and graphs have no such tensors")]
    Empty(String),
    /// The model breaks a rule of the standard.
    #[error("the model is broken: {0}")]
    Broken(String),
    /// The graph refuses it.
    #[error("{0}")]
    Rule(String),
    /// A node of a graph inside of the node is refused.
    #[error("in its graph: {op} (node {node:?}): {reason}")]
    Within {
        /// The operator.
        op: String,
        /// The node's name, or that of its first result.
        node: String,
        /// Why.
        reason: Box<Self>,
    },
    /// It is larger than what is read.
    #[error("{0}, which is beyond the import's limits")]
    Limit(String),
}

impl Refusal {
    /// The reason itself, wherever in nested graphs the node stands.
    pub fn innermost(&self) -> &Self {
        let mut reason = self;
        while let Self::Within { reason: inner, .. } = reason {
            reason = inner;
        }
        reason
    }

    /// A broken rule of the standard.
    pub(crate) fn broken(what: impl Into<String>) -> Self {
        Self::Broken(what.into())
    }

    /// A case that isn't provided.
    pub(crate) fn case(what: impl Into<String>) -> Self {
        Self::Case(what.into())
    }
}

/// The element type of the standard's number.
pub(crate) fn dtype(number: i32) -> Result<DType, Refusal> {
    Ok(match number {
        1 => DType::F32,
        2 => DType::U8,
        3 => DType::I8,
        4 => DType::U16,
        5 => DType::I16,
        6 => DType::I32,
        7 => DType::I64,
        9 => DType::Bool,
        10 => DType::F16,
        11 => DType::F64,
        12 => DType::U32,
        13 => DType::U64,
        16 => DType::Bf16,
        other => return Err(Refusal::ElementType(type_name(other))),
    })
}

/// The name of an element type that graphs don't have.
fn type_name(number: i32) -> String {
    let name = match number {
        8 => "string",
        14 => "complex64",
        15 => "complex128",
        17..=20 => "float8",
        21 => "uint4",
        22 => "int4",
        23 => "float4e2m1",
        24 => "float8e8m0",
        25 => "uint2",
        26 => "int2",
        other => return format!("number {other}"),
    };
    name.into()
}
