//! Checkpoints that somebody has made up: an error or a run, never a panic.

use super::*;
use crate::io::{TensorFile, seal};
use crate::train::best::BestEpoch;
use crate::train::checkpoint::{FoundRun, RunSettings};
use crate::train::programs::Purpose;
use damage::damage;
use ir::SplitMix64;

/// Mutated files that are tried, where nothing else is said.
const FILES: u64 = 4000;

/// A checkpoint from within an epoch, small, and the trainer and the settings that it is of.
fn small() -> (Vec<u8>, Trainer, RunSettings) {
    let dir = tempfile::tempdir().unwrap();
    let mut trainer = small_trainer();
    let checkpoints = Checkpoints::new(dir.path()).every_steps(3);
    let options = || Fit::epochs(2).batch(8).callback(EarlyStopping::new("loss").restore_best()).silent();
    let killed = options().callback(Killer(Some(StepPlace { epoch: 2, step: 3 }))).checkpoints(checkpoints);
    let error = trainer.fit(&halves(28), killed).unwrap_err();
    assert_eq!(error.to_string(), "killed");
    let bytes = std::fs::read(dir.path().join("epoch-00001-step-00000002.safetensors")).unwrap();
    let file = TensorFile::from_bytes("f", bytes.clone()).unwrap();
    let record = file.tensor("@run/record").unwrap();
    let ir::Data::U8(text) = record.data() else { panic!("{record:?}") };
    let record: serde_json::Value = serde_json::from_slice(text).unwrap();
    (bytes, trainer, serde_json::from_value(record["settings"].clone()).unwrap())
}

fn small_trainer() -> Trainer {
    let metrics = [Accuracy, Auc];
    let model = Sequential::new([2]).dense(1);
    let trainer = model.compile(Adam::new(0.05), BinaryCrossEntropy, metrics).unwrap();
    trainer.with_options(CompileOptions::threads(1)).unwrap()
}

/// Points with labels of two classes.
fn halves(n: usize) -> Dataset {
    let labels = (0..n).map(|i| (i % 2) as f32).collect();
    Dataset::new(points(n).value("x").unwrap(), array([n, 1], labels).unwrap()).unwrap()
}

/// What a run does with a file.
fn resumed(
    bytes: Vec<u8>,
    trainer: &mut Trainer,
    best: &mut Option<BestEpoch>,
    settings: &RunSettings,
) -> Result<(), TrainError> {
    let file = TensorFile::from_bytes("f", bytes)?;
    if !file.check_seal()? {
        return Err(TrainError::Setting("a folder has only files with a checksum".into()));
    }
    let found = FoundRun::read(file, trainer, settings)?;
    found.place();
    let program = trainer.programs.activate((Purpose::Training, 8.into()))?;
    let outputs = program.outputs().clone();
    let resumed = found.restore(trainer, best, Some((&outputs, 8)))?;
    let mut stopping = EarlyStopping::new("loss");
    resumed.callbacks.iter().try_for_each(|state| stopping.load_state(state))?;
    let _ = trainer.logs().evaluation();
    Ok(())
}

/// Of each two files one gets a checksum that is right, so that what is behind it is reached too.
/// `GRADC_CHECKPOINT_MUTATIONS=1000000` makes a long run.
#[test]
fn mutated_checkpoints_never_panic() {
    let (whole, mut trainer, settings) = small();
    let mut best = Some(BestEpoch::new(&mut trainer).unwrap());
    resumed(whole.clone(), &mut trainer, &mut best, &settings).unwrap();
    let files = std::env::var("GRADC_CHECKPOINT_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(FILES);
    let (mut random, mut taken, mut slowest) = (SplitMix64::new(7), 0u64, std::time::Duration::ZERO);
    for i in 0..files {
        let mut bytes = whole.clone();
        damage(&mut bytes, 0, &mut random);
        if i % 2 == 0 {
            let _ = seal(Path::new("f"), &mut bytes);
        }
        let same = bytes == whole;
        let start = std::time::Instant::now();
        let result = resumed(bytes, &mut trainer, &mut best, &settings);
        slowest = slowest.max(start.elapsed());
        // A checksum that was not made anew notices all.
        assert!(i % 2 == 0 || result.is_err() || same, "file {i}");
        taken += u64::from(result.is_ok());
    }
    println!("{files} mutated checkpoints, {taken} of them taken; the slowest took {slowest:?}");
    assert!(taken > 0 && taken < files / 2, "{taken} of {files}");
}
