//! Inference graphs as ONNX models: each op as one or a few nodes of version 17 of the operators.
//!
//! What a graph has and ONNX hasn't (loops, random numbers, gradients to be derived) is refused with the op and its place. States become stored tensors, by their values.

mod moves;
mod sums;
mod write;

use ir::op::index::CheckIndex;
use ir::op::source::{Constant, Full, Iota};
use ir::{Graph, NodeId, Op, Scalar, ScalarOp, Value};
use std::collections::BTreeMap;
use write::ModelWriter;

/// Why a graph isn't exported.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// An op that models don't have.
    #[error(
        "{op} at {place}: models have no such operator: export the graph of a prediction, without loops and random numbers"
    )]
    Op {
        /// The op.
        op: String,
        /// Where it comes from in the user's source, or its number.
        place: String,
    },
    /// A case of an op that models don't have.
    #[error("{op} at {place}: {rule}")]
    Case {
        /// The op.
        op: String,
        /// Where it comes from in the user's source, or its number.
        place: String,
        /// What isn't provided.
        rule: String,
    },
    /// A state has no value.
    #[error("state {name:?} has no value: give those of the trained program")]
    State {
        /// The state.
        name: String,
    },
}

/// An inference graph as the bytes of an ONNX model (operators of version 17). States, weights among them, become stored tensors with these values.
///
/// ```
/// use gradc::dsl::{f32, zeros, GraphBuilder};
/// let g = GraphBuilder::new("line");
/// let x = g.input("x", f32([4, 3]));
/// let w = g.param("w", f32([3, 2]), zeros());
/// g.output("y", &x.matmul(&w).relu());
/// let step = g.finish()?;
/// let states = step.initial_values(0).into_iter().collect();
/// let bytes = gradc_onnx::export(&step.graph, &states)?;
/// let again = gradc_onnx::Import::from_bytes(bytes).load()?;
/// assert_eq!(again.tensor("y")?.shape().unwrap().dims(), [4, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If an op has no operator, or a state no value.
pub fn export(graph: &Graph, states: &BTreeMap<String, Value>) -> Result<Vec<u8>, ExportError> {
    let mut writer = ModelWriter::new(graph);
    let live = graph.live();
    for id in graph.topological().into_iter().filter(|id| live.contains(id)) {
        node(&mut writer, graph, states, id)?;
    }
    Ok(writer.finish())
}

/// One node.
fn node(
    w: &mut ModelWriter<'_>,
    graph: &Graph,
    states: &BTreeMap<String, Value>,
    id: NodeId,
) -> Result<(), ExportError> {
    match graph.op(id) {
        Op::Input(input) => w.input(id, &input.name),
        Op::State(state) => {
            let value = states.get(&state.name).filter(|value| value.ty() == &state.ty);
            let value = value.ok_or_else(|| ExportError::State { name: state.name.clone() })?;
            w.stored(id, &state.name, value);
        }
        Op::Constant(Constant { value }) => w.constant(id, value),
        Op::Full(Full { value, shape }) => w.full(id, *value, shape),
        Op::Iota(Iota { ty, axis }) => {
            let (extent, after) = (ty.shape[*axis], ty.shape[axis + 1..].iter().product::<usize>());
            let at = |i: usize| Scalar::from_i64((i / after % extent) as i64, ir::DType::I64).cast(ty.dtype);
            w.constant(id, &Value::from_fn(ty.clone(), at));
        }
        Op::Elementwise(op) => elementwise(w, id, *op)?,
        Op::Cast(cast) => w.op(id, "Cast", &w.operands(id), vec![write::int("to", write::element_type(cast.dtype))]),
        Op::StopGradient(_) | Op::CheckIndex(CheckIndex { .. }) => w.op(id, "Identity", &w.operands(id)[..1], vec![]),
        op if moves::node(w, id, op)? || sums::node(w, id, op)? => {}
        _ => return Err(w.no_such(id)),
    }
    Ok(())
}

/// Scalar ops that are operators of another name.
const SAME: [(&str, &str); 29] = [
    ("add", "Add"),
    ("sub", "Sub"),
    ("mul", "Mul"),
    ("div", "Div"),
    ("neg", "Neg"),
    ("abs", "Abs"),
    ("sign", "Sign"),
    ("min", "Min"),
    ("max", "Max"),
    ("relu", "Relu"),
    ("exp", "Exp"),
    ("log", "Log"),
    ("tanh", "Tanh"),
    ("sigmoid", "Sigmoid"),
    ("softplus", "Softplus"),
    ("erf", "Erf"),
    ("sqrt", "Sqrt"),
    ("pow", "Pow"),
    ("floor", "Floor"),
    ("ceil", "Ceil"),
    ("round", "Round"),
    ("sin", "Sin"),
    ("cos", "Cos"),
    ("eq", "Equal"),
    ("lt", "Less"),
    ("le", "LessOrEqual"),
    ("gt", "Greater"),
    ("ge", "GreaterOrEqual"),
    ("select", "Where"),
];

/// A scalar op: the operator of its name, or a few that say the same.
fn elementwise(w: &mut ModelWriter<'_>, id: NodeId, op: ScalarOp) -> Result<(), ExportError> {
    let x = w.operands(id);
    if let Some((_, name)) = SAME.iter().find(|(own, _)| *own == op.name()) {
        w.op(id, name, &x, vec![]);
        return Ok(());
    }
    let is_bool = w.dtype(id) == ir::DType::Bool;
    match op.name() {
        "ne" => {
            let equal = w.part("Equal", &x, vec![]);
            w.op(id, "Not", &[equal], vec![]);
        }
        "and" if is_bool => w.op(id, "And", &x, vec![]),
        "or" if is_bool => w.op(id, "Or", &x, vec![]),
        "xor" if is_bool => w.op(id, "Xor", &x, vec![]),
        "not" if is_bool => w.op(id, "Not", &x, vec![]),
        "rem" => w.op(id, "Mod", &x, vec![write::int("fmod", 1)]),
        "rsqrt" => {
            let root = w.part("Sqrt", &x, vec![]);
            w.op(id, "Reciprocal", &[root], vec![]);
        }
        "expm1" => {
            let (grown, one) = (w.part("Exp", &x, vec![]), w.scalar(id, 1.0));
            w.op(id, "Sub", &[grown, one], vec![]);
        }
        "log1p" => {
            let one = w.scalar(id, 1.0);
            let sum = w.part("Add", &[x[0].clone(), one], vec![]);
            w.op(id, "Log", &[sum], vec![]);
        }
        "erfc" => {
            let (erf, one) = (w.part("Erf", &x, vec![]), w.scalar(id, 1.0));
            w.op(id, "Sub", &[one, erf], vec![]);
        }
        "normal_cdf" | "normal_cdf_short" => {
            let (root, one, half) = (w.scalar(id, 0.5f64.sqrt()), w.scalar(id, 1.0), w.scalar(id, 0.5));
            let scaled = w.part("Mul", &[x[0].clone(), root], vec![]);
            let erf = w.part("Erf", &[scaled], vec![]);
            let sum = w.part("Add", &[erf, one], vec![]);
            w.op(id, "Mul", &[sum, half], vec![]);
        }
        "trunc" => {
            let (sign, size) = (w.part("Sign", &x, vec![]), w.part("Abs", &x, vec![]));
            let whole = w.part("Floor", &[size], vec![]);
            w.op(id, "Mul", &[sign, whole], vec![]);
        }
        "fma" => {
            let product = w.part("Mul", &x[..2], vec![]);
            w.op(id, "Add", &[product, x[2].clone()], vec![]);
        }
        _ => return Err(w.no_such(id)),
    }
    Ok(())
}
