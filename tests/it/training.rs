//! Training steps of random small models: machine code against the reference interpreter, several steps in a row.
//!
//! The states of each side are carried over by that side alone, so that an error stays and grows, and so are those of the trials that say how much of it is
//! rounding. [`crate::seeds`] says how to make a long run of it.

use crate::bounds::{difference_beyond_rounding, following};
use crate::least::expect_none;
use crate::machine::{self, load, step};
use crate::oracle::{Agreement, NamedValues, difference, evaluate};
use crate::pipeline::first_fault;
use crate::seeds::check_each;
use crate::training_models::{CLASSES, Setup};
use gradc::dsl::Step;
use ir::eval::rounding::TRIALS;
use ir::{DType, Graph, Scalar, TensorType, Value};
use kernel::{Caches, InstructionSet, Target};
use passes::{PassContext, autodiff};
use random_graphs::Rng;

/// Steps of training for each model.
const STEPS: u64 = 3;

/// A new batch: labels and indices below their bound, everything else as targets and images are.
fn batch(setup: &Setup, graph: &Graph, rng: &mut Rng) -> NamedValues {
    let bound = |name: &str| match name {
        "y" => CLASSES,
        _ => setup.vocabulary.unwrap_or(1),
    };
    let unit = |rng: &mut Rng| rng.below(1 << 20) as f64 / f64::from(1 << 20);
    let mut value = |name: &str, ty: &TensorType| {
        Value::from_fn(ty.clone(), |_| match ty.dtype {
            dtype if dtype.is_int() => Scalar::from_i64(rng.below(bound(name)) as i64, dtype),
            // Targets and weights of samples are positive.
            dtype if name != "x" => Scalar::from_f64(unit(rng), dtype),
            dtype => Scalar::from_f64(2.0 * unit(rng) - 1.0, dtype),
        })
    };
    graph.inputs().map(|(_, input)| (input.name.clone(), value(&input.name, &input.ty))).collect()
}

/// The graph of a step without placeholders of gradients, as the reference interpreter runs it.
fn differentiated(step: &Step) -> Graph {
    let mut graph = step.graph.clone();
    autodiff::run(&mut graph, &PassContext::new(Target::baseline())).unwrap();
    graph
}

/// The new states of a step, under their own names; the old ones where the graph leaves them alone.
fn carry(states: &mut NamedValues, results: &NamedValues) {
    for (name, value) in states.iter_mut() {
        if let Some(new) = results.get(&format!("{name}'")) {
            *value = new.clone();
        }
    }
}

/// Trains the model on both sides, then evaluates it.
fn check(seed: u64, setup: Setup) -> bool {
    let (training, evaluation) = (setup.training(), setup.evaluation());
    let mut rng = Rng::new(seed);
    let (mut expected_states, mut found_states): (NamedValues, NamedValues) = Default::default();
    let mut states_of_trials = vec![NamedValues::new(); TRIALS as usize];
    for (step_of, steps) in [(&training, STEPS), (&evaluation, 1)] {
        let graph = differentiated(step_of);
        let mut executable = load(&graph, 1 + (seed % 2) as usize);
        for (name, value) in step_of.initial_values(seed) {
            for states in [&mut expected_states, &mut found_states].into_iter().chain(&mut states_of_trials) {
                states.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        for i in 0..steps {
            let inputs = batch(&setup, &graph, &mut rng);
            let with =
                |states: &NamedValues| -> NamedValues { inputs.clone().into_iter().chain(states.clone()).collect() };
            let expected = evaluate(&graph, &with(&expected_states)).unwrap();
            let found = step(&mut executable, &graph, &with(&found_states)).unwrap();
            let ports: Vec<NamedValues> = states_of_trials.iter().map(with).collect();
            let trials = following(&graph, &with(&expected_states), &ports).unwrap();
            if let Some(difference) = trials.difference(&expected, &found) {
                blame(seed, &setup, &graph, &with(&expected_states), &format!("step {i}: {difference}"));
            }
            carry(&mut expected_states, &expected);
            carry(&mut found_states, &found);
            states_of_trials.iter_mut().zip(trials.results()).for_each(|(states, results)| carry(states, results));
        }
    }
    true
}

/// Panics with the least part of the graph that goes wrong, and the pass that does it; with the difference if no part does by itself in one step.
fn blame(seed: u64, setup: &Setup, graph: &Graph, ports: &NamedValues, difference: &str) -> ! {
    expect_none(seed, graph, ports, &|graph, ports| {
        let same = |a: &NamedValues, b: &NamedValues| difference_beyond_rounding(graph, ports, a, b);
        let fault = first_fault("it", graph, ports, &machine::host(), &same);
        fault.err().or_else(|| machine::what_runs_is_wrong(graph, ports))
    });
    panic!("seed {seed}, {setup:?}\n{difference}\nNo part of it is wrong by itself after one step of\n{graph}");
}

#[test]
fn f64_models_train_as_the_interpreter_does() {
    check_each(0, 40, |seed| check(seed, Setup::random(seed, DType::F64)));
}

#[test]
fn f32_models_train_as_the_interpreter_does() {
    check_each(1000, 40, |seed| check(seed, Setup::random(seed, DType::F32)));
}

#[test]
fn f64_models_of_sequences_train_as_the_interpreter_does() {
    check_each(3000, 40, |seed| check(seed, Setup::sequence(seed, DType::F64)));
}

#[test]
fn f32_models_of_sequences_train_as_the_interpreter_does() {
    check_each(4000, 40, |seed| check(seed, Setup::sequence(seed, DType::F32)));
}

/// Weights, activations, gradients and the optimizer's states of 16 bits: each op is rounded where the interpreter rounds it.
#[test]
fn models_of_16_bits_train_as_the_interpreter_does() {
    check_each(8000, 40, |seed| check(seed, Setup::random(seed, [DType::F16, DType::Bf16][seed as usize % 2])));
}

#[test]
fn models_of_sequences_of_16_bits_train_as_the_interpreter_does() {
    check_each(9000, 40, |seed| check(seed, Setup::sequence(seed, [DType::F16, DType::Bf16][seed as usize % 2])));
}

/// Machines with other vectors, more registers, smaller caches, or without a fused multiply-add.
fn targets() -> Vec<Target> {
    let baseline = Target::baseline();
    vec![
        Target::avx2(),
        Target::avx512(),
        baseline.clone().with_caches(Caches { l1_bytes: 512, l2_bytes: 1024, l3_bytes: 4096 }),
        baseline.limited_to(InstructionSet::X86_64),
    ]
}

/// The loops for other targets than this machine compute the same; the interpreter of loops runs them.
#[test]
fn other_targets_compute_the_same() {
    check_each(0, 8, |seed| {
        for setup in [Setup::random(2000 + seed, DType::F64), Setup::sequence(5000 + seed, DType::F64)] {
            let training = setup.training();
            let graph = differentiated(&training);
            let inputs = batch(&setup, &graph, &mut Rng::new(seed));
            let ports: NamedValues = inputs.into_iter().chain(training.initial_values(seed)).collect();
            let same = |a: &NamedValues, b: &NamedValues| difference_beyond_rounding(&graph, &ports, a, b);
            for target in targets() {
                if let Err(fault) = first_fault(&target.to_string(), &graph, &ports, &target, &same) {
                    panic!("seed {seed}, {setup:?}, {target:?}\n{fault}");
                }
            }
        }
        true
    });
}

/// Sums are split among threads by shapes alone.
#[test]
fn threads_don_t_change_training() {
    check_each(0, 6, |seed| {
        let setup = Setup::random(seed, DType::F32);
        let training = setup.training();
        let graph = differentiated(&training);
        let inputs = batch(&setup, &graph, &mut Rng::new(seed));
        let ports: NamedValues = inputs.into_iter().chain(training.initial_values(seed)).collect();
        let run = |threads: usize| step(&mut load(&graph, threads), &graph, &ports).unwrap();
        if let Some(difference) = difference(&run(1), &run(3), Agreement::Bits) {
            panic!("seed {seed}, {setup:?}: {difference}");
        }
        true
    });
}
