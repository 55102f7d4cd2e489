//! What other frameworks have saved, loaded by rules of names: the same results; and what can't be loaded.

mod write;

use super::*;
use crate::data::{Dataset, array};
use crate::io::{save_npz, save_tensors};
use crate::nn::{Bidirectional, Conv2dTranspose, DepthwiseConv2d, Embedding, Gru, Lstm, MultiHeadAttention};
use crate::prelude::*;
use ir::{DType, Shape};
use std::path::{Path, PathBuf};

/// A file of `tests/reference/weights`.
fn reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/weights").join(name)
}

/// A model with a file's weights, the largest difference between what another framework computed and what it computes, and the report.
fn loaded(name: &str, model: &Functional, rules: &WeightRules) -> (Trainer, f64, LoadReport) {
    let path = reference(name);
    let mut trainer = model.compile(Sgd::new(0.1), MeanSquaredError, []).unwrap();
    let report = trainer.load_pretrained(&path, rules).unwrap();
    let file = TensorFile::open(&path).unwrap();
    let found = trainer.predict(&Dataset::unlabelled(file.tensor("@x").unwrap()).unwrap()).unwrap();
    let want = file.tensor("@y").unwrap();
    assert_eq!(found.ty(), want.ty());
    let pairs = found.to_f64_vec().into_iter().zip(want.to_f64_vec());
    let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    (trainer, worst, report)
}

/// Convolutions of three kinds; the two frameworks' normalizations have another epsilon.
fn picture(epsilon: f64) -> Functional {
    Functional::new(f32([6, 5, 2]), move |x| {
        let y = Conv2d::new(3, [3, 2]).name("conv").apply(x);
        let y = BatchNorm::new().epsilon(epsilon).name("norm").apply(&y).relu();
        let y = DepthwiseConv2d::new(2).depth_multiplier(2).name("depthwise").apply(&y);
        let y = Conv2dTranspose::new(4, 3).stride(2).name("up").apply(&y);
        Dense::new(5).name("head").apply(&GlobalAvgPool2d.apply(&y))
    })
}

/// PyTorch's recurrent layers.
fn text() -> Functional {
    Functional::new(i32([5]), |x| {
        let y = Lstm::new(3).return_sequences(true).apply(&Embedding::new(7, 4).apply(x));
        let y = Bidirectional::new(Lstm::new(2).return_sequences(true)).name("both").apply(&y);
        let y = Gru::new(3).return_sequences(true).apply(&y);
        SimpleRnn::new(2).return_sequences(true).name("rnn").apply(&y)
    })
}

/// Keras's, and its attention.
fn keras_text() -> Functional {
    Functional::new(i32([5]), |x| {
        let y = Lstm::new(3).return_sequences(true).apply(&Embedding::new(7, 4).apply(x));
        let y = Bidirectional::new(Lstm::new(2).return_sequences(true)).name("both").apply(&y);
        let y = Gru::new(6).return_sequences(true).apply(&y);
        let y = LayerNorm::new().epsilon(1e-3).name("norm").apply(&y);
        let y = MultiHeadAttention::new(2, 3).name("attention").apply(&y);
        Dense::new(2).name("head").apply(&SimpleRnn::new(4).name("rnn").apply(&y))
    })
}

fn transformer() -> Functional {
    Functional::new(f32([3, 6]), |x| TransformerBlock::new(2).hidden(8).name("block").apply(x))
}

#[test]
fn convolutions_and_norms_of_pytorch_compute_the_same() {
    let (_, worst, report) = loaded("picture.safetensors", &picture(1e-5), &WeightRules::new(Convention::PyTorch));
    assert!(worst < 1e-5, "{worst:e}");
    assert_eq!(report.ignored, ["norm.num_batches_tracked"]);
    assert!(report.missing.is_empty() && report.unused.is_empty() && report.used.len() == 12, "{report:?}");
    let text = report.to_string();
    assert!(text.ends_with("12 of 12 states from 12 tensors, by the conventions of PyTorch\n  rearranged: 4\n  left out: norm.num_batches_tracked"), "{text}");
}

#[test]
fn recurrent_layers_of_pytorch_in_half_precision_compute_the_same() {
    let (_, worst, report) = loaded("text.safetensors", &text(), &WeightRules::new(Convention::PyTorch));
    assert!(worst < 1e-5, "{worst:e}");
    assert!(report.used.iter().all(|used| used.converted_from == Some(DType::F16)), "{report:?}");
    assert!(report.to_string().contains("\n  converted from f16: 16"), "{report}");
    let bias = report.used.iter().find(|used| used.state == "both/backward_lstm/bias").unwrap();
    assert_eq!(bias.sources, ["both.bias_ih_l0_reverse", "both.bias_hh_l0_reverse"]);
}

#[test]
fn a_transformer_of_pytorch_computes_the_same() {
    let rules = WeightRules::new(Convention::PyTorch).add_prefix("block.");
    let (_, worst, report) = loaded("transformer.safetensors", &transformer(), &rules);
    assert!(worst < 1e-5, "{worst:e}");
    assert_eq!(report.used.len(), 12);
}

#[test]
fn layers_of_keras_compute_the_same() {
    for (name, model, states) in [("keras_picture.npz", picture(1e-3), 12), ("keras_text.npz", keras_text(), 24)] {
        let (_, worst, report) = loaded(name, &model, &WeightRules::new(Convention::Keras));
        assert!(worst < 1e-5, "{name}: {worst:e}");
        assert_eq!((report.used.len(), report.unused.len()), (states, 0), "{report:?}");
    }
}

/// The columns of a matrix, or of a row, as Keras's `[.., heads, size]`.
fn heads(value: &Value, columns: std::ops::Range<usize>, size: usize) -> Value {
    let dims = value.ty().shape.dims();
    let (before, last) = (&dims[..dims.len() - 1], dims[dims.len() - 1]);
    let shape = Shape::new([before, &[columns.len() / size, size]].concat()).unwrap();
    let width = columns.len();
    Value::from_fn(value.ty().with_shape(shape), |i| value.get(i / width * last + columns.start + i % width))
}

#[test]
fn attention_and_recurrent_layers_have_the_names_and_axes_of_keras() {
    let model = Sequential::new([4, 6]).add(MultiHeadAttention::new(2, 3)).add(Gru::new(5)).dense(2);
    let trainer = |seed| model.compile(Sgd::new(0.1), MeanSquaredError, []).unwrap().with_seed(seed).unwrap();
    let mut trained = trainer(1);
    let mut tensors = BTreeMap::new();
    for (name, value) in trained.weights().unwrap() {
        match name.rsplit_once('/').unwrap() {
            ("multi_head_attention/qkv", part) => {
                for (i, of) in ["query", "key", "value"].into_iter().enumerate() {
                    tensors.insert(format!("multi_head_attention/{of}/{part}:0"), heads(&value, 6 * i..6 * i + 6, 3));
                }
            }
            ("multi_head_attention/output", "kernel") => {
                let ty = value.ty().with_shape(Shape::new([2, 3, 6]).unwrap());
                let value = Value::from_fn(ty, |i| value.get(i));
                tensors.insert("multi_head_attention/attention_output/kernel".into(), value);
            }
            ("multi_head_attention/output", part) => {
                drop(tensors.insert(format!("multi_head_attention/attention_output/{part}"), value));
            }
            ("gru", part) => drop(tensors.insert(format!("gru/gru_cell/{part}"), value)),
            _ => drop(tensors.insert(name, value)),
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keras.npz");
    save_npz(&path, &tensors).unwrap();
    let mut fresh = trainer(2);
    assert_ne!(fresh.weights().unwrap(), trained.weights().unwrap());
    let report = fresh.load_pretrained(&path, &WeightRules::new(Convention::Keras)).unwrap();
    assert_eq!(fresh.weights().unwrap(), trained.weights().unwrap());
    assert_eq!((report.used.len(), report.unused.len()), (9, 0));
}

/// What loading a file of these tensors into `dense/kernel [3, 2]` and `dense/bias` gives.
fn of_dense(tensors: &[(&str, Value)], rules: &WeightRules) -> Result<LoadReport, IoError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.safetensors");
    save_tensors(&path, &tensors.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()).unwrap();
    let wanted = [("dense/kernel", vec![3, 2]), ("dense/bias", vec![2])];
    let ty = |dims: Vec<usize>| TensorType::new(DType::F32, Shape::new(dims).unwrap());
    let wanted = wanted.into_iter().map(|(name, dims)| (name.to_string(), ty(dims))).collect();
    rules.select(&TensorFile::open(&path).unwrap(), &wanted).map(|(_, report)| report)
}

fn zeros(dims: &[usize]) -> Value {
    array(dims, vec![0.0f32; dims.iter().product()]).unwrap()
}

#[test]
fn what_does_not_fit_is_named() {
    let pytorch = || WeightRules::new(Convention::PyTorch);
    let whole = [("dense.weight", zeros(&[2, 3])), ("dense.bias", zeros(&[2]))];
    assert!(of_dense(&whole, &pytorch()).unwrap().missing.is_empty());
    match of_dense(&whole[..1], &pytorch()).unwrap_err() {
        IoError::Missing { names, .. } => assert_eq!(names, ["dense/bias"]),
        other => panic!("{other}"),
    }
    assert_eq!(of_dense(&whole[..1], &pytorch().allow_missing()).unwrap().missing, ["dense/bias"]);
    let more = [whole.to_vec(), vec![("fc.weight", zeros(&[1]))]].concat();
    match of_dense(&more, &pytorch()).unwrap_err() {
        IoError::Unexpected { names, .. } => assert_eq!(names, ["fc.weight"]),
        other => panic!("{other}"),
    }
    assert_eq!(of_dense(&more, &pytorch().allow_unused()).unwrap().unused, ["fc.weight"]);
    assert_eq!(of_dense(&more, &pytorch().ignore("fc.*")).unwrap().ignored, ["fc.weight"]);
    // Nothing at all is no part of a model.
    let nothing = of_dense(&more[2..], &pytorch().allow_missing().allow_unused());
    assert!(matches!(nothing, Err(IoError::Missing { .. })), "{nothing:?}");
    let turned = [("dense.weight", zeros(&[3, 2])), ("dense.bias", zeros(&[2]))];
    let error = of_dense(&turned, &pytorch()).unwrap_err().to_string();
    assert!(error.ends_with("tensor `dense.weight` is f32[2,3], but the model's state is f32[3,2]"), "{error}");
    let integers = [("dense.weight", array([2, 3], vec![0i32; 6]).unwrap()), ("dense.bias", zeros(&[2]))];
    let error = of_dense(&integers, &pytorch()).unwrap_err().to_string();
    assert!(error.contains("i32[3,2]"), "{error}");
    let large = [("dense.weight", zeros(&[2, 3])), ("dense.bias", array([2], vec![1.0f64, -1e39]).unwrap())];
    let error = of_dense(&large, &pytorch()).unwrap_err().to_string();
    assert!(error.ends_with("`dense.bias`: element 1 is -1e39, more than f32 has"), "{error}");
}

#[test]
fn rules_follow_each_other() {
    let half = converted(&zeros(&[2, 3]), DType::F16).unwrap();
    let file = [("model.net.0.weight", half), ("model.net.0.bias", zeros(&[2]))];
    let rules = WeightRules::new(Convention::PyTorch).strip_prefix("model.").rename("net.?.*", "dense/{1}");
    let report = of_dense(&file, &rules).unwrap();
    assert_eq!(report.used[1].sources, ["model.net.0.weight"]);
    assert_eq!(report.used[1].converted_from, Some(DType::F16));
    let refused = |rules: WeightRules| of_dense(&file, &rules).unwrap_err().to_string();
    let error = refused(WeightRules::new(Convention::PyTorch).rename("*", "dense.{2}"));
    assert!(error.ends_with("rename(\"*\", \"dense.{2}\"): the new name may have {1} to {1} in it"), "{error}");
    let error = refused(WeightRules::new(Convention::PyTorch).rename("*", "dense"));
    assert!(error.contains("`model.net.0.weight` and `model.net.0.bias` would both be `dense`"), "{error}");
}
