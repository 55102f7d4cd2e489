//! Threads as processes that train together, beside one that trains alone.

use crate::data::{Column, Value, array};
use crate::parallel::{Communicator, GroupMember, SingleProcess, ThreadGroup};
use crate::prelude::*;
use crate::train::callback::StepPlace;
use crate::train::{Callback, Control, EpochRecord};
use std::collections::BTreeMap;

type Weights = BTreeMap<String, Value>;

/// Points in three dimensions; every third is of class 1.
fn points(n: usize) -> Dataset {
    let x = (0..n * 3).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    let y = (0..n).map(|i| i32::from(i % 3 == 0)).collect();
    Dataset::new(array([n, 3], x).unwrap(), array([n], y).unwrap()).unwrap()
}

fn weighted(n: usize) -> Dataset {
    let weights = (0..n).map(|i| (i % 5) as f32 / 2.0).collect();
    points(n).with("sample_weight", Column::new(array([n], weights).unwrap()).unwrap()).unwrap()
}

fn model() -> Sequential {
    Sequential::new([3]).dense(6).tanh().dense(2)
}

fn compile(model: impl Compile, optimizer: impl Optimizer + 'static) -> Trainer {
    let metrics = [Accuracy, Auc, Metric::ConfusionMatrix];
    let trainer = model.compile(optimizer, SparseCategoricalCrossEntropy, metrics).unwrap();
    trainer.with_options(CompileOptions::threads(1)).unwrap()
}

/// What each of `size` processes has in the end, which must be the same: weights and history.
fn together(
    size: usize,
    make: impl Fn() -> Trainer + Sync,
    data: &Dataset,
    fit: impl Fn() -> Fit<'static> + Sync,
) -> (Weights, History) {
    let results = ThreadGroup::run(size, |member| {
        let mut trainer = make();
        let history = trainer.fit(data, fit().validate(data).parallel(&member).silent()).unwrap();
        (trainer.weights().unwrap(), history)
    });
    let mut results = results.into_iter();
    let first = results.next().unwrap();
    for (weights, history) in results {
        assert_eq!(weights, first.0);
        // As text, in which a number that is none equals itself.
        assert_eq!(format!("{:?}", numbers(&history)), format!("{:?}", numbers(&first.1)));
    }
    first
}

fn alone(trainer: Trainer, data: &Dataset, fit: Fit<'_>) -> (Weights, History) {
    let mut trainer = trainer;
    let history = trainer.fit(data, fit.validate(data).silent()).unwrap();
    (trainer.weights().unwrap(), history)
}

/// All that a history has but times.
fn numbers(history: &History) -> Vec<Vec<(String, f64)>> {
    history.epochs.iter().map(|record| record.values.clone()).collect()
}

#[track_caller]
fn close(a: &Weights, b: &Weights, limit: f64) {
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, value) in a {
        for (x, y) in value.to_f64_vec().iter().zip(b[name].to_f64_vec()) {
            assert!((x - y).abs() <= limit, "{name}: {x} and {y}");
        }
    }
}

#[track_caller]
fn alike(a: &(Weights, History), b: &(Weights, History), limit: f64) {
    close(&a.0, &b.0, limit);
    for (a, b) in numbers(&a.1).iter().zip(numbers(&b.1)) {
        for ((name, a), (_, b)) in a.iter().zip(b) {
            assert!((a - b).abs() <= limit || (a.is_nan() && b.is_nan()), "{name}: {a} and {b}");
        }
    }
}

/// One step at rate 1 changes weights by the gradient: of batches that can be divided, that can't, and of fewer samples than processes.
#[test]
fn gradients_are_those_of_one_process() {
    for (samples, size) in [(8, 2), (7, 2), (9, 4), (3, 4), (1, 2)] {
        for data in [points(samples), weighted(samples)] {
            let fit = || Fit::epochs(1).batch(16).shuffle(false).class_weight([(1, 1.5)]);
            let make = || compile(model(), Sgd::new(1.0));
            let (several, one) = (together(size, make, &data, fit), alone(make(), &data, fit()));
            alike(&several, &one, 1e-6);
        }
    }
}

/// A scan is in one stage, whichever of its results are needed where.
#[test]
fn recurrent_models_are_cut_around_their_scans() {
    let make = || {
        let model = Functional::new(f32([3]), |x| {
            let steps = BatchNorm::new().synchronized(true).apply(&x.unsqueeze(-1));
            let last = BatchNorm::new().synchronized(true).apply(&Lstm::new(4).apply(&steps));
            Dense::new(2).apply(&last)
        });
        compile(model, Sgd::new(0.5).clip_global_norm(1.0))
    };
    let (data, fit) = (points(11), || Fit::epochs(2).batch(11).shuffle(false));
    alike(&together(2, make, &data, fit), &alone(make(), &data, fit()), 1e-5);
}

/// Whatever is done with gradients is done with their sum.
#[test]
fn all_that_optimizers_do_is_done_with_the_sum() {
    let data = weighted(41);
    let fit = || Fit::epochs(3).batch(8);
    let rate = || Schedule::cosine(0.05, 12).warmup(3);
    let makers: [Box<dyn Fn() -> Trainer + Sync>; 4] = [
        Box::new(move || compile(model(), Adam::new(rate()).clip_global_norm(0.1).output_gradient_norm("norm"))),
        Box::new(|| compile(model(), Sgd::new(0.1).momentum(0.9).accumulate(3).ema(0.9))),
        Box::new(|| {
            compile(model(), AdamW::default().weight_decay(0.1).loss_scale(LossScale::dynamic()).clip_value(0.01))
        }),
        Box::new(|| {
            let groups = Groups::new().group(Select::layer("dense"), Sgd::new(0.1)).rest(Adam::new(0.01));
            compile(model(), groups.clip_global_norm(0.5))
        }),
    ];
    for make in makers {
        let (several, one) = (together(3, &make, &data, fit), alone(make(), &data, fit()));
        alike(&several, &one, 2e-5);
        assert_eq!(together(3, &make, &data, fit).0, several.0, "the same bits each time");
    }
}

#[test]
fn penalties_count_once() {
    let make = || {
        let dense = Dense::new(2).kernel_regularizer(Regularizer::l2(0.3));
        compile(Sequential::new([3]).add(dense), Sgd::new(0.5))
    };
    let (data, fit) = (points(7), || Fit::epochs(2).batch(7));
    alike(&together(2, make, &data, fit), &alone(make(), &data, fit()), 2e-6);
}

/// A group of one process takes the step of a process without a group: the very bits, and the same programs.
#[test]
fn one_process_does_what_it_does_without_a_group() {
    let (data, make) = (points(20), || compile(model(), Adam::new(0.1)));
    let one = alone(make(), &data, Fit::epochs(2).batch(8));
    let mut trainer = make();
    let fit = Fit::epochs(2).batch(8).validate(&data).parallel(&SingleProcess).silent();
    assert_eq!(numbers(&trainer.fit(&data, fit).unwrap()), numbers(&one.1));
    assert_eq!(trainer.weights().unwrap(), one.0);
    assert!(trainer.reports().iter().all(|(purpose, ..)| !purpose.starts_with("stage")));
}

/// Of two processes with the same samples, the second drops other elements than the first, and the same ones each time.
#[test]
fn ranks_draw_different_numbers() {
    let half = points(8);
    let data = half.join(&half).unwrap();
    let make = || compile(Sequential::new([3]).dropout(0.5).dense(2), Sgd::new(1.0));
    let fit = |batch| move || Fit::epochs(1).batch(batch).shuffle(false);
    let both = together(2, make, &data, fit(16)).0;
    assert_eq!(both, together(2, make, &data, fit(16)).0);
    let first = alone(make(), &half, fit(8)()).0;
    assert_ne!(both["dense/kernel"], first["dense/kernel"]);
}

/// Statistics of the whole batch where they are synchronized; else the mean of what each process's follow.
#[test]
fn batch_statistics_are_synchronized_on_request() {
    let make = |synchronized: bool| {
        move || {
            let norm = || BatchNorm::new().momentum(0.5).synchronized(synchronized);
            compile(Sequential::new([3]).dense(5).add(norm()).relu().dense(4).add(norm()).dense(2), Sgd::new(0.3))
        }
    };
    for samples in [16, 13] {
        let (data, fit) = (points(samples), || Fit::epochs(3).batch(16).shuffle(false));
        let one = alone(make(true)(), &data, fit());
        alike(&together(2, make(true), &data, fit), &one, 1e-5);
        let apart = together(2, make(false), &data, fit);
        assert!(apart.0["batch_normalization/moving_mean"] != one.0["batch_normalization/moving_mean"]);
    }
    // The first layer's mean, of three samples and of two: each process's mean counts as its samples do.
    let (data, fit) = (points(5), || Fit::epochs(1).batch(5).shuffle(false));
    let norm = |trainer: (Weights, History)| trainer.0["batch_normalization/moving_mean"].to_f64_vec();
    let (apart, one) = (norm(together(2, make(false), &data, fit)), norm(alone(make(false)(), &data, fit())));
    assert!(apart.iter().zip(&one).all(|(a, b)| (a - b).abs() < 1e-6), "{apart:?} {one:?}");
}

/// Steps that a mask leaves out count in no process.
#[test]
fn synchronized_statistics_leave_masked_steps_out() {
    let words = (0..24).map(|i| if i % 4 < 1 + i / 6 { 1 + i % 7 } else { 0 }).collect();
    let data = Dataset::new(array([6, 4], words).unwrap(), array([6], vec![0i32, 1, 1, 0, 1, 0]).unwrap()).unwrap();
    let make = || {
        let model = Functional::new(i32([4]), |words| {
            let x = Embedding::new(9, 3).mask_zero(true).apply(words);
            let x = BatchNorm::new().synchronized(true).apply(&x);
            Dense::new(2).apply(&GlobalAvgPool1d.apply(&x))
        });
        let trainer = model.compile(Sgd::new(0.5), SparseCategoricalCrossEntropy, []).unwrap();
        trainer.with_options(CompileOptions::threads(1)).unwrap()
    };
    let fit = || Fit::epochs(2).batch(6).shuffle(false);
    alike(&together(4, make, &data, fit), &alone(make(), &data, fit()), 1e-5);
}

/// Fails at a step, in one process.
struct FailsAt(usize, usize);

impl Callback for FailsAt {
    fn batch_end(&mut self, at: StepPlace, control: &mut Control<'_>) -> Result<(), TrainError> {
        match (at.epoch, at.step, control.rank()) == (2, self.0, self.1) {
            true => Err(TrainError::Setting("the disk is full".into())),
            false => Ok(()),
        }
    }

    fn epoch_end(&mut self, _: &EpochRecord, _: &mut Control<'_>) -> Result<(), TrainError> {
        Ok(())
    }
}

/// A run of two processes with checkpoints.
fn run(dir: &std::path::Path, fails_at: usize) -> Vec<Result<(Weights, History), TrainError>> {
    let data = points(30);
    ThreadGroup::run(2, |member| {
        let mut trainer = compile(Sequential::new([3]).dense(6).dropout(0.2).relu().dense(2), Adam::new(0.02));
        let checkpoints = Checkpoints::new(dir).every_steps(2);
        let fit = Fit::epochs(3).batch(8).validate(&data).callback(FailsAt(fails_at, 1)).resume(checkpoints).silent();
        let history = trainer.fit(&data, fit.parallel(&member))?;
        Ok((trainer.weights()?, history))
    })
}

/// What one process fails with ends all, and the run goes on as if nothing had happened.
#[test]
fn a_run_goes_on_after_one_process_failed() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let failed = run(dirs[0].path(), 3);
    assert_eq!(failed[0].as_ref().unwrap_err().to_string(), "rank 1 has failed: the disk is full");
    assert_eq!(failed[1].as_ref().unwrap_err().to_string(), "the disk is full");
    let resumed: Vec<_> = run(dirs[0].path(), 0).into_iter().map(Result::unwrap).collect();
    let undisturbed: Vec<_> = run(dirs[1].path(), 0).into_iter().map(Result::unwrap).collect();
    assert!(resumed[0].1.resumed.is_some() && undisturbed[0].1.resumed.is_none());
    for (resumed, undisturbed) in resumed.iter().zip(&undisturbed) {
        assert_eq!(resumed.0, undisturbed.0);
        assert_eq!(numbers(&resumed.1), numbers(&undisturbed.1));
    }
}

/// What two processes fail with that make their trainer and options by their rank.
fn refused(make: impl Fn(&GroupMember) -> (Trainer, Fit<'static>) + Sync) -> Vec<String> {
    let (data, less) = (points(20), points(19));
    ThreadGroup::run(2, |member| {
        let (mut trainer, fit) = make(&member);
        let data = if trainer.metadata("data") == Some("less") { &less } else { &data };
        trainer.fit(data, fit.parallel(&member).silent()).unwrap_err().to_string()
    })
}

#[test]
fn processes_that_differ_are_refused_in_all_of_them() {
    let plain = |units: usize| compile(Sequential::new([3]).dense(units).dense(2), Sgd::new(0.1));
    let models = refused(|member| (plain(4 + member.rank()), Fit::epochs(1)));
    let batches = refused(|member| (plain(4), Fit::epochs(1).batch(8 + member.rank())));
    let data = refused(|member| {
        let mut trainer = plain(4);
        trainer.set_metadata("data", if member.rank() == 1 { "less" } else { "all" });
        (trainer, Fit::epochs(1))
    });
    for (errors, part) in [
        (models, "differs among processes: rank 0 has "),
        (batches, "the size of a batch differs among processes: rank 0 has 8, rank 1 has 9"),
        (data, "the number of samples differs among processes: rank 0 has 20, rank 1 has 19"),
    ] {
        assert_eq!(errors[0], errors[1]);
        assert!(errors[0].contains(part), "{}", errors[0]);
    }
    let errors = ThreadGroup::run(3, |member| {
        let mut trainer = plain(if member.rank() == 2 { 5 } else { 4 });
        trainer.parallel(&member).err().map(|error| error.to_string())
    });
    assert!(errors[0].as_ref().is_some_and(|error| error.contains("rank 2 has")) && errors[0] == errors[2]);
}

/// A loss that is no number at one process is one at all.
#[test]
fn a_training_diverges_in_all_processes() {
    let data = points(8);
    let values = (0..24).map(|i| if i == 23 { f32::NAN } else { 0.5 }).collect();
    let data = data.with("x", Column::new(array([8, 3], values).unwrap()).unwrap()).unwrap();
    let errors = ThreadGroup::run(2, |member| {
        let fit = Fit::epochs(1).batch(8).shuffle(false).parallel(&member).silent();
        compile(model(), Sgd::new(0.1)).fit(&data, fit).unwrap_err()
    });
    assert!(errors.iter().all(|error| matches!(error, TrainError::Diverged { epoch: 1, step: 1, .. })), "{errors:?}");
}

/// Stops its process after a step.
struct StopsAt(usize);

impl Callback for StopsAt {
    fn batch_end(&mut self, at: StepPlace, control: &mut Control<'_>) -> Result<(), TrainError> {
        if (at.step, control.rank()) == (self.0, 1) {
            control.stop("enough");
        }
        Ok(())
    }

    fn epoch_end(&mut self, _: &EpochRecord, _: &mut Control<'_>) -> Result<(), TrainError> {
        Ok(())
    }
}

#[test]
fn all_stop_where_one_stops() {
    let data = points(40);
    let ends = ThreadGroup::run(2, |member| {
        let mut trainer = compile(model(), Sgd::new(0.1));
        let fit = Fit::epochs(5).batch(8).callback(StopsAt(2)).parallel(&member).silent();
        let history = trainer.fit(&data, fit).unwrap();
        (trainer.steps().unwrap(), history.stopped.unwrap())
    });
    assert_eq!(ends, [(2, "rank 1 has stopped the training".into()), (2, "enough".into())]);
}

/// Files are written by the first process alone.
#[test]
fn the_first_process_writes() {
    let dir = tempfile::tempdir().unwrap();
    let data = points(16);
    ThreadGroup::run(3, |member| {
        let path = |name: &str| dir.path().join(format!("{name}-{}", member.rank()));
        let fit = Fit::epochs(1).batch(8).callback(CsvLogger::new(path("log")));
        let fit = fit.callback(ModelCheckpoint::new(path("best"), "loss")).parallel(&member).silent();
        compile(model(), Sgd::new(0.1)).fit(&data, fit).unwrap();
    });
    let mut names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["best-0", "log-0"]);
}

/// Loops of one's own: each process has samples of its own, of another number, and states are those of rank 0 from the beginning.
#[test]
fn own_loops_are_those_of_one_process() {
    let data = points(7);
    let results = ThreadGroup::run(2, |member| {
        let mut trainer = compile(model(), Sgd::new(0.5)).with_seed(member.rank() as u64).unwrap();
        let seeds = trainer.parallel(&member).err().map(|error| error.to_string());
        assert!(seeds.unwrap().contains("the seed differs among processes: rank 0 has 0, rank 1 has 1"));
        let mut trainer = compile(model(), Sgd::new(0.5));
        if member.rank() == 1 {
            trainer.state_mut::<f32>("dense/kernel").unwrap().fill(9.0);
        }
        let own = if member.rank() == 0 { data.part(0..5) } else { data.part(5..7) }.unwrap();
        let mut replica = trainer.parallel(&member).unwrap();
        for _ in 0..3 {
            replica.train_step(&own).unwrap();
        }
        let loss = replica.trainer().logs().get("loss").unwrap();
        let evaluation = replica.evaluate(&data).unwrap();
        (trainer.weights().unwrap(), loss, evaluation)
    });
    assert_eq!(results[0], results[1]);
    let mut trainer = compile(model(), Sgd::new(0.5));
    for _ in 0..3 {
        trainer.train_step(&data).unwrap();
    }
    close(&results[0].0, &trainer.weights().unwrap(), 1e-6);
    assert!((results[0].1 - trainer.logs().get("loss").unwrap()).abs() < 1e-6);
    let evaluation = trainer.evaluate(&data).unwrap();
    assert!((results[0].2.loss - evaluation.loss).abs() < 1e-6);
    assert_eq!(results[0].2.confusion_matrix(), evaluation.confusion_matrix());
}

/// An integer that a step changes has no mean over processes.
#[test]
fn statistics_that_have_no_mean_are_refused() {
    let model = Functional::new(f32([3]), |x| {
        let g = x.builder();
        let seen = g.state("seen", i64([]), crate::dsl::zeros());
        g.set_update("seen", &(seen + 1));
        Dense::new(2).apply(x)
    });
    let errors = ThreadGroup::run(2, |member| {
        let mut trainer = model.compile(Sgd::new(0.1), SparseCategoricalCrossEntropy, []).unwrap();
        trainer.fit(&points(8), Fit::epochs(1).parallel(&member).silent()).unwrap_err().to_string()
    });
    assert!(errors.iter().any(|error| error.contains("\"seen\"") && error.contains("mean")), "{errors:?}");
}
