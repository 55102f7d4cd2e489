//! Files from strangers: whatever they say, the answer is an error, soon, without much memory.

use crate::build::{
    dense, graph, graph_attribute, int_attribute, ints, ints_attribute, model, model_of, node, port, stored,
    text_attribute,
};
use damage::damage;
use gradc_onnx::proto::{GraphProto, NodeProto, TensorProto};
use gradc_onnx::{Import, ImportError};
use ir::SplitMix64;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Imports, and declares the outputs: what must give an error, not a panic.
fn load(bytes: Vec<u8>) -> Result<(), String> {
    let imported = Import::from_bytes(bytes).dim("n", 3).load().map_err(|e| e.to_string())?;
    imported.finish().map(drop).map_err(|e| e.to_string())
}

/// A model of one node on `x [2, 3]` and stored tensors.
fn one_node(node: NodeProto, stored: Vec<TensorProto>) -> Vec<u8> {
    model(graph(vec![port("x", &[2, 3])], vec![port("y", &[2])], stored, vec![node]))
}

#[test]
fn a_model_cut_off_anywhere_is_no_model() {
    let whole = dense();
    assert!(load(whole.clone()).is_ok());
    for len in 0..whole.len() {
        // Cut between two fields of the message it may be one, of which something is missing.
        let result = catch_unwind(|| load(whole[..len].to_vec()));
        assert!(result.is_ok(), "panic at {len}");
    }
}

#[test]
fn sizes_that_overflow_are_refused() {
    let big = 1 << 60;
    for dims in [vec![big], vec![big, big], vec![-1], vec![i64::MIN, 2], vec![1 << 32, 1 << 32], vec![2; 70]] {
        let tensor = TensorProto { dims: dims.clone(), ..stored("w", &[], &[1.0]) };
        let add = node("Add", &["x", "w"], &["y"], vec![]);
        assert!(load(one_node(add, vec![tensor])).is_err(), "{dims:?}");
        let shape = ints("shape", &dims);
        for op in ["ConstantOfShape", "Expand", "Reshape", "Tile"] {
            let inputs: &[&str] = if op == "ConstantOfShape" { &["shape"] } else { &["x", "shape"] };
            let huge = one_node(node(op, inputs, &["y"], vec![]), vec![shape.clone()]);
            // One extent may be what is left.
            assert!(load(huge).is_err() || op == "Reshape" && dims == [-1], "{op} {dims:?}");
        }
        let input = model(graph(vec![port("x", &dims)], vec![port("x", &dims)], vec![], vec![]));
        let _ = load(input);
    }
}

#[test]
fn attributes_that_make_no_sense_are_refused() {
    let numbers = [i64::MIN, i64::MIN + 1, -1 << 40, -7, -1, 0, 1, 5, 1 << 33, i64::MAX];
    for n in numbers {
        for name in ["axis", "group", "blocksize", "num_outputs", "p", "size", "batch_dims", "k", "num_groups"] {
            for op in ["Softmax", "Concat", "Split", "Flatten", "DepthToSpace", "GatherND", "LRN", "Shape", "TopK"] {
                let x = node(op, &["x", "i"], &["y"], vec![int_attribute(name, n)]);
                let outcome = catch_unwind(|| load(one_node(x, vec![ints("i", &[1])])));
                assert!(outcome.is_ok(), "{op} with {name} = {n}");
            }
        }
        for name in ["kernel_shape", "pads", "strides", "dilations", "output_shape", "output_padding", "perm", "axes"] {
            for op in ["Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool", "MaxUnpool", "Transpose", "Squeeze"]
            {
                let list = vec![n; if name == "pads" { 4 } else { 2 }];
                let mut attributes = vec![ints_attribute(name, &list)];
                if name != "kernel_shape" {
                    attributes.push(ints_attribute("kernel_shape", &[2, 2]));
                }
                let x = node(op, &["x", "w"], &["y", "z"], attributes);
                let image = graph(
                    vec![port("x", &[1, 2, 5, 5])],
                    vec![port("y", &[])],
                    vec![stored("w", &[2, 2, 2, 2], &[0.5; 16])],
                    vec![x],
                );
                let outcome = catch_unwind(|| load(model(image)));
                assert!(outcome.is_ok(), "{op} with {name} = {list:?}");
            }
        }
    }
}

#[test]
fn cycles_and_unknown_names_are_refused() {
    let cycle = vec![node("Add", &["x", "b"], &["a"], vec![]), node("Add", &["x", "a"], &["b"], vec![])];
    let error = load(model(graph(vec![port("x", &[2])], vec![port("b", &[2])], vec![], cycle))).unwrap_err();
    assert!(error.contains("without cycles"), "{error}");
    let own = vec![node("Add", &["x", "y"], &["y"], vec![])];
    assert!(load(model(graph(vec![port("x", &[2])], vec![port("y", &[2])], vec![], own))).is_err());
    assert!(load(model(graph(vec![], vec![port("y", &[2])], vec![], vec![]))).is_err());
    assert!(load(model(GraphProto::default())).is_ok());
}

/// Branches in branches: to a depth they are followed, then refused, and the reader of messages has a limit of its own.
#[test]
fn deep_nesting_is_refused() {
    for depth in [3, 20, 40, 200] {
        let mut inner = graph(vec![], vec![port("r", &[])], vec![], vec![node("Identity", &["x"], &["r"], vec![])]);
        for _ in 0..depth {
            // One branch alone: with both the model would double at each level.
            let branch = node("If", &["holds"], &["r"], vec![graph_attribute("then_branch", inner)]);
            inner = graph(vec![], vec![port("r", &[])], vec![], vec![branch]);
        }
        inner.input = vec![port("x", &[2])];
        inner.initializer =
            vec![TensorProto { name: "holds".into(), data_type: 9, int32_data: vec![1], ..TensorProto::default() }];
        assert_eq!(load(model(inner)).is_ok(), depth == 3, "{depth}");
    }
}

/// Loops that would never end, or whose number of steps is absurd.
#[test]
fn endless_loops_are_refused() {
    let body = |condition: &str| {
        graph(
            vec![port("i", &[]), port("c", &[]), port("v", &[2, 3])],
            vec![port("co", &[]), port("vo", &[2, 3])],
            vec![],
            vec![node("Identity", &[condition], &["co"], vec![]), node("Neg", &["v"], &["vo"], vec![])],
        )
    };
    let looped = |count: &str, condition: &str| {
        let x = node("Loop", &[count, "", "x"], &["y"], vec![graph_attribute("body", body(condition))]);
        load(one_node(x, vec![ints("many", &[i64::MAX])]))
    };
    assert!(looped("", "c").unwrap_err().contains("steps"));
    // As one loop of the graph it is no larger than any other.
    let _ = looped("many", "c");
}

/// Loops in loops that carry sequences, and whose inner body has no node.
#[test]
fn loops_of_nothing_are_refused() {
    let ports = || vec![port("i", &[]), port("c", &[]), port("s", &[])];
    let inner = graph(ports(), vec![port("c", &[]), port("s", &[])], vec![stored("w", &[2], &[1.0, 2.0])], vec![]);
    let repeat = |outputs: &[&str], body| node("Loop", &["n", "", "s"], outputs, vec![graph_attribute("body", body)]);
    let outer = graph(ports(), vec![port("c", &[]), port("t", &[])], vec![], vec![repeat(&["t"], inner)]);
    let nodes = vec![node("SequenceEmpty", &[], &["s"], vec![]), repeat(&["y"], outer)];
    let error = load(model(graph(vec![], vec![port("y", &[])], vec![ints("n", &[1 << 14])], nodes))).unwrap_err();
    assert!(error.contains("nodes, with those of its loops"), "{error}");
}

/// Operands with fewer axes than the operator needs.
#[test]
fn operands_of_too_low_rank_are_refused() {
    let refused = |x: &[i64], node: NodeProto, others: Vec<TensorProto>| {
        let op = node.op_type.clone();
        let bytes = model_of(24, graph(vec![port("x", x)], vec![port("y", &[])], others, vec![node]), vec![]);
        let outcome = catch_unwind(|| load(bytes)).unwrap_or_else(|_| panic!("{op} panics"));
        let error = outcome.unwrap_err();
        assert!(error.contains(&op) && error.contains(&format!("the {op}")), "{error}");
    };
    let number = || stored("s", &[], &[1.0]);
    let vector = || stored("v", &[2], &[1.0, 2.0]);
    for dims in [&[][..], &[2], &[2, 3]] {
        refused(dims, node("MaxUnpool", &["x", "i"], &["y"], vec![]), vec![ints("i", &[0])]);
    }
    refused(&[2, 3, 2], node("TensorScatter", &["x", "v"], &["y"], vec![]), vec![vector()]);
    let heads = || vec![int_attribute("q_num_heads", 1), int_attribute("kv_num_heads", 1)];
    refused(&[1, 2, 2], node("Attention", &["x", "v", "x"], &["y"], heads()), vec![vector()]);
    refused(&[1, 1, 2, 2], node("Attention", &["x", "x", "v"], &["y"], vec![]), vec![vector()]);
    refused(&[1, 1, 2, 2], node("Attention", &["x", "x", "x", "s"], &["y"], vec![]), vec![number()]);
    let groups = vec![int_attribute("num_groups", 2)];
    refused(&[2, 4], node("GroupNormalization", &["x", "s", "s"], &["y"], groups), vec![number()]);
    refused(&[], node("LRN", &["x"], &["y"], vec![int_attribute("size", 3)]), vec![]);
    for equation in ["i.i->i", "ij->i.", "i....j->i"] {
        refused(&[3, 3], node("Einsum", &["x"], &["y"], vec![text_attribute("equation", equation)]), vec![]);
    }
}

/// An extent that no memory holds, of a tensor without elements.
#[test]
fn distinct_slices_of_nothing_take_no_memory() {
    for axis in [0, 1] {
        let nothing = TensorProto { dims: vec![1 << 40, 0], ..stored("nothing", &[], &[]) };
        let unique = node("Unique", &["nothing"], &["y"], vec![int_attribute("axis", axis)]);
        let error = load(one_node(unique, vec![nothing])).unwrap_err();
        assert!(error.contains("no elements"), "{error}");
    }
}

/// A model of most families, whose bytes are changed at random.
fn seeds() -> Vec<Vec<u8>> {
    let conv = vec![
        node("Conv", &["x", "k"], &["a"], vec![ints_attribute("pads", &[1, 1, 1, 1])]),
        node("BatchNormalization", &["a", "s", "s", "s", "s"], &["b"], vec![]),
        node("MaxPool", &["b"], &["c"], vec![ints_attribute("kernel_shape", &[2, 2])]),
        node("GlobalAveragePool", &["c"], &["d"], vec![]),
        node("Flatten", &["d"], &["y"], vec![int_attribute("axis", 1)]),
    ];
    let stored_ones = vec![stored("k", &[2, 2, 3, 3], &[0.1; 36]), stored("s", &[2], &[1.0, 2.0])];
    let shapes = vec![
        node("Shape", &["x"], &["shape"], vec![]),
        node("Slice", &["shape", "i", "j"], &["part"], vec![]),
        node("Expand", &["x", "part"], &["wide"], vec![]),
        node("Transpose", &["x"], &["t"], vec![ints_attribute("perm", &[1, 0])]),
        node("Gather", &["t", "i"], &["g"], vec![int_attribute("axis", 0)]),
        node("Pad", &["x", "p"], &["padded"], vec![]),
        node("Concat", &["x", "x"], &["y"], vec![int_attribute("axis", 1)]),
        node("TopK", &["x", "j"], &["top", "at"], vec![int_attribute("axis", -1)]),
        node("CumSum", &["x", "i"], &["sums"], vec![]),
        node("ReduceMean", &["x"], &["mean"], vec![ints_attribute("axes", &[0])]),
    ];
    let numbers = vec![ints("i", &[0]), ints("j", &[2]), ints("p", &[0, 1, 1, 0])];
    let recurrent = vec![node("LSTM", &["x", "w", "r"], &["y"], vec![int_attribute("hidden_size", 2)])];
    let weights = vec![stored("w", &[1, 8, 3], &[0.1; 24]), stored("r", &[1, 8, 2], &[0.1; 16])];
    vec![
        dense(),
        model(graph(vec![port("x", &[1, 2, 5, 5])], vec![port("y", &[])], stored_ones, conv)),
        model(graph(vec![port("x", &[2, 3])], vec![port("y", &[])], numbers, shapes)),
        model(graph(vec![port("x", &[4, 1, 3])], vec![port("y", &[])], weights, recurrent)),
    ]
}

/// `GRADC_ONNX_MUTATIONS` says how many; some thousands otherwise.
#[test]
fn mutated_models_never_panic() {
    let count = std::env::var("GRADC_ONNX_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(4000u64);
    let seeds = seeds();
    let (mut accepted, mut slowest) = (0, std::time::Duration::ZERO);
    for i in 0..count {
        let mut random = SplitMix64::new(i);
        let mut bytes = seeds[i as usize % seeds.len()].clone();
        damage(&mut bytes, 0, &mut random);
        let start = std::time::Instant::now();
        match catch_unwind(AssertUnwindSafe(|| load(bytes))) {
            Ok(result) => accepted += u64::from(result.is_ok()),
            Err(_) => panic!("mutation {i} panics"),
        }
        slowest = slowest.max(start.elapsed());
    }
    println!("{accepted} of {count} were models; the slowest took {slowest:?}");
    // Some only change a weight: then the test reaches all of the import.
    assert!(accepted > count / 100, "only {accepted} of {count} were models");
    assert!(matches!(Import::from_bytes(b"\xff\xff").load(), Err(ImportError::Decode(_))));
}
