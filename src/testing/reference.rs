//! Cases that another framework computed in `f64`, from `tests/reference`: what a function is given, what it gives, and gradients.

use super::{NamedValues, Runner};
use crate::compile::CompileOptions;
use crate::dsl::{GraphBuilder, Step, Tensor};
use crate::io::load_tensors;
use ir::{Scalar, TensorType, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// The cases of a file, by number: tensors by name.
pub(crate) fn cases(file: &str) -> BTreeMap<usize, NamedValues> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(format!("{file}.safetensors"));
    let mut cases: BTreeMap<usize, NamedValues> = BTreeMap::new();
    for (name, value) in load_tensors(path).unwrap() {
        let (case, name) = name.split_once('/').unwrap();
        cases.entry(case.parse().unwrap()).or_default().insert(name.into(), value);
    }
    assert!(cases.len() >= 20, "{file} has {} cases", cases.len());
    cases
}

/// What a function is made of: tensors by name, and settings.
pub(crate) struct Case<'a> {
    tensors: &'a BTreeMap<String, Tensor>,
    values: &'a NamedValues,
}

impl Case<'_> {
    pub(crate) fn tensor(&self, name: &str) -> &Tensor {
        &self.tensors[name]
    }

    pub(crate) fn setting(&self, name: &str) -> f64 {
        self.values[name].get(0).as_f64()
    }

    /// A setting that counts something.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.setting(name) as usize
    }
}

/// The result's name: of a loss, by whose sum gradients are taken, or of a layer, whose results are weighted by [`weights`] so that no gradient cancels.
fn result_name(values: &NamedValues) -> &'static str {
    if values.contains_key("loss") { "loss" } else { "y" }
}

/// What results are weighted by: the cosine of each one's number.
fn weights(ty: &TensorType) -> Value {
    Value::from_fn(ty.clone(), |i| Scalar::F64((i as f64).cos()))
}

/// A name with a slash is that of a parameter that a layer declares.
fn is_parameter(name: &str) -> bool {
    name.contains('/')
}

/// A gradient by `x` is called `dx`.
fn is_gradient(values: &NamedValues, name: &str) -> bool {
    name.strip_prefix('d').is_some_and(|by| values.contains_key(by))
}

/// The step of a case: the result, and for each gradient that the case has `d` and what it is by.
fn declare(values: &NamedValues, function: &dyn Fn(&Case<'_>) -> Tensor) -> Step {
    let g = GraphBuilder::new("case");
    let result = result_name(values);
    let is_input = |name: &str, value: &Value| {
        value.ty().shape.rank() > 0 && name != result && !is_gradient(values, name) && !is_parameter(name)
    };
    let inputs = values.iter().filter(|(name, value)| is_input(name, value));
    let tensors: BTreeMap<String, Tensor> =
        inputs.map(|(name, value)| (name.clone(), g.input(name, value.ty()))).collect();
    let y = function(&Case { tensors: &tensors, values });
    g.output(result, &y);
    let Some(ty) = y.ty() else { panic!("{}", g.finish().unwrap_err()) };
    let sum = if result == "loss" { y.sum() } else { (&y * g.constant(weights(&ty))).sum() };
    for (name, tensor) in tensors.into_iter().chain(g.parameters()) {
        let gradient = format!("d{name}");
        if values.contains_key(&gradient) {
            g.output(&gradient, &g.gradients(&sum, &[&tensor])[0]);
        }
    }
    g.finish().unwrap_or_else(|e| panic!("{e}"))
}

/// Compares results and gradients of all cases of a file, interpreted and as machine code.
pub(crate) fn check(file: &str, function: impl Fn(&Case<'_>) -> Tensor) {
    for (number, values) in cases(file) {
        let step = declare(&values, &function);
        let inputs: Vec<(&str, Value)> =
            step.graph.inputs().map(|(_, input)| (input.name.as_str(), values[&input.name].clone())).collect();
        let parameters: NamedValues = step.states.iter().map(|s| (s.name.clone(), values[&s.name].clone())).collect();
        let mut program = step.compile(&CompileOptions::threads(1)).unwrap();
        program.set_states(&parameters).unwrap();
        let compiled = program.run(inputs.iter().map(|(name, value)| (*name, value))).unwrap();
        let mut runner = Runner::new(&step);
        runner.states.extend(parameters);
        let interpreted = runner.step(&inputs);
        let wanted = values.keys().filter(|name| *name == result_name(&values) || is_gradient(&values, name));
        for (results, engine) in [(interpreted, "interpreter"), (compiled, "machine code")] {
            for name in wanted.clone() {
                let (found, want) = (&results[name], &values[name]);
                assert_eq!(found.ty().shape, want.ty().shape, "{file} {number} {name}");
                for (i, (found, want)) in found.to_f64_vec().iter().zip(&want.to_f64_vec()).enumerate() {
                    let near = (found - want).abs() <= 1e-10 * want.abs().max(1.0);
                    assert!(near, "{file}, case {number}, {name}[{i}] by {engine}: {found}, not {want}");
                }
            }
        }
    }
}
