//! What a user sees who gives a model of texts something that it can't take: a typed error that names the line or the place in the file, and the cause.

use gradc::compile::{CompileOptions, RunError};
use gradc::data::text::{Encoder, Rule, TextError, Vocabulary, next_token_windows, read_labelled};
use gradc::data::{Column, DataError, Dataset, array};
use gradc::model::{LanguageModel, Model, Sequential};
use gradc::nn::{Embedding, LearnedPositions, Lstm};
use gradc::prelude::*;
use gradc::train::{Generator, Sampling, TrainError};
use std::fmt::Display;

const WORDS: usize = 6;
const LENGTH: usize = 3;
const CLASSES: usize = 2;

/// A classifier of texts, and the lines of its embedding and of its loss.
fn classifier() -> (Trainer, u32, u32) {
    let embedding = line!() + 1;
    let model = Sequential::of(i32([LENGTH])).embedding(WORDS, 4).lstm(3).dense(CLASSES);
    let loss = line!() + 1;
    let trainer = model.compile(Sgd::new(0.1), SparseCategoricalCrossEntropy, [Accuracy]).unwrap();
    (trainer.with_options(CompileOptions::threads(1)).unwrap(), embedding, loss)
}

fn texts(ids: [i32; 2 * LENGTH], labels: [i32; 2]) -> Dataset {
    Dataset::new(array([2, LENGTH], ids.to_vec()).unwrap(), array([2], labels.to_vec()).unwrap()).unwrap()
}

/// This file's line in an error.
fn at(line: u32) -> String {
    format!("(at {}:{line}:", file!())
}

#[track_caller]
fn assert_says(error: &impl Display, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{text:?} lacks {part:?}");
    }
}

fn silent() -> Fit<'static> {
    Fit::epochs(1).silent()
}

#[test]
fn a_token_beyond_the_vocabulary_names_its_sample_and_the_embeddings_line() {
    for id in [WORDS as i32, -1, i32::MAX, i32::MIN] {
        let (mut trainer, line, _) = classifier();
        let before = trainer.weights().unwrap();
        let data = texts([0, 1, 2, 3, id, 5], [0, 1]);
        let held = format!("sample 1 of `x` holds {id} at position 1");
        let wants = ["gather: an index is out of range, valid are 0 to 5", &at(line), &held];
        for error in [
            trainer.fit(&data, silent()).unwrap_err(),
            trainer.evaluate(&data).unwrap_err(),
            trainer.predict(&data).unwrap_err(),
        ] {
            assert!(matches!(error, TrainError::Index { sample: 1, .. }), "{error}");
            assert_says(&error, &wants);
        }
        assert_eq!(trainer.weights().unwrap(), before, "a step that fails leaves the weights alone");
        assert!(trainer.fit(&texts([0, 1, 2, 3, 4, 5], [0, 1]), silent()).is_ok(), "and the trainer goes on");
    }
}

#[test]
fn a_label_that_is_no_class_names_its_sample_and_the_line_of_the_loss() {
    for label in [CLASSES as i32, -1] {
        let (mut trainer, _, line) = classifier();
        let data = texts([0, 1, 2, 3, 4, 5], [label, 1]);
        let held = format!("sample 0 of `y` holds {label}");
        for error in [trainer.fit(&data, silent()).unwrap_err(), trainer.evaluate(&data).unwrap_err()] {
            assert_says(&error, &["an index is out of range, valid are 0 to 1", &at(line), &held]);
        }
        assert!(trainer.predict(&data).is_ok(), "predicting looks at no label");
    }
}

#[test]
fn samples_are_named_by_their_place_in_the_data_set_whatever_the_batch() {
    let (mut trainer, ..) = classifier();
    let ids: Vec<i32> = (0..10 * LENGTH as i32).map(|i| if i == 8 * LENGTH as i32 { 77 } else { i % 6 }).collect();
    let x = array([10, LENGTH], ids).unwrap();
    let data = Dataset::new(x, array([10], vec![0i32; 10]).unwrap()).unwrap();
    let error = trainer.fit(&data.shuffled(3), silent().batch(4)).unwrap_err();
    assert_says(&error, &["sample 8 of `x` holds 77 at position 0"]);
}

#[test]
fn a_step_without_a_data_set_names_the_element_of_the_input() {
    let model = Sequential::of(i32([LENGTH])).add(Embedding::new(WORDS, 4)).flatten().dense(CLASSES);
    let mut program = model.inference_graph(2).unwrap().compile(&CompileOptions::threads(1)).unwrap();
    let x = array([2, LENGTH], vec![0, 1, 2, 3, 4, 9]).unwrap();
    match program.run([("x", &x)]).unwrap_err() {
        RunError::Index { input, place, value: 9, error } => {
            assert_eq!((input.as_str(), place), ("x", vec![1, 2]));
            assert_says(&error, &[file!()]);
        }
        other => panic!("{other}"),
    }
}

#[test]
fn tokens_that_are_no_integers_or_do_not_fit_are_named() {
    let (mut trainer, ..) = classifier();
    let labels = || array([1], vec![0i32]).unwrap();
    let floats = Dataset::new(array([1, LENGTH], vec![0.0f32, 1.5, 2.0]).unwrap(), labels()).unwrap();
    assert_says(&trainer.fit(&floats, silent()).unwrap_err(), &["sample 0 of `x`", "which is no value of i32"]);
    let large = Dataset::new(array([1, LENGTH], vec![0i64, 1 << 32, 2]).unwrap(), labels()).unwrap();
    assert_says(&trainer.fit(&large, silent()).unwrap_err(), &["sample 0 of `x` holds 4294967296 of i64"]);
}

#[test]
fn data_sets_and_sequences_of_nothing_are_refused() {
    assert!(matches!(array([0, LENGTH], Vec::<i32>::new()), Err(DataError::Dataset(_))));
    assert_says(&array([0, LENGTH], Vec::<i32>::new()).unwrap_err(), &["0"]);
    assert_says(&array([2, 0], Vec::<i32>::new()).unwrap_err(), &["0"]);
    let data = texts([0; 6], [0, 1]);
    assert_says(&data.take(0).unwrap_err(), &["samples 0..0 of 2"]);
    // A model of sequences without steps: the line where it is compiled or where its layer stands.
    let empty = Sequential::of(i32([0])).embedding(WORDS, 4).lstm(3).dense(CLASSES);
    let line = line!() + 1;
    let errors = empty.compile(Sgd::new(0.1), SparseCategoricalCrossEntropy, []).unwrap_err();
    assert_says(&errors, &[&format!("{}:{line}:", file!()), "input \"x\"", "0"]);
    let none = Sequential::of(i32([LENGTH])).embedding(0, 4).lstm(3).dense(CLASSES);
    assert_says(&none.inference_graph(1).unwrap_err(), &[file!(), "in layer embedding", "0"]);
}

#[test]
fn sequences_of_another_length_than_the_models_are_named() {
    let (mut trainer, ..) = classifier();
    let long = Dataset::unlabelled(array([1, LENGTH + 1], vec![0i32; LENGTH + 1]).unwrap()).unwrap();
    let error = trainer.predict(&long).unwrap_err();
    assert_says(&error, &["samples of `x` are i32[4], but the model takes i32[3] (without the batch)"]);
    let line = line!() + 1;
    let model = Sequential::of(i32([9])).embedding(WORDS, 4).add(LearnedPositions::new(8)).add(Lstm::new(2));
    let wants = [&format!("{}:{line}:", file!()), "in layer position_embedding", "length 9 is over the context 8"];
    assert_says(&model.inference_graph(1).unwrap_err(), &wants);
}

#[test]
fn texts_without_tokens_and_long_ones_are_errors_or_what_was_asked_for() {
    let vocabulary = Vocabulary::build(Rule::Words, ["call me ishmael"], 10).unwrap();
    let encode = |encoder: Encoder, text: &'static str| encoder.encode(&vocabulary, ["call", text]);
    let error = encode(Encoder::new(4), "").unwrap_err();
    assert!(matches!(error, TextError::Empty { row: 1, .. }), "{error}");
    assert_says(&error, &["text 1 has no token by the rule `words`", "empty_as_unknown"]);
    let error = encode(Encoder::new(1).refuse_long(), "call me").unwrap_err();
    assert!(matches!(error, TextError::Long { row: 1, length: 2, limit: 1 }), "{error}");
    // By default long texts are cut; the rows are what a model takes.
    let rows = encode(Encoder::new(LENGTH).empty_as_unknown(), "").unwrap();
    let (mut trainer, ..) = classifier();
    assert!(trainer.predict(&Dataset::of("x", rows.column().unwrap())).is_ok());
    assert_says(&next_token_windows(&[1, 2], 2, 1).unwrap_err(), &["2 ids make no window of 2"]);
}

#[test]
fn a_prompt_may_be_longer_than_the_context_but_not_empty_or_of_other_tokens() {
    let model = LanguageModel::new(5, 4).width(4).heads(1).layers(1);
    let mut trainer = model.compile(Sgd::new(0.1), SparseCategoricalCrossEntropy, []).unwrap();
    let weights = trainer.weights().unwrap();
    let mut generator = Generator::new(&model, &weights, &CompileOptions::threads(1)).unwrap();
    let mut greedy = Sampling::new(0).temperature(0.0);
    let long: Vec<i32> = (0..23).map(|i| i % 5).collect();
    let tokens = generator.generate(&long, 9, &mut greedy).unwrap();
    assert!(tokens.len() == 9 && tokens.iter().all(|token| (0..5).contains(token)), "{tokens:?}");
    assert_says(&generator.generate(&[], 1, &mut greedy).unwrap_err(), &["a prompt needs at least one token"]);
    for token in [5, -1] {
        let error = generator.generate(&[1, token], 1, &mut greedy).unwrap_err();
        assert_says(&error, &["valid are 0 to 4", &format!("input `x` holds {token}")]);
    }
    generator.clear();
    assert_eq!(generator.generate(&long, 9, &mut greedy).unwrap(), tokens, "a token that was refused leaves nothing");
    for context in [0, 1] {
        let model = LanguageModel::new(5, context).width(4).heads(1).layers(1);
        assert_eq!(model.next_token_graph(1).is_ok(), context > 0);
    }
}

/// Every cut of a vocabulary's file, and every byte of it changed to some others, is an error that names the file, or a vocabulary.
#[test]
fn damaged_vocabularies_name_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("words.json");
    Vocabulary::build(Rule::Words, ["a naïve b"], 10).unwrap().save(&path).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let load = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        Vocabulary::load(&path)
    };
    for length in 0..whole.len() - 2 {
        let error = load(&whole[..length]).unwrap_err();
        assert!(matches!(error, TextError::Data(DataError::File { .. })), "{error}");
        assert_says(&error, &["words.json", "line 1 column"]);
    }
    for place in 0..whole.len() {
        for byte in [0, b'"', b'9', 0xff] {
            let mut damaged = whole.clone();
            damaged[place] = byte;
            if let Err(error) = load(&damaged) {
                assert_says(&error, &["words.json"]);
            }
        }
    }
    let deep = ["[".repeat(100_000), "]".repeat(100_000)].concat();
    assert_says(&load(deep.as_bytes()).unwrap_err(), &["words.json", "recursion limit"]);
    let format = r#"{"format": "gradc-vocabulary-2", "rule": "words", "tokens": ["a"]}"#;
    assert_says(&load(format.as_bytes()).unwrap_err(), &["its format is \"gradc-vocabulary-2\""]);
}

#[test]
fn lines_that_are_no_labelled_texts_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mails.tsv");
    let read = |text: &[u8]| {
        std::fs::write(&path, text).unwrap();
        read_labelled(&path, &["ham", "spam"])
    };
    let cases: [(&[u8], &str); 7] = [
        (b"ham\ta\nspam\n", "mails.tsv:2: a line is a label, a tab, a text; this one has 0 tabs"),
        (b"ham\ta\nspam\tb\tc\n", "mails.tsv:2: a line is a label, a tab, a text; this one has 2 tabs"),
        (b"ham\ta\n\teggs\n", "mails.tsv:2: the label \"\" is none of"),
        (b"ham\ta\n\nspam\tb\n", "mails.tsv:2: a line is a label, a tab, a text; this one has 0 tabs"),
        (b"ham\ta\nham\ta\nspam\t\xc3\x28\n", "mails.tsv:3: not UTF-8: the byte 6 of the line"),
        (b"\xff\xfeh\x00", "mails.tsv:1: not UTF-8"),
        (b"", "mails.tsv: the file has no line"),
    ];
    for (text, want) in cases {
        assert_says(&read(text).unwrap_err(), &[want]);
    }
    let texts = read(b"ham\t\nspam\tx\r\n").unwrap();
    assert_eq!((texts.texts, texts.labels), (vec![String::new(), "x".into()], vec![0, 1]));
}

#[test]
fn a_mask_of_another_length_is_named() {
    let ids = Column::new(array([1, LENGTH], vec![0i32; LENGTH]).unwrap()).unwrap();
    let mask = Column::new(array([2, LENGTH], vec![true; 2 * LENGTH]).unwrap()).unwrap();
    assert_says(&Dataset::of("x", ids).with("mask", mask).unwrap_err(), &["`x` has 1 samples, `mask` has 2"]);
}
