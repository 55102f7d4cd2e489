//! What the compiler makes of whole models: snapshots of the optimized graph and of the kernels, and that they are the same every time.
//!
//! A change of a pass shows here as the difference it makes to code that users run; a refactoring changes nothing.
//! `INSTA_UPDATE=always` writes the snapshots anew.

use gradc::dsl::Step;
use gradc::model::{Model, Sequential};
use gradc::nn::{Activation, Conv2d, Dense, MeanSquaredError, SparseCategoricalCrossEntropy};
use gradc::optim::{Adam, Sgd};
use ir::Graph;
use kernel::{Program, Target};
use passes::{PassContext, RunOptions, Snapshots, compile};

/// Few samples, so that the text stays short.
const BATCH: usize = 8;

/// A perceptron for digits: 784-128-10, softmax cross-entropy, SGD.
fn perceptron() -> Step {
    let model = Sequential::new([784]).add(Dense::new(128).activation(Activation::Relu)).dense(10);
    model.training_graph(BATCH, &SparseCategoricalCrossEntropy, &[], &Sgd::new(0.01)).unwrap()
}

/// A perceptron for four numbers: 4-16-16-2, mean squared error, Adam.
fn regression() -> Step {
    let hidden = || Dense::new(16).activation(Activation::Tanh);
    let model = Sequential::new([4]).add(hidden()).add(hidden()).dense(2);
    model.training_graph(BATCH, &MeanSquaredError, &[], &Adam::new(1e-3)).unwrap()
}

/// The convolutional network for digits, with Adam.
fn convolutional() -> Step {
    let conv = |filters| Conv2d::new(filters, 3).activation(Activation::Relu);
    let model =
        Sequential::new([28, 28, 1]).add(conv(32)).max_pool2d(2).add(conv(64)).max_pool2d(2).flatten().dense(10);
    model.training_graph(BATCH, &SparseCategoricalCrossEntropy, &[], &Adam::new(1e-3)).unwrap()
}

/// The graph after `schedule`, and the kernels with their memory plan, for the baseline target.
fn texts(graph: &Graph) -> [String; 2] {
    let options = RunOptions { snapshots: Snapshots::After(vec!["schedule".into()]), ..RunOptions::default() };
    let outcome = compile(graph.clone(), &PassContext::new(Target::baseline()), &options).unwrap();
    [outcome.report.snapshots[0].text.clone(), outcome.module.text()]
}

fn check(name: &str, step: &Step) {
    let [graph, kernels] = texts(&step.graph);
    assert_eq!(Graph::parse(&graph).unwrap().to_string(), graph, "the graph's text doesn't parse to itself");
    assert_eq!(kernels.parse::<Program>().unwrap().to_string(), kernels, "the kernels' text doesn't parse to itself");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/files/models"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        insta::assert_snapshot!(format!("{name}_graph"), graph);
        insta::assert_snapshot!(format!("{name}_kernels"), kernels);
    });
}

#[test]
fn perceptron_is_as_it_was() {
    check("perceptron", &perceptron());
}

#[test]
fn regression_is_as_it_was() {
    check("regression", &regression());
}

#[test]
fn convolutional_network_is_as_it_was() {
    check("convolutional", &convolutional());
}

/// The same bytes in the same process, from a graph that is traced again, and in another thread.
#[test]
fn compiling_is_deterministic() {
    for step in [perceptron, regression, convolutional] {
        let first = texts(&step().graph);
        let again = texts(&step().graph);
        assert!(first == again, "a second compilation gives another text");
        // A step isn't sent to a thread: each traces its own.
        let there = || std::thread::spawn(move || texts(&step().graph));
        let (one, two) = (there(), there());
        assert!(first == one.join().unwrap() && first == two.join().unwrap(), "a thread gives another text");
    }
}
