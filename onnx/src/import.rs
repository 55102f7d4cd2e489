//! What users call: settings of an import, and the imported model.

use crate::error::{ImportError, Refusal, dtype};
use crate::importer::Importer;
use crate::item::{ImportItem, KnownTensor};
use crate::proto::{DimensionKind, GraphProto, ModelProto, TensorTypeProto, TypeKind, ValueInfoProto};
use crate::read::ReadModel;
use gradc::dsl::{GraphBuilder, ModelErrors, Select, Step, Tensor, TypeSpec};
use ir::{Shape, Value};
use prost::Message;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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

    /// Stored tensors of floats that are trained, by their names in the model; others are constants. What nodes `Constant` of the model's own graph give is stored, too, under the name of
    /// their result.
    #[must_use]
    pub fn parameters(mut self, select: Select) -> Self {
        self.parameters = Some(select);
        self
    }

    /// The same settings, without a model.
    pub(crate) fn settings(&self) -> Self {
        let Self { dims, shapes, values, parameters, .. } = self;
        let (dims, shapes, values, parameters) = (dims.clone(), shapes.clone(), values.clone(), parameters.clone());
        Self { dims, shapes, values, parameters, ..Self::default() }
    }

    /// Whether an input has extents or a value of its own.
    pub(crate) fn is_given(&self, input: &str) -> bool {
        self.shapes.contains_key(input) || self.values.contains_key(input)
    }

    /// The extent that was given for a name.
    pub(crate) fn extent(&self, name: &str) -> Option<usize> {
        self.dims.get(name).copied()
    }

    /// Imports the model into a graph of its own.
    ///
    /// # Errors
    /// The file can't be read or is no model, an extent is open, or a node isn't provided: [`ImportError`] says which.
    pub fn load(&self) -> Result<Imported, ImportError> {
        self.load_read(&self.read(self.model()?)?)
    }

    /// Imports a model that was read into a graph of its own.
    pub(crate) fn load_read(&self, model: &ReadModel) -> Result<Imported, ImportError> {
        let name = model.graph.name.as_str();
        let g = GraphBuilder::new(if name.is_empty() { "onnx" } else { name });
        self.model_into(&g, model, &[])
    }

    /// Imports the model with tensors of a graph that is being declared as its inputs, by their names in the model; inputs that aren't named become inputs of that graph. So a model
    /// is a part of another one, with its parameters.
    ///
    /// ```no_run
    /// use gradc::dsl::{Select, f32};
    /// use gradc::model::Functional;
    /// use gradc::nn::{Dense, Layer};
    /// use gradc_onnx::Import;
    /// let body = Import::new("body.onnx").parameters(Select::all());
    /// let model = Functional::new(f32([3, 32, 32]), move |x| {
    ///     let features = body.load_on(&[("x", x)]).and_then(|body| body.tensor("features"));
    ///     Dense::new(10).apply(&features.expect("the model has that tensor"))
    /// });
    /// ```
    ///
    /// # Errors
    /// As [`Import::load`], and if no tensor is given, the model has no input of a name, or its elements are of another type.
    pub fn load_on(&self, inputs: &[(&str, &Tensor)]) -> Result<Imported, ImportError> {
        let none = || ImportError::Input { input: String::new(), reason: Refusal::Rule("no tensor is given".into()) };
        let (_, first) = inputs.first().ok_or_else(none)?;
        self.model_into(first.builder(), &self.read(self.model()?)?, inputs)
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

    /// The model with its stored tensors.
    pub(crate) fn read(&self, model: ModelProto) -> Result<ReadModel, ImportError> {
        let folder = self.path.as_ref().map(|path| match path.parent() {
            Some(parent) if parent != Path::new("") => parent.to_path_buf(),
            _ => PathBuf::from("."),
        });
        ReadModel::new(model, folder)
    }

    fn model_into(
        &self,
        g: &GraphBuilder,
        model: &ReadModel,
        given: &[(&str, &Tensor)],
    ) -> Result<Imported, ImportError> {
        let ReadModel { graph, functions, opsets, folder, stored } = model;
        let mut importer = Importer::new(g.clone(), folder.clone(), opsets.clone(), self.parameters.clone());
        for function in functions {
            importer.functions.insert((&function.domain, &function.name), function);
        }
        // As constants, or as parameters.
        for (name, known) in stored {
            let item = importer.stored(name, known.clone());
            importer.bind(name, item);
        }
        self.check_names(graph, given)?;
        let mut inputs = vec![];
        for port in &graph.input {
            let is_stored = importer.find(&port.name).is_some();
            if let Some((_, tensor)) = given.iter().find(|(name, _)| *name == port.name) {
                importer.bind(&port.name, (*tensor).clone().into());
                continue;
            }
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

    /// Settings of inputs that the model doesn't have, or of other types, are mistakes.
    fn check_names(&self, graph: &GraphProto, given: &[(&str, &Tensor)]) -> Result<(), ImportError> {
        let names = self.shapes.keys().map(|name| (name.as_str(), None));
        let names = names.chain(self.values.iter().map(|(name, known)| (name.as_str(), Some(known.dtype()))));
        for (input, own) in names.chain(given.iter().map(|(name, tensor)| (*name, tensor.dtype()))) {
            let refused = |rule: String| ImportError::Input { input: input.into(), reason: Refusal::Rule(rule) };
            let Some(port) = graph.input.iter().find(|port| port.name == input) else {
                let stored = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
                let open = graph.input.iter().filter(|port| !stored(&port.name));
                let names: Vec<String> = open.map(|port| format!("{:?}", port.name)).collect();
                return Err(refused(format!("the model has no such input, its inputs are {}", names.join(", "))));
            };
            let Some(TypeKind::Tensor(ty)) = port.r#type.as_ref().and_then(|ty| ty.value.as_ref()) else { continue };
            if let (Some(own), Ok(declared)) = (own, dtype(ty.elem_type))
                && own != declared
            {
                return Err(refused(format!("what is given is of {own}, the input's elements are {declared}")));
            }
        }
        Ok(())
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
