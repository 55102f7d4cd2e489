//! How compile time grows with a graph: for each family two sizes, of some 500 and 5,000 nodes, the time of a node in each part of compiling, and the
//! ratio of the two, which is 1 where time is linear in the graph. Each time is the least of five: pages that the system hands out for the first time would count
//! as growth otherwise.
//!
//! `cargo bench --bench growth -- [FAMILY] [SMALL LARGE]`

#![allow(clippy::print_stdout)]

use gradc::compile::{Cache, CompileOptions};
use gradc::data::array;
use gradc::dsl::{GraphBuilder, Step, Tensor, Window, f32, glorot_uniform};
use gradc::model::{Model, Sequential};
use gradc::nn::MeanSquaredError;
use gradc::optim::{Adam, Sgd};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A family of graphs: its name, two sizes, and the graph of a size.
struct GraphFamily {
    name: &'static str,
    sizes: [usize; 2],
    step: fn(usize) -> Step,
}

const FAMILIES: [GraphFamily; 11] = [
    GraphFamily { name: "unrolled", sizes: [82, 820], step: unrolled },
    GraphFamily { name: "dense", sizes: [7, 66], step: dense },
    GraphFamily { name: "predict", sizes: [83, 833], step: predict },
    GraphFamily { name: "outputs", sizes: [166, 1666], step: outputs },
    GraphFamily { name: "chain", sizes: [166, 1666], step: chain },
    GraphFamily { name: "gradient", sizes: [83, 833], step: gradient },
    GraphFamily { name: "activations", sizes: [500, 5000], step: activations },
    GraphFamily { name: "constants", sizes: [2_000_000, 20_000_000], step: constants },
    GraphFamily { name: "averages", sizes: [200, 2000], step: averages },
    GraphFamily { name: "maxima", sizes: [200, 2000], step: maxima },
    GraphFamily { name: "poolings", sizes: [100, 1000], step: poolings },
];

/// A recurrent network without a loop: one cell for each step of the sequence, with gradients.
fn unrolled(length: usize) -> Step {
    let g = GraphBuilder::new("unrolled");
    let w = g.param("w", f32([16, 32]), glorot_uniform());
    let u = g.param("u", f32([32, 32]), glorot_uniform());
    let x = g.input("x", f32([8, length, 16]));
    let mut h = g.zeros(f32([8, 32]));
    for t in 0..length {
        let now = x.slice_axis(1, t..t + 1).reshape([8, 16]);
        h = (now.matmul(&w) + h.matmul(&u)).tanh();
    }
    g.minimize(h.square().mean(), &Sgd::new(0.1)).expect("the graph obeys the rules")
}

fn layers(count: usize) -> Sequential {
    (0..count).fold(Sequential::new([64]), |model, _| model.dense(64).relu())
}

/// Dense layers, trained.
fn dense(count: usize) -> Step {
    layers(count).training_graph(32, &MeanSquaredError, &[], &Adam::new(0.001)).expect("the model obeys the rules")
}

/// Dense layers, to predict.
fn predict(count: usize) -> Step {
    layers(count).inference_graph(32).expect("the model obeys the rules")
}

/// Results that have nothing to do with one another but an input.
fn outputs(count: usize) -> Step {
    let g = GraphBuilder::new("outputs");
    let x = g.input("x", f32([64]));
    for i in 0..count {
        g.output(&format!("y{i}"), &(&x * (i as f64 + 1.5)).sum());
    }
    g.finish().expect("the graph obeys the rules")
}

fn rounds(x: &Tensor, count: usize) -> Tensor {
    (0..count).fold(x.clone(), |y, _| (y * 1.01).tanh())
}

/// An elementwise chain.
fn chain(count: usize) -> Step {
    let g = GraphBuilder::new("chain");
    g.output("y", &rounds(&g.input("x", f32([1000])), count));
    g.finish().expect("the graph obeys the rules")
}

/// An elementwise chain and its gradient.
fn gradient(count: usize) -> Step {
    let g = GraphBuilder::new("gradient");
    let x = g.input("x", f32([1000]));
    let loss = rounds(&x, count).sum();
    g.output("dx", &g.gradients(&loss, &[&x])[0]);
    g.finish().expect("the graph obeys the rules")
}

/// A model of activations alone.
fn activations(count: usize) -> Step {
    let model = (0..count).fold(Sequential::new([64]), |model, _| model.tanh());
    model.inference_graph(32).expect("the model obeys the rules")
}

/// Two constants, of so many elements together.
fn constants(count: usize) -> Step {
    let g = GraphBuilder::new("constants");
    let n = count / 2;
    let values =
        |step: f32| array([n], (0..n).map(|i| i as f32 * step).collect::<Vec<f32>>()).expect("as many as said");
    let x = g.input("x", f32([n]));
    g.output("y", &(x * g.constant(values(0.5)) + g.constant(values(0.25))));
    g.finish().expect("the graph obeys the rules")
}

/// Windows of five by five around each place of an image of so many rows and columns, those at its edges cut off.
fn around() -> Window {
    Window { pad: vec![(2, 2); 2], ..Window::new([5, 5]) }
}

/// Average pooling of one image, and its gradient.
fn averages(size: usize) -> Step {
    pooled(size, |x| x.avg_pool(around()))
}

/// Maximum pooling in overlapping windows, and its gradient.
fn maxima(size: usize) -> Step {
    pooled(size, |x| x.max_pool(around()))
}

fn pooled(size: usize, pooling: fn(&Tensor) -> Tensor) -> Step {
    let g = GraphBuilder::new("pooled");
    let x = g.input("x", f32([1, size, size, 1]));
    let y = pooling(&x);
    g.output("dx", &g.gradients(&y.square().sum(), &[&x])[0]);
    g.finish().expect("the graph obeys the rules")
}

/// Maximum pooling in overlapping windows, again and again, and its gradient.
fn poolings(count: usize) -> Step {
    let g = GraphBuilder::new("poolings");
    let x = g.input("x", f32([2, 12, 12, 8]));
    let y = (0..count).fold(x.clone(), |y, _| y.max_pool(Window { pad: vec![(1, 1); 2], ..Window::new([3, 3]) }));
    g.output("dx", &g.gradients(&y.square().sum(), &[&x])[0]);
    g.finish().expect("the graph obeys the rules")
}

/// What parts of compiling take, by name, in nanoseconds for each node.
struct Times {
    nodes: usize,
    parts: BTreeMap<String, f64>,
}

fn times(family: &GraphFamily, size: usize) -> Times {
    let start = Instant::now();
    let step = (family.step)(size);
    let declare = start.elapsed();
    let nodes = match family.name {
        // They count by their elements.
        "constants" => size,
        "averages" | "maxima" => size * size,
        _ => step.graph.len(),
    };
    let mut parts = BTreeMap::new();
    let mut add = |name: &str, time: Duration| {
        *parts.entry(name.to_string()).or_default() += time.as_secs_f64() * 1e9 / nodes as f64;
    };
    add("  declaring", declare);
    let start = Instant::now();
    let program = step.compile(&CompileOptions::threads(1).cache(Cache::Off)).expect("the graph compiles");
    add(" whole", start.elapsed());
    let report = program.report();
    let mut passes = 0.0;
    for pass in &report.passes {
        passes += pass.seconds;
        add(pass.name, Duration::from_secs_f64(pass.seconds));
    }
    add(" verifying and comparing", report.passes_time.saturating_sub(Duration::from_secs_f64(passes)));
    add(" code", report.codegen_time);
    add(" memory", report.total_time.saturating_sub(report.passes_time + report.codegen_time));
    Times { nodes, parts }
}

/// The least times of five.
fn least(family: &GraphFamily, size: usize) -> Times {
    let mut least = times(family, size);
    for _ in 1..5 {
        for (name, time) in times(family, size).parts {
            least.parts.entry(name).and_modify(|least| *least = least.min(time)).or_insert(time);
        }
    }
    least
}

fn main() {
    // Cargo adds `--bench`.
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let sizes: Vec<usize> = args.iter().filter_map(|a| a.parse().ok()).collect();
    let named = args.iter().find(|a| a.parse::<usize>().is_err());
    for family in FAMILIES.iter().filter(|f| named.is_none_or(|name| f.name == name)) {
        let [small, large] = if let [small, large] = sizes[..] { [small, large] } else { family.sizes };
        let (few, many) = (least(family, small), least(family, large));
        println!("{}: {small} ({} nodes) and {large} ({} nodes), ns for each node", family.name, few.nodes, many.nodes);
        let all = many.parts[" whole"];
        for (name, many) in &many.parts {
            let few = few.parts[name];
            if *many > 0.01 * all || few > 0.01 * all {
                println!("{name:>26} {few:>10.1} {many:>10.1} {:>6.2}", many / few);
            }
        }
    }
}
