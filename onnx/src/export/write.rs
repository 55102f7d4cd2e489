//! The model being written: nodes, stored tensors, and the names of what the graph's nodes are.

use super::ExportError;
use crate::proto::{
    AttributeProto, DimensionKind, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeKind, TypeProto, ValueInfoProto,
};
use ir::{DType, Graph, NodeId, Scalar, Shape, TensorType, Value};
use prost::Message;
use std::collections::BTreeMap;

/// The version of the operators that models are written in.
const OPSET: i64 = 17;
/// The version of the format that goes with it.
const FORMAT: i64 = 8;

/// The standard's number of an element type.
pub(super) fn element_type(dtype: DType) -> i64 {
    match dtype {
        DType::F32 => 1,
        DType::U8 => 2,
        DType::I8 => 3,
        DType::U16 => 4,
        DType::I16 => 5,
        DType::I32 => 6,
        DType::I64 => 7,
        DType::Bool => 9,
        DType::F16 => 10,
        DType::F64 => 11,
        DType::U32 => 12,
        DType::U64 => 13,
        DType::Bf16 => 16,
    }
}

/// An integer attribute.
pub(super) fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i, r#type: 2, ..AttributeProto::default() }
}

/// An attribute of integers.
pub(super) fn ints<T: Copy + TryInto<i64>>(name: &str, values: &[T]) -> AttributeProto {
    let ints = values.iter().map(|&v| v.try_into().unwrap_or(i64::MAX)).collect();
    AttributeProto { name: name.into(), ints, r#type: 7, ..AttributeProto::default() }
}

/// A port of the model.
fn port(name: &str, ty: &TensorType) -> ValueInfoProto {
    let dimension = |&d: &usize| DimensionProto { value: Some(DimensionKind::Value(d as i64)) };
    let shape = TensorShapeProto { dim: ty.shape.iter().map(dimension).collect() };
    let tensor = TensorTypeProto { elem_type: element_type(ty.dtype) as i32, shape: Some(shape) };
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { value: Some(TypeKind::Tensor(tensor)) }) }
}

/// A model being written.
pub(super) struct ModelWriter<'g> {
    graph: &'g Graph,
    model: GraphProto,
    names: BTreeMap<NodeId, String>,
    count: usize,
}

impl<'g> ModelWriter<'g> {
    pub(super) fn new(graph: &'g Graph) -> Self {
        let model = GraphProto { name: graph.name().into(), ..GraphProto::default() };
        Self { graph, model, names: BTreeMap::new(), count: 0 }
    }

    /// The bytes of the model, with the graph's outputs.
    pub(super) fn finish(mut self) -> Vec<u8> {
        for (name, id) in self.graph.outputs() {
            self.push("Identity", &[self.names[id].clone()], name.clone(), vec![]);
            self.model.output.push(port(name, self.graph.ty(*id)));
        }
        let opset = OperatorSetIdProto { domain: String::new(), version: OPSET };
        let model = ModelProto {
            ir_version: FORMAT,
            producer_name: "gradc".into(),
            graph: Some(self.model),
            opset_import: vec![opset],
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }

    /// The type of a node of the graph.
    pub(super) fn ty(&self, id: NodeId) -> &TensorType {
        self.graph.ty(id)
    }

    /// The element type of a node of the graph.
    pub(super) fn dtype(&self, id: NodeId) -> DType {
        self.graph.ty(id).dtype
    }

    /// The operands of a node of the graph.
    pub(super) fn operand_ids(&self, id: NodeId) -> Vec<NodeId> {
        self.graph.operands(id).to_vec()
    }

    /// The names of a node's operands.
    pub(super) fn operands(&self, id: NodeId) -> Vec<String> {
        self.graph.operands(id).iter().map(|operand| self.names[operand].clone()).collect()
    }

    /// A name that nothing else has: a node of the graph can't be called so.
    fn fresh(&mut self) -> String {
        self.count += 1;
        format!("%{}", self.count)
    }

    fn push(&mut self, op: &str, inputs: &[String], output: String, attribute: Vec<AttributeProto>) {
        self.model.node.push(NodeProto {
            op_type: op.into(),
            name: format!("{op} {output}"),
            input: inputs.to_vec(),
            output: vec![output],
            attribute,
            ..NodeProto::default()
        });
    }

    /// An operator whose result is that of a node of the graph.
    pub(super) fn op(&mut self, id: NodeId, op: &str, inputs: &[String], attributes: Vec<AttributeProto>) {
        let name = self.part(op, inputs, attributes);
        self.names.insert(id, name);
    }

    /// An operator that is a part of a node of the graph: the name of its result.
    pub(super) fn part(&mut self, op: &str, inputs: &[String], attributes: Vec<AttributeProto>) -> String {
        let name = self.fresh();
        self.push(op, inputs, name.clone(), attributes);
        name
    }

    /// An input of the model.
    pub(super) fn input(&mut self, id: NodeId, name: &str) {
        self.model.input.push(port(name, self.graph.ty(id)));
        self.names.insert(id, name.into());
    }

    /// A tensor that is stored under a name.
    pub(super) fn stored(&mut self, id: NodeId, name: &str, value: &Value) {
        self.store(name, value);
        self.names.insert(id, name.into());
    }

    /// A stored tensor without a name of its own.
    pub(super) fn constant(&mut self, id: NodeId, value: &Value) {
        let name = self.fresh();
        self.store(&name, value);
        self.names.insert(id, name);
    }

    fn store(&mut self, name: &str, value: &Value) {
        self.model.initializer.push(TensorProto {
            name: name.into(),
            dims: value.ty().shape.iter().map(|&d| d as i64).collect(),
            data_type: element_type(value.ty().dtype) as i32,
            raw_data: value.data().to_bytes(),
            ..TensorProto::default()
        });
    }

    /// One element everywhere.
    pub(super) fn full(&mut self, id: NodeId, value: Scalar, shape: &Shape) {
        if shape.rank() == 0 {
            return self.constant(id, &Value::splat(value, Shape::scalar()));
        }
        let one = self.fresh();
        self.store(&one, &Value::splat(value, Shape::scalar()));
        let dims = self.numbers(shape.dims());
        self.op(id, "Expand", &[one, dims], vec![]);
    }

    /// A scalar in the element type of a node.
    pub(super) fn scalar(&mut self, like: NodeId, value: f64) -> String {
        let name = self.fresh();
        self.store(&name, &Value::splat(Scalar::from_f64(value, self.dtype(like)), Shape::scalar()));
        name
    }

    /// A stored vector of integers, which isn't empty unless a scalar's extents are meant.
    pub(super) fn numbers<T: Copy + TryInto<i64>>(&mut self, values: &[T]) -> String {
        let name = self.fresh();
        let elements: Vec<i64> = values.iter().map(|&v| v.try_into().unwrap_or(i64::MAX)).collect();
        self.model.initializer.push(TensorProto {
            name: name.clone(),
            dims: vec![elements.len() as i64],
            data_type: element_type(DType::I64) as i32,
            int64_data: elements,
            ..TensorProto::default()
        });
        name
    }

    /// A tensor under other extents.
    pub(super) fn reshaped(&mut self, x: &str, dims: &[usize]) -> String {
        let dims = self.numbers(dims);
        self.part("Reshape", &[x.into(), dims], vec![])
    }

    /// A tensor with its axes in another order.
    pub(super) fn permuted(&mut self, x: &str, perm: &[usize]) -> String {
        match perm.iter().enumerate().all(|(i, &axis)| i == axis) {
            true => x.into(),
            false => self.part("Transpose", &[x.into()], vec![ints("perm", perm)]),
        }
    }

    /// Says that a node of the graph is what has that name.
    pub(super) fn is(&mut self, id: NodeId, name: String) {
        self.names.insert(id, name);
    }

    fn place(&self, id: NodeId) -> (String, String) {
        let place = self.graph.loc(id).map_or_else(|| id.to_string(), ToString::to_string);
        (self.graph.op(id).to_string(), place)
    }

    /// The error of an op that models don't have.
    pub(super) fn no_such(&self, id: NodeId) -> ExportError {
        let (op, place) = self.place(id);
        ExportError::Op { op, place }
    }

    /// The error of a case that models don't have.
    pub(super) fn case(&self, id: NodeId, rule: &str) -> ExportError {
        let (op, place) = self.place(id);
        ExportError::Case { op, place, rule: rule.into() }
    }
}
