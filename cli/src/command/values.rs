//! The values that a command runs a graph on.

use super::native::PortValues;
use gradc::dsl::{Step, zeros};
use gradc::io::load_tensors;
use ir::shrink::GraphCase;
use ir::{Graph, Scalar, Shape, SplitMix64, TensorType, Value, try_map_of};
use kernel::{BufferKind, Program};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where values come from: a file of tensors by name, or a seed. Reads as `x.npz` or `random:7`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ValueSource {
    /// A .npz or .safetensors file.
    File(PathBuf),
    /// Random numbers.
    Random(u64),
}

impl FromStr for ValueSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("random:") {
            None => Ok(Self::File(text.into())),
            Some(seed) => seed.parse().map(Self::Random).map_err(|_| format!("{seed:?} is no seed: as in `random:7`")),
        }
    }
}

impl ValueSource {
    /// A value for each port.
    pub(super) fn inputs<'t>(
        &self,
        ports: impl Iterator<Item = (&'t String, &'t TensorType)>,
    ) -> Result<PortValues, Box<dyn Error>> {
        match self {
            Self::File(path) => Ok(load_tensors(path)?),
            Self::Random(seed) => Ok(random(ports, *seed, -1.0)?),
        }
    }

    /// The step's graph with values for its inputs from here, and of states from `states`, or as the step says that they start. Those of a graph in a file, which says nothing
    /// of it, are random numbers from 0 to 1: a moment of second order has a root.
    pub(super) fn case(&self, step: &Step, states: Option<&Path>) -> Result<GraphCase, Box<dyn Error>> {
        let graph = &step.graph;
        let ports: BTreeMap<_, _> = graph.inputs().map(|(_, input)| (&input.name, &input.ty)).collect();
        let inputs = self.inputs(ports.iter().map(|(name, ty)| (*name, *ty)))?;
        if let Self::File(path) = self {
            fit(path, &inputs, "input", &ports)?;
            if let Some(name) = ports.keys().find(|name| !inputs.contains_key(**name)) {
                return Err(
                    format!("{} has no tensor {name:?}: the graph takes {}", path.display(), list(&ports)).into()
                );
            }
        }
        let seed = if let Self::Random(seed) = self { *seed } else { 0 };
        let mut values = if step.states.iter().all(|state| state.init == zeros()) {
            random(graph.states().map(|(_, state)| (&state.name, &state.ty)), seed, 0.0)?
        } else {
            step.initial_values(seed).into_iter().collect()
        };
        if let Some(path) = states {
            let given = load_tensors(path)?;
            fit(path, &given, "state", &graph.states().map(|(_, state)| (&state.name, &state.ty)).collect())?;
            values.extend(given);
        }
        Ok(GraphCase { graph: graph.clone(), inputs, states: values })
    }
}

/// An error unless each of a file's tensors is a port of that kind, of its type.
fn fit(path: &Path, given: &PortValues, kind: &str, ports: &BTreeMap<&String, &TensorType>) -> Result<(), String> {
    for (name, value) in given {
        let path = path.display();
        match ports.get(name) {
            None => {
                return Err(format!(
                    "{path} has a tensor {name:?}, but the graph no such {kind}: there are {}",
                    list(ports)
                ));
            }
            Some(ty) if value.ty() != *ty => {
                return Err(format!("{path}: the {kind} {name:?} is {ty}, but the tensor is {}", value.ty()));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Ports with their types.
fn list(ports: &BTreeMap<&String, &TensorType>) -> String {
    let port = |(name, ty): (&&String, &&TensorType)| format!("{name:?} {ty}");
    ports.iter().map(port).collect::<Vec<_>>().join(", ")
}

/// Values of loops, which are vectors: of the states as well, from `states` or random numbers from 0 to 1, as those of a graph are.
pub(super) fn of_loops(
    program: &Program,
    source: &ValueSource,
    states: Option<&Path>,
) -> Result<(PortValues, PortValues), Box<dyn Error>> {
    let ports = |port: fn(&BufferKind) -> Option<&String>| {
        let types = program.buffers.iter().filter_map(|buffer| {
            Some((port(&buffer.kind)?.clone(), TensorType::new(buffer.dtype, Shape::new([buffer.len]).ok()?)))
        });
        types.collect::<BTreeMap<_, _>>()
    };
    let of_inputs = ports(|kind| if let BufferKind::Input { name } = kind { Some(name) } else { None });
    let of_states = ports(|kind| if let BufferKind::State { name } = kind { Some(name) } else { None });
    let inputs = flat(source.inputs(of_inputs.iter())?, &of_inputs)?;
    let seed = if let ValueSource::Random(seed) = source { *seed } else { 0 };
    let mut values = random(of_states.iter(), seed, 0.0)?;
    if let Some(path) = states {
        values.extend(flat(load_tensors(path)?, &of_states)?);
    }
    Ok((inputs, values))
}

/// Tensors as the vectors that loops take.
fn flat(values: PortValues, ports: &BTreeMap<String, TensorType>) -> Result<PortValues, Box<dyn Error>> {
    let vector = |(name, value): (String, Value)| {
        let ty = ports.get(&name).ok_or_else(|| {
            let known: Vec<&str> = ports.keys().map(String::as_str).collect();
            format!("there is a tensor {name:?}, but the loops take {}", known.join(", "))
        })?;
        let vector = Value::new(ty.clone(), value.data().clone()).map_err(|e| format!("{name:?}: {e}"))?;
        Ok((name, vector))
    };
    values.into_iter().map(vector).collect()
}

/// Random values of ports: floats from `low` to 1; integers, which are indices more often than not, are 0 or 1.
fn random<'t>(
    ports: impl Iterator<Item = (&'t String, &'t TensorType)>,
    seed: u64,
    low: f64,
) -> Result<PortValues, String> {
    let mut random = SplitMix64::new(seed);
    let mut element = |ty: &TensorType| {
        let unit = (random.bits() >> 11) as f64 / (1u64 << 53) as f64;
        Scalar::from_f64(if ty.dtype.is_float() { low + (1.0 - low) * unit } else { (unit * 2.0).floor() }, ty.dtype)
    };
    let ports: BTreeMap<&String, &TensorType> = ports.collect();
    try_map_of(ports.into_iter().map(|(name, ty)| {
        let bytes = ty.size_bytes();
        if Vec::<u8>::new().try_reserve_exact(bytes).is_err() {
            return Err(format!("there is no memory for {name:?}, {ty}: {bytes} bytes"));
        }
        Ok((name.clone(), Value::from_fn(ty.clone(), |_| element(ty))))
    }))
}

/// Writes a graph's case into a folder: `graph.ir`, and `inputs.npz` and `states.npz` where there are such.
pub(super) fn save_case(folder: &Path, case: &GraphCase) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    write_graph(&folder.join("graph.ir"), &case.graph)?;
    for (name, values) in [("inputs.npz", &case.inputs), ("states.npz", &case.states)] {
        if !values.is_empty() {
            gradc::io::save_npz(folder.join(name), values)?;
        }
    }
    Ok(())
}

/// Writes a graph's text, with the places of its nodes.
fn write_graph(path: &Path, graph: &Graph) -> Result<(), Box<dyn Error>> {
    Ok(gradc::io::write_atomically(path, graph.display().locations(true).comments(true).to_string().as_bytes())?)
}
