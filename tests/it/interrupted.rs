//! Runs that are killed by the system, or run into its limits, in processes of their own: this test's binary, started again.

use gradc::data::array;
use gradc::io::load_tensors;
use gradc::prelude::*;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Names the folder of a run, in the process that is to run it.
const RUN: &str = "GRADC_INTERRUPTED_RUN";
/// How often a run is killed in the normal case; `GRADC_KILLS=50` makes a long run.
const KILLS: u64 = 4;
const EPOCHS: usize = 12;

fn data() -> Dataset {
    let x = |i: usize| ((i * 7919 + i / 16 * 104_729) % 1009) as f32 / 1009.0 - 0.5;
    let features: Vec<f32> = (0..500 * 16).map(x).collect();
    let labels = features.chunks(16).map(|row| i32::from(row[0] * row[1] > 0.0) + i32::from(row[2] > 0.2)).collect();
    Dataset::new(array([500, 16], features).unwrap(), array([500], labels).unwrap()).unwrap()
}

/// The run itself: shuffling, dropout, batch normalization, Adam. Its last states are saved when it has ended.
fn train(dir: &Path) {
    let model = Sequential::new([16]).dense(48).batch_norm().relu().dropout(0.3).dense(24).relu().dropout(0.1).dense(3);
    let trainer = model.compile(Adam::new(0.003), SparseCategoricalCrossEntropy, [Accuracy]).unwrap();
    let mut trainer = trainer.with_options(CompileOptions::threads(1)).unwrap();
    let checkpoints = Checkpoints::new(dir.join("run")).every_steps(5).keep(3);
    let options = Fit::epochs(EPOCHS).batch(32).validation_split(0.2).seed(3).resume(checkpoints).silent();
    let options = options.callback(EarlyStopping::new("val_loss").patience(100).restore_best());
    match trainer.fit(&data(), options) {
        Ok(history) => {
            assert_eq!(history.epochs.len(), EPOCHS);
            trainer.save_checkpoint(dir.join("last.safetensors")).unwrap();
        }
        Err(error) => {
            eprintln!("the run failed: {error}");
            std::process::exit(1);
        }
    }
}

/// The command that starts this binary for one of its tests, to run in `dir`; under a limit of blocks of 512 bytes for a file, if there is one.
fn command(test: &str, dir: &Path, limit: Option<u32>) -> Command {
    let exe = std::env::current_exe().unwrap();
    let args = ["--exact", test, "--nocapture"];
    let mut command = match limit {
        None => Command::new(exe),
        Some(blocks) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"")]).arg(exe);
            shell
        }
    };
    command.args(args).env(RUN, dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// The bytes of all states at the end, by name.
fn last(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let tensors = load_tensors(dir.join("last.safetensors")).unwrap();
    tensors.into_iter().map(|(name, value)| (name, value.data().to_bytes())).collect()
}

fn checkpoints(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("run")).map_or(0, |all| {
        all.filter(|entry| entry.as_ref().is_ok_and(|e| e.file_name().to_string_lossy().starts_with("epoch-"))).count()
    })
}

/// Killed at random moments from its start on, each time in a fresh folder, and gone on with to the end.
#[test]
fn killed_runs_end_as_the_undisturbed_one() {
    if let Some(dir) = std::env::var_os(RUN) {
        return train(Path::new(&dir));
    }
    let start_in = |dir: &Path| command("interrupted::killed_runs_end_as_the_undisturbed_one", dir, None);
    let (undisturbed, start) = (tempfile::tempdir().unwrap(), Instant::now());
    assert!(start_in(undisturbed.path()).status().unwrap().success());
    let (took, want) = (start.elapsed(), last(undisturbed.path()));
    let kills = std::env::var("GRADC_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let mut random = ir::SplitMix64::new(took.as_nanos() as u64 ^ u64::from(std::process::id()));
    let (mut within, mut before, mut after) = (0, 0, 0);
    for kill in 0..kills {
        let dir = tempfile::tempdir().unwrap();
        let mut run = start_in(dir.path()).spawn().unwrap();
        let wait = Duration::from_nanos(random.bits() % took.as_nanos() as u64);
        std::thread::sleep(wait);
        run.kill().unwrap();
        run.wait().unwrap();
        match (checkpoints(dir.path()), dir.path().join("last.safetensors").exists()) {
            (_, true) => after += 1,
            (0, false) => before += 1,
            (_, false) => within += 1,
        }
        assert!(start_in(dir.path()).status().unwrap().success());
        assert!(last(dir.path()) == want, "kill {kill}, after {wait:?} of {took:?}");
    }
    println!(
        "{kills} kills: {within} with checkpoints to go on from, {before} before the first, {after} after the end; a run takes {took:?}"
    );
}

/// A file that can't become as large as a checkpoint is, as on a full disk: a typed error that names the checkpoint which stands, and the run goes on when there is room again.
#[cfg(unix)]
#[test]
fn a_checkpoint_that_cannot_be_written_leaves_the_one_before() {
    if let Some(dir) = std::env::var_os(RUN) {
        return train(Path::new(&dir));
    }
    let test = "interrupted::a_checkpoint_that_cannot_be_written_leaves_the_one_before";
    let (undisturbed, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(command(test, undisturbed.path(), None).status().unwrap().success());
    // Nothing fits from the first one on: there is none to go on from.
    let failed = |limit| {
        let output = command(test, dir.path(), Some(limit)).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let text = failed(8);
    assert!(text.contains("no checkpoint could be written, and there is none before it"), "{text}");
    let run = dir.path().join("run");
    std::fs::remove_dir_all(&run).unwrap();
    std::fs::create_dir_all(&run).unwrap();
    let newest = std::fs::read_dir(undisturbed.path().join("run")).unwrap().map(|entry| entry.unwrap().path());
    let oldest = newest.filter(|path| path.extension().is_some()).min().unwrap();
    std::fs::copy(&oldest, run.join(oldest.file_name().unwrap())).unwrap();
    let text = failed(8);
    assert!(text.contains(oldest.file_name().unwrap().to_str().unwrap()) && text.contains("stands"), "{text}");
    assert_eq!(checkpoints(dir.path()), 1);
    assert!(command(test, dir.path(), None).status().unwrap().success());
    assert!(last(dir.path()) == last(undisturbed.path()));
}
