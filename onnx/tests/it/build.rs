//! Small models, written down by their messages.

use gradc_onnx::proto::{
    AttributeProto, DimensionKind, DimensionProto, FunctionProto, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeKind, TypeProto, ValueInfoProto,
};

/// An input or output of `f32`; a negative extent is called `n`.
pub(crate) fn port(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dimension = |&d: &i64| {
        let value = if d < 0 { DimensionKind::Param("n".into()) } else { DimensionKind::Value(d) };
        DimensionProto { value: Some(value) }
    };
    let shape = TensorShapeProto { dim: dims.iter().map(dimension).collect() };
    let tensor = TensorTypeProto { elem_type: 1, shape: Some(shape) };
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { value: Some(TypeKind::Tensor(tensor)) }) }
}

/// A stored tensor of `f32`.
pub(crate) fn stored(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: 1,
        float_data: values.to_vec(),
        ..TensorProto::default()
    }
}

/// A stored vector of `i64`.
pub(crate) fn ints(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: vec![values.len() as i64],
        data_type: 7,
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

/// An operator applied to tensors.
pub(crate) fn node(op: &str, inputs: &[&str], outputs: &[&str], attributes: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        op_type: op.into(),
        name: format!("the {op}"),
        input: inputs.iter().map(ToString::to_string).collect(),
        output: outputs.iter().map(ToString::to_string).collect(),
        attribute: attributes,
        ..NodeProto::default()
    }
}

/// A graph as an attribute.
pub(crate) fn graph_attribute(name: &str, graph: GraphProto) -> AttributeProto {
    AttributeProto { name: name.into(), g: Some(graph), r#type: 5, ..AttributeProto::default() }
}

/// A graph of nodes.
pub(crate) fn graph(
    inputs: Vec<ValueInfoProto>,
    outputs: Vec<ValueInfoProto>,
    initializer: Vec<TensorProto>,
    node: Vec<NodeProto>,
) -> GraphProto {
    GraphProto { name: "test".into(), input: inputs, output: outputs, initializer, node, ..GraphProto::default() }
}

/// The model of a graph, as bytes.
pub(crate) fn model(graph: GraphProto) -> Vec<u8> {
    model_of(17, graph, vec![])
}

/// The model of a graph in that version of the operators, with functions of its own, as bytes.
pub(crate) fn model_of(version: i64, graph: GraphProto, functions: Vec<FunctionProto>) -> Vec<u8> {
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version }];
    let model = ModelProto { ir_version: 8, graph: Some(graph), opset_import, functions, ..ModelProto::default() };
    prost::Message::encode_to_vec(&model)
}

/// Two dense layers with an activation: inputs `x` of four, outputs `y` of two.
pub(crate) fn dense() -> Vec<u8> {
    let weights = |n: usize| (0..n).map(|i| (i as f32 * 0.7).sin()).collect::<Vec<_>>();
    let initializers = vec![
        stored("a/w", &[4, 3], &weights(12)),
        stored("a/b", &[3], &weights(3)),
        stored("b/w", &[3, 2], &weights(6)),
    ];
    let nodes = vec![
        node("Gemm", &["x", "a/w", "a/b"], &["hidden"], vec![]),
        node("Tanh", &["hidden"], &["active"], vec![]),
        node("MatMul", &["active", "b/w"], &["y"], vec![]),
    ];
    model(graph(vec![port("x", &[-1, 4])], vec![port("y", &[-1, 2])], initializers, nodes))
}

/// An integer as an attribute.
pub(crate) fn int_attribute(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i, r#type: 2, ..AttributeProto::default() }
}

/// A text as an attribute.
pub(crate) fn text_attribute(name: &str, text: &str) -> AttributeProto {
    AttributeProto { name: name.into(), s: text.into(), r#type: 3, ..AttributeProto::default() }
}

/// Integers as an attribute.
pub(crate) fn ints_attribute(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { name: name.into(), ints: ints.to_vec(), r#type: 7, ..AttributeProto::default() }
}
