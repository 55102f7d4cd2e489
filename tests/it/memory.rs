//! Sizes that no memory holds: errors that say how many bytes and whose line, before anything is allocated; and no size that a constructor is given ends in a panic.

use gradc::compile::{Cache, CompileError, CompileOptions};
use gradc::data::array;
use gradc::data::text::{Encoder, next_token_windows};
use gradc::dsl::{GraphBuilder, Step, f32, glorot_uniform, i32, normal, orthogonal, zeros};
use gradc::model::{Model, Sequential};
use gradc::nn::*;
use gradc::optim::{Adam, Sgd};
use ir::Graph;
use std::panic::{AssertUnwindSafe, catch_unwind};

const HUGE: usize = 1 << 40;
const SIZES: [usize; 5] = [0, 1, HUGE, usize::MAX / 8, usize::MAX];

fn options() -> CompileOptions {
    CompileOptions::threads(1).cache(Cache::Off)
}

/// The error that compiling a step gives.
fn refused(step: &Step) -> String {
    match step.compile(&options()) {
        Err(error @ CompileError::Memory { .. }) => error.to_string(),
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("it compiles"),
    }
}

#[test]
fn a_dense_layer_of_2_to_40_units_is_an_error_with_its_bytes_and_line() {
    let model = Sequential::new([4]).dense(HUGE);
    let line = line!() - 1;
    for step in [
        model.inference_graph(1).unwrap(),
        model.training_graph(1, &MeanSquaredError, &[], &Adam::default()).unwrap(),
        model.training_graph(1, &MeanSquaredError, &[], &Sgd::new(0.1)).unwrap(),
    ] {
        let message = refused(&step);
        assert!(message.contains(&format!("memory.rs:{line}:")), "{message}");
        assert!(message.contains("17592186044416") && message.contains("dense/kernel"), "{message}");
    }
}

#[test]
fn an_embedding_larger_than_an_address_space_is_an_error_with_its_bytes_and_line() {
    let model = Sequential::of(i32([4])).embedding(HUGE, 1 << 12).flatten().dense(1);
    let message = refused(&model.inference_graph(1).unwrap());
    assert!(message.contains("18014398509481984 bytes") && message.contains("memory.rs:"), "{message}");
    assert!(message.contains("140737488355328 can be addressed"), "{message}");
}

#[test]
fn a_batch_that_overflows_is_an_error_with_its_line() {
    let model = Sequential::new([64]).dense(64);
    for batch in [0, usize::MAX / 8, usize::MAX] {
        let error = model.inference_graph(batch).unwrap_err().to_string();
        assert!(error.contains("memory.rs:"), "{error}");
    }
    assert!(refused(&model.inference_graph(HUGE).unwrap()).contains("bytes"));
}

#[test]
fn states_that_are_too_large_together_are_an_error() {
    let g = GraphBuilder::new("many");
    for i in 0..9 {
        g.state(&format!("s{i}"), f32([1 << 42]), zeros());
    }
    let x = g.input("x", f32([4]));
    g.output("y", &x);
    let message = refused(&g.finish().unwrap());
    assert!(message.contains("158329674399776 bytes") && message.contains("memory.rs:"), "{message}");
}

#[test]
fn initial_values_that_are_too_large_are_errors() {
    for init in [normal(0.0, 1.0), glorot_uniform(), orthogonal(), zeros()] {
        let g = GraphBuilder::new("state");
        let w = g.param("w", f32([1 << 21, 1 << 21]), init);
        g.output("y", &w.slice_axis(0, 0..1).sum());
        let message = refused(&g.finish().unwrap());
        assert!(message.contains("bytes") && message.contains("memory.rs:"), "{message}");
    }
}

#[test]
fn texts_of_graphs_that_are_too_large_are_errors() {
    let text = "graph \"g\" {\n%0 = full {value=(1.0)} : f32[1099511627776]\n%1 = sin %0 : f32[1099511627776]\noutput \"y\" = %1\n}";
    let graph = Graph::parse_file(text, "huge.ir").unwrap();
    let step = Step { graph: graph.clone(), states: vec![], layers: vec![] };
    let message = refused(&step);
    assert!(message.contains("4398046511104") && message.contains("huge.ir:"), "{message}");
    let error = ir::eval::run(&graph, &Default::default(), &Default::default()).unwrap_err().to_string();
    assert!(error.contains("huge.ir:2") && error.contains("4398046511104 bytes"), "{error}");
    let overflow = text.replace("1099511627776", "18446744073709551615");
    assert!(Graph::parse(&overflow).unwrap_err().to_string().contains("more elements than memory can hold"));
    let short = "graph \"g\" {\n%0 = constant {values=(1.0)} : f32[1099511627776]\noutput \"y\" = %0\n}";
    assert!(Graph::parse(short).is_err());
}

/// A constructor of models, by a size.
type Constructor = (&'static str, fn(usize) -> Sequential);

const CONSTRUCTORS: &[Constructor] = &[
    ("sample", |n| Sequential::new([n])),
    ("samples", |n| Sequential::new([n, n])),
    ("dense", |n| Sequential::new([4]).dense(n)),
    ("two dense", |n| Sequential::new([4]).dense(n).dense(n)),
    ("conv2d filters", |n| Sequential::new([8, 8, 2]).conv2d(n, 3)),
    ("conv2d kernel", |n| Sequential::new([8, 8, 2]).conv2d(4, n)),
    ("conv2d same", |n| Sequential::new([8, 8, 2]).add(Conv2d::new(4, n).padding(Padding::Same))),
    ("conv2d stride", |n| Sequential::new([8, 8, 2]).add(Conv2d::new(4, 3).stride(n))),
    ("conv2d strided same", |n| Sequential::new([8, 8, 2]).add(Conv2d::new(4, 3).stride(n).padding(Padding::Same))),
    ("conv2d dilation", |n| Sequential::new([8, 8, 2]).add(Conv2d::new(4, 3).dilation(n))),
    ("conv2d dilated same", |n| Sequential::new([8, 8, 2]).add(Conv2d::new(4, 3).dilation(n).padding(Padding::Same))),
    ("conv2d groups", |n| Sequential::new([8, 8, 2]).add(Conv2d::new(4, 3).groups(n))),
    ("conv1d filters", |n| Sequential::new([8, 2]).conv1d(n, 3)),
    ("conv1d kernel", |n| Sequential::new([8, 2]).conv1d(4, n)),
    ("conv1d causal", |n| Sequential::new([8, 2]).add(Conv1d::new(4, n).padding(Padding1d::Causal))),
    ("conv1d dilated", |n| Sequential::new([8, 2]).add(Conv1d::new(4, 3).dilation(n).padding(Padding1d::Causal))),
    ("max_pool2d", |n| Sequential::new([8, 8, 2]).max_pool2d(n)),
    ("max_pool2d same", |n| Sequential::new([8, 8, 2]).add(MaxPool2d::new(n).padding(Padding::Same))),
    ("max_pool2d stride", |n| Sequential::new([8, 8, 2]).add(MaxPool2d::new(2).stride(n))),
    ("avg_pool2d", |n| Sequential::new([8, 8, 2]).avg_pool2d(n)),
    ("avg_pool2d same", |n| Sequential::new([8, 8, 2]).add(AvgPool2d::new(n).padding(Padding::Same))),
    ("max_pool1d", |n| Sequential::new([8, 2]).max_pool1d(n)),
    ("avg_pool1d", |n| Sequential::new([8, 2]).avg_pool1d(n)),
    ("embedding vocabulary", |n| Sequential::of(i32([4])).embedding(n, 8)),
    ("embedding width", |n| Sequential::of(i32([4])).embedding(8, n)),
    ("embedding", |n| Sequential::of(i32([4])).embedding(n, n)),
    ("embedding sequence", |n| Sequential::of(i32([n])).embedding(8, 8)),
    ("sparse embedding", |n| Sequential::of(i32([4])).add(Embedding::new(n, 8).sparse(true)).flatten().dense(1)),
    ("reshape", |n| Sequential::new([8]).reshape([n as isize])),
    ("reshape two", |n| Sequential::new([8]).reshape([n as isize, n as isize])),
    ("simple_rnn", |n| Sequential::new([4, 3]).simple_rnn(n)),
    ("lstm", |n| Sequential::new([4, 3]).lstm(n)),
    ("gru", |n| Sequential::new([4, 3]).gru(n)),
    ("lstm sequence", |n| Sequential::new([n, 3]).lstm(8)),
    ("bidirectional", |n| Sequential::new([4, 3]).add(Bidirectional::new(Lstm::new(n)))),
    ("group norm", |n| Sequential::new([8, 8, 4]).add(GroupNorm::new(n))),
    ("heads", |n| Sequential::new([8, 16]).add(MultiHeadAttention::new(n, 4))),
    ("head size", |n| Sequential::new([8, 16]).add(MultiHeadAttention::new(2, n))),
    ("heads and sizes", |n| Sequential::new([8, 16]).add(MultiHeadAttention::new(n, n))),
    ("attention width", |n| Sequential::new([8, 16]).add(MultiHeadAttention::new(2, 4).output_width(n))),
    ("attention block", |n| Sequential::new([8, 16]).add(MultiHeadAttention::new(2, 4).block(n))),
    ("attention sequence", |n| Sequential::new([n, 16]).add(MultiHeadAttention::new(2, 4).causal(true))),
    ("transformer heads", |n| Sequential::new([8, 16]).add(TransformerBlock::new(n))),
    ("transformer hidden", |n| Sequential::new([8, 16]).add(TransformerBlock::new(2).hidden(n))),
    ("positions", |n| Sequential::new([8, 16]).add(LearnedPositions::new(n))),
];

#[test]
fn no_size_that_a_layer_is_given_is_a_panic() {
    let mut failures = vec![];
    for (name, model) in CONSTRUCTORS {
        for n in SIZES {
            for batch in [1, 32] {
                let graphs = || {
                    let model = model(n);
                    let inference = model.inference_graph(batch).map(drop).map_err(|e| e.to_string());
                    let training = model.training_graph(batch, &MeanSquaredError, &[], &Adam::default());
                    (inference, training.map(drop).map_err(|e| e.to_string()), model.summary().map(|s| s.to_string()))
                };
                match catch_unwind(AssertUnwindSafe(graphs)) {
                    Err(_) => failures.push(format!("{name} of {n} panics")),
                    Ok((inference, training, _)) => {
                        for error in [inference.err(), training.err()].into_iter().flatten() {
                            if !error.contains("memory.rs:") {
                                failures.push(format!("{name} of {n}: no line in {error}"));
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn models_of_huge_layers_compile_to_errors() {
    let mut failures = vec![];
    for (name, model) in CONSTRUCTORS {
        for n in [HUGE, usize::MAX / 8] {
            let Ok(step) = model(n).inference_graph(1) else { continue };
            // What doesn't grow with the size compiles: a stride, blocks larger than the sequence.
            let compiled = catch_unwind(AssertUnwindSafe(|| step.compile(&options()).map(drop)));
            match compiled {
                Ok(Ok(()) | Err(CompileError::Memory { loc: Some(_), .. })) => {}
                // A pass would make a tensor whose elements can't even be counted.
                Ok(Err(other))
                    if other.to_string().contains("memory.rs:") && other.to_string().contains("memory can hold") => {}
                Ok(Err(other)) => failures.push(format!("{name} of {n}: {other}")),
                Err(_) => failures.push(format!("{name} of {n} panics")),
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn no_size_that_data_is_given_is_a_panic() {
    let tokens = gradc::data::text::Vocabulary::build(gradc::data::text::Rule::Words, ["a b c"], 10).unwrap();
    let mut failures = vec![];
    for n in SIZES {
        let mut check = |name: &str, run: &mut dyn FnMut() -> bool| {
            if catch_unwind(AssertUnwindSafe(run)).is_err() {
                failures.push(format!("{name} of {n} panics"));
            }
        };
        check("encoder", &mut || Encoder::new(n).encode(&tokens, ["a b", "c"]).is_ok());
        check("context", &mut || next_token_windows(&[1, 2, 3, 4], n, 1).is_ok());
        check("stride", &mut || next_token_windows(&[1, 2, 3, 4], 2, n).is_ok());
        check("array", &mut || array([n], vec![1.0f32]).is_ok());
        check("arrays", &mut || array([n, n], vec![1.0f32]).is_ok());
        check("vocabulary", &mut || {
            gradc::data::text::Vocabulary::build(gradc::data::text::Rule::Words, ["a b"], n).is_ok()
        });
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
