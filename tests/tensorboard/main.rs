//! TensorBoard's own reader, from PyPI, finds in event files what a training has measured. Skipped, and said so, where Python or the package can't be had.
#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

use gradc::data::{Dataset, array};
use gradc::prelude::*;
use gradc::train::callback::TensorBoard;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Python that has TensorBoard: the machine's, or one of its own beside the build, which is made once.
fn python() -> Option<PathBuf> {
    let has = |python: &Path| {
        let run =
            Command::new(python).args(["-c", "import tensorboard.backend.event_processing.event_accumulator"]).output();
        run.is_ok_and(|run| run.status.success())
    };
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tensorboard-venv");
    let inside = own.join("bin/python");
    for known in [Path::new("python3"), &inside] {
        if has(known) {
            return Some(known.to_path_buf());
        }
    }
    let run = |command: &mut Command| command.output().is_ok_and(|run| run.status.success());
    let made = run(Command::new("python3").args(["-m", "venv"]).arg(&own))
        && run(Command::new(&inside).args(["-m", "pip", "install", "--quiet", "tensorboard", "setuptools<81"]));
    (made && has(&inside)).then_some(inside)
}

/// What the reader finds in a folder.
fn read(python: &Path, dir: &Path) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tensorboard/read.py");
    let run = Command::new(python).arg(script).arg(dir).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    serde_json::from_slice(&run.stdout).unwrap()
}

fn data() -> Dataset {
    let x = array([16, 2], (0..32).map(|i| (i * 7 % 11) as f32 / 11.0).collect()).unwrap();
    Dataset::new(x, array([16], (0..16).map(|i| i % 3).collect::<Vec<i32>>()).unwrap()).unwrap()
}

#[test]
fn tensorboard_reads_the_same_numbers() {
    let Some(python) = python() else {
        eprintln!("SKIPPED: there is no Python with the package `tensorboard`, and pip could not install it");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (data, model) = (data(), Sequential::new([2]).dense(4).relu().dense(3));
    let mut trainer = model.compile(Adam::new(0.01), SparseCategoricalCrossEntropy, [Accuracy]).unwrap();
    let mut board = TensorBoard::new(dir.path()).histograms(&data).steps(3);
    let fit = Fit::epochs(3).batch(8).validate(&data).callback(&mut board).silent();
    let history = trainer.fit(&data, fit).unwrap();
    let (train, validation) = (read(&python, &dir.path().join("train")), read(&python, &dir.path().join("validation")));

    for (found, name, of) in [
        (&train, "epoch_loss", "loss"),
        (&train, "epoch_accuracy", "accuracy"),
        (&train, "epoch_lr", "lr"),
        (&validation, "epoch_loss", "val_loss"),
        (&validation, "epoch_accuracy", "val_accuracy"),
    ] {
        let wanted: Vec<(u64, f32)> = (1..).zip(history.get(of).into_iter().map(|x| x as f32)).collect();
        let events = found["scalars"][name].as_array().unwrap_or_else(|| panic!("{name}: {found}"));
        let events: Vec<(u64, f32)> =
            events.iter().map(|e| (e[0].as_u64().unwrap(), e[1].as_f64().unwrap() as f32)).collect();
        assert_eq!(events, wanted, "{of}");
    }
    let steps: Vec<u64> =
        train["scalars"]["batch_loss"].as_array().unwrap().iter().map(|e| e[0].as_u64().unwrap()).collect();
    assert_eq!(steps, [3, 6]);

    // The last epoch's weights, as the trainer has them.
    let kernel = trainer.weights().unwrap()["dense/kernel"].to_f64_vec();
    let last: Vec<f64> = train["histograms"]["weights/dense/kernel"][2]
        .as_array()
        .unwrap()
        .iter()
        .map(|x| x.as_f64().unwrap())
        .collect();
    let least = kernel.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = kernel.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    assert_eq!(last[..4], [3.0, least, greatest, 8.0]);
    assert!((last[4] - kernel.iter().sum::<f64>()).abs() < 1e-12 && last[6] == 8.0, "{last:?}");
    for tag in ["gradients/dense_1/bias", "activations/relu"] {
        assert_eq!(train["histograms"][tag].as_array().map(Vec::len), Some(3), "{tag}");
    }

    let nodes = train["nodes"].as_object().unwrap();
    assert!(nodes.contains_key("dense/kernel") && nodes.contains_key("x"), "{nodes:?}");
    let (_, dot) = nodes.iter().find(|(name, _)| name.starts_with("dense/dot_")).unwrap();
    assert_eq!(dot[0], "dot");
    assert_eq!(dot[1].as_array().unwrap().len(), 2);
}
