//! Steps under a limit of memory: the arena is as small as asked, every bit is what it was, and what can't be kept is an error with figures and lines.

use crate::differential::{values, with_gradients};
use crate::machine::{host, machines, step};
use crate::oracle::{Agreement, NamedValues, difference};
use crate::seeds::check_most;
use gradc::compile::{Cache, CompileError, CompileOptions, CompiledProgram};
use gradc::dsl::Step;
use gradc::model::{Model, Sequential};
use gradc::nn::{
    BatchNorm, Conv2d, Dense, Dropout, Embedding, LayerNorm, Lstm, MeanSquaredError, SparseCategoricalCrossEntropy,
    TransformerBlock,
};
use gradc::optim::{Adam, Sgd};
use gradc_cli::bench::Workload;
use ir::{DType, Graph, Scalar, TensorType, Value};
use kernel::Target;
use passes::pipeline::PIPELINE;
use passes::{Module, PassContext, PassError, RunOptions};
use random_graphs::Limits;
use runtime::{Executable, LoadOptions};

/// The program of a graph of which as much as possible is computed again, or nothing; and whether that changed the graph.
fn loaded(graph: &Graph, limit: Option<usize>) -> (Executable, bool) {
    let mut context = PassContext::new(host());
    context.options.memory_limit = limit;
    let outcome = passes::run(Module::Graph(graph.clone()), PIPELINE, &context, &RunOptions::default());
    let outcome = outcome.unwrap_or_else(|e| panic!("{e}\non\n{graph}"));
    let changed = outcome.report.passes.iter().any(|pass| pass.name == "rematerialize" && pass.changed);
    let options = LoadOptions { threads: 2, verify_code: true, dump: false, target: Some(host()) };
    (Executable::load(outcome.module.program().unwrap().clone(), &options).unwrap(), changed)
}

#[test]
fn random_graphs_of_which_much_is_computed_again_give_the_same_bits() {
    check_most(0, 80, 4, |seed| {
        let dtypes = vec![DType::F32, DType::F32, DType::I32, DType::Bool];
        let limits = Limits { steps: 10 + (seed % 25) as usize, dtypes, ..Limits::default() };
        let Some(graph) = with_gradients(seed, &limits) else { return false };
        let ports = values(&graph, seed);
        let ((mut all, _), (mut again, changed)) = (loaded(&graph, None), loaded(&graph, Some(0)));
        let (all, again) = (step(&mut all, &graph, &ports), step(&mut again, &graph, &ports));
        match (all, again) {
            (Ok(all), Ok(again)) => {
                let difference = difference(&all, &again, Agreement::Bits);
                assert_eq!(difference, None, "seed {seed}\n{graph}");
            }
            (all, again) => assert_eq!(all.is_err(), again.is_err(), "seed {seed}\n{graph}"),
        }
        changed
    });
}

/// Numbers that depend on nothing but their place; integers are from 0 to 9.
fn filled(ty: &TensorType, seed: u64) -> Value {
    let mut random = random_graphs::Rng::new(seed);
    Value::from_fn(ty.clone(), |_| match ty.dtype {
        DType::F32 => Scalar::F32((random.below(2000) as f32 - 1000.0) / 500.0),
        dtype => Scalar::from_i64(random.below(10) as i64, dtype),
    })
}

fn options(target: &Target) -> CompileOptions {
    CompileOptions { target: Some(target.clone()), ..CompileOptions::threads(2) }.cache(Cache::Off)
}

/// All losses of some steps, and all states after them.
fn trained(program: &mut CompiledProgram, steps: u64) -> NamedValues {
    let mut found = NamedValues::new();
    for round in 0..steps {
        for (at, (name, ty)) in (0..).zip(program.inputs().clone().iter()) {
            program.set_input(name, &filled(ty, round * 7 + at)).unwrap();
        }
        program.step().unwrap();
        found.insert(format!("loss {round}"), program.output_value("loss").unwrap());
    }
    for state in program.states().to_vec() {
        found.insert(state.name.clone(), program.state_value(&state.name).unwrap());
    }
    found
}

/// Compiles a step with a part of the arena that it takes otherwise, and checks that losses and states have the same bits.
fn check(name: &str, model: &Step, target: &Target, percent: usize) {
    let mut free = model.compile(&options(target)).unwrap();
    let limit = free.report().memory.arena * percent / 100;
    let mut limited = match model.compile(&options(target).memory_limit(limit)) {
        Ok(limited) => limited,
        Err(e) => panic!("{name}, {percent} %: {e}"),
    };
    let memory = limited.report().memory;
    assert!(memory.arena <= limit, "{name}: {} of {limit} bytes", memory.arena);
    assert_eq!(memory.states, free.report().memory.states, "{name}");
    let difference = difference(&trained(&mut free, 4), &trained(&mut limited, 4), Agreement::Bits);
    assert_eq!(difference, None, "{name}, {percent} % on {target}");
}

fn perceptron(layers: usize) -> Step {
    let model = (0..layers).fold(Sequential::new([64]), |model, _| model.dense(64).tanh());
    model.training_graph(128, &MeanSquaredError, &[], &Adam::new(1e-3)).unwrap()
}

/// 32 layers keep 32 activations, but with some 6 of them every 6 layers can be computed again from the one before.
#[test]
fn a_deep_perceptron_keeps_about_the_root_of_its_activations() {
    let step = perceptron(32);
    for percent in [80, 50, 35] {
        check("perceptron", &step, &host(), percent);
    }
}

#[test]
fn convolutions_with_normalization_and_dropout_are_computed_again() {
    let conv = |filters| Conv2d::new(filters, 3);
    let model = Sequential::new([14, 14, 3]).add(conv(9)).add(BatchNorm::new()).relu().max_pool2d(2).add(conv(17));
    let model = model.relu().flatten().add(Dropout::new(0.3)).dense(40).tanh().add(Dropout::new(0.2)).dense(10);
    let step = model.training_graph(12, &SparseCategoricalCrossEntropy, &[], &Adam::new(1e-3)).unwrap();
    for target in machines() {
        check("convolutions", &step, &target, 80);
    }
}

/// Dropout draws its masks by a counter that the step moves on before they are drawn again.
#[test]
fn blocks_of_a_transformer_with_dropout_are_computed_again() {
    let model = Sequential::of(gradc::dsl::i32([24])).add(Embedding::new(10, 32));
    let model = (0..3).fold(model, |model, _| model.add(TransformerBlock::new(2).causal(true).dropout(0.1)));
    let model = model.add(LayerNorm::new()).add(Dense::new(10));
    let step = model.training_graph(6, &SparseCategoricalCrossEntropy, &[], &Adam::new(1e-3)).unwrap();
    for (target, percent) in machines().into_iter().flat_map(|target| [(target.clone(), 65), (target, 45)]) {
        check("transformer", &step, &target, percent);
    }
}

/// What its steps leave is kept; what lies around it isn't.
#[test]
fn a_recurrent_layer_is_not_run_again() {
    let model = Sequential::of(gradc::dsl::i32([4])).add(Embedding::new(10, 13)).add(Lstm::new(21));
    let model = (0..8).fold(model, |model, _| model.dense(128).tanh()).dense(2);
    let step = model.training_graph(256, &MeanSquaredError, &[], &Sgd::new(0.1)).unwrap();
    check("recurrent", &step, &host(), 85);
    let arena = step.compile(&options(&host())).unwrap().report().memory.arena;
    refused(&step, arena / 8);
}

/// The language model that `gradc bench` times.
#[test]
fn the_language_model_fits_into_three_fifths_of_its_arena() {
    let step = Workload::named("transformer_lm").unwrap().step().unwrap();
    check("transformer_lm", &step, &host(), 60);
}

/// The message of the error that a limit gives, which has to name the limit and what was reached.
fn refused(step: &Step, limit: usize) -> String {
    match step.compile(&options(&host()).memory_limit(limit)) {
        Err(error @ CompileError::Pass(PassError::MemoryLimit { .. })) => {
            let text = error.to_string();
            let CompileError::Pass(PassError::MemoryLimit { limit: asked, reached, live }) = error else {
                unreachable!("matched above")
            };
            assert!(asked == limit && reached > limit && !live.is_empty(), "{text}");
            assert!(text.contains(&format!("{} bytes too many", reached - limit)), "{text}");
            text
        }
        Err(other) => panic!("another error: {other}"),
        Ok(program) => panic!("it compiles, with {} bytes", program.report().memory.arena),
    }
}

#[test]
fn a_limit_that_cant_be_kept_is_an_error_with_its_bytes_and_the_largest_tensors() {
    let step = perceptron(6);
    // The input alone has twice as many.
    let error = refused(&step, 16 << 10);
    assert!(error.contains("the memory limit is 16384 bytes, but the smallest arena reached has"), "{error}");
    assert!(error.contains("memory_limit.rs:") && error.contains("f32[128,64], 32768 bytes"), "{error}");
}

#[test]
fn what_fits_is_compiled_as_without_a_limit() {
    let step = perceptron(3);
    let of = |options: &CompileOptions| gradc::compile::lower(&step.graph, options).unwrap().to_string();
    let free = options(&host());
    let arena = step.compile(&free).unwrap().report().memory.arena;
    assert_eq!(of(&free), of(&free.clone().memory_limit(arena)));
    assert_ne!(of(&free), of(&free.clone().memory_limit(arena - 1)));
}

/// A run with a bad index must not have changed anything, whatever is computed when.
#[test]
fn a_failed_check_leaves_states_as_they_were() {
    let model = Sequential::of(gradc::dsl::i32([8])).add(Embedding::new(10, 32)).flatten().dense(64).tanh().dense(10);
    let step = model.training_graph(16, &SparseCategoricalCrossEntropy, &[], &Sgd::new(0.1)).unwrap();
    let arena = step.compile(&options(&host())).unwrap().report().memory.arena;
    let mut context = PassContext::new(host());
    context.options.memory_limit = Some(arena / 8);
    let outcome = passes::run(Module::Graph(step.graph.clone()), PIPELINE, &context, &RunOptions::default()).unwrap();
    let load = LoadOptions { threads: 1, verify_code: true, dump: false, target: Some(host()) };
    let mut executable = Executable::load(outcome.module.program().unwrap().clone(), &load).unwrap();
    let mut ports = NamedValues::new();
    for (_, port) in step.graph.inputs() {
        ports.insert(port.name.clone(), filled(&port.ty, 1));
    }
    for (_, port) in step.graph.states() {
        ports.insert(port.name.clone(), filled(&port.ty, 2));
    }
    for input in ["x", "y"] {
        let mut bad = ports.clone();
        bad.get_mut(input).unwrap().data_mut().set(3, Scalar::I32(10));
        assert!(crate::machine::step(&mut executable, &step.graph, &bad).is_err(), "{input}");
        for (_, port) in step.graph.states() {
            let found = match port.ty.dtype {
                DType::F32 => executable.state::<f32>(&port.name).unwrap().iter().map(|&x| f64::from(x)).collect(),
                _ => executable.state::<i64>(&port.name).unwrap().iter().map(|&x| x as f64).collect::<Vec<f64>>(),
            };
            assert_eq!(found, bad[&port.name].to_f64_vec(), "{input}, {}", port.name);
        }
    }
}
