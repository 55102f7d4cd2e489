//! Random graphs for tests: always valid, small, the same for the same seed.
//!
//! A graph of `nodes` steps begins with the graph of fewer steps of the same seed, so a property test over (seed, steps) shrinks
//! to a small graph by itself:
//!
//! ```
//! use random_graphs::{Limits, random_graph, random_values};
//!
//! let limits = Limits { steps: 12, ..Limits::default() };
//! let graph = random_graph(7, &limits);
//! let (inputs, states) = random_values(&graph, 7);
//! let outcome = ir::eval::run(&graph, &inputs, &states).unwrap();
//! assert_eq!(outcome.outputs.len(), graph.outputs().len());
//! ```
//!
//! # What compares well
//!
//! Two correct evaluations of the same graph may differ in the last bits of a float. So that such a difference stays small, graphs are
//! built with care: arguments of functions with poles or fast growth are brought to [0.5, 2] first, large values are squashed
//! by `tanh`, and whatever jumps (rounding, comparisons, positions of extrema, conversions to integers) is applied only
//! to values that every evaluation gets exactly. [`Limits::wild`] lifts this, for tests that compare nothing.

mod elementwise;
mod generator;
mod index;
mod movement;
mod reduction;
mod rng;
mod scan;
mod window;

pub use rng::Rng;

use generator::Generator;
use ir::{DType, Graph, Scalar, TensorType, Value};
use std::collections::BTreeMap;

/// What random graphs are made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// How many ops are drawn; each brings a few nodes.
    pub steps: usize,
    /// Most elements of a source. Results of ops can be somewhat larger.
    pub elements: usize,
    /// Element types, at least one of them a float. `f16` can overflow to infinity: sums and products of this size don't fit it.
    pub dtypes: Vec<DType>,
    /// Apply any op to any value; results can be NaN, and can jump where an operand differs in the last bit.
    pub wild: bool,
    /// Draw loops, too, whose bodies are random graphs.
    pub scans: bool,
}

impl Default for Limits {
    fn default() -> Self {
        let dtypes = vec![DType::F32, DType::F32, DType::F64, DType::I32, DType::Bool];
        Self { steps: 20, elements: 128, dtypes, wild: false, scans: true }
    }
}

/// A valid graph of all op families but control, loops if the limits say so, with 1 to 3 outputs and, mostly, states with updates.
///
/// # Panics
/// If `limits` names no float type, or an op's type rule refuses what the generator holds for valid: a defect of one of the two.
pub fn random_graph(seed: u64, limits: &Limits) -> Graph {
    Generator::new(seed, limits).run()
}

/// Values for all inputs and all states of a graph, by name: floats are multiples of 1/8 from -2 to 2, signed integers from -8 to 8,
/// unsigned from 0 to 8.
pub fn random_values(graph: &Graph, seed: u64) -> (BTreeMap<String, Value>, BTreeMap<String, Value>) {
    let mut rng = Rng::new(seed);
    let inputs = graph.inputs().map(|(_, input)| (input.name.clone(), random_value(&input.ty, &mut rng))).collect();
    let states = graph.states().map(|(_, state)| (state.name.clone(), random_value(&state.ty, &mut rng))).collect();
    (inputs, states)
}

/// A value of that type, drawn as [`random_values`] does.
pub fn random_value(ty: &TensorType, rng: &mut Rng) -> Value {
    Value::from_fn(ty.clone(), |_| match ty.dtype {
        DType::Bool => Scalar::Bool(rng.below(2) == 1),
        dtype if dtype.is_unsigned_int() => Scalar::from_i64(rng.below(9) as i64, dtype),
        dtype if dtype.is_int() => Scalar::from_i64(rng.below(17) as i64 - 8, dtype),
        dtype => Scalar::from_f64((rng.below(33) as f64 - 16.0) / 8.0, dtype),
    })
}
