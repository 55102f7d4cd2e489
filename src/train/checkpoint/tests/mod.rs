//! Runs that end somewhere and go on from their checkpoints, beside those that nothing disturbs.

mod files;
mod hostile;

use crate::data::{Source, Stream, array};
use crate::nn::metric::{Average, Mode};
use crate::prelude::*;
use crate::train::callback::StepPlace;
use crate::train::{Callback, CheckpointError, Control, EpochRecord};
use std::path::Path;

const EPOCHS: usize = 4;
/// Batches of 8 of 28 samples: the last one has 4.
const STEPS: usize = 4;

fn points(n: usize) -> Dataset {
    let at = |i: usize| ((i * 37 % 101) as f32 / 101.0 - 0.5, (i * 61 % 103) as f32 / 103.0 - 0.5);
    let x = (0..n).flat_map(|i| [at(i).0, at(i).1]).collect();
    let y = (0..n).map(|i| i32::from(at(i).0 * at(i).1 > 0.0) + i32::from(at(i).0 > 0.3)).collect();
    Dataset::new(array([n, 2], x).unwrap(), array([n], y).unwrap()).unwrap()
}

/// With what a run can have to remember: moments, averages of weights, the scale of losses, running statistics, random keys, metrics of sums and of rows.
fn trainer() -> Trainer {
    let model = Sequential::new([2]).dense(8).add(BatchNorm::new()).relu().dropout(0.25).dense(3);
    let optimizer = Adam::new(0.05).ema(0.9).loss_scale(LossScale::dynamic()).output_gradient_norm("norm");
    let metrics = [Accuracy, F1(Average::Macro), Metric::mean("spread", Mode::Min, spread)];
    let trainer = model.compile(optimizer, SparseCategoricalCrossEntropy, metrics).unwrap();
    trainer.with_options(CompileOptions::threads(1)).unwrap()
}

fn spread(x: &Tensor, _: &Tensor) -> Tensor {
    x.max_axes([-1]) - x.min_axes([-1])
}

/// Ends the training there: after a step, or after an epoch where the step is 0.
struct Killer(Option<StepPlace>);

impl Callback for Killer {
    fn batch_end(&mut self, at: StepPlace, _: &mut Control<'_>) -> Result<(), TrainError> {
        match self.0 == Some(at) {
            true => Err(TrainError::Setting("killed".into())),
            false => Ok(()),
        }
    }

    fn epoch_end(&mut self, record: &EpochRecord, _: &mut Control<'_>) -> Result<(), TrainError> {
        match self.0 == Some(StepPlace { epoch: record.epoch, step: 0 }) {
            true => Err(TrainError::Setting("killed".into())),
            false => Ok(()),
        }
    }
}

/// What a run leaves: bits of all states, the history without times, the log without times.
type Outcome = (Vec<Vec<u8>>, Vec<(usize, Vec<(String, u64)>)>, Option<String>, Vec<String>);

fn bits(trainer: &mut Trainer) -> Vec<Vec<u8>> {
    trainer.programs.kept_states().unwrap().values().map(|value| value.data().to_bytes()).collect()
}

/// A run with checkpoints in `dir` after every `every` steps, killed at a place or not.
fn run(dir: &Path, data: &dyn Source, every: u64, kill: Option<StepPlace>) -> Result<Outcome, TrainError> {
    let (mut trainer, validation) = (trainer(), points(16));
    let log = dir.join("log.csv");
    let options = Fit::epochs(EPOCHS)
        .batch(8)
        .seed(5)
        .validate(&validation)
        .validate_averages()
        .class_weight([(0, 2.0), (2, 0.5)])
        .callback(EarlyStopping::new("val_loss").mode(Mode::Max).patience(2).restore_best())
        .callback(ReduceLrOnPlateau::new("loss").min_delta(1e9).factor(0.5).patience(2))
        .callback(ModelCheckpoint::new(dir.join("best.safetensors"), "val_loss"))
        .callback(LearningRateSchedule::new(|_, rate| rate * 0.9))
        .callback(CsvLogger::new(&log))
        .callback(Killer(kill))
        .resume(Checkpoints::new(dir.join("run")).every_steps(every).keep(2))
        .silent();
    let history = trainer.fit(data, options)?;
    let epoch = |record: &EpochRecord| {
        let values = record.values.iter().map(|(name, value)| (name.clone(), value.to_bits()));
        (record.epoch, values.collect())
    };
    let lines = std::fs::read_to_string(log).unwrap();
    let lines = lines.lines().map(|line| line.rsplitn(3, ',').last().unwrap_or_default().to_string()).collect();
    Ok((bits(&mut trainer), history.epochs.iter().map(epoch).collect(), history.stopped, lines))
}

/// Kills at every step and every epoch's end in turn, each time goes on, and gets what the undisturbed run gives.
fn goes_on_from_everywhere(data: &dyn Source, every: u64) {
    let dir = tempfile::tempdir().unwrap();
    let want = run(dir.path(), data, every, None).unwrap();
    assert!(want.1.len() > 2, "{want:?}");
    // What has ended only gives its result again.
    assert_eq!(run(dir.path(), data, every, None).unwrap(), want);
    for epoch in 1..=want.1.len() {
        for step in 0..=STEPS {
            let (dir, at) = (tempfile::tempdir().unwrap(), StepPlace { epoch, step });
            assert!(run(dir.path(), data, every, Some(at)).is_err());
            assert!(run(dir.path(), data, every, None).unwrap() == want, "killed at {at:?}");
        }
    }
}

#[test]
fn a_killed_run_goes_on_bit_by_bit() {
    goes_on_from_everywhere(&points(28), 3);
}

/// From files, shuffled as far as a buffer reaches, changed at random by several threads; nobody knows how many samples there are.
#[test]
fn a_run_on_a_stream_goes_on_bit_by_bit() {
    let all = points(28);
    let schema = Source::schema(&all);
    let stream = Stream::iter(schema, move || {
        let all = all.clone();
        (0..all.len()).map(move |i| all.part(i..i + 1))
    });
    let stream = stream.shuffle(10).workers(2).map(|sample, rng| {
        let noise = rng.normal() as f32;
        sample.get_mut::<f32>("x")?.iter_mut().for_each(|x| *x += 0.1 * noise);
        Ok(())
    });
    goes_on_from_everywhere(&stream, 3);
}

/// Three times in a row, at places that no checkpoint is.
#[test]
fn a_run_may_be_killed_again_and_again() {
    let (data, dir) = (points(28), tempfile::tempdir().unwrap());
    let want = run(tempfile::tempdir().unwrap().path(), &data, 3, None).unwrap();
    for at in [StepPlace { epoch: 1, step: 2 }, StepPlace { epoch: 2, step: 4 }, StepPlace { epoch: 3, step: 1 }] {
        assert!(run(dir.path(), &data, 3, Some(at)).is_err());
    }
    assert_eq!(run(dir.path(), &data, 3, None).unwrap(), want);
}

/// A run that keeps no best epoch goes on as it was, and not as one that keeps it.
#[test]
fn a_run_without_its_best_epoch_goes_on_without_it() {
    let (data, dir) = (points(28), tempfile::tempdir().unwrap());
    let fit = |dir: &Path, keep, kill| {
        let mut trainer = trainer();
        let options = Fit::epochs(3).batch(8).keep_best(keep).callback(Killer(kill));
        trainer.fit(&data, options.resume(Checkpoints::new(dir).every_steps(1)).silent())?;
        Ok::<_, TrainError>(bits(&mut trainer))
    };
    let want = fit(tempfile::tempdir().unwrap().path(), false, None).unwrap();
    assert!(fit(dir.path(), false, Some(StepPlace { epoch: 2, step: 3 })).is_err());
    let error = fit(dir.path(), true, None).unwrap_err();
    assert!(error.to_string().contains("keeping the best epoch's states"), "{error}");
    assert_eq!(fit(dir.path(), false, None).unwrap(), want);
}

/// Epochs are counted from the first one of the run; more may be asked for than the killed run was to have, fewer may not.
#[test]
fn a_run_that_has_ended_can_be_made_longer() {
    let (data, dir) = (points(28), tempfile::tempdir().unwrap());
    let fit = |dir: &Path, epochs| {
        let mut trainer = trainer();
        let history = trainer.fit(&data, Fit::epochs(epochs).batch(8).resume(dir).silent())?;
        Ok::<_, TrainError>((bits(&mut trainer), history.epochs.len()))
    };
    let want = fit(tempfile::tempdir().unwrap().path(), 5).unwrap();
    fit(dir.path(), 2).unwrap();
    assert_eq!(fit(dir.path(), 5).unwrap(), want);
    let error = fit(dir.path(), 4).unwrap_err();
    assert!(matches!(error, TrainError::Checkpoint(CheckpointError::Farther { epoch: 5, epochs: 4, .. })), "{error}");
}

/// The states to which a diverging run returns are those of its best epoch, in whichever process that was.
#[test]
fn a_resumed_run_that_diverges_has_its_best_epoch() {
    let x: Vec<f32> = (0..16).map(|i| i as f32 / 16.0).collect();
    let y = x.iter().map(|x| 3.0 * x + 1.0).collect();
    let data = Dataset::new(array([16, 1], x).unwrap(), array([16, 1], y).unwrap()).unwrap();
    let fit = |dir: &Path, epochs| {
        let rate = Schedule::piecewise(0.1, [(8, 1.5), (12, 1e30)]);
        let model = Sequential::new([1]).dense(1).compile(Sgd::new(rate).momentum(0.5), MeanSquaredError, []);
        let mut trainer = model.unwrap().with_options(CompileOptions::threads(1)).unwrap();
        let result = trainer.fit(&data, Fit::epochs(epochs).batch(4).validate(&data).resume(dir).silent());
        let best = match result {
            Err(TrainError::Diverged { best, .. }) => best,
            other => other.map(|_| None).unwrap(),
        };
        (bits(&mut trainer), best)
    };
    let (there, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let want = fit(there.path(), 9);
    assert_eq!(want.1, Some(2));
    fit(dir.path(), 3);
    assert_eq!(fit(dir.path(), 9), want);
}
