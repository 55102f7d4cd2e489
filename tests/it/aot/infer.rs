//! Prediction ahead of time: on the states that training changes, with weights inside the object, from Python, and how large the program is.

use super::same::{cnn, digits, model, options, root, trained};
use super::{Built, exists, run};
use aot::{AotError, CompileObject, ObjectOptions, compile_graph, compile_steps};
use gradc::prelude::*;
use ir::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Objects of training and prediction, 32 digits at a time, on one block.
fn both() -> Built {
    let (train, infer) = (cnn(), model().inference_graph(32).unwrap());
    let files = compile_steps(&[("train", &train), ("infer", &infer)], &ObjectOptions::named("cnn")).unwrap();
    Built::of(&files)
}

/// What training has made of the states that a step has.
fn learned(program: &CompiledProgram, step: &Step) -> BTreeMap<String, Value> {
    step.states.iter().map(|state| (state.name.clone(), program.state_value(&state.name).unwrap())).collect()
}

/// The digits that this process reads, one image at a time.
fn predicted(weights: &BTreeMap<String, Value>, images: &[u8]) -> Vec<u8> {
    let mut infer = model().inference_graph(1).unwrap().compile(&options()).unwrap();
    infer.set_states(weights).unwrap();
    let read = |image: &[u8]| {
        let x = array([1, 28, 28, 1], image.iter().map(|pixel| f32::from(*pixel) / 255.0).collect::<Vec<f32>>());
        let scores = infer.run([("x", &x.unwrap())]).unwrap()["output"].to_f64_vec();
        (0..10).fold(
            0,
            |best: u8, digit| if scores[usize::from(digit)] > scores[usize::from(best)] { digit } else { best },
        )
    };
    images.chunks_exact(784).map(read).collect()
}

#[test]
fn prediction_runs_on_the_block_that_training_changes() {
    let built = both();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/aot/shared.c");
    let Some(program) = built.compile("cc", &["-std=c11", "-O1"], &source, "shared") else { return };
    let x: Vec<f32> = (0..32 * 784).map(|i| (i * 7 % 256) as f32 / 256.0).collect();
    let x = array([32, 28, 28, 1], x).unwrap();
    let y = array([32], (0..32).map(|i| i % 10).collect::<Vec<i32>>()).unwrap();
    let mut train = cnn().compile(&options()).unwrap();
    for _ in 0..5 {
        train.run([("x", &x), ("y", &y)]).unwrap();
    }
    let step = model().inference_graph(32).unwrap();
    let mut infer = step.compile(&options()).unwrap();
    infer.set_states(&learned(&train, &step)).unwrap();
    let scores = infer.run([("x", &x)]).unwrap()["output"].data().to_bytes();
    let wanted: String = scores.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(run(program, [""; 0]).trim(), wanted);
}

#[test]
fn entries_that_disagree_about_a_state_are_refused() {
    let train = cnn();
    let other = Sequential::new([28, 28, 1]).flatten().dense(10).inference_graph(1).unwrap();
    let options = ObjectOptions::named("cnn");
    let differ = compile_steps(&[("train", &train), ("infer", &other)], &options).unwrap_err();
    assert!(matches!(&differ, AotError::SharedState { state, .. } if state == "dense/kernel"), "{differ}");
    let same = compile_steps(&[("train", &train), ("train", &train)], &options).unwrap_err();
    assert!(matches!(&same, AotError::SameName { name } if name == "cnn_train"), "{same}");
}

#[test]
fn weights_inside_an_object_read_digits_as_the_process_that_compiles() {
    let here = Built::empty();
    let (_, images) = digits(&here, "train-images-idx3-ubyte", usize::MAX, 784, 16);
    let (_, labels) = digits(&here, "train-labels-idx1-ubyte", usize::MAX, 1, 8);
    let (program, _) = trained(&cnn(), None, &images, &labels);
    let step = model().inference_graph(1).unwrap();
    let weights = learned(&program, &step);
    let built = Built::of(&[step.compile_object(&ObjectOptions::named("cnn_infer").values(weights.clone())).unwrap()]);
    let (images_path, images) = digits(&built, "t10k-images-idx3-ubyte", 500, 784, 16);
    let (labels_path, labels) = digits(&built, "t10k-labels-idx1-ubyte", 500, 1, 8);
    let source = root().join("examples/c/infer_cnn.c");
    assert!(std::fs::read_to_string(&source).unwrap().lines().count() <= 100);
    let Some(c) = built.compile("cc", &["-std=c11", "-O2"], &source, "infer") else { return };
    let text = run(c, [images_path.as_os_str(), labels_path.as_os_str(), "each".as_ref()]);

    let digits = predicted(&weights, &images);
    let right = digits.iter().zip(&labels).filter(|(digit, label)| digit == label).count();
    assert!(right > 450, "{right} of 500");
    let mut wanted: Vec<String> = digits.iter().map(u8::to_string).collect();
    wanted.push(format!("accuracy {:.2} % of 500 digits", 100.0 * right as f64 / 500.0));
    assert_eq!(text.lines().collect::<Vec<_>>(), wanted);
}

/// What a stripped program with prediction may weigh, without weights.
const MOST_BYTES: u64 = 200_000;

#[test]
fn a_stripped_program_with_prediction_is_small() {
    let graph = model().inference_graph(1).unwrap().graph;
    for target in options().target_or_host().unwrap().limited_to_each().into_iter().filter(gradc::compile::Target::fma)
    {
        let set = target.instruction_set().name();
        // A graph's states start with zeros, so that there are no weights in the object.
        let files = compile_graph(&graph, &ObjectOptions::named("cnn_infer").targets([target.clone()])).unwrap();
        let built = Built::of(&[files]);
        let source = root().join("examples/c/infer_cnn.c");
        let flags = ["-std=c11", "-Os", "-s", "-Wl,--gc-sections"];
        let Some(program) = built.compile("cc", &flags, &source, "small") else { return };
        let program = std::fs::read(program).unwrap();
        assert!(!program.windows(18).any(|text| text == b"\"states_shared_by\""), "{set}: the manifest is in it");
        let bytes = program.len() as u64;
        eprintln!("{set}: {bytes} bytes");
        assert!(bytes <= MOST_BYTES, "{set}: {bytes} bytes");
    }
}

#[test]
fn python_trains_and_reads_digits_as_the_process_that_compiles() {
    let python = std::env::var("GRADC_PYTHON").unwrap_or_else(|_| "python3".into());
    let numpy = Command::new(&python).args(["-c", "import numpy"]).output();
    if !exists("cc") || !numpy.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: there is no `cc`, or no `{python}` with numpy (GRADC_PYTHON names another)");
        return;
    }
    let built = both();
    let mut link = Command::new("cc");
    link.args([built.path("cnn_train.o"), built.path("cnn_infer.o")]);
    link.args(["-shared", "-lm", "-o"]).arg(built.path("libcnn.so"));
    assert!(link.status().unwrap().success());
    let (_, images) = digits(&built, "train-images-idx3-ubyte", 3200, 784, 16);
    let (_, labels) = digits(&built, "train-labels-idx1-ubyte", 3200, 1, 8);
    let script = root().join("examples/python/train_cnn.py");
    let args = [built.path(""), "train-images-idx3-ubyte".into(), "train-labels-idx1-ubyte".into()];
    let text = run(python, std::iter::once(script).chain(args));
    let (told, accuracy) = text.trim_end().rsplit_once('\n').unwrap();
    let losses: Vec<u32> = told.lines().map(|line| line.parse::<f32>().unwrap().to_bits()).collect();
    let (program, wanted) = trained(&cnn(), None, &images, &labels);
    assert_eq!(losses, wanted.into_iter().map(f32::to_bits).collect::<Vec<_>>());
    let weights = learned(&program, &model().inference_graph(1).unwrap());
    let digits = predicted(&weights, &images);
    let right = digits.iter().zip(&labels).filter(|(digit, label)| digit == label).count();
    assert_eq!(accuracy, format!("accuracy {right} of 3200 digits"));
}

/// A model in bytes, with its weights in the object: what the C program reads on 500 digits is what the predictor reads.
#[test]
fn a_quantized_model_is_exported_as_any_other_step() {
    let (train, _) = gradc::data::mnist::load_from(root().join("data/mnist-subset")).unwrap();
    let trainer = model().compile(Adam::default(), SparseCategoricalCrossEntropy, [Accuracy]).unwrap();
    let mut trainer = trainer.with_options(options()).unwrap().with_batch(1).unwrap();
    trainer.fit(&train.take(1600).unwrap(), Fit::epochs(1).batch(32).silent()).unwrap();
    let quantized = trainer.quantize(&train.take(32).unwrap(), Quantization::new()).unwrap();
    let files = ObjectOptions::named("cnn_infer").values(quantized.weights().unwrap());
    let built = Built::of(&[quantized.step().compile_object(&files).unwrap()]);
    let (images_path, images) = digits(&built, "t10k-images-idx3-ubyte", 500, 784, 16);
    let (labels_path, _) = digits(&built, "t10k-labels-idx1-ubyte", 500, 1, 8);
    let source = root().join("examples/c/infer_cnn.c");
    let Some(c) = built.compile("cc", &["-std=c11", "-O2"], &source, "infer") else { return };
    let text = run(c, [images_path.as_os_str(), labels_path.as_os_str(), "each".as_ref()]);

    let pixels: Vec<f32> = images.iter().map(|pixel| f32::from(*pixel) / 255.0).collect();
    let x = Dataset::unlabelled(array([500, 28, 28, 1], pixels).unwrap()).unwrap();
    let scores = quantized.predictor().predict(&x).unwrap().to_f64_vec();
    let best = |scores: &[f64]| (0..10).fold(0, |best, digit| if scores[digit] > scores[best] { digit } else { best });
    let wanted: Vec<String> = scores.chunks(10).map(|scores| best(scores).to_string()).collect();
    assert_eq!(text.lines().take(500).collect::<Vec<_>>(), wanted);
}
