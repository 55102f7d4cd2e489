//! Tests of layers that are applied several times: one set of weights, whatever they are made of and wherever they stand.

use super::super::*;
use crate::dsl::{GraphBuilder, Step, f64, glorot_uniform, scan, zeros};
use crate::model::{Functional, Sequential};
use crate::nn::Activation;
use crate::optim::Sgd;
use crate::testing::{Runner, assert_close, check_gradients, eval, random, random_runner, value};

fn names(step: &Step) -> Vec<&str> {
    step.states.iter().map(|state| state.name.as_str()).collect()
}

/// Two inputs `[4, 3]`.
fn pair(g: &GraphBuilder) -> [Tensor; 2] {
    ["a", "b"].map(|name| g.input(name, f64([4, 3])))
}

/// A step that lowers the squared distance of two codes.
fn siamese(encode: impl FnOnce(&GraphBuilder, &Tensor, &Tensor) -> Tensor) -> Step {
    let g = GraphBuilder::new("siamese");
    let [a, b] = pair(&g);
    let distance = encode(&g, &a, &b);
    g.minimize(distance.square().mean(), &Sgd::new(0.1)).unwrap()
}

#[test]
fn an_encoder_of_two_inputs_is_the_graph_written_by_hand() {
    let encoder = Sequential::of(f64([3])).add(Dense::new(5).activation(Activation::Tanh)).dense(2).named("encoder");
    let shared = siamese(|_, a, b| encoder.apply(a) - encoder.apply(b));
    let by_hand = siamese(|g, a, b| {
        let dense = |name: &str, dims: [usize; 2]| {
            let kernel = g.param(&format!("encoder/{name}/kernel"), f64(dims), glorot_uniform());
            (kernel, g.param(&format!("encoder/{name}/bias"), f64([dims[1]]), zeros()))
        };
        let (first, second) = (dense("dense", [3, 5]), dense("dense_1", [5, 2]));
        let code = |x: &Tensor| ((x.matmul(&first.0) + &first.1).tanh()).matmul(&second.0) + &second.1;
        code(a) - code(b)
    });
    let own = ["encoder/dense/kernel", "encoder/dense/bias", "encoder/dense_1/kernel", "encoder/dense_1/bias"];
    assert_eq!(names(&shared)[..4], own);
    assert_eq!(shared.parameter_count(), 3 * 5 + 5 + 5 * 2 + 2);
    let (mut shared, mut by_hand) = (Runner::new(&shared), Runner::new(&by_hand));
    for seed in 0..3 {
        let inputs = ["a", "b"].map(|name| (name, value(f64([4, 3]), &random(seed + u64::from(name == "b"), 12))));
        assert_eq!(shared.step(&inputs), by_hand.step(&inputs));
        assert_eq!(shared.states, by_hand.states);
    }
}

#[test]
fn the_gradient_of_a_shared_layer_is_the_sum_of_its_applications() {
    let g = GraphBuilder::new("test");
    let [a, b] = pair(&g);
    let (shared, alone, other) = (Dense::new(2), Dense::new(2), Dense::new(2));
    let loss = |x: &Tensor, y: &Tensor| x.tanh().sum() + y.exp().sum();
    let both = loss(&shared.apply(&a), &shared.apply(&b));
    let apart = loss(&alone.apply(&a), &other.apply(&b));
    for (loss, name) in [(&both, "dense"), (&apart, "dense_1"), (&apart, "dense_2")] {
        let kernel = g.find_state(&format!("{name}/kernel")).unwrap();
        g.output(name, &g.gradients(loss, &[&kernel])[0]);
    }
    let mut runner = Runner::new(&g.finish().unwrap());
    let kernel = runner.states["dense/kernel"].clone();
    for name in ["dense_1/kernel", "dense_2/kernel"] {
        runner.states.insert(name.into(), kernel.clone());
    }
    let out = runner.step(&[("a", value(f64([4, 3]), &random(1, 12))), ("b", value(f64([4, 3]), &random(2, 12)))]);
    let [sum, first, second] = ["dense", "dense_1", "dense_2"].map(|name| out[name].to_f64_vec());
    let want: Vec<f64> = first.iter().zip(&second).map(|(a, b)| a + b).collect();
    assert_close(&sum, &want, 1e-14);
}

#[test]
fn references_are_the_layer_and_clones_are_others() {
    let g = GraphBuilder::new("test");
    let x = g.input("x", f64([4, 3]));
    let layer = Arc::new(Dense::new(3));
    let same: Arc<dyn Layer> = layer.clone();
    let reference: &Dense = &layer;
    let y = same.apply(&reference.apply(&layer.apply(&x)));
    let copy = Dense::clone(&layer);
    g.output("y", &copy.apply(&y));
    let step = g.finish().unwrap();
    assert_eq!(names(&step), ["dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"]);
    let uses: Vec<usize> = step.layers.iter().map(|layer| layer.uses).collect();
    assert_eq!(uses, [3, 1]);
}

/// Layers with states of all kinds, each of which takes and gives `[4, 3, 2]`.
fn all() -> Vec<Arc<dyn Layer>> {
    let conv = Conv1d::new(2, 3).padding(Padding1d::Same).kernel_regularizer(Regularizer::l1(0.1));
    vec![
        Arc::new(Dense::new(2)),
        Arc::new(conv),
        Arc::new(LayerNorm::new()),
        Arc::new(RmsNorm::new()),
        Arc::new(GroupNorm::new(2)),
        Arc::new(BatchNorm::new()),
        Arc::new(LearnedPositions::new(5)),
        Arc::new(MultiHeadAttention::new(2, 3)),
        Arc::new(TransformerBlock::new(2)),
        Arc::new(SimpleRnn::new(2).return_sequences(true)),
        Arc::new(Lstm::new(2).return_sequences(true)),
        Arc::new(Gru::new(2).return_sequences(true)),
        Arc::new(Bidirectional::new(Lstm::new(1).return_sequences(true))),
        Arc::new(Sequential::of(f64([3, 2])).dense(2).add(BatchNorm::new())),
        Arc::new(Functional::new(f64([3, 2]), |x| Dense::new(2).apply(&Dense::new(4).apply(x)))),
    ]
}

#[test]
fn every_layer_has_one_set_of_weights() {
    for layer in all() {
        let states = |times: usize| {
            let g = GraphBuilder::new("test");
            g.set_training(true);
            let y = (0..times).fold(g.input("x", f64([4, 3, 2])), |x, _| layer.apply(&x));
            g.output("y", &y);
            let step = g.finish().unwrap_or_else(|e| panic!("{}: {e}", layer.kind()));
            step.states.iter().map(|state| (state.name.clone(), state.ty.clone())).collect::<Vec<_>>()
        };
        assert!(!states(1).is_empty());
        assert_eq!(states(1), states(3), "{}", layer.kind());
        // Differences of two blocks in a row are too coarse.
        if layer.kind() != "TransformerBlock" {
            check_gradients(|g| layer.apply(&layer.apply(&g.param("x", f64([4, 3, 2]), zeros()))));
        }
    }
}

#[test]
fn layers_in_the_body_of_a_loop_are_those_around_it() {
    let dense = Dense::new(3).activation(Activation::Tanh);
    let declare = |g: &GraphBuilder| {
        let x = g.param("x", f64([5, 2, 3]), zeros());
        let first = dense.apply(&x.slice_axis(0, 0..1).squeeze([0]));
        let (last, _) = scan(&[&first], &[&x], |h, x| (vec![dense.apply(&(dense.apply(&h[0]) + &x[0]))], vec![]));
        dense.apply(&last[0])
    };
    check_gradients(declare);
    let mut runner = random_runner(&declare);
    assert_eq!(runner.states.len(), 3);
    let unrolled = |g: &GraphBuilder| {
        let x = g.param("x", f64([5, 2, 3]), zeros());
        let at = |t: usize| x.slice_axis(0, t..t + 1).squeeze([0]);
        let last = (0..5).fold(dense.apply(&at(0)), |h, t| dense.apply(&(dense.apply(&h) + at(t))));
        dense.apply(&last)
    };
    let want = random_runner(&unrolled).step(&[])["y"].to_f64_vec();
    assert_close(&runner.step(&[])["y"].to_f64_vec(), &want, 1e-14);
}

#[test]
fn moving_statistics_follow_each_application_in_turn() {
    let g = GraphBuilder::new("test");
    g.set_training(true);
    let norm = BatchNorm::new().momentum(0.5);
    let [a, b] = pair(&g);
    g.output("y", &(norm.apply(&a) + norm.apply(&b)));
    let mut runner = Runner::new(&g.finish().unwrap());
    let numbers = [random(1, 12), random(2, 12)];
    runner.step(&[("a", value(f64([4, 3]), &numbers[0])), ("b", value(f64([4, 3]), &numbers[1]))]);
    let mean = |numbers: &[f64], channel: usize| (0..4).map(|i| numbers[i * 3 + channel]).sum::<f64>() / 4.0;
    let want: Vec<f64> = (0..3).map(|c| (mean(&numbers[0], c) * 0.5) * 0.5 + mean(&numbers[1], c) * 0.5).collect();
    assert_close(&runner.state("batch_normalization/moving_mean"), &want, 1e-14);
}

#[test]
fn a_penalty_on_a_shared_weight_counts_once_and_dropout_is_drawn_anew() {
    let penalty = |times: usize| {
        eval(|g| {
            let layer = Dense::new(3).kernel_regularizer(Regularizer::l2(0.5));
            let x = g.zeros(f64([1, 3]));
            (0..times).for_each(|_| drop(layer.apply(&x)));
            g.with_penalties(&g.scalar(0.0, ir::DType::F64))
        })
    };
    assert_eq!(penalty(1), penalty(2));
    assert!(penalty(1)[0] > 0.0);
    let dropped = eval(|g| {
        g.set_training(true);
        let (layer, x) = (Dropout::new(0.5), g.ones(f64([64])));
        layer.apply(&x).ne(layer.apply(&x)).cast(ir::DType::F64).sum()
    });
    assert!(dropped[0] > 0.0);
}

#[test]
fn another_width_is_an_error_that_names_both_lines() {
    let g = GraphBuilder::new("test");
    let dense = Dense::new(2);
    let (first, _) = (line!() + 1, ());
    let y = dense.apply(&g.input("a", f64([4, 3])));
    let (second, _) = (line!() + 1, ());
    let z = dense.apply(&g.input("b", f64([4, 5])));
    g.output("y", &(y + z));
    let text = g.finish().unwrap_err().to_string();
    assert!(text.starts_with(&format!("{}:{second}:", file!())), "{text}");
    assert!(text.contains("in layer dense") && text.contains("here it would be f64[5,2]"), "{text}");
    assert!(text.contains(&format!("it is f64[3,2] since the first application at {}:{first}:", file!())), "{text}");
    // Another kind of application would have other weights.
    let g = GraphBuilder::new("test");
    let (attention, x) = (MultiHeadAttention::new(1, 2), g.input("x", f64([2, 3, 4])));
    g.output("y", &attention.apply((&attention.apply(&x), &x)));
    let text = g.finish().unwrap_err().to_string();
    assert!(text.contains("query/kernel") && text.contains("had no state of that name"), "{text}");
}

/// `x w`, as a layer that can't be known again.
struct Forgetful;

impl Layer for Forgetful {
    fn base(&self) -> &str {
        "forgetful"
    }

    fn kind(&self) -> &str {
        "Forgetful"
    }

    fn id(&self) -> Option<&LayerId> {
        None
    }

    #[track_caller]
    fn call(&self, x: &Tensor, _: &str) -> Tensor {
        Dense::new(2).apply(x)
    }
}

#[test]
fn a_layer_without_an_id_may_not_have_states() {
    let g = GraphBuilder::new("test");
    let line = line!() + 1;
    g.output("y", &Forgetful.apply(&g.input("x", f64([4, 2]))));
    let text = g.finish().unwrap_err().to_string();
    assert!(text.starts_with(&format!("{}:{line}:", file!())) && text.contains("`Layer::id` must give"), "{text}");
}

#[test]
fn numbers_of_tensors_that_a_layer_does_not_take_or_give_are_errors() {
    let g = GraphBuilder::new("test");
    let x = g.input("x", f64([2, 3, 4]));
    let _ = Dense::new(2).apply((&x, &x));
    let [_, _] = Dense::new(2).apply_many(&x);
    let _ = Lstm::new(2).return_state(true).apply(&x);
    let _ = MultiHeadAttention::new(1, 2).apply([&x; 4]);
    let text = g.finish().unwrap_err().to_string();
    let wants = [
        "it takes one tensor, not 2",
        "the layer gives 1 results, and 2 are taken",
        "the layer gives 3 results, and 1 are taken",
        "it takes one to three tensors, not 4",
    ];
    assert_eq!(text.lines().count(), wants.len(), "{text}");
    for (line, want) in text.lines().zip(wants) {
        assert!(line.contains(want), "{line}");
    }
}

#[test]
fn queries_keys_and_values_may_be_three_tensors() {
    let layer = MultiHeadAttention::new(2, 3).output_width(4);
    let three = |g: &GraphBuilder| {
        let [q, k, v] = [("q", [2, 4, 5]), ("k", [2, 6, 3]), ("v", [2, 6, 2])];
        let [q, k, v] = [q, k, v].map(|(name, dims)| g.param(name, f64(dims), zeros()));
        layer.apply((&q, &k, &v))
    };
    check_gradients(three);
    // Keys and values of one memory are the two halves of one projection.
    let mut runner = random_runner(&|g| {
        let [x, memory] =
            [("x", [2, 4, 5]), ("memory", [2, 6, 3])].map(|(name, dims)| g.param(name, f64(dims), zeros()));
        MultiHeadAttention::new(2, 3).apply((&x, &memory, &memory)) - MultiHeadAttention::new(2, 3).apply((&x, &memory))
    });
    for part in ["kernel", "bias"] {
        let state = |name: &str| runner.states[&format!("multi_head_attention{name}/{part}")].clone();
        let both = state("_1/key_value");
        let half = |i: usize| {
            let rows = both.to_f64_vec();
            let half: Vec<f64> = rows.chunks(12).flat_map(|row| row[i * 6..][..6].to_vec()).collect();
            value(state("/key").ty().into(), &half)
        };
        let same = [("query", state("_1/query")), ("key", half(0)), ("value", half(1)), ("output", state("_1/output"))];
        for (name, weights) in same {
            runner.states.insert(format!("multi_head_attention/{name}/{part}"), weights);
        }
    }
    assert_close(&runner.step(&[])["y"].to_f64_vec(), &[0.0; 40], 1e-13);
}
