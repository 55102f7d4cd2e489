//! What a program computes by the reference interpreters, whether it is a graph still or loops.

use crate::Module;
use ir::eval::RunResults;
use ir::shrink::GraphCase;
use ir::{Data, Graph, TensorType, Value, ValueError, map_of, try_map_of};
use kernel::eval::Tensors;
use std::collections::BTreeMap;

/// Why a program can't be interpreted.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum InterpretError {
    /// The graph can't be evaluated on the values.
    #[error(transparent)]
    Graph(#[from] ir::eval::RunError),
    /// The loops can't.
    #[error(transparent)]
    Loops(#[from] kernel::eval::EvalError),
    /// A result of the graph is none of the loops': a defect of a pass.
    #[error("the loops have no result {name:?}")]
    NoResult {
        /// Its name.
        name: String,
    },
    /// A result of the loops has another number or type of elements than the graph's: a defect of a pass.
    #[error("the loops' result {name:?}: {error}")]
    Result {
        /// Its name.
        name: String,
        /// What is wrong.
        error: ValueError,
    },
}

/// Runs a program that passes made of `case`'s graph on `case`'s values, by the interpreter of what it is.
///
/// ```
/// use ir::shrink::GraphCase;
/// use ir::{Graph, Scalar, Shape, Value};
/// use kernel::Target;
/// use passes::{Module, PassContext, RunOptions, interpret};
/// use std::collections::BTreeMap;
///
/// let graph = Graph::parse("graph \"g\" {\n %0 = input {name=\"x\"} : f32[3]\n %1 = neg %0 : f32[3]\n output \"y\" = %1\n}")?;
/// let loops = passes::compile(graph.clone(), &PassContext::new(Target::baseline()), &RunOptions::default())?.module;
/// let x = Value::splat(Scalar::F32(2.0), Shape::new([3])?);
/// let case = GraphCase { graph, inputs: BTreeMap::from([("x".to_string(), x)]), states: BTreeMap::new() };
/// assert_eq!(interpret(&loops, &case)?, interpret(&Module::Graph(case.graph.clone()), &case)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// What the run fails with; results that aren't those of the graph.
pub fn interpret(module: &Module, case: &GraphCase) -> Result<RunResults, InterpretError> {
    match module {
        Module::Graph(graph) => {
            let inputs = own(&case.inputs, graph.inputs().map(|(_, port)| &port.name));
            let states = own(&case.states, graph.states().map(|(_, port)| &port.name));
            Ok(ir::eval::run(graph, &inputs, &states)?)
        }
        Module::Program(program) => {
            let (outputs, states) = kernel::eval::eval(program, &elements(&case.inputs), &elements(&case.states))?;
            typed(&case.graph, &outputs, &states)
        }
    }
}

/// The values of these ports.
fn own<'g>(values: &BTreeMap<String, Value>, names: impl Iterator<Item = &'g String>) -> BTreeMap<String, Value> {
    map_of(names.filter_map(|name| Some((name.clone(), values.get(name)?.clone()))))
}

fn elements(values: &BTreeMap<String, Value>) -> Tensors {
    map_of(values.iter().map(|(name, value)| (name.clone(), value.data().clone())))
}

/// What loops gave, with the types that the graph has.
fn typed(graph: &Graph, outputs: &Tensors, states: &Tensors) -> Result<RunResults, InterpretError> {
    let value = |of: &BTreeMap<String, Data>, name: &String, ty: &TensorType| {
        let data = of.get(name).ok_or_else(|| InterpretError::NoResult { name: name.clone() })?;
        let value = Value::new(ty.clone(), data.clone());
        value.map(|v| (name.clone(), v)).map_err(|error| InterpretError::Result { name: name.clone(), error })
    };
    let outputs = graph.outputs().iter().map(|(name, id)| value(outputs, name, graph.ty(*id)));
    let states = graph.states().map(|(_, state)| value(states, &state.name, &state.ty));
    Ok(RunResults { outputs: try_map_of(outputs)?, states: try_map_of(states)? })
}
