//! Fitting off the common path: settings that can't be, weights of samples, a training that diverges, one call of `fit` for each epoch.

use gradc::data::{Column, array};
use gradc::nn::Loss;
use gradc::nn::metric::{Evaluated, Mode};
use gradc::prelude::*;
use gradc::train::TrainError;
use std::path::Path;
use std::sync::Arc;

fn line(n: usize) -> Dataset {
    let x = array([n, 1], (0..n).map(|i| i as f32 / n as f32).collect()).unwrap();
    let y = array([n, 1], (0..n).map(|i| 2.0 * i as f32 / n as f32).collect()).unwrap();
    Dataset::new(x, y).unwrap()
}

fn trainer_of(optimizer: impl Optimizer + 'static, loss: impl Loss + 'static, metrics: Vec<Metric>) -> Trainer {
    let trainer = Sequential::new([1]).dense(1).compile(optimizer, loss, metrics).unwrap();
    trainer.with_options(CompileOptions::threads(1)).unwrap()
}

fn trainer(rate: f64) -> Trainer {
    trainer_of(Sgd::new(rate), MeanSquaredError, vec![Metric::Mae])
}

fn refused(optimizer: impl Optimizer + 'static) -> String {
    let at = line!() + 1;
    let error = Sequential::new([1]).dense(1).compile(optimizer, MeanSquaredError, []).unwrap_err().to_string();
    assert!(error.contains(&format!("fitting.rs:{at}:")), "{error}");
    error
}

#[test]
fn rates_that_are_negative_or_no_number_are_refused_at_the_users_line() {
    for rate in [f64::NAN, -0.1, f64::INFINITY] {
        assert!(refused(Sgd::new(rate)).contains("the learning rate must be finite and at least 0"));
        for schedule in [
            Schedule::step(rate, 10, 0.5),
            Schedule::step(0.1, 10, rate),
            Schedule::exponential(0.1, 10, rate),
            Schedule::cosine(rate, 10).warmup(3),
        ] {
            refused(Adam::new(schedule));
        }
        assert!(refused(Sgd::new(0.1).weight_decay(rate)).contains("the weight decay"));
        assert!(refused(AdamW::default().weight_decay(rate)).contains("the weight decay"));
        assert!(refused(Adam::default().betas(rate, 0.9)).contains("beta1"));
        assert!(refused(Adam::default().epsilon(rate)).contains("epsilon"));
        assert!(refused(RmsProp::default().momentum(rate)).contains("the momentum"));
        assert!(refused(Adagrad::new(0.1).initial_accumulator(rate)).contains("the sum of squares"));
        assert!(trainer(0.1).set_learning_rate(rate).is_err());
        let custom = Schedule::Custom(Arc::new(move |step| if step < 2 { 0.1 } else { rate }));
        let mut trainer = trainer_of(Sgd::new(custom), MeanSquaredError, vec![]);
        assert!(trainer.fit(&line(8), Fit::epochs(1).batch(2).silent()).is_err());
    }
    assert!(refused(Sgd::new(0.1).clip_value(0.0)).contains("the limit of clipping must be above 0"));
    assert!(refused(Sgd::new(0.1).clip_global_norm(f64::NAN)).contains("the limit of clipping"));
    let falling = ReduceLrOnPlateau::new("loss").factor(f64::NAN);
    assert!(trainer(0.1).fit(&line(8), Fit::epochs(1).callback(falling).silent()).is_err());
}

/// A loss that reduces too much, or not enough.
struct Shaped(LossFn);

type LossFn = fn(&Tensor) -> Tensor;

impl Loss for Shaped {
    fn name(&self) -> &str {
        "shaped"
    }

    fn target(&self, output: &TensorType) -> TypeSpec {
        output.into()
    }

    fn per_sample(&self, output: &Tensor, target: &Tensor) -> Tensor {
        (self.0)(&(output - target).square())
    }
}

#[test]
fn settings_of_layers_that_are_negative_or_no_number_are_refused() {
    for bad in [f64::NAN, -0.1, f64::INFINITY] {
        let model = |layer: &dyn Fn(Sequential) -> Sequential, says: &str| {
            let error = layer(Sequential::new([2])).compile(Sgd::new(0.1), MeanSquaredError, []).unwrap_err();
            assert!(error.to_string().contains(says) && error.to_string().contains("fitting.rs"), "{error}");
        };
        model(&|m| m.add(Dropout::new(bad)), "the rate must be");
        model(&|m| m.add(BatchNorm::new().epsilon(bad)), "epsilon must be");
        model(&|m| m.add(BatchNorm::new().momentum(bad)), "the momentum must be");
        model(&|m| m.add(Dense::new(2).kernel_regularizer(Regularizer::l2(bad))), "l2 must be");
    }
}

#[test]
fn an_own_loss_or_metric_that_is_not_one_float_a_sample_is_refused() {
    let wrong: [(LossFn, &str); 2] =
        [(Tensor::clone, "not f32[1,2]"), (|x| x.sum_axes([-1]).cast(DType::I32), "i32[1]")];
    for (shape, says) in wrong {
        let model = || Sequential::new([2]).dense(2);
        let error = model().compile(Sgd::new(0.1), Shaped(shape), []).unwrap_err().to_string();
        assert!(error.contains("the loss shaped: must be one float for each sample, f32[1]"), "{error}");
        assert!(error.contains(says) && error.contains("fitting.rs"), "{error}");
        let metric = Metric::mean("own", Mode::Min, move |x, _| shape(x));
        let error = model().compile(Sgd::new(0.1), MeanSquaredError, [metric]).unwrap_err().to_string();
        assert!(error.contains("the metric own: must be one float for each sample"), "{error}");
    }
    Sequential::new([2]).dense(2).compile(Sgd::new(0.1), Shaped(|x| x.mean_axes([-1])), []).unwrap();
    let metric = Metric::mean("own", Mode::Min, |x, _| x.mean());
    let error = Sequential::new([2]).dense(2).compile(Sgd::new(0.1), MeanSquaredError, [metric]).unwrap_err();
    assert!(error.to_string().contains("must be one float for each sample, f32[1], not f32[]"), "{error}");
}

#[test]
fn a_loss_of_the_batch_as_a_whole_is_a_scalar_and_has_no_weights() {
    let data = line(10);
    let mut of_samples = trainer_of(Sgd::new(0.1), MeanSquaredError, vec![]);
    let mut of_batches = trainer_of(Sgd::new(0.1), Shaped(Tensor::mean), vec![]);
    let fit = || Fit::epochs(2).batch(4).silent();
    let (one, other) = (of_samples.fit(&data, fit()).unwrap(), of_batches.fit(&data, fit()).unwrap());
    for (a, b) in one.get("loss").into_iter().zip(other.get("loss")) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
    let weights = Column::new(array([10], vec![1.0f32; 10]).unwrap()).unwrap();
    let error = of_batches.evaluate(&data.with("sample_weight", weights).unwrap()).unwrap_err().to_string();
    assert!(error.contains("fitting.rs") && error.contains("a scalar can't be weighted by sample"), "{error}");
}

#[test]
fn what_callbacks_watch_and_where_they_write_is_checked_before_the_first_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let run = |fit: Fit<'_>| {
        let mut trainer = trainer(0.1);
        let error = trainer.fit(&line(8), fit.silent()).unwrap_err();
        assert_eq!(trainer.steps().unwrap(), 0, "a step was taken before: {error}");
        error
    };
    let once = || Fit::epochs(1);
    assert!(matches!(run(once().callback(EarlyStopping::new("val_loss"))), TrainError::Monitor { .. }));
    assert!(matches!(run(once().callback(ReduceLrOnPlateau::new("los"))), TrainError::Monitor { .. }));
    assert!(matches!(run(once().callback(EarlyStopping::new("lr"))), TrainError::Mode { .. }));
    let nowhere = dir.path().join("no/such/folder/best.safetensors");
    assert!(matches!(run(once().callback(ModelCheckpoint::new(nowhere, "loss"))), TrainError::Io(_)));
    let folder = ModelCheckpoint::new(dir.path(), "loss");
    assert!(matches!(run(once().callback(folder)), TrainError::Io(_)));
    assert!(matches!(run(once().callback(ModelCheckpoint::new(Path::new("x"), "acc"))), TrainError::Monitor { .. }));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn an_own_metrics_direction_is_what_it_says() {
    // What the metric is worth falls from epoch to epoch, as the error does: the first epoch has the largest.
    let metric = |mode| Metric::mean("f1", mode, |x, y| (x - y).abs().mean_axes([-1]));
    let mut kept = EarlyStopping::new("f1").patience(9).restore_best();
    let mut trainer = trainer_of(Sgd::new(0.02), MeanSquaredError, vec![metric(Mode::Max)]);
    let history = trainer.fit(&line(16), Fit::epochs(4).batch(4).callback(&mut kept).silent()).unwrap();
    let values = history.get("f1");
    assert!(values.windows(2).all(|pair| pair[1] < pair[0]), "{values:?}");
    assert_eq!(kept.best(), Some((values[0], 1)));
    let mut least = EarlyStopping::new("f1").mode(Mode::Min).patience(9);
    let history = trainer.fit(&line(16), Fit::epochs(2).batch(4).callback(&mut least).silent()).unwrap();
    assert_eq!(least.best().unwrap().0, history.get("f1")[1]);
    let mut own = EarlyStopping::new("val_f1").patience(9);
    let mut trainer = trainer_of(Sgd::new(0.02), MeanSquaredError, vec![metric(Mode::Min)]);
    let fit = Fit::epochs(3).batch(4).validation_split(0.25).callback(&mut own).silent();
    let history = trainer.fit(&line(16), fit).unwrap();
    assert_eq!(own.best().unwrap().0, history.get("val_f1")[2]);
}

#[test]
fn metrics_are_of_all_samples_however_they_are_split_into_batches() {
    let (n, threes) = (23, |i: usize| i % 3);
    let x = array([n, 3], (0..3 * n).map(|i| ((i * 37 % 19) as f32) / 9.0 - 1.0).collect()).unwrap();
    let y = array([n], (0..n).map(|i| threes(i * i + i / 4) as i32).collect()).unwrap();
    let weights: Vec<f32> = (0..n).map(|i| threes(i) as f32).collect();
    let plain = Dataset::new(x, y).unwrap();
    let weighted = plain.clone().with("sample_weight", Column::new(array([n], weights).unwrap()).unwrap()).unwrap();
    let median = Metric::host("median", Mode::Max, |all: &Evaluated| {
        let mut counted: Vec<f64> =
            all.weights.to_f64_vec().iter().zip(all.outputs.to_f64_vec().chunks(3)).map(|(w, x)| w * x[1]).collect();
        counted.sort_by(f64::total_cmp);
        counted[counted.len() / 2]
    });
    let metrics = vec![Accuracy, F1(Average::Macro), Auc, Metric::Perplexity, Metric::ConfusionMatrix, median];
    for data in [plain, weighted] {
        let trainer = Sequential::new([3])
            .dense(3)
            .compile(Sgd::new(0.0), SparseCategoricalCrossEntropy, metrics.clone())
            .unwrap();
        let mut trainer = trainer.with_options(CompileOptions::threads(1)).unwrap();
        trainer.fit(&data, Fit::epochs(1).batch(n).silent()).unwrap();
        let whole = trainer.evaluate(&data).unwrap();
        let matrix = whole.confusion_matrix().unwrap().clone();
        assert_eq!(whole.metric("accuracy"), Some(matrix.accuracy()));
        assert_eq!(whole.metric("f1_macro"), Some(matrix.f1(Average::Macro)));
        assert!(whole.to_string().ends_with(&matrix.to_string()), "{whole}");
        for batch in [1, 5, 8] {
            let history = trainer.fit(&data, Fit::epochs(1).batch(batch).silent()).unwrap();
            let split = trainer.evaluate(&data).unwrap();
            assert_eq!(split.confusion_matrix(), Some(&matrix));
            for name in ["accuracy", "f1_macro", "auc", "perplexity", "median", "confusion_matrix"] {
                let (found, want) = (split.metric(name).unwrap(), whole.metric(name).unwrap());
                // Logits of batches of other sizes may round otherwise.
                assert!((found - want).abs() < 1e-6, "{name} in batches of {batch}: {found}, not {want}");
                let trained = history.last(name).unwrap();
                assert!(
                    (trained - want).abs() < 1e-6,
                    "{name} of training in batches of {batch}: {trained}, not {want}"
                );
            }
        }
    }
}

#[test]
fn metrics_that_training_can_not_tell_apart_are_refused() {
    let refused = |metrics: Vec<Metric>, says: &str| {
        let at = line!() + 1;
        let error = Sequential::new([1]).dense(1).compile(Sgd::new(0.1), MeanSquaredError, metrics).unwrap_err();
        let error = error.to_string();
        assert!(error.contains(says) && error.contains(&format!("fitting.rs:{at}:")), "{error}");
    };
    for name in ["loss", "lr", "val_mae", ""] {
        refused(vec![Metric::mean(name, Mode::Min, |x, _| x.mean_axes([-1]))], "give it another name");
    }
    refused(vec![Metric::Mae, Metric::Mae], "the graph has an output of that name already");
    refused(vec![F1(Average::Class(2))], "there is no class 2: there are 2");
}

#[test]
fn a_column_of_sample_weights_counts_in_loss_metrics_and_gradients() {
    let n = 12;
    let weights: Vec<f64> = (0..n).map(|i| if i % 3 == 0 { 0.0 } else { f64::from(i) }).collect();
    let column = |weights: Vec<f64>| Column::new(array([weights.len()], weights).unwrap()).unwrap();
    let data = line(n as usize).with("sample_weight", column(weights.clone())).unwrap();
    let (mut weighted, mut plain) = (trainer(0.0), trainer(0.0));
    let predicted = plain.predict(&data).unwrap().to_f64_vec();
    let errors: Vec<f64> = predicted.iter().enumerate().map(|(i, p)| p - 2.0 * i as f64 / f64::from(n)).collect();
    let mean = |f: fn(f64) -> f64| {
        let sum: f64 = errors.iter().zip(&weights).map(|(e, w)| f(*e) * w).sum();
        sum / weights.iter().sum::<f64>()
    };
    for batch in [12, 5] {
        let history = weighted.fit(&data, Fit::epochs(1).batch(batch).silent()).unwrap();
        let evaluation = weighted.evaluate(&data).unwrap();
        for (name, want) in [("loss", mean(|e| e * e)), ("mae", mean(f64::abs))] {
            assert!((history.last(name).unwrap() - want).abs() < 1e-6, "{name}: {history:?}, not {want}");
            let found = if name == "loss" { evaluation.loss } else { evaluation.metric(name).unwrap() };
            assert!((found - want).abs() < 1e-6, "{name}: {evaluation}, not {want}");
        }
    }
    // Weights of 0 are as good as samples that aren't there.
    let (mut some, mut all) = (trainer(0.1), trainer(0.1));
    let halves: Vec<f64> = (0..n).map(|i| f64::from(u8::from(i < n / 2))).collect();
    let masked = line(n as usize).with("sample_weight", column(halves)).unwrap();
    some.fit(&masked, Fit::epochs(1).batch(12).shuffle(false).silent()).unwrap();
    all.fit(&line(n as usize).take(6).unwrap(), Fit::epochs(1).batch(6).shuffle(false).silent()).unwrap();
    for (a, b) in some.weights().unwrap().values().zip(all.weights().unwrap().values()) {
        assert!((a.get(0).as_f64() - b.get(0).as_f64()).abs() < 1e-6, "{a:?} {b:?}");
    }
    for wrong in [-1.0, f64::NAN] {
        let bad = line(2).with("sample_weight", column(vec![1.0, wrong])).unwrap();
        let error = trainer(0.1).fit(&bad, Fit::epochs(1).silent()).unwrap_err().to_string();
        assert!(error.contains("sample 1 of `sample_weight`"), "{error}");
    }
}

#[test]
fn one_call_of_fit_for_each_epoch_is_as_good_as_one_for_all() {
    let bits = |trainer: &mut Trainer| -> Vec<Vec<u8>> {
        trainer.weights().unwrap().values().map(|value| value.data().to_bytes()).collect()
    };
    for drop_last in [false, true] {
        let fit = |epochs| Fit::epochs(epochs).batch(4).drop_last(drop_last).silent();
        let (mut whole, mut pieces, mut repeated) = (trainer(0.3), trainer(0.3), trainer(0.3));
        whole.fit(&line(30), fit(4)).unwrap();
        for _ in 0..4 {
            pieces.fit(&line(30), fit(1)).unwrap();
            // The order of the first epoch each time.
            let weights = repeated.weights().unwrap();
            repeated = repeated.with_seed(0).unwrap();
            repeated.set_weights(weights).unwrap();
            repeated.fit(&line(30), fit(1)).unwrap();
        }
        assert_eq!(bits(&mut whole), bits(&mut pieces));
        assert_ne!(bits(&mut whole), bits(&mut repeated), "each epoch has an order of its own");
    }
}

#[test]
fn a_diverging_fit_gives_its_history_and_puts_the_best_weights_back() {
    let data = line(16);
    let schedule = Schedule::step(0.3, 8, 1e30);
    let mut trainer = trainer_of(Sgd::new(schedule), MeanSquaredError, vec![]);
    let mut stopping = EarlyStopping::new("val_loss").patience(99).restore_best();
    let fit = Fit::epochs(9).batch(4).validate(&data).callback(&mut stopping).silent();
    let error = trainer.fit(&data, fit).unwrap_err();
    let TrainError::Diverged { epoch, history, .. } = error else { panic!("{error}") };
    assert!(epoch > 1 && history.epochs.len() == epoch - 1, "{epoch}: {history:?}");
    let (best, _) = stopping.best().unwrap();
    assert_eq!(trainer.evaluate(&data).unwrap().loss, best);
}

#[test]
fn errors_returned_from_main_show_their_message() {
    let g = GraphBuilder::new("g");
    g.output("y", &(g.input("x", f32([2])) + 1.0));
    let program = g.finish().unwrap().compile(&CompileOptions::threads(1)).unwrap();
    let error = program.output::<f32>("z").unwrap_err();
    assert_eq!(format!("{error:?}"), error.to_string());
    let error = array([2, 0], vec![0.0f32]).unwrap_err();
    assert_eq!(format!("{error:?}"), error.to_string());
    let error = gradc_cli::bench::Workload::named("gpt").unwrap_err();
    assert_eq!(format!("{error:?}"), error.to_string());
}

#[test]
fn a_logistic_regression_leaves_weights_of_zero() {
    let x = array([4, 1], vec![1.0f32, -1.0, 2.0, -2.0]).unwrap();
    let data = Dataset::new(x, array([4, 1], vec![0.0f32; 4]).unwrap()).unwrap();
    let model = Sequential::new([1]).add(Dense::new(1).kernel_initializer(gradc::dsl::zeros()));
    let trainer = model.compile(Sgd::new(1.0), BinaryCrossEntropy, []).unwrap();
    let mut trainer = trainer.with_options(CompileOptions::threads(1)).unwrap();
    trainer.fit(&data, Fit::epochs(1).batch(4).silent()).unwrap();
    assert_eq!(trainer.weights().unwrap()["dense/bias"].to_f64_vec(), [-0.5]);
}
