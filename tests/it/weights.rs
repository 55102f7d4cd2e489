//! Weights of models of sequences in files: what is saved, loaded into a fresh model, predicts the same; what doesn't fit is named.

use gradc::compile::CompileOptions;
use gradc::data::{Dataset, array};
use gradc::io::{IoError, load_tensors, save_tensors};
use gradc::model::Sequential;
use gradc::nn::{Bidirectional, Embedding, GroupNorm, Gru, LearnedPositions, Lstm, MultiHeadAttention};
use gradc::prelude::*;
use gradc::train::TrainError;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const LENGTH: usize = 5;
const WORDS: usize = 7;

/// All layers of sequences that have weights.
fn model() -> Sequential {
    Sequential::of(i32([LENGTH]))
        .add(Embedding::new(WORDS, 6))
        .add(LearnedPositions::new(8))
        .add(TransformerBlock::new(2).causal(true))
        .add(MultiHeadAttention::new(3, 2))
        .add(GroupNorm::new(2))
        .add(Bidirectional::new(Lstm::new(2).return_sequences(true)))
        .add(Gru::new(3).return_sequences(true))
        .add(SimpleRnn::new(4))
        .dense(2)
}

fn trainer(model: &Sequential, seed: u64) -> Trainer {
    let trainer = model.compile(Adam::new(0.01), SparseCategoricalCrossEntropy, []).unwrap();
    trainer.with_options(CompileOptions::threads(1).seed(seed)).unwrap().with_seed(seed).unwrap()
}

fn data() -> Dataset {
    let ids: Vec<i32> = (0..4 * LENGTH as i32).map(|i| i * 3 % WORDS as i32).collect();
    Dataset::new(array([4, LENGTH], ids).unwrap(), array([4], vec![0i32, 1, 1, 0]).unwrap()).unwrap()
}

/// A folder with a file of trained weights.
fn saved() -> (tempfile::TempDir, PathBuf, Trainer) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weights.safetensors");
    let mut trained = trainer(&model(), 1);
    trained.fit(&data(), Fit::epochs(3).batch(2).silent()).unwrap();
    trained.save_weights(&path).unwrap();
    (dir, path, trained)
}

#[test]
fn what_is_saved_predicts_the_same_in_a_fresh_model() {
    let (_dir, path, mut trained) = saved();
    let mut fresh = trainer(&model(), 2);
    let want = trained.predict(&data()).unwrap();
    assert_ne!(fresh.predict(&data()).unwrap(), want);
    fresh.load_weights(&path).unwrap();
    assert_eq!(fresh.predict(&data()).unwrap(), want);
    assert_eq!(fresh.weights().unwrap(), trained.weights().unwrap());
}

/// Names are Keras's, with its layouts; attention is packed as in PyTorch, but `[in, out]`.
#[test]
fn tensors_have_the_names_and_extents_that_are_documented() {
    let (_dir, path, _) = saved();
    let found: BTreeMap<String, Vec<usize>> =
        load_tensors(&path).unwrap().into_iter().map(|(name, v)| (name, v.ty().shape.dims().to_vec())).collect();
    let mut want: Vec<(String, Vec<usize>)> = vec![
        ("embedding/embeddings".into(), vec![WORDS, 6]),
        ("position_embedding/embeddings".into(), vec![8, 6]),
        ("gru/kernel".into(), vec![4, 9]),
        ("gru/recurrent_kernel".into(), vec![3, 9]),
        ("gru/bias".into(), vec![2, 9]),
        ("simple_rnn/kernel".into(), vec![3, 4]),
        ("simple_rnn/recurrent_kernel".into(), vec![4, 4]),
        ("simple_rnn/bias".into(), vec![4]),
    ];
    let mut add = |layer: &str, parts: &[(&str, &[usize])]| {
        want.extend(parts.iter().map(|(part, dims)| (format!("{layer}/{part}"), dims.to_vec())));
    };
    for direction in ["forward_lstm", "backward_lstm"] {
        let parts: [(&str, &[usize]); 3] = [("kernel", &[6, 8]), ("recurrent_kernel", &[2, 8]), ("bias", &[8])];
        add(&format!("bidirectional/{direction}"), &parts);
    }
    for attention in ["transformer_block/attention", "multi_head_attention"] {
        add(&format!("{attention}/qkv"), &[("kernel", &[6, 18]), ("bias", &[18])]);
        add(&format!("{attention}/output"), &[("kernel", &[6, 6]), ("bias", &[6])]);
    }
    for norm in ["transformer_block/norm1", "transformer_block/norm2", "group_normalization"] {
        add(norm, &[("gamma", &[6]), ("beta", &[6])]);
    }
    add("transformer_block/dense1", &[("kernel", &[6, 24]), ("bias", &[24])]);
    add("transformer_block/dense2", &[("kernel", &[24, 6]), ("bias", &[6])]);
    add("dense", &[("kernel", &[4, 2]), ("bias", &[2])]);
    assert_eq!(found, want.into_iter().collect());
}

/// The error of loading the file after a change of its tensors; nothing of the model has changed then.
fn refused(path: &Path, change: impl Fn(&mut BTreeMap<String, Value>)) -> IoError {
    let mut tensors = load_tensors(path).unwrap();
    change(&mut tensors);
    save_tensors(path, &tensors).unwrap();
    let mut fresh = trainer(&model(), 2);
    let before = fresh.weights().unwrap();
    let Err(TrainError::Io(error)) = fresh.load_weights(path) else { panic!("{path:?} was loaded") };
    assert_eq!(fresh.weights().unwrap(), before);
    assert!(error.to_string().contains("weights.safetensors"), "{error}");
    error
}

#[test]
fn tensors_of_other_extents_are_named() {
    let (_dir, path, _) = saved();
    let error = refused(&path, |tensors| {
        tensors.insert("gru/recurrent_kernel".into(), array([9, 3], vec![0f32; 27]).unwrap());
    });
    let want = "tensor `gru/recurrent_kernel` is f32[9,3], but the model's state is f32[3,9]";
    assert!(error.to_string().ends_with(want), "{error}");
}

#[test]
fn tensors_of_other_elements_are_named() {
    let (_dir, path, _) = saved();
    let error = refused(&path, |tensors| {
        tensors.insert("dense/bias".into(), array([2], vec![0f64; 2]).unwrap());
    });
    assert!(matches!(&error, IoError::Type { name, .. } if name == "dense/bias"), "{error}");
}

#[test]
fn missing_tensors_are_named() {
    let (_dir, path, _) = saved();
    let name = "transformer_block/attention/qkv/kernel";
    match refused(&path, |tensors| drop(tensors.remove(name))) {
        IoError::Missing { names, .. } => assert_eq!(names, [name]),
        other => panic!("{other}"),
    }
}

#[test]
fn tensors_of_another_model_are_named() {
    let (_dir, path, _) = saved();
    let error = refused(&path, |tensors| {
        tensors.insert("lstm/kernel".into(), array([1], vec![0f32]).unwrap());
    });
    match error {
        IoError::Unexpected { names, .. } => assert_eq!(names, ["lstm/kernel"]),
        other => panic!("{other}"),
    }
}

#[test]
fn weights_come_out_of_a_checkpoint_of_any_optimizer_and_training_goes_on_from_it() {
    let (dir, _, mut trained) = saved();
    let path = dir.path().join("checkpoint.safetensors");
    trained.save_checkpoint(&path).unwrap();
    let mut plain = model().compile(Sgd::new(0.1), SparseCategoricalCrossEntropy, []).unwrap();
    plain.load_weights(&path).unwrap();
    assert_eq!(plain.weights().unwrap(), trained.weights().unwrap());
    let Err(TrainError::Io(IoError::Unexpected { names, .. })) = plain.load_checkpoint(&path) else {
        panic!("moments of another optimizer were loaded")
    };
    assert!(names.contains(&"adam/m/gru/kernel".to_string()), "{names:?}");
    let mut other = trainer(&model(), 3);
    other.load_checkpoint(&path).unwrap();
    let go_on = |trainer: &mut Trainer| {
        trainer.fit(&data(), Fit::epochs(1).batch(2).silent()).unwrap();
        trainer.weights().unwrap()
    };
    assert_eq!(go_on(&mut other), go_on(&mut trained));
}
