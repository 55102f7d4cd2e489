//! Tests of models: names, graphs that share states, summaries, places of errors.

use super::*;
use crate::dsl::{f32, f64, i32};
use crate::nn::{
    BatchNorm, Conv2d, Dense, Layer, LayerId, MeanSquaredError, Metric, Mode, Padding, Regularizer,
    SparseCategoricalCrossEntropy,
};
use crate::optim::{Adam, Sgd};
use crate::testing::{Runner, assert_close, value};

fn cnn() -> Sequential {
    Sequential::new([28, 28, 1])
        .conv2d(32, 3)
        .relu()
        .max_pool2d(2)
        .conv2d(64, 3)
        .relu()
        .max_pool2d(2)
        .flatten()
        .dropout(0.5)
        .dense(10)
        .softmax()
}

#[test]
fn the_summary_is_a_table() {
    let text = cnn().summary().unwrap().to_string();
    let want = "\
Model: \"sequential\"
┌────────────────────────────────┬────────────────────┬─────────┐
│ Layer (type)                   │ Output Shape       │ Param # │
├────────────────────────────────┼────────────────────┼─────────┤
│ conv2d (Conv2D)                │ (None, 26, 26, 32) │     320 │
│ relu (Activation)              │ (None, 26, 26, 32) │       0 │
│ max_pooling2d (MaxPooling2D)   │ (None, 13, 13, 32) │       0 │
│ conv2d_1 (Conv2D)              │ (None, 11, 11, 64) │  18,496 │
│ relu_1 (Activation)            │ (None, 11, 11, 64) │       0 │
│ max_pooling2d_1 (MaxPooling2D) │ (None, 5, 5, 64)   │       0 │
│ flatten (Flatten)              │ (None, 1600)       │       0 │
│ dropout (Dropout)              │ (None, 1600)       │       0 │
│ dense (Dense)                  │ (None, 10)         │  16,010 │
│ softmax (Activation)           │ (None, 10)         │       0 │
└────────────────────────────────┴────────────────────┴─────────┘
Total params: 34,826
Trainable params: 34,826
Non-trainable params: 0";
    assert_eq!(text, want);
}

#[test]
fn a_layer_counts_the_states_that_it_declared_not_those_called_like_it() {
    let model = Functional::new(f32([4]), |x| {
        let g = x.builder().clone();
        let dense = |x: &Tensor, units: usize, name: &str| {
            g.layer(Some(&LayerId::new()), name, "Dense", |name| Dense::new(units).call(x, name))
        };
        let inner = dense(x, 3, "head");
        dense(&inner, 2, "head/gate")
    });
    let rows: Vec<(String, usize)> =
        model.summary().unwrap().rows.into_iter().map(|row| (row.name, row.parameters)).collect();
    assert_eq!(rows, [("head".into(), 4 * 3 + 3), ("head/gate".into(), 3 * 2 + 2)]);
}

#[test]
fn graphs_of_one_model_share_their_states() {
    let model = Sequential::new([4]).dense(3).batch_norm().relu().dense(2);
    let names = |step: &Step, roles: &[crate::dsl::StateRole]| -> Vec<String> {
        step.states.iter().filter(|s| roles.contains(&s.role)).map(|s| s.name.clone()).collect()
    };
    use crate::dsl::StateRole::{Buffer, Parameter, Runtime, Slot};
    let loss = SparseCategoricalCrossEntropy;
    let training = model.training_graph(8, &loss, &[Metric::Accuracy], &Adam::default()).unwrap();
    let evaluation = model.evaluation_graph(Batch::weighted(8), &loss, &[Metric::Accuracy]).unwrap();
    let inference = model.inference_graph(1).unwrap();
    let own = names(&training, &[Parameter, Buffer]);
    assert_eq!(
        own,
        [
            "dense/kernel",
            "dense/bias",
            "batch_normalization/moving_mean",
            "batch_normalization/moving_variance",
            "batch_normalization/gamma",
            "batch_normalization/beta",
            "dense_1/kernel",
            "dense_1/bias"
        ]
    );
    assert_eq!(names(&evaluation, &[Parameter, Buffer, Slot, Runtime]), own);
    assert_eq!(names(&inference, &[Parameter, Buffer, Slot, Runtime]), own);
    assert_eq!(names(&training, &[Runtime]), ["lr", "step"]);
    assert_eq!(names(&training, &[Slot])[..2], ["adam/m/dense/kernel", "adam/v/dense/kernel"]);
    let ports: Vec<String> = evaluation.graph.inputs().map(|(_, i)| format!("{}: {}", i.name, i.ty)).collect();
    assert_eq!(ports, ["x: f32[8,4]", "y: i32[8]", "sample_weight: f32[8]"]);
    let outputs: Vec<&str> = training.graph.outputs().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(outputs, ["loss", "accuracy"]);
    assert!(evaluation.graph.updates().is_empty());
}

#[test]
fn names_are_unique_whoever_chose_them() {
    let model = Sequential::new([4]).dense(3).add(Dense::new(3).name("dense_1")).dense(3).dense(3);
    let names: Vec<String> = model.summary().unwrap().rows.into_iter().map(|row| row.name).collect();
    assert_eq!(names, ["dense", "dense_1", "dense_2", "dense_3"]);
}

#[test]
fn initial_weights_do_not_depend_on_other_layers() {
    let kernel = |model: Sequential| model.inference_graph(1).unwrap().state("dense/kernel").unwrap().initial(3);
    let alone = kernel(Sequential::new([4]).dense(5));
    assert_eq!(alone, kernel(Sequential::new([4]).dense(5).relu().dense(7)));
}

#[test]
fn training_lowers_the_loss_by_the_gradient_of_the_penalized_mean() {
    let dense = Dense::new(1).use_bias(false).kernel_regularizer(Regularizer::l2(0.5));
    let model = Sequential::of(f64([1])).add(dense);
    let step = model.training_graph(2, &MeanSquaredError, &[], &Sgd::new(0.1)).unwrap();
    let mut runner = Runner::new(&step);
    runner.states.insert("dense/kernel".into(), value(f64([1, 1]), &[2.0]));
    let out = runner.step(&[("x", value(f64([2, 1]), &[1.0, 3.0])), ("y", value(f64([2, 1]), &[0.0, 0.0]))]);
    // (4 + 36) / 2 + 0.5 * 4, whose gradient is (2*2*1 + 2*6*3) / 2 + 2.
    assert_close(&out["loss"].to_f64_vec(), &[22.0], 1e-14);
    assert_close(&runner.state("dense/kernel"), &[2.0 - 0.1 * 22.0], 1e-14);
}

#[test]
fn samples_of_weight_zero_do_not_count() {
    let model = Sequential::new([2]);
    let metrics = [Metric::Accuracy];
    let step = model.evaluation_graph(Batch::weighted(3), &SparseCategoricalCrossEntropy, &metrics).unwrap();
    let out = Runner::new(&step).step(&[
        ("x", value(f32([3, 2]), &[0.0, 0.0, 5.0, 0.0, 9.0, -9.0])),
        ("y", value(i32([3]), &[0.0, 1.0, 0.0])),
        ("sample_weight", value(f32([3]), &[1.0, 1.0, 0.0])),
    ]);
    let want = (2f64.ln() + 5.0 + (-5f64).exp().ln_1p()) / 2.0;
    assert_close(&out["loss"].to_f64_vec(), &[want], 1e-6);
    assert_eq!(out["accuracy"].to_f64_vec(), [0.5]);
}

#[test]
fn a_residual_network_is_a_function_of_tensors() {
    let model = Functional::new(f32([8, 8, 4]), |x| {
        let y = BatchNorm::new().apply(&Conv2d::new(4, 3).padding(Padding::Same).use_bias(false).apply(x)).relu();
        Dense::new(2).apply(&(y + x).mean_axes([1, 2]))
    })
    .named("residual");
    let summary = model.summary().unwrap();
    assert_eq!((summary.trainable, summary.non_trainable), (9 * 16 + 8 + 10, 8));
    let step = model.training_graph(2, &SparseCategoricalCrossEntropy, &[], &Sgd::default()).unwrap();
    assert_eq!(step.graph.name(), "residual_training");
    let mut runner = Runner::new(&step);
    let x: Vec<f64> = (0..512).map(|i| f64::from(i % 7) - 3.0).collect();
    let inputs = [("x", value(f32([2, 8, 8, 4]), &x)), ("y", value(i32([2]), &[0.0, 1.0]))];
    let losses: Vec<f64> = (0..10).map(|_| runner.step(&inputs)["loss"].to_f64_vec()[0]).collect();
    assert!(losses[9] < losses[0], "{losses:?}");
}

#[test]
fn broken_models_name_the_line_of_the_layer() {
    let model = Sequential::new([28, 28, 1]).conv2d(8, 3);
    let (line, model) = (line!(), model.conv2d(8, 27));
    let model = model.flatten().dense(10);
    let want = "in layer conv2d_1: conv2d of f32[1,26,26,8]: the window's extent 27 is over the input's height 26";
    let text = model.inference_graph(1).unwrap_err().to_string();
    assert!(text.starts_with(&format!("src/model/tests.rs:{line}:")) && text.ends_with(want), "{text}");
    let text = Functional::with_inputs([], |inputs| inputs[0].clone()).inference_graph(1).unwrap_err().to_string();
    assert!(text.ends_with("a model: it must have at least one input"), "{text}");
    let text = Sequential::new([4]).dense(2).inference_graph(0).unwrap_err().to_string();
    assert!(text.ends_with("input \"x\": axis 0 of [0,4] has extent 0: a tensor needs at least one element"), "{text}");
    // A mismatch of output and loss is the training graph's own line.
    let unflattened = Sequential::new([4, 4]).dense(10);
    let bad = Metric::mean("bad", Mode::Min, |output, target| output + target);
    let line = line!() + 1;
    let text = unflattened.evaluation_graph(2, &SparseCategoricalCrossEntropy, &[bad]).unwrap_err().to_string();
    assert!(text.starts_with(&format!("src/model/tests.rs:{line}:")), "{text}");
    assert!(text.contains("add of f32[2,4,10] and i32[2,4]: operands must have one element type"), "{text}");
}

/// Two inputs through one encoder, whose last layer is a model too.
fn nested() -> Functional {
    let tail = Sequential::new([6]).dense(4).batch_norm().named("tail");
    let encoder = Sequential::new([3, 2]).flatten().add(tail).named("encoder");
    Functional::with_inputs([("left", f32([3, 2])), ("right", f32([3, 2]))], move |x| {
        let distance = (encoder.apply(&x[0]) - encoder.apply(&x[1])).square();
        Dense::new(1).apply(&distance)
    })
}

#[test]
fn models_in_models_are_named_by_path_and_counted_once() {
    let summary = nested().summary().unwrap();
    let rows: Vec<_> = summary.rows.iter().map(|row| (row.name.as_str(), row.uses, row.parameters)).collect();
    let encoder = 6 * 4 + 4 + 4 * 4;
    let want = [
        ("encoder", 2, encoder),
        ("encoder/flatten", 2, 0),
        ("encoder/tail", 2, encoder),
        ("encoder/tail/dense", 2, 6 * 4 + 4),
        ("encoder/tail/batch_normalization", 2, 4 * 4),
        ("dense", 1, 5),
    ];
    assert_eq!(rows, want);
    assert_eq!((summary.trainable, summary.non_trainable), (6 * 4 + 4 + 2 * 4 + 5, 2 * 4));
    let text = summary.to_string();
    assert!(text.contains("│ encoder/tail/dense (Dense) x2 "), "{text}");
    let step = nested().inference_graph(2).unwrap();
    assert_eq!(step.states[0].name, "encoder/tail/dense/kernel");
    // Of the model that is trained the layers have no prefix, wherever its parts are used besides.
    let alone = Sequential::new([6]).dense(4).named("tail");
    assert_eq!(alone.inference_graph(1).unwrap().states[0].name, "dense/kernel");
}

#[test]
fn errors_in_a_model_of_a_model_name_the_line_of_its_layer() {
    let line = line!() + 1;
    let inner = Sequential::new([4, 4]).dense(3).gru(2).lstm(5).named("inner");
    let outer = Sequential::new([4, 4]).add(inner.clone()).named("outer");
    let text = Sequential::new([4, 4]).add(outer).inference_graph(2).unwrap_err().to_string();
    assert!(text.starts_with(&format!("{}:{line}:", file!())), "{text}");
    assert!(text.contains("in layer outer/inner/lstm"), "{text}");
    let line = line!() + 2;
    let other = Functional::new(f32([4]), move |x| {
        let wrong = inner.apply(x);
        wrong + x.sum()
    });
    let text = other.inference_graph(2).unwrap_err().to_string();
    assert!(text.starts_with(&format!("{}:{line}:", file!())), "{text}");
    assert!(text.contains("samples of the model's input \"x\" are f32[4, 4]"), "{text}");
    let line = line!() + 1;
    let ops = Functional::new(f32([4]), |x| x + x.cast(ir::DType::I32)).named("ops");
    let text = Sequential::new([4]).add(ops).inference_graph(2).unwrap_err().to_string();
    assert!(text.starts_with(&format!("{}:{line}:", file!())) && text.contains("in layer ops"), "{text}");
}

#[test]
fn tied_heads_find_the_table_beside_them() {
    let tied = || Sequential::of(i32([3])).embedding(5, 2).add(crate::nn::TiedHead::new("embedding"));
    let (first, second) = (tied().named("first"), tied().named("second"));
    let model = Functional::new(i32([3]), move |x| first.apply(x) + second.apply(x));
    let step = model.training_graph(2, &SparseCategoricalCrossEntropy, &[], &Sgd::new(0.1)).unwrap();
    for name in ["first/embedding/embeddings", "second/embedding/embeddings"] {
        let node = step.graph.ids().find(|&id| matches!(step.graph.op(id), ir::Op::State(s) if s.name == name));
        // Rows of words, logits, gradient and update.
        assert!(step.graph.users(node.unwrap()).len() >= 3, "{name}");
    }
}
