//! What the compiler makes of whole models: snapshots of the optimized graph and of a table of the kernels, and that they are the same every time.
//!
//! A change of a pass shows here as the difference it makes to code that users run; a refactoring changes nothing. The kernels' text in full stands in
//! the file tests, where it is short enough to be read.
//! `INSTA_UPDATE=always` writes the snapshots anew.

use gradc::dsl::Step;
use gradc::model::{Model, Sequential};
use gradc::nn::{Activation, Conv2d, Dense, MeanSquaredError, SparseCategoricalCrossEntropy};
use gradc::optim::{Adam, Sgd};
use ir::Graph;
use kernel::walk::{visit_exprs, visit_stmts};
use kernel::{Expr, Kernel, LoopKind, Program, Stmt, Target};
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

/// The graph after `schedule`, and the kernels with their memory plan.
fn texts(graph: &Graph, target: Target) -> [String; 2] {
    let options = RunOptions { snapshots: Snapshots::After(vec!["schedule".into()]), ..RunOptions::default() };
    let outcome = compile(graph.clone(), &PassContext::new(target), &options).unwrap();
    [outcome.report.snapshots[0].text.clone(), outcome.module.text()]
}

/// A loop nest: `p` before the iterations that threads share, what is inside in brackets, tiles as rows x columns.
fn nest(body: &[Stmt]) -> String {
    let mut all: Vec<(usize, String)> = vec![];
    for stmt in body {
        let text = match stmt {
            Stmt::For { extent, kind, body, .. } => {
                let shared = if *kind == LoopKind::Parallel { "p" } else { "" };
                let inner = nest(body);
                if inner.is_empty() { format!("{shared}{extent}") } else { format!("{shared}{extent}({inner})") }
            }
            Stmt::Micro(micro) => format!("{}x{}", micro.m, micro.n),
            Stmt::If { then, otherwise, .. } => [nest(then), nest(otherwise)].concat(),
            _ => continue,
        };
        match all.last_mut() {
            Some((times, last)) if *last == text => *times += 1,
            _ if text.is_empty() => {}
            _ => all.push((1, text)),
        }
    }
    let part = |(times, text): (usize, String)| if times == 1 { text } else { format!("{times} times {text}") };
    all.into_iter().map(part).collect::<Vec<_>>().join(" ")
}

/// The most lanes of a value in a kernel, and the statements of its text.
fn lanes_and_statements(kernel: &Kernel) -> (u16, usize) {
    let (mut lanes, mut statements) = (1, 0);
    visit_stmts(&kernel.body, &mut |_| statements += 1);
    visit_exprs(&kernel.body, &mut |expr| {
        if let Expr::Load { lanes: n, .. } | Expr::Splat(n, _) | Expr::Index { lanes: n, .. } = expr {
            lanes = lanes.max(*n);
        }
    });
    (lanes, statements)
}

/// A line for each launch: what a reader wants to know of a change before he looks at the text.
fn table(program: &Program) -> String {
    let mut lines =
        vec![format!("arena {} bytes, {} buffers", program.arena_bytes.unwrap_or_default(), program.buffers.len())];
    lines.push(format!(
        "{:<34} {:>9} {:>9} {:>9} {:>5} {:>5}  loops",
        "kernel", "ops", "read", "written", "lanes", "stmts"
    ));
    for launch in &program.launches {
        let kernel = &program.kernels[launch.kernel as usize];
        let (work, (lanes, statements)) = (kernel.work(), lanes_and_statements(kernel));
        let name: String = kernel.name.chars().take(34).collect();
        let (ops, read, written) = (work.operations, work.read_bytes, work.written_bytes);
        let loops = nest(&kernel.body);
        lines.push(format!("{name:<34} {ops:>9} {read:>9} {written:>9} {lanes:>5} {statements:>5}  {loops}"));
    }
    lines.join("\n")
}

fn check(name: &str, step: &Step) {
    let mut tables = vec![];
    let mut graphs = vec![];
    for target in [Target::baseline(), Target::avx512()] {
        let title = format!("{}:", target.instruction_set());
        let [graph, kernels] = texts(&step.graph, target);
        assert_eq!(Graph::parse(&graph).unwrap().to_string(), graph, "the graph's text doesn't parse to itself");
        let program: Program = kernels.parse().unwrap();
        assert_eq!(program.to_string(), kernels, "the kernels' text doesn't parse to itself");
        tables.push(format!("{title} {}", table(&program)));
        graphs.push(graph);
    }
    let (graph, kernels) = (&graphs[0], tables.join("\n\n"));
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
        let first = texts(&step().graph, Target::baseline());
        let again = texts(&step().graph, Target::baseline());
        assert!(first == again, "a second compilation gives another text");
        // A step isn't sent to a thread: each traces its own.
        let there = || std::thread::spawn(move || texts(&step().graph, Target::baseline()));
        let (one, two) = (there(), there());
        assert!(first == one.join().unwrap() && first == two.join().unwrap(), "a thread gives another text");
    }
}
