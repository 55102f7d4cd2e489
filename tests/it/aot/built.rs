//! Shared libraries of steps, loaded by a predictor: the bits of the process that compiles, and what is refused before anything of a file runs.

use super::exists;
use super::same::{cnn, model, options};
use aot::{Files, ObjectOptions, compile_graph, compile_graphs, compile_steps, link_shared};
use damage::damage;
use gradc::compile::{BuiltError, CompileOptions, RunError, library_entries};
use gradc::dsl::{Initializer, zeros};
use gradc::io::load_steps;
use gradc::prelude::*;
use ir::{Graph, SplitMix64, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A shared library of these entries in a folder; nothing if there is no C compiler.
fn linked(files: &[Files], name: &str, folder: &Path) -> Option<PathBuf> {
    if !exists("cc") {
        eprintln!("SKIPPED: there is no `cc`");
        return None;
    }
    for files in files {
        files.write(folder).unwrap();
    }
    Some(link_shared(files, name, folder).unwrap())
}

/// The entries of a saved model, one for each of its sizes, with its weights.
fn entries_of(saved: &Path) -> Vec<Files> {
    let (mut values, mut graphs) = (BTreeMap::new(), vec![]);
    for step in load_steps(saved).unwrap() {
        let given = step.states.into_iter().filter_map(|state| match state.init {
            Initializer::Given(value) => Some((state.name, value)),
            _ => None,
        });
        values.extend(given);
        let batch = step.graph.inputs().next().unwrap().1.ty.shape[0];
        graphs.push((format!("b{batch}"), step.graph));
    }
    let graphs: Vec<(&str, &Graph)> = graphs.iter().map(|(name, graph)| (name.as_str(), graph)).collect();
    compile_graphs(&graphs, &ObjectOptions::named("small").values(values)).unwrap()
}

fn small(seed: u64, hidden: usize) -> Trainer {
    let model = Sequential::new([3]).dense(hidden).batch_norm().tanh().dense(2);
    model.compile(Sgd::new(0.1), MeanSquaredError, []).unwrap().with_seed(seed).unwrap()
}

fn samples(count: usize) -> Value {
    array([count, 3], (0..count * 3).map(|i| (i as f32 * 0.37).sin()).collect()).unwrap()
}

fn predicted(predictor: &Predictor, count: usize) -> Value {
    predictor.predict(&[("x", (&samples(count)).into())]).unwrap()
}

/// A library of a small model for 1, 2 and 4 samples, and the predictor of the file that it was built from.
fn small_library(folder: &Path, seed: u64) -> Option<(PathBuf, Predictor)> {
    let saved = folder.join("small.safetensors");
    small(seed, 4).save_model(&saved, 4).unwrap();
    let library = linked(&entries_of(&saved), "small", folder)?;
    Some((library, Predictor::load(&saved, options()).unwrap()))
}

#[test]
fn a_library_predicts_at_any_number_of_samples_what_the_saved_model_does() {
    let dir = tempfile::tempdir().unwrap();
    let Some((library, saved)) = small_library(dir.path(), 1) else { return };
    let built = Predictor::load_built(&library, options()).unwrap();
    assert!(built.sizes().eq([1, 2, 4]) && !built.is_whole());
    for count in [1, 2, 3, 4, 7, 9] {
        assert_eq!(predicted(&built, count), predicted(&saved, count), "{count}");
    }
    assert_eq!((built.inputs(), built.outputs()), (saved.inputs(), saved.outputs()));
    built.warm_up(4, 2).unwrap();
    let mut batch = built.ready_batch(3).unwrap().unwrap();
    batch.write("x", 0, &samples(3).data().to_bytes()).unwrap();
    batch.run(3).unwrap();
    let mut bytes = vec![];
    batch.read("output", 0..3, &mut bytes).unwrap();
    assert_eq!(bytes, predicted(&saved, 3).data().to_bytes());
    assert!(batch.write("y", 0, &[]).unwrap_err().to_string().contains("no input named `y`"));
    // Threads share one block of states, and each has memory of its own.
    let threads: Vec<_> = (1..5)
        .map(|count| {
            let built = built.clone();
            std::thread::spawn(move || (0..50).map(|_| predicted(&built, count)).collect::<Vec<_>>())
        })
        .collect();
    for (thread, count) in threads.into_iter().zip(1..) {
        let want = predicted(&saved, count);
        assert!(thread.join().unwrap().iter().all(|found| *found == want), "{count}");
    }
}

#[test]
fn steps_of_several_threads_and_training_beside_them_start_from_the_seed() {
    let dir = tempfile::tempdir().unwrap();
    let infer = model().inference_graph(8).unwrap();
    let files = compile_steps(&[("train", &cnn()), ("infer", &infer)], &ObjectOptions::named("cnn")).unwrap();
    let Some(library) = linked(&files, "cnn", dir.path()) else { return };
    let x: Vec<f32> = (0..8 * 784).map(|i| (i as f32 * 0.01).sin().abs()).collect();
    let x = array([8, 28, 28, 1], x).unwrap();
    let options = CompileOptions { seed: 7, ..CompileOptions::threads(3) };
    let want = infer.compile(&options).unwrap().run([("x", &x)]).unwrap();
    let built = Predictor::load_built(&library, options).unwrap();
    assert_eq!(built.predict(&[("x", (&x).into())]).unwrap(), want["output"]);
    // Training alone predicts nothing.
    let Some(train) = linked(&files[..1], "cnn_train", dir.path()) else { return };
    let error = Predictor::load_built(&train, self::options()).unwrap_err().to_string();
    assert!(error.contains("libcnn_train.so: all of its entries change states"), "{error}");
}

#[test]
fn models_that_count_no_samples_take_whole_arrays() {
    let dir = tempfile::tempdir().unwrap();
    let g = GraphBuilder::new("whole");
    g.output("y", &(g.input("x", f32([2, 3])) + g.param("w", f32([3]), zeros())).reshape([3, 2]));
    let files = compile_graph(&g.finish().unwrap().graph, &ObjectOptions::named("whole")).unwrap();
    let Some(library) = linked(&[files], "whole", dir.path()) else { return };
    let built = Predictor::load_built(&library, options()).unwrap();
    assert!(built.is_whole() && built.sizes().eq([1]));
    assert_eq!(built.inputs()[0].1.to_string(), "f32[2,3]");
    built.warm_up(1, 1).unwrap();
    let mut batch = built.ready_batch(1).unwrap().unwrap();
    batch.write("x", 0, &samples(2).data().to_bytes()).unwrap();
    batch.run(1).unwrap();
    let mut found = vec![];
    batch.read("y", 0..1, &mut found).unwrap();
    assert_eq!(found, samples(2).data().to_bytes());
}

#[test]
fn a_check_that_fails_names_the_line_and_the_next_batch_runs() {
    let dir = tempfile::tempdir().unwrap();
    let model = Functional::new(i32([2]), |x| Embedding::new(5, 3).apply(x));
    let step = model.inference_graph(2).unwrap();
    let files = compile_steps(&[("infer", &step)], &ObjectOptions::named("table")).unwrap();
    let Some(library) = linked(&files, "table", dir.path()) else { return };
    let built = Predictor::load_built(&library, options()).unwrap();
    let predict = |tokens: [i32; 4]| {
        let tokens = array([2, 2], tokens.to_vec()).unwrap();
        built.predict(&[("x", (&tokens).into())])
    };
    let error = predict([0, 9, 1, 1]).unwrap_err();
    assert!(matches!(error, TrainError::Run(RunError::Step(_))), "{error}");
    assert!(error.to_string().contains("built.rs:") && error.to_string().contains("index"), "{error}");
    assert_eq!(predict([0, 4, 1, 1]).unwrap().ty().shape[..], [2, 2, 3]);
}

#[test]
fn a_file_that_was_replaced_is_loaded_anew_while_the_old_code_runs() {
    let dir = tempfile::tempdir().unwrap();
    let Some((library, one)) = small_library(dir.path(), 1) else { return };
    let first = Predictor::load_built(&library, options()).unwrap();
    let Some((_, two)) = small_library(dir.path(), 2) else { return };
    let second = Predictor::load_built(&library, options()).unwrap();
    assert_ne!(predicted(&one, 4), predicted(&two, 4));
    // Written in its place, without another file.
    let bytes = std::fs::read(&library).unwrap();
    let Some((library, _)) = small_library(dir.path(), 1) else { return };
    std::fs::write(&library, bytes).unwrap();
    let third = Predictor::load_built(&library, options()).unwrap();
    std::fs::remove_file(&library).unwrap();
    for (built, saved) in [(first, &one), (second, &two), (third, &two)] {
        assert_eq!(predicted(&built, 3), predicted(saved, 3));
    }
}

#[test]
fn entries_of_one_model_have_its_weights_once() {
    let dir = tempfile::tempdir().unwrap();
    let saved = dir.path().join("large.safetensors");
    small(1, 40_000).save_model(&saved, 4).unwrap();
    let Some(library) = linked(&entries_of(&saved), "large", dir.path()) else { return };
    if !cfg!(target_os = "macos") {
        let (weights, bytes) = (std::fs::metadata(&saved).unwrap().len(), std::fs::metadata(&library).unwrap().len());
        assert!(bytes < weights * 3 / 2, "{bytes} bytes of a model of {weights}");
    }
    let built = Predictor::load_built(&library, options()).unwrap();
    assert_eq!(predicted(&built, 4), predicted(&Predictor::load(&saved, options()).unwrap(), 4));
}

#[cfg(unix)]
#[test]
fn files_that_others_may_write_are_not_loaded() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let Some((library, _)) = small_library(dir.path(), 1) else { return };
    let refused = |path: &Path, mode: u32| {
        let before = std::fs::metadata(path).unwrap().permissions();
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        let error = Predictor::load_built(&library, options()).unwrap_err();
        std::fs::set_permissions(path, before).unwrap();
        let TrainError::Built { error, .. } = &error else { panic!("{error}") };
        assert!(matches!(**error, BuiltError::Untrusted(_)), "{error}");
        let text = error.to_string();
        assert!(text.contains("can be written by others") && text.contains("chmod"), "{text}");
    };
    refused(&library, 0o666);
    refused(&library, 0o664);
    refused(dir.path(), 0o777);
    assert!(Predictor::load_built(&library, options()).is_ok());
}

/// The bytes with a text replaced by one as long, wherever it stands.
fn replaced(bytes: &[u8], old: &str, new: &str) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let mut bytes = bytes.to_vec();
    let found: Vec<usize> =
        (0..bytes.len() - old.len()).filter(|at| bytes[*at..].starts_with(old.as_bytes())).collect();
    assert!(!found.is_empty(), "{old}");
    for at in found {
        bytes[at..at + new.len()].copy_from_slice(new.as_bytes());
    }
    bytes
}

#[test]
fn manifests_that_are_of_another_machine_or_lie_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let Some((library, _)) = small_library(dir.path(), 1) else { return };
    let bytes = std::fs::read(&library).unwrap();
    let entries = library_entries(&bytes).unwrap();
    assert_eq!(entries.iter().map(|entry| entry.name()).collect::<Vec<_>>(), ["small_b1", "small_b2", "small_b4"]);
    assert!(entries.iter().all(|entry| !entry.changes_states() && entry.inputs()[0].0 == "x"));
    let triple = options().target_or_host().unwrap().triple().to_string();
    let (other, state_bytes) = ("x".repeat(triple.len()), field(&bytes, "\"state_bytes\": "));
    for (old, new, what) in [
        ("\"abi_version\": 1", "\"abi_version\": 7", "version 7 of the interface"),
        ("\"name\": \"small_b2\"", "\"name\": \"small_b8\"", "it is of `small_b8`"),
        (&format!("\"target\": \"{triple}\""), &format!("\"target\": \"{other}\""), "and this machine is"),
        ("\"align\": 64", "\"align\": 32", "aligned otherwise"),
        ("\"offset\": 64", "\"offset\": 65", "it isn't where it must be"),
        ("\"dtype\": \"f32\"", "\"dtype\": \"f99\"", "no elements of type `f99`"),
        (&state_bytes, &with_another_digit(&state_bytes), "bytes of states, which take"),
        ("\"changes_states\"", "\"changes_statez\"", "missing field"),
        ("small_b1_init", "small_b1_exit", "there is no function `small_b1_init`"),
    ] {
        let error = library_entries(&replaced(&bytes, old, new)).unwrap_err().to_string();
        assert!(error.contains(what), "{old}: {error}");
    }
    // What only the code knows is found when it is there.
    let arena_bytes = field(&bytes, "\"arena_bytes\": ");
    std::fs::write(&library, replaced(&bytes, &arena_bytes, &with_another_digit(&arena_bytes))).unwrap();
    let error = Predictor::load_built(&library, options()).unwrap_err().to_string();
    assert!(error.contains("an arena of another size than its manifest says"), "{error}");
}

/// A field of the first manifest, with its number.
fn field(bytes: &[u8], field: &str) -> String {
    let at = (0..bytes.len()).find(|at| bytes[*at..].starts_with(field.as_bytes())).unwrap();
    let digits = bytes[at + field.len()..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    String::from_utf8(bytes[at..at + field.len() + digits].to_vec()).unwrap()
}

/// The same number, but for its last digit.
fn with_another_digit(text: &str) -> String {
    format!("{}{}", &text[..text.len() - 1], if text.ends_with('1') { 2 } else { 1 })
}

/// Damaged libraries that are read; `GRADC_LIBRARY_MUTATIONS` says how many.
const MUTATIONS: u64 = 3000;

#[test]
fn damaged_libraries_are_refused_or_read_and_never_worse() {
    let dir = tempfile::tempdir().unwrap();
    let Some((library, _)) = small_library(dir.path(), 1) else { return };
    let bytes = std::fs::read(&library).unwrap();
    for end in (0..bytes.len()).step_by(97) {
        assert!(library_entries(&bytes[..end]).is_err(), "{end} of {} bytes", bytes.len());
    }
    let count = std::env::var("GRADC_LIBRARY_MUTATIONS").map_or(MUTATIONS, |text| text.parse().unwrap());
    let mut refused = 0;
    for seed in 0..count {
        let mut random = SplitMix64::new(seed);
        let mut damaged = bytes.clone();
        damage(&mut damaged, 0, &mut random);
        match library_entries(&damaged) {
            Ok(entries) => assert!(entries.iter().all(|entry| !entry.name().is_empty()), "{seed}"),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                refused += 1;
            }
        }
    }
    assert!(refused * 10 > count, "{refused} of {count} refused: are they damaged at all?");
}

#[test]
fn what_is_no_library_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.so");
    let error = || Predictor::load_built(&path, options()).unwrap_err().to_string();
    assert!(error().contains("m.so: the file can't be read"), "{}", error());
    std::fs::write(&path, "no library").unwrap();
    assert!(error().contains("it is no shared library"), "{}", error());
    let step = model().inference_graph(1).unwrap();
    let files = compile_steps(&[("infer", &step)], &ObjectOptions::named("cnn")).unwrap();
    std::fs::write(&path, &files[0].object).unwrap();
    assert!(error().contains("it is of the kind Relocatable"), "{}", error());
}
