//! ONNX models as gradc's graphs.
//!
//! [`Import`] reads a model and gives an [`Imported`] one: its tensors by name in a graph that is dumped, compiled and trained like any other. Shapes are static:
//! extents that a model leaves open are given, what a model computes of them is computed at import. Which operators there are, and what of the standard's own tests
//! each passes, is in `docs/onnx.md`.
//!
//! [`export`] goes the other way: the graph of a prediction as a model.
//!
//! What isn't provided is refused, with the operator, the node, the reason, and what to do: [`ImportError`].

mod batches;
mod call;
mod error;
mod export;
mod fold;
mod import;
mod importer;
mod item;
mod ops;
pub mod proto;
mod read;
mod stored;
mod survey;
mod table;

pub use batches::PredictorError;
pub use error::{ImportError, Refusal};
pub use export::{ExportError, export};
pub use import::{FinishError, Import, Imported};
pub use item::KnownTensor;
pub use survey::{DeclaredInput, Survey};

/// The operators that are provided, by family: name, domain, and the versions in which their meaning changed.
pub fn operators() -> Vec<(&'static str, Vec<Provided>)> {
    let provided = |op: &table::OpEntry| Provided { name: op.name, domain: op.domain, versions: op.versions };
    table::FAMILIES.iter().map(|(family, ops)| (*family, ops.iter().map(provided).collect())).collect()
}

/// An operator that is provided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Provided {
    /// Its name.
    pub name: &'static str,
    /// Its domain; empty for the default one.
    pub domain: &'static str,
    /// The versions of the domain's operators in which it changed, from the first one that is provided on.
    pub versions: &'static [i64],
}

/// Reads a tensor of the standard's own test files: a stored tensor as a message of its own.
///
/// # Errors
/// If the bytes are no such tensor.
pub fn read_tensor(bytes: &[u8]) -> Result<KnownTensor, ImportError> {
    use prost::Message;
    let tensor = proto::TensorProto::decode(bytes).map_err(|e| ImportError::Decode(e.to_string()))?;
    stored::read(&tensor, None).map_err(|reason| ImportError::Initializer { name: tensor.name.clone(), reason })
}
