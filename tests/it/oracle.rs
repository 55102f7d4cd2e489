//! What a graph computes, by the reference rules, on given or random values; and when two results agree.

use ir::eval::RunError;
use ir::shrink::GraphCase;
use ir::{DType, Data, Graph, Scalar, Shape, TensorType, Value};
use kernel::eval::Tensors;
use kernel::{BufferKind, Program};
use passes::Module;
use random_graphs::Rng;
use std::collections::BTreeMap;

/// Values by the name of a port.
pub(crate) type NamedValues = BTreeMap<String, Value>;

/// Tensor types of one element type, by their extents: `f32`, `bf16`.
pub(crate) type TypeOf = fn(Vec<usize>) -> gradc::dsl::TypeSpec;

/// The outputs, and the updates under `name'`, of a graph whose inputs and states have the given values.
///
/// # Errors
/// What the run fails with.
pub(crate) fn evaluate(graph: &Graph, ports: &NamedValues) -> Result<NamedValues, RunError> {
    let (inputs, states) = divided(graph, ports);
    Ok(ir::eval::run(graph, &inputs, &states)?.named())
}

/// The values of inputs and those of states.
pub(crate) fn divided(graph: &Graph, ports: &NamedValues) -> (NamedValues, NamedValues) {
    let pick = |names: Vec<&String>| names.into_iter().map(|n| (n.clone(), ports[n].clone())).collect();
    let inputs = pick(graph.inputs().map(|(_, port)| &port.name).collect());
    (inputs, pick(graph.states().map(|(_, port)| &port.name).collect()))
}

/// Values for all inputs and states, a function of `seed`: floats between -2 and 2 with some zeros of both signs among them, integers
/// from 0 to 2, so that most serve as indices.
pub(crate) fn random_ports(graph: &Graph, seed: u64) -> NamedValues {
    let mut random = Rng::new(seed);
    let inputs = graph.inputs().map(|(id, port)| (port.name.clone(), id));
    let states = graph.states().map(|(id, port)| (port.name.clone(), id));
    inputs.chain(states).map(|(name, id)| (name, random_value(graph.ty(id), &mut random))).collect()
}

fn random_value(ty: &TensorType, random: &mut Rng) -> Value {
    Value::from_fn(ty.clone(), |_| {
        let unit = (random.bits() >> 11) as f64 / (1u64 << 53) as f64;
        match ty.dtype {
            DType::Bool => Scalar::Bool(unit < 0.5),
            dtype if dtype.is_int() => Scalar::from_i64((unit * 3.0) as i64, dtype),
            dtype => Scalar::from_f64(
                if unit < 0.03 {
                    0.0
                } else if unit < 0.06 {
                    -0.0
                } else {
                    unit * 4.0 - 2.0
                },
                dtype,
            ),
        }
    })
}

/// How near two results must be.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Agreement {
    /// The same bits, but any NaN equals any NaN.
    Bits,
    /// Within that many units in the last place of the type, relative to the larger of 1 and its magnitude; zeros are
    /// equal whatever their sign.
    Ulps(f64),
    /// Within that much, relative to the larger of 1 and the magnitude, whatever the type: an `f64` may have been an `f32` on the way.
    Within(f64),
}

/// The first difference between two sets of results, as a sentence.
pub(crate) fn difference(a: &NamedValues, b: &NamedValues, agreement: Agreement) -> Option<String> {
    if !a.keys().eq(b.keys()) {
        return Some(format!("results {:?} against {:?}", a.keys(), b.keys()));
    }
    for ((name, x), y) in a.iter().zip(b.values()) {
        if x.ty() != y.ty() {
            return Some(format!("{name}: {} against {}", x.ty(), y.ty()));
        }
        if let Some(i) = (0..x.data().len()).find(|&i| !agree(x.get(i), y.get(i), agreement)) {
            return Some(format!("{name}[{i}]: {} against {}", x.get(i), y.get(i)));
        }
    }
    None
}

/// The distance from 1 to the next larger number of a float type.
pub(crate) fn unit_in_last_place(dtype: DType) -> Option<f64> {
    match dtype {
        DType::F64 => Some(f64::EPSILON),
        DType::F32 => Some(f64::from(f32::EPSILON)),
        DType::Bf16 => Some(1.0 / 128.0),
        DType::F16 => Some(1.0 / 1024.0),
        _ => None,
    }
}

fn agree(x: Scalar, y: Scalar, agreement: Agreement) -> bool {
    if x == y || x.is_nan() && y.is_nan() {
        return true;
    }
    let Some(ulp) = unit_in_last_place(x.dtype()) else { return false };
    let tolerance = match agreement {
        Agreement::Bits => return false,
        Agreement::Ulps(ulps) => ulps * ulp,
        Agreement::Within(tolerance) => tolerance,
    };
    let (x, y) = (x.as_f64(), y.as_f64());
    (x - y).abs() <= tolerance * x.abs().max(y.abs()).max(1.0)
}

/// As [`evaluate`], of loops that passes made of `like`.
///
/// # Errors
/// What the run fails with.
pub(crate) fn evaluate_program(
    program: &Program,
    like: &Graph,
    ports: &NamedValues,
) -> Result<NamedValues, passes::InterpretError> {
    let (inputs, states) = divided(like, ports);
    let case = GraphCase { graph: like.clone(), inputs, states };
    Ok(passes::interpret(&Module::Program(program.clone()), &case)?.named())
}

/// As [`random_ports`], for the inputs and the states of a program of loops.
pub(crate) fn random_tensors(program: &Program, seed: u64) -> [Tensors; 2] {
    let mut random = Rng::new(seed);
    let mut tensors = [Tensors::new(), Tensors::new()];
    for buffer in &program.buffers {
        let (kind, name) = match &buffer.kind {
            BufferKind::Input { name } => (0, name),
            BufferKind::State { name } => (1, name),
            _ => continue,
        };
        let ty = TensorType::new(buffer.dtype, Shape::new([buffer.len]).unwrap());
        tensors[kind].insert(name.clone(), random_value(&ty, &mut random).data().clone());
    }
    tensors
}

/// The elements of buffers as tensors of one axis.
pub(crate) fn flat(tensors: Tensors) -> NamedValues {
    let value =
        |data: Data| Value::new(TensorType::new(data.dtype(), Shape::new([data.len()]).unwrap()), data).unwrap();
    tensors.into_iter().map(|(name, data)| (name, value(data))).collect()
}
