//! Callbacks in a training.

use super::*;
use crate::data::array;
use crate::prelude::*;

fn data() -> Dataset {
    let x = array([8, 1], (0..8).map(|i| i as f32 / 8.0).collect()).unwrap();
    let y = array([8, 1], (0..8).map(|i| i as f32 / 4.0).collect()).unwrap();
    Dataset::new(x, y).unwrap()
}

fn trainer(lr: f64) -> Trainer {
    let model = Sequential::new([1]).dense(1);
    let trainer = model.compile(Sgd::new(lr), MeanSquaredError, [Metric::Mae]).unwrap();
    trainer.with_options(CompileOptions::threads(1)).unwrap()
}

#[test]
fn stops_early_and_puts_the_best_weights_back() {
    // A rate that makes the error grow from epoch to epoch: the first one is the best.
    let (data, mut trainer) = (data(), trainer(3.0));
    let mut stopping = EarlyStopping::new("val_loss").patience(2).restore_best();
    let options = Fit::epochs(50).batch(8).validate(&data).callback(&mut stopping).silent();
    let history = trainer.fit(&data, options).unwrap();
    assert_eq!(history.epochs.len(), 3, "{history:?}");
    assert!(history.stopped.unwrap().contains("val_loss has not improved for 2 epochs"));
    let (best, epoch) = stopping.best().unwrap();
    assert_eq!(epoch, 1);
    assert_eq!(trainer.evaluate(&data).unwrap().loss, best);
}

#[test]
fn saves_the_best_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("best.safetensors");
    let (data, mut trainer) = (data(), trainer(3.0));
    let checkpoint = ModelCheckpoint::new(&path, "val_loss");
    let history = trainer.fit(&data, Fit::epochs(3).batch(8).validate(&data).callback(checkpoint).silent()).unwrap();
    assert_ne!(trainer.evaluate(&data).unwrap().loss, history.get("val_loss")[0]);
    trainer.load_weights(&path).unwrap();
    assert_eq!(trainer.evaluate(&data).unwrap().loss, history.get("val_loss")[0]);
}

#[test]
fn changes_the_rate_without_compiling_anew() {
    let (data, mut trainer) = (data(), trainer(0.5));
    let halve = LearningRateSchedule::new(|epoch, lr| if epoch == 1 { lr } else { lr / 2.0 });
    let history = trainer.fit(&data, Fit::epochs(3).batch(8).callback(halve).silent()).unwrap();
    assert_eq!(history.get("lr"), [0.5, 0.25, 0.125]);
    let plateau = ReduceLrOnPlateau::new("loss").min_delta(1e9).factor(0.1).patience(2).min_lr(0.05);
    let history = trainer.fit(&data, Fit::epochs(6).batch(8).callback(plateau).silent()).unwrap();
    let rates: Vec<String> = history.get("lr").iter().map(|lr| format!("{lr:.4}")).collect();
    assert_eq!(rates, ["0.1250", "0.1250", "0.1250", "0.0500", "0.0500", "0.0500"]);
    assert_eq!(trainer.reports().len(), 1);
}

#[test]
fn logs_a_line_per_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.csv");
    let (data, mut trainer) = (data(), trainer(0.1));
    let options = Fit::epochs(2).batch(8).validate(&data).callback(CsvLogger::new(&path)).silent();
    let history = trainer.fit(&data, options).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines[0], ["epoch", "loss", "mae", "val_loss", "val_mae", "lr", "seconds", "samples_per_second"]);
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[2][0], "2");
    assert_eq!(lines[2][3].parse::<f64>().unwrap(), history.last("val_loss").unwrap());
    let nowhere = Fit::epochs(1).callback(CsvLogger::new(dir.path().join("no/such/dir.csv"))).silent();
    assert!(matches!(trainer.fit(&data, nowhere), Err(TrainError::Log { .. })));
}

#[test]
fn watching_what_is_not_measured_is_an_error() {
    let error = trainer(0.1).fit(&data(), Fit::epochs(1).callback(EarlyStopping::new("val_loss")).silent());
    assert!(matches!(error, Err(TrainError::Monitor { .. })), "{error:?}");
}

/// Notes each step, and stops in the middle of the second epoch.
#[derive(Default)]
struct Steps(Vec<(usize, usize, f64)>);

impl Callback for Steps {
    fn batch_begin(&mut self, at: StepPlace, control: &mut Control<'_>) -> Result<(), TrainError> {
        assert_eq!(control.logs().get("mae").is_some(), at.step > 1);
        if at.epoch == 2 {
            control.trainer().set_learning_rate(0.0)?;
        }
        Ok(())
    }

    fn batch_end(&mut self, at: StepPlace, control: &mut Control<'_>) -> Result<(), TrainError> {
        self.0.push((at.epoch, at.step, control.logs().loss()));
        if (at.epoch, at.step) == (2, 3) {
            control.stop("enough");
        }
        Ok(())
    }

    fn epoch_end(&mut self, record: &EpochRecord, control: &mut Control<'_>) -> Result<(), TrainError> {
        assert_eq!(control.logs().get("mae"), record.get("mae"));
        Ok(())
    }
}

#[test]
fn steps_are_told_of_and_can_be_the_last() {
    let (data, mut trainer, mut steps) = (data(), trainer(0.1), Steps::default());
    let options = Fit::epochs(9).batch(2).shuffle(false).callback(&mut steps).silent();
    let history = trainer.fit(&data, options).unwrap();
    assert_eq!((history.stopped.as_deref(), history.epochs.len()), (Some("enough"), 2));
    let places: Vec<_> = steps.0.iter().map(|(epoch, step, _)| (*epoch, *step)).collect();
    assert_eq!(places, [(1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2), (2, 3)]);
    let mean = |of: &[(usize, usize, f64)]| of.iter().map(|step| step.2).sum::<f64>() / of.len() as f64;
    for (record, of) in history.epochs.iter().zip([&steps.0[..4], &steps.0[4..]]) {
        assert!((record.get("loss").unwrap() - mean(of)).abs() < 1e-12, "{record:?}");
    }
    // With a rate of 0 the second epoch changed nothing.
    let of_three = trainer.evaluate(&data.take(6).unwrap()).unwrap().loss;
    assert!((history.last("loss").unwrap() - of_three).abs() < 1e-6);
}
