//! A model that was read: each of its stored tensors once, however often it is imported.

use crate::error::ImportError;
use crate::item::KnownTensor;
use crate::proto::{FunctionProto, GraphProto, ModelProto, OperatorSetIdProto, TensorProto};
use crate::stored;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Versions of the default domain's operators that are provided.
const OPSETS: std::ops::RangeInclusive<i64> = 6..=27;

/// A model, whose imports share its stored tensors.
pub(crate) struct ReadModel {
    /// Its graph, in which stored tensors have names and extents, and no elements.
    pub(crate) graph: GraphProto,
    pub(crate) functions: Vec<FunctionProto>,
    /// Versions of operators by domain.
    pub(crate) opsets: BTreeMap<String, i64>,
    /// Where external data may lie.
    pub(crate) folder: Option<PathBuf>,
    /// The stored tensors by name, in the model's order.
    pub(crate) stored: Vec<(String, KnownTensor)>,
}

impl ReadModel {
    /// Reads the stored tensors of a model's message. What each was read from is dropped with it.
    ///
    /// # Errors
    /// There is no graph, versions of operators aren't provided, a stored tensor is broken.
    pub(crate) fn new(model: ModelProto, folder: Option<PathBuf>) -> Result<Self, ImportError> {
        let mut graph = model.graph.ok_or_else(|| ImportError::Decode("it has no graph".into()))?;
        let opsets = opsets(&model.opset_import)?;
        let mut all = vec![];
        for tensor in &mut graph.initializer {
            let (name, dims) = (tensor.name.clone(), tensor.dims.clone());
            let full = std::mem::replace(tensor, TensorProto { name, dims, ..TensorProto::default() });
            let refused = |reason| ImportError::Initializer { name: full.name.clone(), reason };
            let known = stored::read(&full, folder.as_deref()).map_err(refused)?;
            all.push((full.name, known));
        }
        for sparse in &graph.sparse_initializer {
            let name = sparse.values.as_ref().map_or("", |values| values.name.as_str());
            let refused = |reason| ImportError::Initializer { name: name.into(), reason };
            all.push((name.into(), stored::read_sparse(sparse, folder.as_deref()).map_err(refused)?));
        }
        Ok(Self { graph, functions: model.functions, opsets, folder, stored: all })
    }
}

/// The versions of operators by domain, of which the default one's are provided.
fn opsets(sets: &[OperatorSetIdProto]) -> Result<BTreeMap<String, i64>, ImportError> {
    let mut opsets = BTreeMap::new();
    for set in sets {
        let domain = if set.domain == "ai.onnx" { "" } else { &set.domain };
        if domain.is_empty() && !OPSETS.contains(&set.version) {
            let known = format!("{} to {}", OPSETS.start(), OPSETS.end());
            return Err(ImportError::Opset { domain: domain.into(), version: set.version, known });
        }
        opsets.insert(domain.to_string(), set.version);
    }
    Ok(opsets)
}
