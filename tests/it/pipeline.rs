//! The whole pipeline on random graphs: what the graph computes, the loops compute after `lower` and after each pass on them.
//!
//! [`crate::seeds`] says how to make a long run of it.

use crate::bounds::difference_beyond_rounding;
use crate::least::expect_none;
use crate::oracle::{NamedValues, evaluate, evaluate_program};
use crate::seeds::check_each;
use gradc::model::{Model, Sequential};
use gradc::nn::MeanSquaredError;
use gradc::optim::Adam;
use ir::{DType, Graph};
use kernel::Target;
use passes::pipeline::PIPELINE;
use passes::{Module, Pass, PassContext, RunOptions};
use random_graphs::{Limits, random_graph, random_values};

/// Runs the pipeline on a graph with these values; says after which pass something else is computed first, or which fails.
pub(crate) fn first_fault(
    name: &str,
    graph: &Graph,
    ports: &NamedValues,
    target: &Target,
    same: &dyn Fn(&NamedValues, &NamedValues) -> Option<String>,
) -> Result<(), String> {
    let Ok(expected) = evaluate(graph, ports) else { return Ok(()) };
    let context = PassContext::new(target.clone());
    let mut before = graph.to_string();
    let mut first = None;
    let mut watch = |pass: &Pass, module: &Module| {
        let found = match module {
            Module::Graph(after) => evaluate(after, ports).map_err(|e| e.to_string()),
            Module::Program(program) => evaluate_program(program, graph, ports).map_err(|e| e.to_string()),
        };
        let fault = match found {
            Ok(found) => same(&expected, &found),
            Err(e) => Some(e),
        };
        let text = module.text();
        if let (Some(fault), None) = (fault, &first) {
            first = Some(format!("{name}, after `{}`: {fault}\n{before}\nbecame\n{text}", pass.name));
        }
        before = text;
    };
    let run = passes::run_watched(Module::Graph(graph.clone()), PIPELINE, &context, &RunOptions::default(), &mut watch);
    match (first, run) {
        (Some(fault), _) => Err(fault),
        (None, Err(e)) => Err(format!("{e}\n{name}, of\n{before}")),
        (None, Ok(_)) => Ok(()),
    }
}

/// Runs as many random graphs of these element types.
fn check(count: u64, dtypes: &[DType]) {
    check_each(0, count, |seed| {
        let limits = Limits { steps: 2 + (seed % 16) as usize, dtypes: dtypes.to_vec(), ..Limits::default() };
        let graph = random_graph(seed, &limits);
        let (inputs, states) = random_values(&graph, seed);
        let ports: NamedValues = inputs.into_iter().chain(states).collect();
        let target = [Target::baseline(), Target::avx2(), Target::avx512()][seed as usize % 3].clone();
        expect_none(seed, &graph, &ports, &|graph, ports| {
            let same = |a: &NamedValues, b: &NamedValues| difference_beyond_rounding(graph, ports, a, b);
            first_fault(&target.to_string(), graph, ports, &target, &same).err()
        });
        true
    });
}

#[test]
fn random_graphs_become_loops() {
    check(60, &Limits::default().dtypes);
}

/// Without `f32` among them the results are near enough to show a wrong constant or a lost term.
#[test]
fn random_f64_graphs_become_loops() {
    check(40, &[DType::F64, DType::F64, DType::I32, DType::I64, DType::I8, DType::U8, DType::Bool]);
}

/// Kernels of equal layers were copies of one another in every pass: what a pass took for each grew with the memory that all of them filled.
#[test]
fn layers_that_are_alike_take_memory_once() {
    let model = (0..6).fold(Sequential::new([64]), |model, _| model.dense(64).relu());
    let step = model.training_graph(32, &MeanSquaredError, &[], &Adam::new(0.001)).unwrap();
    let mut alike = vec![];
    let mut watch = |pass: &Pass, module: &Module| {
        let Module::Program(program) = module else { return };
        let firsts = program.first_of_equal();
        for (at, &first) in firsts.iter().enumerate() {
            let [kernel, first] = [at, first].map(|k| &program.kernels[k]);
            assert!(kernel.shares_code_with(first), "after `{}`: {} and {}", pass.name, first.name, kernel.name);
        }
        alike.push(firsts.iter().enumerate().filter(|(at, first)| at > first).count());
    };
    let context = PassContext::new(Target::avx2());
    passes::run_watched(Module::Graph(step.graph), PIPELINE, &context, &RunOptions::default(), &mut watch).unwrap();
    assert!(alike.len() == 9 && alike.iter().all(|&count| count > 20), "{alike:?}");
}
