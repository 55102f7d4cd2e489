//! Folders and files that a run can't go on from, or can't write to.

use super::*;
use crate::data::DataError;
use crate::io::IoError;
use std::cell::Cell;
use std::path::PathBuf;

fn fit(dir: &Path, epochs: usize) -> Fit<'static> {
    Fit::epochs(epochs).batch(8).resume(Checkpoints::new(dir).keep(2)).silent()
}

/// A folder with the checkpoints of three epochs, of which two are kept.
fn saved() -> (tempfile::TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    trainer().fit(&points(28), fit(dir.path(), 3)).unwrap();
    let files = checkpoints(dir.path());
    (dir, files)
}

fn checkpoints(dir: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    all.sort();
    all
}

fn refused(result: Result<History, TrainError>) -> CheckpointError {
    match result {
        Err(TrainError::Checkpoint(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_newest_are_kept_and_leftovers_removed() {
    let (dir, files) = saved();
    let names: Vec<_> = files.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["epoch-00002-step-00000000.safetensors", "epoch-00003-step-00000000.safetensors"]);
    std::fs::write(dir.path().join(".gradc-half"), b"written").unwrap();
    std::fs::write(dir.path().join("notes.txt"), b"the user's own").unwrap();
    trainer().fit(&points(28), fit(dir.path(), 4)).unwrap();
    assert!(!dir.path().join(".gradc-half").exists() && dir.path().join("notes.txt").exists());
    assert_eq!(checkpoints(dir.path()).len(), 2);
}

/// Its states are there for who only wants to predict, or goes on in a loop of its own.
#[test]
fn a_checkpoint_is_a_file_of_weights_too() {
    let (_dir, files) = saved();
    let (mut weights, mut whole) = (trainer(), trainer());
    weights.load_weights(&files[1]).unwrap();
    whole.load_checkpoint(&files[1]).unwrap();
    assert_eq!((weights.steps().unwrap(), whole.steps().unwrap()), (0, 12));
    assert_eq!(weights.weights().unwrap(), whole.weights().unwrap());
}

#[test]
fn damaged_checkpoints_are_passed_over_and_told_of() {
    let (dir, files) = saved();
    let want = {
        let (dir, mut trainer) = (tempfile::tempdir().unwrap(), trainer());
        trainer.fit(&points(28), fit(dir.path(), 4)).unwrap();
        bits(&mut trainer)
    };
    let whole = std::fs::read(&files[1]).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for torn in [&whole[..whole.len() / 3], &whole[..0], &whole[..whole.len() - 1], &flipped] {
        std::fs::write(&files[1], torn).unwrap();
        let told = Cell::new(0);
        let count = |error: &IoError| {
            assert!(matches!(error, IoError::Malformed { path, .. } if *path == files[1]), "{error}");
            told.set(told.get() + 1);
        };
        let mut trainer = trainer();
        let checkpoints = Checkpoints::new(dir.path()).keep(2).on_damaged(count);
        let history = trainer.fit(&points(28), Fit::epochs(4).batch(8).resume(checkpoints).silent()).unwrap();
        assert_eq!((history.resumed.as_ref(), told.get()), (Some(&files[0]), 1));
        assert_eq!(bits(&mut trainer), want);
        // As it was before, for the next one.
        std::fs::remove_file(dir.path().join("epoch-00004-step-00000000.safetensors")).unwrap();
        trainer_of_two_epochs(&files[0]);
    }
    files.iter().for_each(|path| std::fs::write(path, b"nothing").unwrap());
    let error = refused(trainer().fit(&points(28), fit(dir.path(), 4)));
    assert!(matches!(error, CheckpointError::Damaged { count: 2, .. }), "{error}");
    assert!(error.to_string().contains("remove them to begin anew"), "{error}");
}

/// Writes the checkpoint of two epochs again, which the later ones had put aside.
fn trainer_of_two_epochs(path: &Path) {
    let dir = tempfile::tempdir().unwrap();
    trainer().fit(&points(28), fit(dir.path(), 2)).unwrap();
    std::fs::copy(dir.path().join(path.file_name().unwrap()), path).unwrap();
}

#[test]
fn another_run_is_refused_with_what_differs() {
    let (dir, _) = saved();
    let again = |options: Fit<'_>| refused(trainer().fit(&points(28), options.resume(dir.path()).silent()));
    let setting = |error: CheckpointError, wanted: &str| {
        assert!(matches!(error, CheckpointError::Setting { .. }), "{error}");
        assert!(error.to_string().contains(wanted), "{error}");
    };
    setting(again(Fit::epochs(4).batch(7)), "the size of a batch is 8 in the checkpoint and 7 in this run");
    setting(again(Fit::epochs(4).batch(8).seed(1)), "the seed of the shuffling is 0");
    setting(again(Fit::epochs(4).batch(8).shuffle(false)), "shuffling is on");
    setting(again(Fit::epochs(4).batch(8).callback(Killer(None))), "callbacks is [] in the checkpoint and [Killer]");
    setting(refused(trainer().fit(&points(27), fit(dir.path(), 4))), "the number of samples is 28");
    let metrics = || [Accuracy, F1(Average::Macro), Metric::mean("spread", Mode::Min, spread)];
    let of = |trainer: Result<Trainer, ModelErrors>| refused(trainer.unwrap().fit(&points(28), fit(dir.path(), 4)));
    let other = Sequential::new([2]).dense(3);
    let optimizer = other.compile(Sgd::new(0.1), SparseCategoricalCrossEntropy, metrics());
    setting(of(optimizer), "the optimizer is adam in the checkpoint and sgd in this run");
    let model = of(other.compile(Adam::new(0.1), SparseCategoricalCrossEntropy, metrics()));
    assert!(matches!(&model, CheckpointError::Model { source: IoError::Unexpected { .. } | IoError::Missing { .. } }));
    let error = refused(trainer().fit(&points(28), Fit::epochs(4).batch(8).checkpoints(dir.path()).silent()));
    assert!(matches!(error, CheckpointError::Taken { .. }), "{error}");
    // Nothing has been lost by all that.
    trainer().fit(&points(28), fit(dir.path(), 4)).unwrap();
}

/// What has no name among the settings is noticed, too: a rate, an optimizer's decay, a layer's dropout.
#[test]
fn other_rates_are_noticed() {
    let data = points(28);
    let run = |dir: &Path, rate: f64, decay: f64, dropout: f64, epochs: usize| {
        let model = Sequential::new([2]).dense(8).dropout(dropout).dense(3);
        let trainer = model.compile(AdamW::new(rate).weight_decay(decay), SparseCategoricalCrossEntropy, []).unwrap();
        trainer.with_options(CompileOptions::threads(1)).unwrap().fit(&data, fit(dir, epochs))
    };
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), 0.1, 0.01, 0.2, 1).unwrap();
    for (rate, decay, dropout) in [(0.2, 0.01, 0.2), (0.1, 0.02, 0.2), (0.1, 0.01, 0.3)] {
        let error = refused(run(dir.path(), rate, decay, dropout, 2));
        assert!(matches!(&error, CheckpointError::Setting { what, .. } if what.contains("a checksum")), "{error}");
    }
    assert_eq!(run(dir.path(), 0.1, 0.01, 0.2, 2).unwrap().epochs.len(), 2);
}

#[test]
fn a_folder_is_of_one_run_at_a_time() {
    struct Second(PathBuf);
    impl Callback for Second {
        fn epoch_end(&mut self, _: &EpochRecord, _: &mut Control<'_>) -> Result<(), TrainError> {
            let error = refused(trainer().fit(&points(28), fit(&self.0, 3)));
            assert!(matches!(error, CheckpointError::Busy { .. }), "{error}");
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    trainer().fit(&points(28), fit(dir.path(), 1).callback(Second(dir.path().into()))).unwrap();
    trainer().fit(&points(28), fit(dir.path(), 1).callback(Second(dir.path().into()))).unwrap();
}

#[test]
fn folders_that_cannot_be_written_to_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, b"").unwrap();
    // `/proc` takes no files of anybody, not even of root, whom permissions don't hold back.
    for nowhere in [file.as_path(), &file.join("below"), Path::new("/proc/self")] {
        let error = refused(trainer().fit(&points(28), fit(nowhere, 1)));
        assert!(matches!(&error, CheckpointError::Folder { dir, .. } if dir == nowhere), "{error}");
    }
    let wrong = |checkpoints: Checkpoints<'_>| {
        let error = trainer().fit(&points(28), Fit::epochs(1).checkpoints(checkpoints)).unwrap_err();
        assert!(matches!(error, TrainError::Setting(_)), "{error}");
    };
    wrong(Checkpoints::new(dir.path()).keep(0));
    wrong(Checkpoints::new(dir.path()).every_steps(0));
}

/// A stream whose samples are others each time: what the run has seen can't be seen again.
#[test]
fn data_that_differ_from_run_to_run_are_refused() {
    thread_local!(static RUNS: Cell<u64> = const { Cell::new(0) });
    let fit = |kill| {
        let run = RUNS.with(|runs| runs.replace(runs.get() + 1)) as f32;
        let stream = points(28).stream().map(move |sample, _| {
            sample.get_mut::<f32>("x")?.iter_mut().for_each(|x| *x += run);
            Ok::<(), DataError>(())
        });
        let dir = dir_of_test();
        let checkpoints = Checkpoints::new(dir).every_steps(2);
        trainer().fit(&stream, Fit::epochs(2).batch(8).callback(Killer(kill)).resume(checkpoints).silent())
    };
    fit(Some(StepPlace { epoch: 1, step: 3 })).unwrap_err();
    let error = refused(fit(None));
    assert!(matches!(error, CheckpointError::Data { epoch: 1, batch: 2, .. }), "{error}");
    std::fs::remove_dir_all(dir_of_test()).unwrap();
}

fn dir_of_test() -> PathBuf {
    std::env::temp_dir().join(format!("gradc-data-that-differ-{}", std::process::id()))
}
