//! What a model is made of, whether it can be imported or not.

use crate::error::{ImportError, dtype};
use crate::import::Import;
use crate::importer::{domain_of, op_name};
use crate::proto::{DimensionKind, GraphProto, ModelProto, TypeKind, ValueInfoProto};
use crate::stored;
use crate::table;
use gradc::dsl::DType;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a model is made of, whether it can be imported or not.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// How often each operator stands in it, in graphs inside of nodes too, and whether it is provided.
    pub operators: BTreeMap<String, (usize, bool)>,
    /// The number of stored elements.
    pub elements: usize,
    /// The inputs that no stored tensor stands for, in the model's order.
    pub inputs: Vec<DeclaredInput>,
}

/// An input as a model declares it. Written out, it is `"x" f32[batch,3,?]`, with `?` for an extent that has no name either.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeclaredInput {
    /// Its name.
    pub name: String,
    /// Its element type, unless graphs have none like it.
    pub dtype: Option<DType>,
    /// Its extents: numbers, or names for what is open. `None` where the model gives no shape.
    pub dims: Option<Vec<String>>,
}

impl DeclaredInput {
    fn new(port: &ValueInfoProto) -> Self {
        let ty = match port.r#type.as_ref().and_then(|ty| ty.value.as_ref()) {
            Some(TypeKind::Tensor(ty)) => Some(ty),
            _ => None,
        };
        let extent = |kind: &Option<DimensionKind>| match kind {
            Some(DimensionKind::Value(extent)) if *extent >= 0 => extent.to_string(),
            Some(DimensionKind::Param(name)) if !name.is_empty() => name.clone(),
            _ => "?".into(),
        };
        let shape = ty.and_then(|ty| ty.shape.as_ref());
        Self {
            name: port.name.clone(),
            dtype: ty.and_then(|ty| dtype(ty.elem_type).ok()),
            dims: shape.map(|shape| shape.dim.iter().map(|d| extent(&d.value)).collect()),
        }
    }
}

impl fmt::Display for DeclaredInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dtype = self.dtype.map_or_else(|| "?".to_string(), |dtype| dtype.to_string());
        let dims = self.dims.as_ref().map_or_else(|| "..".to_string(), |dims| dims.join(","));
        write!(f, "{:?} {dtype}[{dims}]", self.name)
    }
}

impl Import {
    /// Counts the model's operators, without importing it.
    ///
    /// # Errors
    /// If the file can't be read, or is no model.
    pub fn survey(&self) -> Result<Survey, ImportError> {
        Ok(Survey::new(&self.model()?))
    }
}

impl Survey {
    /// Counts the operators of a model's message.
    pub(crate) fn new(model: &ModelProto) -> Self {
        let mut survey = Self::default();
        if let Some(graph) = &model.graph {
            let stored: BTreeSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
            let open = graph.input.iter().filter(|port| !stored.contains(port.name.as_str()));
            survey.inputs = open.map(DeclaredInput::new).collect();
        }
        let own: Vec<(&str, &str)> = model.functions.iter().map(|f| (f.domain.as_str(), f.name.as_str())).collect();
        let mut graphs: Vec<&GraphProto> = model.graph.iter().collect();
        while let Some(graph) = graphs.pop() {
            for tensor in &graph.initializer {
                let numel = stored::extents(&tensor.dims).map_or(0, |(_, numel)| numel);
                survey.elements = survey.elements.saturating_add(numel);
            }
            for node in &graph.node {
                let key = (domain_of(node), node.op_type.as_str());
                let provided = own.contains(&key) || table::find(key.0, key.1).is_some();
                let entry = survey.operators.entry(op_name(node)).or_insert((0, provided));
                entry.0 += 1;
                graphs.extend(node.attribute.iter().filter_map(|a| a.g.as_ref()));
            }
        }
        survey
    }
}
