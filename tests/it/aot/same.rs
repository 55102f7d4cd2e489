//! Every bit that a C program gets is that of the same step compiled just in time.

use super::{Built, driver, exists, run};
use aot::{CompileObject, ObjectOptions};
use flate2::read::GzDecoder;
use gradc::compile::{Cache, CompileOptions, Target};
use gradc::dsl::Step;
use gradc::prelude::*;
use gradc_cli::bench::Workload;
use ir::Value;
use std::io::Read;
use std::path::{Path, PathBuf};

pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

pub(super) fn model() -> Sequential {
    let model = Sequential::new([28, 28, 1]).conv2d(32, 3).relu().max_pool2d(2).conv2d(64, 3).relu();
    model.max_pool2d(2).flatten().dense(10).named("cnn")
}

pub(super) fn cnn() -> Step {
    model().training_graph(32, &SparseCategoricalCrossEntropy, &[Accuracy], &Adam::default()).unwrap()
}

pub(super) fn options() -> CompileOptions {
    CompileOptions::threads(1).cache(Cache::Off)
}

/// A file of the digits that come with gradc, unpacked, the first so many bytes of it with the number of samples put right.
pub(super) fn digits(
    built: &Built,
    name: &str,
    samples: usize,
    sample_bytes: usize,
    header: usize,
) -> (PathBuf, Vec<u8>) {
    let file = std::fs::File::open(root().join("data/mnist-subset").join(format!("{name}.gz"))).unwrap();
    let mut bytes = vec![];
    GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    let all = u32::from_be_bytes(bytes[4..8].try_into().unwrap()) as usize;
    let samples = samples.min(all);
    bytes.truncate(header + samples * sample_bytes);
    bytes[4..8].copy_from_slice(&(samples as u32).to_be_bytes());
    let path = built.path(name);
    std::fs::write(&path, &bytes).unwrap();
    (path, bytes.split_off(header))
}

/// The program after one epoch in this process, compiled for a target or for this machine, and the losses.
pub(super) fn trained(
    step: &Step,
    target: Option<Target>,
    images: &[u8],
    labels: &[u8],
) -> (CompiledProgram, Vec<f32>) {
    let mut program = step.compile(&CompileOptions { target, ..options() }).unwrap();
    let mut losses = vec![];
    for (images, labels) in images.chunks_exact(32 * 784).zip(labels.chunks_exact(32)) {
        for (x, pixel) in program.input_mut::<f32>("x").unwrap().iter_mut().zip(images) {
            *x = f32::from(*pixel) / 255.0;
        }
        for (y, label) in program.input_mut::<i32>("y").unwrap().iter_mut().zip(labels) {
            *y = i32::from(*label);
        }
        program.step().unwrap();
        losses.push(program.output::<f32>("loss").unwrap()[0]);
    }
    (program, losses)
}

pub(super) fn bits(losses: impl IntoIterator<Item = f32>) -> Vec<u32> {
    losses.into_iter().map(f32::to_bits).collect()
}

#[test]
fn an_epoch_of_digits_in_c_has_the_losses_of_the_process_that_compiles() {
    let step = cnn();
    let built = Built::new(&step.compile_object(&ObjectOptions::named("cnn_train")).unwrap());
    let (images_path, images) = digits(&built, "train-images-idx3-ubyte", usize::MAX, 784, 16);
    let (labels_path, labels) = digits(&built, "train-labels-idx1-ubyte", usize::MAX, 1, 8);
    let source = root().join("examples/c/train_cnn.c");
    let wanted = bits(trained(&step, None, &images, &labels).1);
    assert!(wanted.len() > 200);
    for (compiler, flags) in [("cc", ["-std=c11", "-O1"]), ("c++", ["-std=c++17", "-O1"])] {
        let Some(program) = built.compile(compiler, &flags, &source, compiler) else { continue };
        for threads in ["1", "2"] {
            let text = run(&program, [images_path.as_os_str(), labels_path.as_os_str(), threads.as_ref()]);
            let got = bits(text.lines().map(|line| line.parse().unwrap()));
            assert!(got == wanted, "{compiler}, {threads} threads");
        }
    }
}

#[test]
fn sanitizers_find_no_fault_in_an_epoch() {
    let files = cnn().compile_object(&ObjectOptions::named("cnn_train").targets(step_targets())).unwrap();
    let built = Built::new(&files);
    let images = digits(&built, "train-images-idx3-ubyte", usize::MAX, 784, 16).0;
    let labels = digits(&built, "train-labels-idx1-ubyte", usize::MAX, 1, 8).0;
    let sanitize = ["-std=c11", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    let source = root().join("examples/c/train_cnn.c");
    let Some(program) = built.compile("cc", &sanitize, &source, "sanitized") else { return };
    let text = run(program, [images.as_os_str(), labels.as_os_str(), "2".as_ref()]);
    assert!(text.lines().count() > 200);
}

/// Batches that `valgrind` watches, which makes a step some thirty times slower; `GRADC_VALGRIND_BATCHES=1000` watches the whole epoch.
const WATCHED_BATCHES: usize = 20;

#[test]
fn valgrind_finds_no_fault() {
    if !exists("valgrind") {
        eprintln!("SKIPPED: there is no `valgrind`");
        return;
    }
    let batches = std::env::var("GRADC_VALGRIND_BATCHES").map_or(WATCHED_BATCHES, |text| text.parse().unwrap());
    // It emulates fused multiply-adds one by one, which takes twenty times as long: of the code that has them, one batch has to do.
    let host = options().target_or_host().unwrap();
    watch(vec![host.limited_to_each().swap_remove(0)], batches);
    watch(step_targets(), 1);
}

/// Runs so many batches, compiled for some targets, under `valgrind`.
fn watch(targets: Vec<Target>, batches: usize) {
    let files = cnn().compile_object(&ObjectOptions::named("cnn_train").targets(targets)).unwrap();
    let built = Built::new(&files);
    let images = digits(&built, "train-images-idx3-ubyte", 32 * batches, 784, 16).0;
    let labels = digits(&built, "train-labels-idx1-ubyte", 32 * batches, 1, 8).0;
    let source = root().join("examples/c/train_cnn.c");
    let Some(program) = built.compile("cc", &["-std=c11"], &source, "plain") else { return };
    let options = ["--error-exitcode=9", "--leak-check=full", "-q"].map(std::ffi::OsStr::new);
    let args = [program.as_os_str(), images.as_os_str(), labels.as_os_str(), "2".as_ref()];
    let text = run("valgrind", options.into_iter().chain(args));
    assert!(text.lines().count() >= batches.min(200));
}

/// All that this machine has, and what is less.
fn step_targets() -> Vec<Target> {
    let host = options().target_or_host().unwrap();
    host.limited_to_each().into_iter().filter(Target::fma).collect()
}

/// Runs a workload's step 20 times here and in C, and compares all outputs' bytes.
fn check_workload(name: &str) {
    let workload = Workload::named(name).unwrap();
    let step = workload.step().unwrap();
    let built = Built::new(&step.compile_object(&ObjectOptions::named(name)).unwrap());
    let batch: std::collections::BTreeMap<String, Value> = workload.inputs(&step).unwrap().into_iter().collect();
    let bytes: Vec<u8> = batch.values().flat_map(|value| value.data().to_bytes()).collect();
    std::fs::write(built.path("inputs"), bytes).unwrap();
    let mut program = step.compile(&options()).unwrap();
    let mut wanted = String::new();
    for _ in 0..20 {
        for value in program.run(&batch).unwrap().values() {
            wanted.extend(value.data().to_bytes().iter().map(|byte| format!("{byte:02x}")));
            wanted.push('\n');
        }
    }
    let source = driver::write(&built, 20);
    let Some(c) = built.compile("cc", &["-std=c11", "-O1"], &source, "driver") else { return };
    for threads in ["1", "2", "3"] {
        assert!(run(&c, [threads]) == wanted, "{name}, {threads} threads");
    }
}

#[test]
fn twenty_steps_of_an_lstm_in_c_are_those_of_the_process_that_compiles() {
    check_workload("lstm_text");
}

#[test]
fn twenty_steps_of_a_transformer_in_c_are_those_of_the_process_that_compiles() {
    check_workload("transformer_lm");
}

#[test]
fn twenty_steps_with_batch_normalization_and_dropout_in_c_are_those_of_the_process_that_compiles() {
    check_workload("cnn_bn_b128");
}

#[test]
fn the_same_step_gives_the_same_bytes() {
    let build = || cnn().compile_object(&ObjectOptions::named("cnn_train").targets(step_targets())).unwrap();
    assert!(build() == build());
}
