//! Files from strangers that ask for more memory, or more work, than anything has: each gives an error, and none takes more than 200 MB. A model of one's own takes what it must. Without the test harness, whose own thread
//! allocates at any time.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[allow(dead_code)]
#[path = "../it/build.rs"]
mod build;
#[path = "../../../runtime/tests/counting/mod.rs"]
mod counting;

use build::{dense, graph, graph_attribute, int_attribute, ints, ints_attribute, model, node, port, stored};
use counting::{is_listed, peak_of};
use gradc::compile::CompileOptions;
use gradc_onnx::Import;
use gradc_onnx::proto::{
    AttributeProto, GraphProto, NodeProto, SparseTensorProto, StringStringEntryProto, TensorProto,
};

/// What an import may take.
const MOST: usize = 200_000_000;

/// A case: what it is called, its bytes, and whether it must be refused; otherwise a small graph is as good.
type HostileCase = (String, Vec<u8>, bool);

/// Nodes on `x` of these extents, with stored tensors.
fn on(dims: &[i64], stored: Vec<TensorProto>, nodes: Vec<NodeProto>) -> Vec<u8> {
    model(graph(vec![port("x", dims)], vec![port("y", &[1])], stored, nodes))
}

fn float_attribute(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), f, r#type: 1, ..AttributeProto::default() }
}

fn text_attribute(name: &str, text: &str) -> AttributeProto {
    AttributeProto { name: name.into(), s: text.as_bytes().to_vec(), r#type: 3, ..AttributeProto::default() }
}

/// Stored tensors, shapes and attributes of absurd sizes.
fn sizes() -> Vec<HostileCase> {
    let mut cases = vec![];
    let mut add = |name: &str, bytes: Vec<u8>| cases.push((name.to_string(), bytes, true));
    for dims in [vec![1 << 60], vec![1 << 32, 1 << 32], vec![-1], vec![i64::MIN, 2], vec![2; 70]] {
        let w = TensorProto { dims: dims.clone(), ..stored("w", &[], &[1.0]) };
        add(&format!("initializer {dims:?}"), on(&[2], vec![w], vec![node("Add", &["x", "w"], &["y"], vec![])]));
    }
    let shape = || vec![ints("n", &[1 << 40, 1 << 40])];
    for op in ["ConstantOfShape", "Expand", "Tile"] {
        let inputs: &[&str] = if op == "ConstantOfShape" { &["n"] } else { &["x", "n"] };
        add(op, on(&[2, 3], shape(), vec![node(op, inputs, &["y"], vec![])]));
    }
    let border = node("Pad", &["x", "n"], &["y"], vec![text_attribute("mode", "reflect")]);
    add("Pad", on(&[1 << 40], vec![ints("n", &[1, 1])], vec![border.clone()]));
    add("Pad of little by much", on(&[4], vec![ints("n", &[1 << 23, 1 << 23])], vec![border]));
    for (to, mode) in [(1e9, "nearest"), (1e-9, "linear")] {
        let scales = stored("s", &[1], &[to]);
        let attributes = vec![text_attribute("mode", mode), int_attribute("antialias", 1)];
        let resize = node("Resize", &["x", "", "s"], &["y"], attributes);
        add(&format!("Resize by {to}"), on(&[if to > 1.0 { 4 } else { 1 << 40 }], vec![scales], vec![resize]));
    }
    let parts = node("Split", &["x"], &["y", "z"], vec![int_attribute("num_outputs", 1 << 60)]);
    add("Split", on(&[4], vec![], vec![parts]));
    add("SplitToSequence", on(&[1 << 40], vec![], vec![node("SplitToSequence", &["x"], &["y"], vec![])]));
    let neighbours = vec![int_attribute("size", 1 << 39), float_attribute("alpha", 1.0)];
    add("LRN", on(&[1, 1 << 40, 1, 1], vec![], vec![node("LRN", &["x"], &["y"], neighbours)]));
    let weights = vec![port("x", &[4, 1, 3]), port("w", &[1 << 40, 8, 3]), port("r", &[1 << 40, 8, 2])];
    let lstm = node("LSTM", &["x", "w", "r"], &["y"], vec![int_attribute("hidden_size", 2)]);
    add("LSTM of many directions", model(graph(weights, vec![port("y", &[1])], vec![], vec![lstm])));
    let pooled = vec![ints_attribute("kernel_shape", &[1 << 20, 1 << 20])];
    add("MaxPool", on(&[1, 1, 1 << 30, 1 << 30], vec![], vec![node("MaxPool", &["x"], &["y", "z"], pooled)]));
    for (location, length) in
        [("/dev/zero", "8"), ("../../../../../../../../etc/passwd", "8"), ("huge", "1152921504606846976")]
    {
        let entry = |key: &str, value: &str| StringStringEntryProto { key: key.into(), value: value.into() };
        let external_data = vec![entry("location", location), entry("length", length)];
        let w = TensorProto { dims: vec![2], data_location: 1, external_data, ..stored("w", &[], &[]) };
        add(&format!("data in {location}"), on(&[2], vec![w], vec![node("Add", &["x", "w"], &["y"], vec![])]));
    }
    let sparse = SparseTensorProto {
        values: Some(stored("s", &[1], &[1.0])),
        indices: Some(ints("", &[3])),
        dims: vec![1 << 26],
    };
    let mut holder = graph(vec![], vec![port("s", &[1])], vec![], vec![]);
    holder.sparse_initializer.push(sparse);
    add("sparse", model(holder));
    cases
}

/// A graph whose nodes make each other larger, or that goes around.
fn growth() -> Vec<HostileCase> {
    let named = |i: usize| format!("t{i}");
    let chain = |op: &str, count: usize, attributes: &dyn Fn() -> Vec<AttributeProto>| -> Vec<NodeProto> {
        let step = |i: usize| node(op, &[&named(i), &named(i)], &[&named(i + 1)], attributes());
        (0..count).map(step).chain([node("Identity", &[&named(count)], &["y"], vec![])]).collect()
    };
    let first = node("SequenceConstruct", &["x"], &["t0"], vec![]);
    let sequences: Vec<_> = [first].into_iter().chain(chain("SequenceConstruct", 60, &Vec::new)).collect();
    let joined = chain("Concat", 60, &|| vec![int_attribute("axis", 0)]);
    let cycle = vec![node("Add", &["x", "b"], &["a"], vec![]), node("Add", &["x", "a"], &["y"], vec![])];
    vec![
        ("sequences of sequences".into(), on(&[2], vec![], sequences), true),
        ("doubled 60 times".into(), on(&[2], vec![stored("t0", &[2], &[1.0, 2.0])], joined), true),
        ("a cycle".into(), on(&[2], vec![], cycle), true),
    ]
}

/// Graphs in graphs, and loops without end.
fn nesting() -> Vec<HostileCase> {
    let yes = TensorProto { name: "holds".into(), data_type: 9, int32_data: vec![1], ..TensorProto::default() };
    let mut inner = graph(vec![], vec![port("y", &[])], vec![], vec![node("Identity", &["x"], &["y"], vec![])]);
    for _ in 0..60 {
        let branch = node("If", &["holds"], &["y"], vec![graph_attribute("then_branch", inner)]);
        inner = graph(vec![], vec![port("y", &[])], vec![], vec![branch]);
    }
    inner.input = vec![port("x", &[2])];
    inner.initializer = vec![yes];
    let looped = |body: GraphProto, count: i64| {
        let x = node("Loop", &["many", "", "x"], &["y"], vec![graph_attribute("body", body)]);
        on(&[2, 3], vec![ints("many", &[count])], vec![x])
    };
    let ports = || vec![port("i", &[]), port("c", &[]), port("v", &[2, 3])];
    let results = || vec![port("co", &[]), port("vo", &[2, 3])];
    // Each step is another one: what it carries changes its type.
    let wide = node("Concat", &["v", "v"], &["vo"], vec![int_attribute("axis", 1)]);
    let endless = graph(ports(), results(), vec![], vec![node("Identity", &["c"], &["co"], vec![]), wide]);
    // In a loop written out another one, and in that a third: all of their steps are nodes.
    let mut nested = graph(
        ports(),
        results(),
        vec![ints("many", &[32])],
        vec![node("Identity", &["c"], &["co"], vec![]), node("Sin", &["v"], &["vo"], vec![])],
    );
    for _ in 0..4 {
        let own = node("Loop", &["many", "c", "v"], &["vo"], vec![graph_attribute("body", nested)]);
        let nodes = vec![node("Identity", &["c"], &["co"], vec![]), own];
        nested = graph(ports(), results(), vec![ints("many", &[32])], nodes);
    }
    vec![
        ("60 branches deep".into(), model(inner), true),
        ("a loop that doubles".into(), looped(endless, 1 << 40), true),
        ("loops in loops".into(), looped(nested, 32), true),
    ]
}

/// A model cut off at many places: some parts are models, of which something is missing.
fn truncated() -> Vec<HostileCase> {
    let whole = dense();
    (0..whole.len()).map(|len| (format!("cut off at {len}"), whole[..len].to_vec(), false)).collect()
}

/// A model is read once, however many sizes of batches its predictor has: at most the file, what is decoded of it, and one copy are there at once.
fn a_predictor_reads_its_model_once() {
    let (rows, columns) = (512, 2048);
    let raw_data = (0..rows * columns).flat_map(|i| (i as f32 * 0.7).sin().to_le_bytes()).collect();
    let weights = TensorProto { raw_data, ..stored("w", &[rows, columns], &[]) };
    let product = node("MatMul", &["x", "w"], &["y"], vec![]);
    let bytes =
        model(graph(vec![port("x", &[-1, rows])], vec![port("y", &[-1, columns])], vec![weights], vec![product]));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, &bytes).unwrap();
    let (predictor, peak) = peak_of(|| Import::new(&path).predictor(64, CompileOptions::threads(1)).unwrap());
    assert!(predictor.sizes().eq([1, 2, 4, 8, 16, 32, 64]));
    let times = peak as f64 / bytes.len() as f64;
    println!("a predictor takes {times:.2} times its file");
    assert!(times < 3.5);
}

fn main() {
    if is_listed("hostile_files_take_little_memory") {
        return;
    }
    let mut worst = 0;
    // A file, so that there is a folder for data outside of it.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    for (name, bytes, refused) in [sizes(), growth(), nesting(), truncated()].concat() {
        std::fs::write(&path, bytes).unwrap();
        let load = || Import::new(&path).dim("n", 3).load().and_then(|model| model.tensor("y")).map(drop);
        let start = std::time::Instant::now();
        let (outcome, peak) = peak_of(load);
        let seconds = start.elapsed().as_secs_f64();
        assert!(outcome.is_err() || !refused, "{name} isn't refused");
        assert!(peak <= MOST, "{name} takes {peak} bytes");
        if !name.starts_with("cut") {
            println!(
                "{:8.1} MB {seconds:8.3} s  {name}: {}",
                peak as f64 / 1e6,
                outcome.err().map(|e| e.to_string()).unwrap_or_default()
            );
        }
        worst = worst.max(peak);
    }
    println!("at most {:.1} MB", worst as f64 / 1e6);
    a_predictor_reads_its_model_once();
}
