//! The whole pipeline on random graphs: what the graph computes, the loops compute after `lower` and after each pass on them.
//!
//! [`crate::seeds`] says how to make a long run of it.

use crate::bounds::difference_beyond_rounding;
use crate::least::expect_none;
use crate::oracle::{NamedValues, divided};
use crate::seeds::check_each;
use gradc::model::{Model, Sequential};
use gradc::nn::MeanSquaredError;
use gradc::optim::Adam;
use ir::shrink::GraphCase;
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
    let (inputs, states) = divided(graph, ports);
    let case = GraphCase { graph: graph.clone(), inputs, states };
    let context = PassContext::new(target.clone());
    let Ok(Some(fault)) = passes::bisect::first_fault(&case, PIPELINE, &context, same) else { return Ok(()) };
    let after = fault.after.map(|module| format!("\nbecame\n{}", module.text())).unwrap_or_default();
    Err(format!("{name}, after `{}`: {}\n{}{after}", fault.pass, fault.what, fault.before.text()))
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

/// Integers of all widths, with a sign and without.
#[test]
fn random_integer_graphs_become_loops() {
    let integers = DType::ALL.into_iter().filter(|dtype| dtype.is_int());
    check(40, &integers.chain([DType::F32, DType::Bool]).collect::<Vec<DType>>());
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
    assert!(alike.len() == 10 && alike.iter().all(|&count| count > 20), "{alike:?}");
}
