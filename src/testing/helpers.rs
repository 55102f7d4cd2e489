//! Helpers of the unit tests: runs declared steps by the reference interpreter.

use crate::dsl::{GraphBuilder, Step, Tensor, TypeSpec};
use ir::eval::{RunResults, run};
use ir::{DType, Scalar, Value, map_of};
use passes::{PassContext, PassOptions};
use std::collections::BTreeMap;

pub(crate) type NamedValues = BTreeMap<String, Value>;

/// A tensor of any element type from numbers.
pub(crate) fn value(ty: TypeSpec, elements: &[f64]) -> Value {
    let ty = ty.check().unwrap();
    assert_eq!(ty.shape.numel(), elements.len());
    Value::from_fn(ty.clone(), |i| Scalar::from_f64(elements[i], ty.dtype))
}

/// A vector of `f64`.
pub(crate) fn vector(elements: &[f64]) -> Value {
    value(TypeSpec::new(DType::F64, [elements.len()]), elements)
}

/// A constant of a graph.
pub(crate) fn constant(g: &GraphBuilder, dims: &[usize], elements: &[f64]) -> Tensor {
    g.constant(value(TypeSpec::new(DType::F64, dims), elements))
}

/// A step with its states between runs.
pub(crate) struct Runner {
    graph: ir::Graph,
    pub(crate) states: NamedValues,
}

impl Runner {
    pub(crate) fn new(step: &Step) -> Self {
        let mut graph = step.graph.clone();
        let cx = PassContext { target: kernel_target(), options: PassOptions::default() };
        passes::autodiff::run(&mut graph, &cx).unwrap();
        Self { graph, states: map_of(step.initial_values(42)) }
    }

    pub(crate) fn try_step(&mut self, inputs: &[(&str, Value)]) -> Result<NamedValues, String> {
        let inputs = inputs.iter().map(|(name, v)| (name.to_string(), v.clone())).collect();
        let RunResults { outputs, states } = run(&self.graph, &inputs, &self.states).map_err(|e| e.to_string())?;
        self.states = states;
        Ok(outputs)
    }

    pub(crate) fn step(&mut self, inputs: &[(&str, Value)]) -> NamedValues {
        self.try_step(inputs).unwrap()
    }

    /// The number of nodes with their gradients, those of loops' bodies not counted.
    pub(crate) fn nodes(&self) -> usize {
        self.graph.len()
    }

    pub(crate) fn state(&self, name: &str) -> Vec<f64> {
        self.states.get(name).unwrap_or_else(|| panic!("no state {name}")).to_f64_vec()
    }
}

/// The names of a step's ops once gradients are derived and what nothing needs is gone.
pub(crate) fn needed_ops(step: &Step) -> Vec<&'static str> {
    let mut graph = step.graph.clone();
    let cx = PassContext { target: kernel_target(), options: PassOptions::default() };
    passes::autodiff::run(&mut graph, &cx).unwrap();
    passes::dce::run(&mut graph, &cx).unwrap();
    graph.ids().map(|id| graph.op(id).name()).collect()
}

fn kernel_target() -> kernel::Target {
    kernel::Target::baseline()
}

/// The elements that an expression without inputs evaluates to.
pub(crate) fn eval(declare: impl Fn(&GraphBuilder) -> Tensor) -> Vec<f64> {
    let g = GraphBuilder::new("test");
    g.output("out", &declare(&g));
    let step = g.finish().unwrap_or_else(|e| panic!("{e}"));
    Runner::new(&step).step(&[])["out"].to_f64_vec()
}

/// `f` of a vector of `f64`, and the gradient of the sum of the results by the vector.
pub(crate) fn with_gradient(x: &[f64], f: impl Fn(&Tensor) -> Tensor) -> (Vec<f64>, Vec<f64>) {
    let g = GraphBuilder::new("test");
    let input = g.input("x", TypeSpec::new(DType::F64, [x.len()]));
    let y = f(&input);
    g.output("y", &y);
    g.output("dx", &g.gradients(&y.sum(), &[&input])[0]);
    let out = Runner::new(&g.finish().unwrap_or_else(|e| panic!("{e}"))).step(&[("x", vector(x))]);
    (out["y"].to_f64_vec(), out["dx"].to_f64_vec())
}

/// Asserts that all elements agree within `tolerance`, relative to the wanted size or absolute below 1.
#[track_caller]
pub(crate) fn assert_close(got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{got:?} against {want:?}");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= tolerance * w.abs().max(1.0), "element {i}: {g}, not {w}; all: {got:?}");
    }
}

/// Numbers on [-1, 1) that the seed decides.
pub(crate) fn random(seed: u64, count: usize) -> Vec<f64> {
    let mut numbers = ir::SplitMix64::new(seed);
    (0..count).map(|_| (numbers.bits() >> 44) as f64 / f64::from(1 << 19) - 1.0).collect()
}

/// The step that `declare` makes, whose result is `y`, with random values for all parameters. Everything is in `f64`.
pub(crate) fn random_runner(declare: &dyn Fn(&GraphBuilder) -> Tensor) -> Runner {
    let g = GraphBuilder::new("test");
    g.output("y", &declare(&g));
    let step = g.finish().unwrap_or_else(|e| panic!("{e}"));
    let mut runner = Runner::new(&step);
    for (i, state) in step.states.iter().filter(|s| s.trainable()).enumerate() {
        let numbers = random(100 + i as u64, state.ty.shape.numel());
        runner.states.insert(state.name.clone(), value((&state.ty).into(), &numbers));
    }
    runner
}

/// Checks the gradients of what is declared by every parameter, which is of `f64`.
#[track_caller]
pub(crate) fn check_gradients(declare: impl Fn(&GraphBuilder) -> Tensor) {
    super::GradientTest::new().seed(100).function(declare).unwrap_or_else(|e| panic!("{e}"));
}
