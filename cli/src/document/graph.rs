//! Graphs as JSON.

use super::VERSION;
use ir::op::attr::Attr;
use ir::{Graph, NodeId, TensorType};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// A graph: nodes in an order of evaluation, which is that of the text; a node's number is its position.
#[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
pub struct GraphDocument {
    /// `gradc.graph`.
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// The graph's name.
    pub name: String,
    /// The nodes, operands before users.
    pub nodes: Vec<NodeDocument>,
    /// The named results.
    pub outputs: Vec<ResultDocument>,
    /// What states are after the step, by their names.
    pub updates: Vec<ResultDocument>,
}

/// A node.
#[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
pub struct NodeDocument {
    /// Its position among the nodes.
    pub id: usize,
    /// The op's name, as in text.
    pub op: String,
    /// The nodes that it is applied to.
    pub operands: Vec<usize>,
    /// The op's attributes by name: numbers, lists, lists of pairs, strings; a type is an object, elements of constants are strings as in text, the body of a scan is a graph.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Json>,
    /// The type of the result.
    #[serde(flatten)]
    pub ty: TypeDocument,
    /// The cluster that it was fused into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<u32>,
    /// `forward`, `backward` or `update`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// The path of the layer, `encoder/dense`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
    /// The place in the user's source, `src/main.rs:12:9`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// A type.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct TypeDocument {
    /// The element type, `f32`.
    pub dtype: String,
    /// The extents.
    pub shape: Vec<usize>,
}

/// A named result.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct ResultDocument {
    /// The name of the output, or of the state that is updated.
    pub name: String,
    /// The node.
    pub node: usize,
}

impl NodeDocument {
    /// What a picture calls it: its number, its op, and the name of an input or a state.
    pub fn title(&self) -> String {
        let name = self.attributes.get("name").and_then(Json::as_str);
        format!("%{} {}{}", self.id, self.op, name.map_or_else(String::new, |name| format!(" {name}")))
    }
}

impl TypeDocument {
    /// As in text: `f32[2,3]`.
    pub fn text(&self) -> String {
        let extents: Vec<String> = self.shape.iter().map(ToString::to_string).collect();
        format!("{}[{}]", self.dtype, extents.join(","))
    }
}

impl GraphDocument {
    /// A graph as it is; it must be valid, so that its nodes have an order.
    pub fn of(graph: &Graph) -> Self {
        let order = graph.schedule_order();
        let position: BTreeMap<NodeId, usize> = order.iter().enumerate().map(|(at, &id)| (id, at)).collect();
        let sections = graph.sections();
        let node = |(at, &id): (usize, &NodeId)| {
            let (node, loc) = (graph.node(id), graph.loc(id));
            let attributes = node.op().rules().attrs().into_iter();
            NodeDocument {
                id: at,
                op: node.op().name().into(),
                operands: node.operands().iter().filter_map(|operand| position.get(operand).copied()).collect(),
                attributes: attributes.map(|(name, value)| (name.to_string(), attribute(value))).collect(),
                ty: node.ty().into(),
                cluster: graph.cluster(id),
                section: sections.get(&id).map(ToString::to_string),
                layer: loc.and_then(|loc| loc.layer.as_deref()).map(str::to_string),
                location: loc.map(ToString::to_string),
            }
        };
        let results = |named: &[(String, NodeId)]| -> Vec<ResultDocument> {
            let result = |(name, id): &(String, NodeId)| {
                position.get(id).map(|&node| ResultDocument { name: name.clone(), node })
            };
            named.iter().filter_map(result).collect()
        };
        Self {
            format: "gradc.graph".into(),
            version: VERSION,
            name: graph.name().into(),
            nodes: order.iter().enumerate().map(node).collect(),
            outputs: results(graph.outputs()),
            updates: results(graph.updates()),
        }
    }
}

impl From<&TensorType> for TypeDocument {
    fn from(ty: &TensorType) -> Self {
        Self { dtype: ty.dtype.to_string(), shape: ty.shape.to_vec() }
    }
}

fn attribute(value: Attr) -> Json {
    match value {
        Attr::Int(value) => json!(value),
        Attr::Ints(values) => json!(values),
        Attr::Pairs(values) => json!(values),
        Attr::Str(value) => json!(value),
        Attr::Type(ty) => json!(TypeDocument::from(&ty)),
        Attr::Literals(values) => json!(values),
        Attr::Body(body) => json!(GraphDocument::of(body.graph())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_is_written_out() {
        let text = r#"graph "g" {
  %0 = input {name="x"} : f32[2,3] at "a.rs:1:2" in forward "dense"
  %1 = constant {values=(1.0, nan)} : f32[2]
  %2 = reduce_sum %0 {axes=[1]} : f32[2] @4
  %3 = add %2, %1 : f32[2] @4
  output "y" = %3
}"#;
        let document = GraphDocument::of(&Graph::parse(text).unwrap());
        let json = json!(document);
        let expected = json!({
            "format": "gradc.graph", "version": 1, "name": "g",
            "nodes": [
                {"id": 0, "op": "input", "operands": [], "attributes": {"name": "x"}, "dtype": "f32", "shape": [2, 3],
                 "section": "forward", "layer": "dense", "location": "a.rs:1:2"},
                {"id": 1, "op": "constant", "operands": [], "attributes": {"values": ["1.0", "nan"]}, "dtype": "f32", "shape": [2]},
                {"id": 2, "op": "reduce_sum", "operands": [0], "attributes": {"axes": [1]}, "dtype": "f32", "shape": [2], "cluster": 4},
                {"id": 3, "op": "add", "operands": [2, 1], "dtype": "f32", "shape": [2], "cluster": 4},
            ],
            "outputs": [{"name": "y", "node": 3}], "updates": [],
        });
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_value::<GraphDocument>(json).unwrap(), document);
    }
}
