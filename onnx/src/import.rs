//! What users call: settings of an import, and the imported model.

use crate::error::{ImportError, Refusal, dtype};
use crate::importer::{Importer, domain_of};
use crate::item::{ImportItem, KnownTensor};
use crate::proto::{DimensionKind, GraphProto, ModelProto, TensorTypeProto, TypeKind, ValueInfoProto};
use crate::stored;
use gradc::dsl::{GraphBuilder, Initializer, ModelErrors, Parameter, Select, Step, Tensor, TypeSpec};
use ir::{Shape, Value};
use prost::Message;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Versions of the default domain's operators that are provided.
const OPSETS: std::ops::RangeInclusive<i64> = 6..=27;

/// An import of a model: where it is, and what the model leaves open.
///
/// ```no_run
/// use gradc_onnx::Import;
/// let model = Import::new("model.onnx").dim("batch", 1).load()?;
/// let mut program = model.finish()?.compile(&Default::default())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Import {
    path: Option<PathBuf>,
    bytes: Vec<u8>,
    dims: BTreeMap<String, usize>,
    shapes: BTreeMap<String, Vec<usize>>,
    values: BTreeMap<String, KnownTensor>,
    parameters: Option<Select>,
}

impl Import {
    /// The model in a file. Elements of its tensors may lie in other files of the same folder.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self { path: Some(path.as_ref().into()), ..Self::default() }
    }

    /// The model in these bytes.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), ..Self::default() }
    }

    /// The extent that the model calls by a name: `"batch"`.
    #[must_use]
    pub fn dim(mut self, name: &str, extent: usize) -> Self {
        self.dims.insert(name.into(), extent);
        self
    }

    /// The extents of an input, whatever the model says.
    #[must_use]
    pub fn input_shape(mut self, input: &str, dims: impl AsRef<[usize]>) -> Self {
        self.shapes.insert(input.into(), dims.as_ref().to_vec());
        self
    }

    /// An input that is always the same: it becomes a constant, and what is computed of it may decide about shapes.
    #[must_use]
    pub fn value(mut self, input: &str, value: Value) -> Self {
        self.values.insert(input.into(), KnownTensor::Value(value));
        self
    }

    /// Stored tensors of floats that are trained, by their names in the model; others are constants.
    #[must_use]
    pub fn parameters(mut self, select: Select) -> Self {
        self.parameters = Some(select);
        self
    }

    /// Imports the model into a graph of its own.
    ///
    /// # Errors
    /// The file can't be read or is no model, an extent is open, or a node isn't provided: [`ImportError`] says which.
    pub fn load(&self) -> Result<Imported, ImportError> {
        let model = self.model()?;
        let name = model.graph.as_ref().map_or("", |graph| graph.name.as_str());
        let g = GraphBuilder::new(if name.is_empty() { "onnx" } else { name });
        self.model_into(&g, &model)
    }

    /// Imports the model into a graph that is being declared: its inputs become inputs of that graph.
    ///
    /// # Errors
    /// As [`Import::load`].
    pub fn load_into(&self, g: &GraphBuilder) -> Result<Imported, ImportError> {
        self.model_into(g, &self.model()?)
    }

    /// The model's message.
    pub(crate) fn model(&self) -> Result<ModelProto, ImportError> {
        let read;
        let bytes = match &self.path {
            Some(path) => {
                read = std::fs::read(path).map_err(|source| ImportError::Read { path: path.clone(), source })?;
                &read
            }
            None => &self.bytes,
        };
        ModelProto::decode(bytes.as_slice()).map_err(|e| ImportError::Decode(e.to_string()))
    }

    fn model_into(&self, g: &GraphBuilder, model: &ModelProto) -> Result<Imported, ImportError> {
        let graph = model.graph.as_ref().ok_or_else(|| ImportError::Decode("it has no graph".into()))?;
        let opsets = opsets(model)?;
        let folder = self.path.as_ref().map(|path| match path.parent() {
            Some(parent) if parent != Path::new("") => parent.to_path_buf(),
            _ => PathBuf::from("."),
        });
        let mut importer = Importer::new(g.clone(), folder, opsets);
        for function in &model.functions {
            importer.functions.insert((&function.domain, &function.name), function);
        }
        self.initializers(&mut importer, graph)?;
        let mut inputs = vec![];
        for port in &graph.input {
            let is_stored = importer.find(&port.name).is_some();
            if is_stored && !self.values.contains_key(&port.name) {
                continue;
            }
            let item = self.input(g, port).map_err(|e| e.into_error(&port.name))?;
            if let ImportItem::Graph(laid) = &item {
                inputs.push((port.name.clone(), laid.plain()));
            }
            importer.bind(&port.name, item);
        }
        importer.main(&graph.node)?;
        let outputs = graph.output.iter().map(|port| port.name.clone()).collect();
        let tensors = importer.scopes.swap_remove(0);
        Ok(Imported { g: g.clone(), inputs, outputs, tensors })
    }

    /// Stored tensors as constants, or as parameters.
    fn initializers(&self, importer: &mut Importer<'_>, graph: &GraphProto) -> Result<(), ImportError> {
        let folder = importer.folder.clone();
        for tensor in &graph.initializer {
            let name = &tensor.name;
            let refused = |reason| ImportError::Initializer { name: name.clone(), reason };
            let known = stored::read(tensor, folder.as_deref()).map_err(refused)?;
            let item = self.parameter(&importer.g, name, &known).unwrap_or(ImportItem::Known(known));
            importer.bind(name, item);
        }
        for sparse in &graph.sparse_initializer {
            let name = sparse.values.as_ref().map_or("", |values| values.name.as_str());
            let refused = |reason| ImportError::Initializer { name: name.into(), reason };
            importer.bind(name, stored::read_sparse(sparse, folder.as_deref()).map_err(refused)?.into());
        }
        Ok(())
    }

    /// The stored tensor as a parameter, if it is to be one.
    fn parameter(&self, g: &GraphBuilder, name: &str, known: &KnownTensor) -> Option<ImportItem> {
        let (Some(select), KnownTensor::Value(value)) = (&self.parameters, known) else { return None };
        let ty = value.ty();
        let parameter = Parameter { name: name.into(), shape: ty.shape.clone(), dtype: ty.dtype };
        let chosen = ty.dtype.is_float() && select.holds(&parameter);
        chosen.then(|| g.param(name, ty, Initializer::Given(value.clone())).into())
    }

    /// An input of the graph, or its value.
    fn input(&self, g: &GraphBuilder, port: &ValueInfoProto) -> Result<ImportItem, InputError> {
        if let Some(known) = self.values.get(&port.name) {
            return Ok(ImportItem::Known(known.clone()));
        }
        let Some(TypeKind::Tensor(ty)) = port.r#type.as_ref().and_then(|ty| ty.value.as_ref()) else {
            return Err(Refusal::case("an input that is no tensor").into());
        };
        let dtype = dtype(ty.elem_type)?;
        let dims = self.dims_of(port, ty)?;
        if dims.contains(&0) {
            return Ok(ImportItem::Known(KnownTensor::Empty { dtype, dims }));
        }
        Shape::new(&dims).map_err(|e| Refusal::Rule(e.to_string()))?;
        let x = g.input(&port.name, TypeSpec::new(dtype, dims));
        if x.is_poisoned() {
            return Err(Refusal::Rule("the graph has an input of that name already".into()).into());
        }
        Ok(x.into())
    }

    /// The extents of an input.
    fn dims_of(&self, port: &ValueInfoProto, ty: &TensorTypeProto) -> Result<Vec<usize>, InputError> {
        if let Some(dims) = self.shapes.get(&port.name) {
            return Ok(dims.clone());
        }
        let open = |axis, dimension: &str| InputError::Open { axis, dimension: dimension.into() };
        let Some(shape) = &ty.shape else { return Err(open(0, "the model gives no shape at all")) };
        let mut dims = vec![];
        for (axis, dimension) in shape.dim.iter().enumerate() {
            dims.push(match &dimension.value {
                Some(DimensionKind::Value(extent)) => usize::try_from(*extent).map_err(|_| open(axis, "below 0"))?,
                Some(DimensionKind::Param(name)) => *self.dims.get(name).ok_or_else(|| open(axis, name))?,
                None => return Err(open(axis, "it has no name either")),
            });
        }
        Ok(dims)
    }
}

/// Why an input isn't one.
enum InputError {
    Open { axis: usize, dimension: String },
    Refused(Refusal),
}

impl From<Refusal> for InputError {
    fn from(reason: Refusal) -> Self {
        Self::Refused(reason)
    }
}

impl InputError {
    fn into_error(self, input: &str) -> ImportError {
        match self {
            Self::Open { axis, dimension } => ImportError::Dimension { input: input.into(), axis, dimension },
            Self::Refused(reason) => ImportError::Input { input: input.into(), reason },
        }
    }
}

/// The versions of operators by domain, of which the default one's are provided.
fn opsets(model: &ModelProto) -> Result<BTreeMap<String, i64>, ImportError> {
    let mut opsets = BTreeMap::new();
    for set in &model.opset_import {
        let domain = if set.domain == "ai.onnx" { "" } else { &set.domain };
        if domain.is_empty() && !OPSETS.contains(&set.version) {
            let known = format!("{} to {}", OPSETS.start(), OPSETS.end());
            return Err(ImportError::Opset { domain: domain.into(), version: set.version, known });
        }
        opsets.insert(domain.to_string(), set.version);
    }
    Ok(opsets)
}

/// A model as tensors of a graph.
#[derive(Clone, Debug)]
pub struct Imported {
    g: GraphBuilder,
    inputs: Vec<(String, Tensor)>,
    outputs: Vec<String>,
    tensors: BTreeMap<String, ImportItem>,
}

impl Imported {
    /// The graph that the model was imported into.
    pub fn graph(&self) -> &GraphBuilder {
        &self.g
    }

    /// The inputs, in the model's order: those that no stored tensor and no given value stands for.
    pub fn inputs(&self) -> &[(String, Tensor)] {
        &self.inputs
    }

    /// The names of the model's outputs.
    pub fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// The tensor of a name of the model, in the model's order of axes: an input, an output, a stored one, or any between. A new head begins where this one is.
    ///
    /// # Errors
    /// If there is no such tensor, or it has no elements.
    #[track_caller]
    pub fn tensor(&self, name: &str) -> Result<Tensor, ImportError> {
        let refused = |reason| ImportError::Output { output: name.into(), reason };
        match self.tensors.get(name) {
            Some(ImportItem::Graph(laid)) => Ok(laid.plain()),
            Some(ImportItem::Known(known)) => known.in_graph(&self.g, name).map_err(refused),
            Some(_) => Err(refused(Refusal::case("an output that is no tensor"))),
            None => Err(refused(Refusal::broken("the model has no tensor of that name"))),
        }
    }

    /// The tensor of a name of the model, if it was computed at import.
    pub fn known(&self, name: &str) -> Option<&KnownTensor> {
        match self.tensors.get(name) {
            Some(ImportItem::Known(known)) => Some(known),
            _ => None,
        }
    }

    /// Makes the model's outputs those of the graph, and finishes it.
    ///
    /// # Errors
    /// If an output is none, or what was added to the graph breaks a rule.
    #[track_caller]
    pub fn finish(&self) -> Result<Step, FinishError> {
        for name in &self.outputs {
            let tensor = self.tensor(name)?;
            self.g.output(name, &tensor);
        }
        Ok(self.g.finish()?)
    }
}

/// Why an imported model isn't finished.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FinishError {
    /// An output can't be had.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The graph breaks a rule.
    #[error(transparent)]
    Model(#[from] ModelErrors),
}

/// What a model is made of, whether it can be imported or not.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// How often each operator stands in it, in graphs inside of nodes too, and whether it is provided.
    pub operators: BTreeMap<String, (usize, bool)>,
    /// The number of stored elements.
    pub elements: usize,
}

impl Import {
    /// Counts the model's operators, without importing it.
    ///
    /// # Errors
    /// If the file can't be read, or is no model.
    pub fn survey(&self) -> Result<Survey, ImportError> {
        let model = self.model()?;
        let mut survey = Survey::default();
        let own: Vec<(&str, &str)> = model.functions.iter().map(|f| (f.domain.as_str(), f.name.as_str())).collect();
        let mut graphs: Vec<&GraphProto> = model.graph.iter().collect();
        while let Some(graph) = graphs.pop() {
            for tensor in &graph.initializer {
                let numel = stored::extents(&tensor.dims).map_or(0, |(_, numel)| numel);
                survey.elements = survey.elements.saturating_add(numel);
            }
            for node in &graph.node {
                let key = (domain_of(node), node.op_type.as_str());
                let provided = own.contains(&key) || crate::table::find(key.0, key.1).is_some();
                let entry = survey.operators.entry(crate::importer::op_name(node)).or_insert((0, provided));
                entry.0 += 1;
                graphs.extend(node.attribute.iter().filter_map(|a| a.g.as_ref()));
            }
        }
        Ok(survey)
    }
}
