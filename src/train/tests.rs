//! Training from end to end, through native code.

mod reference;

use crate::compile::States;
use crate::data::{array, mnist};
use crate::dsl::{Select, zeros};
use crate::model::trace;
use crate::optim::Groups;
use crate::prelude::*;
use ir::{Data, Value};

const SEED: u64 = 3;

/// Points of the plane in three classes: sectors of the circle.
fn sectors(n: usize) -> Dataset {
    let angle = |i: usize| (i as f32 * 0.618_034).fract();
    let point = |i: usize| {
        let (sin, cos) = (std::f32::consts::TAU * angle(i)).sin_cos();
        [cos, sin]
    };
    let x = array([n, 2], (0..n).flat_map(point).collect()).unwrap();
    Dataset::new(x, array([n], (0..n).map(|i| (angle(i) * 3.0) as i32).collect()).unwrap()).unwrap()
}

fn model() -> Sequential {
    Sequential::new([2]).dense(16).tanh().dense(3)
}

fn trainer() -> Trainer {
    let trainer = model().compile(Adam::new(0.01), SparseCategoricalCrossEntropy, [Accuracy]).unwrap();
    trainer.with_options(CompileOptions::threads(1)).unwrap()
}

fn bits(value: &Value) -> Vec<u8> {
    value.data().to_bytes()
}

fn weight_bits(trainer: &mut Trainer) -> Vec<Vec<u8>> {
    trainer.weights().unwrap().values().map(bits).collect()
}

#[test]
fn learns_what_can_be_learnt() {
    let data = sectors(200);
    let mut trainer = trainer();
    let before = trainer.evaluate(&data).unwrap();
    let history = trainer.fit(&data, Fit::epochs(40).batch(16).silent()).unwrap();
    let after = trainer.evaluate(&data).unwrap();
    assert!(after.loss < 0.5 * before.loss, "{before}, then {after}");
    assert!(after.metric("accuracy").unwrap() > 0.95, "{after}");
    assert_eq!(history.epochs.len(), 40);
    assert!(history.last("loss").unwrap() < history.get("loss")[0]);
}

#[test]
fn reads_digits() {
    let subset = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mnist-subset");
    let (train, test) = mnist::load_from(subset).unwrap();
    let model = Sequential::new([28, 28, 1]).flatten().dense(10);
    let mut trainer = model.compile(Adam::default(), SparseCategoricalCrossEntropy, [Accuracy]).unwrap();
    trainer.fit(&train, Fit::epochs(2).batch(32).silent()).unwrap();
    let accuracy = trainer.evaluate(&test).unwrap().metric("accuracy").unwrap();
    // A linear classifier's, after two passes; a network that doesn't learn has 0.1.
    assert!(accuracy > 0.85, "{accuracy}");
}

/// The mean over all samples, in `f64`, from the predictions.
fn loss_by_hand(trainer: &mut Trainer, data: &Dataset) -> f64 {
    let logits = trainer.predict(data).unwrap().to_f64_vec();
    let labels = data.column("y").unwrap().value().to_f64_vec();
    let losses = logits.chunks(3).zip(&labels).map(|(row, label)| {
        let sum: f64 = row.iter().map(|x| x.exp()).sum();
        sum.ln() - row[*label as usize]
    });
    losses.sum::<f64>() / labels.len() as f64
}

#[test]
fn a_last_partial_batch_counts_by_its_samples() {
    let data = sectors(23);
    let mut trainer = trainer();
    trainer.fit(&data, Fit::epochs(1).batch(10).silent()).unwrap();
    let want = loss_by_hand(&mut trainer, &data);
    for batch in [1, 4, 10, 22, 23, 50] {
        trainer.batch = batch;
        let evaluation = trainer.evaluate(&data).unwrap();
        assert!((evaluation.loss - want).abs() < 1e-6, "batches of {batch}: {evaluation}, by hand {want}");
    }
}

#[test]
fn the_loss_of_an_epoch_is_the_mean_over_its_samples() {
    let data = sectors(23);
    let frozen = model().compile(Sgd::new(0.0), SparseCategoricalCrossEntropy, [Accuracy]).unwrap();
    let mut trainer = frozen.with_options(CompileOptions::threads(1)).unwrap();
    let history = trainer.fit(&data, Fit::epochs(1).batch(10).silent()).unwrap();
    let want = loss_by_hand(&mut trainer, &data);
    assert!((history.last("loss").unwrap() - want).abs() < 1e-6);
    let history = trainer.fit(&data, Fit::epochs(1).batch(10).shuffle(false).drop_last(true).silent()).unwrap();
    let want = loss_by_hand_of_first_20(&mut trainer);
    assert!((history.last("loss").unwrap() - want).abs() < 1e-6);
}

fn loss_by_hand_of_first_20(trainer: &mut Trainer) -> f64 {
    loss_by_hand(trainer, &sectors(20))
}

#[test]
fn the_same_seed_gives_the_same_bits_at_any_number_of_threads() {
    let run = |threads, seed| {
        let model = Sequential::new([2]).dense(64).relu().dropout(0.2).dense(3);
        let trainer = model.compile(Adam::new(0.01), SparseCategoricalCrossEntropy, [Accuracy]).unwrap();
        let options = CompileOptions::threads(threads).seed(seed);
        let mut trainer = trainer.with_options(options).unwrap().with_seed(seed).unwrap();
        let history = trainer.fit(&sectors(70), Fit::epochs(2).batch(32).seed(seed).silent()).unwrap();
        (weight_bits(&mut trainer), history.get("loss"))
    };
    assert_eq!(run(1, SEED), run(1, SEED));
    assert_eq!(run(1, SEED), run(2, SEED));
    assert_ne!(run(1, SEED).0, run(1, SEED + 1).0);
}

#[test]
fn steps_of_an_own_loop_are_those_of_fit() {
    let data = sectors(23);
    let make = || {
        let rate = Schedule::cosine(0.05, 6);
        let trainer = model().compile(Adam::new(rate), SparseCategoricalCrossEntropy, [Accuracy, Auc]).unwrap();
        trainer.with_options(CompileOptions::threads(1)).unwrap()
    };
    let (mut fitted, mut stepped) = (make(), make());
    let history = fitted.fit(&data, Fit::epochs(2).batch(10).shuffle(false).silent()).unwrap();
    for epoch in 0..2 {
        stepped.reset_metrics();
        for batch in data.batches(10) {
            stepped.train_step(&batch).unwrap();
        }
        for name in ["loss", "accuracy", "auc"] {
            assert_eq!(stepped.logs().get(name), Some(history.get(name)[epoch]), "{name}");
        }
    }
    assert_eq!((stepped.logs().samples(), stepped.logs().get("f1")), (23, None));
    assert_eq!(weight_bits(&mut stepped), weight_bits(&mut fitted));
    // Evaluation counts apart from training, and both begin anew when told.
    for batch in data.batches(32) {
        stepped.test_step(&batch).unwrap();
    }
    let (x, y) = (data.value("x").unwrap(), data.value("y").unwrap());
    let tested = stepped.test_step(&[("x", (&x).into()), ("y", (&y).into())]).unwrap();
    assert_eq!(tested.samples(), 46);
    let tested = tested.evaluation().unwrap();
    assert!((tested.loss - fitted.evaluate(&data).unwrap().loss).abs() < 1e-6, "{tested}");
    assert_eq!(stepped.logs().samples(), 23);
    stepped.reset_metrics();
    assert!(stepped.logs().get("loss").is_none() && stepped.logs().evaluation().is_err());
    let predicted = stepped.predict_step(&[("x", (&x).into())]).unwrap().get::<f32>("output").unwrap().to_vec();
    let want = fitted.predict(&data).unwrap().to_f64_vec();
    assert!(predicted.iter().zip(want).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5));
    let error = stepped.train_step(&[("x", (&x).into())]).unwrap_err().to_string();
    assert!(error.contains("`y` has no data"), "{error}");
}

/// All sizes up to 64 take seven programs; a sample's outputs don't depend on what others hold, and clones on threads give the same bits.
#[test]
fn a_predictor_takes_any_number_of_samples_on_any_thread() {
    let mut trainer = trainer().with_batch(64).unwrap();
    trainer.fit(&sectors(200), Fit::epochs(2).batch(50).silent()).unwrap();
    let predictor = trainer.predictor().unwrap();
    let data = sectors(150);
    let all = predictor.predict(&data).unwrap();
    let want = trainer.predict(&data).unwrap().to_f64_vec();
    assert!(all.ty() == trainer.predict(&data).unwrap().ty());
    assert!(all.to_f64_vec().iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-5));
    let mut of_64 = vec![0.0f32; 64 * 3];
    for n in 1..=64 {
        let out = &mut of_64[..n * 3];
        predictor.predict_into(&data.part(0..n).unwrap(), &mut [("output", out)]).unwrap();
        assert!(out.iter().zip(&want).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5), "{n} samples");
    }
    assert_eq!(predictor.programs(), 7);
    // 37 samples beside 3 others, in one program.
    let (few, more) = (
        predictor.predict(&data.part(0..37).unwrap()).unwrap(),
        predictor.predict(&data.part(0..40).unwrap()).unwrap(),
    );
    assert_eq!(few.to_f64_vec(), more.to_f64_vec()[..37 * 3]);
    let of_thread = || bits(&predictor.clone().predict(&data).unwrap());
    let threads = std::thread::scope(|s| [s.spawn(of_thread), s.spawn(of_thread)].map(|t| t.join().unwrap()));
    assert_eq!(threads, [bits(&all), bits(&all)]);
    // It keeps its weights while the trainer goes on.
    trainer.fit(&sectors(200), Fit::epochs(2).batch(50).silent()).unwrap();
    assert_eq!(of_thread(), bits(&all));
    assert_ne!(bits(&trainer.predict(&data).unwrap()), bits(&all));
    let error = predictor.predict_into(&data, &mut [("output", &mut of_64)]).unwrap_err().to_string();
    assert!(error.contains("`output` of 150 samples has 450 elements, not 192"), "{error}");
    assert!(predictor.predict_into::<f32>(&data, &mut [("logits", &mut [])]).is_err());
}

#[test]
fn steps_of_a_fit_are_known_before() {
    let data = sectors(23);
    let steps = |fit: Fit<'_>| fit.steps(&data).unwrap();
    assert_eq!(steps(Fit::epochs(3).batch(10)), 9);
    assert_eq!(steps(Fit::epochs(3).batch(10).drop_last(true)), 6);
    assert_eq!(steps(Fit::epochs(3).batch(10).validation_split(0.2)), 6);
    assert_eq!(steps(Fit::epochs(2)), 2);
    assert!(Fit::epochs(3).batch(0).steps(&data).is_err());
}

/// A trainer is made here and trains there.
#[test]
fn a_trainer_goes_to_another_thread() {
    let data = sectors(30);
    let fit = |mut trainer: Trainer| {
        trainer.fit(&data, Fit::epochs(2).batch(8).silent()).unwrap();
        weight_bits(&mut trainer)
    };
    let (trainer, here) = (trainer(), fit(trainer()));
    let there = std::thread::scope(|threads| threads.spawn(|| fit(trainer)).join().unwrap());
    assert_eq!(here, there);
}

#[test]
fn programs_never_read_stale_states() {
    let (data, other) = (sectors(30), sectors(7));
    let mut trainer = trainer();
    let untrained = trainer.predict(&other).unwrap();
    trainer.fit(&data, Fit::epochs(1).batch(8).silent()).unwrap();
    let trained = trainer.predict(&other).unwrap();
    assert_ne!(bits(&trained), bits(&untrained));
    let weights = trainer.weights().unwrap();
    // Training goes on in the programs of 8 and of 6 samples, evaluation in others.
    trainer.fit(&data, Fit::epochs(3).batch(8).silent()).unwrap();
    assert_ne!(bits(&trainer.predict(&other).unwrap()), bits(&trained));
    trainer.set_weights(weights).unwrap();
    assert_eq!(bits(&trainer.predict(&other).unwrap()), bits(&trained));
    // What was trained on is what is seen: the store and all programs agree with the reference interpreter.
    let step = trace::inference(&model(), 7, &ir::Loc::caller()).unwrap();
    let inputs = [("x".to_string(), other.column("x").unwrap().value().clone())].into();
    let want = ir::eval::run(&step.graph, &inputs, &trainer.weights().unwrap()).unwrap().outputs["output"].to_f64_vec();
    let close = trained.to_f64_vec().iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-5);
    assert!(close, "{trained:?} against {want:?}");
}

/// Training with an uneven last batch, evaluation and prediction at two sizes: the parameters and moments of all these programs are one block.
#[test]
fn parameters_and_moments_exist_once() {
    let mut trainer = trainer();
    trainer.fit(&sectors(20), Fit::epochs(2).batch(8).validate(&sectors(16)).silent()).unwrap();
    trainer.predict(&sectors(8)).unwrap();
    trainer.predict(&sectors(3)).unwrap();
    let programs: Vec<_> = trainer.programs.iter().collect();
    assert!(programs.len() >= 5, "{programs:?}");
    let blocks: Vec<&States> = programs.iter().filter_map(|(_, program)| program.block()).collect();
    assert_eq!(blocks.len(), 1);
    // Nor does an arena hold them: what is always there are a batch of points and labels, and weights of samples.
    let persistent = |program: &CompiledProgram| program.report().memory.persistent;
    assert!(programs.iter().all(|((_, batch), program)| persistent(program) <= batch.size * 16), "{programs:?}");
    // Who asks for the values takes the block back, and the next program gets it.
    let before = trainer.weights().unwrap();
    assert!(trainer.programs.iter().all(|(_, program)| program.block().is_none()));
    trainer.fit(&sectors(20), Fit::epochs(1).batch(8).silent()).unwrap();
    assert_ne!(format!("{:?}", trainer.weights().unwrap()), format!("{before:?}"));
}

#[test]
fn a_program_is_compiled_once_for_each_batch_size() {
    let mut trainer = trainer();
    for _ in 0..3 {
        trainer.fit(&sectors(20), Fit::epochs(2).batch(8).validate(&sectors(16)).silent()).unwrap();
        trainer.evaluate(&sectors(8)).unwrap();
    }
    let programs: Vec<(String, usize)> = trainer.reports().into_iter().map(|(p, n, _)| (p, n)).collect();
    assert_eq!(programs, [("training".to_string(), 4), ("training".to_string(), 8), ("evaluation".to_string(), 8)]);
}

#[test]
fn training_goes_on_from_a_checkpoint_bit_by_bit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.safetensors");
    let data = sectors(50);
    let options = || Fit::epochs(2).batch(16).shuffle(false).silent();
    let mut through = trainer();
    through.fit(&data, options()).unwrap();
    through.save_checkpoint(&path).unwrap();
    through.fit(&data, options()).unwrap();
    let mut resumed = trainer().with_seed(99).unwrap();
    resumed.load_checkpoint(&path).unwrap();
    assert_eq!(resumed.steps().unwrap(), 8);
    resumed.fit(&data, options()).unwrap();
    assert_eq!(weight_bits(&mut resumed), weight_bits(&mut through));
    // Weights alone are another matter: Adam starts anew.
    let mut fresh = trainer();
    fresh.load_weights(&path).unwrap();
    fresh.fit(&data, options()).unwrap();
    assert_ne!(weight_bits(&mut fresh), weight_bits(&mut through));
}

#[test]
fn loading_something_else_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other.safetensors");
    let wider = Sequential::new([2]).dense(17).tanh().dense(3);
    let mut wider = wider.compile(Adam::default(), SparseCategoricalCrossEntropy, []).unwrap();
    wider.save_weights(&path).unwrap();
    let mut trainer = trainer();
    let before = weight_bits(&mut trainer);
    let error = trainer.load_weights(&path).unwrap_err().to_string();
    assert!(error.contains("`dense/bias` is f32[17], but the model's state is f32[16]"), "{error}");
    assert_eq!(weight_bits(&mut trainer), before);
}

#[test]
fn a_diverging_training_says_where() {
    let x = array([4, 1], vec![1.0f32; 4]).unwrap();
    let data = Dataset::new(x.clone(), x).unwrap();
    let mut trainer = Sequential::new([1]).dense(1).compile(Sgd::new(1e30), MeanSquaredError, []).unwrap();
    match trainer.fit(&data, Fit::epochs(5).batch(1).silent()) {
        Err(TrainError::Diverged { epoch: 1, step, loss, .. }) => assert!(step > 1 && !loss.is_finite()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_label_that_is_no_class_names_the_users_line() {
    let data = Dataset::new(array([2, 2], vec![0.0f32; 4]).unwrap(), array([2], vec![0i32, 3]).unwrap()).unwrap();
    let line = line!() + 1;
    let mut trainer = model().compile(Adam::default(), SparseCategoricalCrossEntropy, [Accuracy]).unwrap();
    match trainer.fit(&data, Fit::epochs(1).silent()) {
        Err(TrainError::Index { name, sample: 1, value: 3, error: e, .. }) => {
            assert_eq!(name, "y");
            assert_eq!(e.loc.as_deref().map(|loc| loc.contains(&format!("{}:{line}:", file!()))), Some(true), "{e}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn data_that_do_not_fit_are_named() {
    let mut trainer = trainer();
    let wide = Dataset::new(array([2, 3], vec![0.0f32; 6]).unwrap(), array([2], vec![0i32; 2]).unwrap()).unwrap();
    let error = trainer.evaluate(&wide).unwrap_err().to_string();
    assert_eq!(error, "samples of `x` are f32[3], but the model takes f32[2] (without the batch)");
    let unlabelled = Dataset::unlabelled(array([2, 2], vec![0.0f32; 4]).unwrap()).unwrap();
    assert!(trainer.predict(&unlabelled).is_ok());
    let error = trainer.evaluate(&unlabelled).unwrap_err().to_string();
    assert_eq!(error, "the model's input `y` has no data; the data set has x");
    assert!(trainer.fit(&sectors(5), Fit::epochs(1).batch(0)).is_err());
    assert!(trainer.fit(&sectors(5), Fit::epochs(1).batch(8).drop_last(true)).is_err());
}

#[test]
fn a_model_that_breaks_a_rule_says_so_when_it_is_compiled() {
    let wrong = Sequential::new([28, 28, 1]).conv2d(8, 31).flatten().dense(10);
    let errors = wrong.compile(Adam::default(), SparseCategoricalCrossEntropy, [Accuracy]).unwrap_err();
    assert!(errors.to_string().contains(file!()), "{errors}");
}

#[test]
fn a_validation_split_is_not_trained_on() {
    let data = sectors(20);
    // The last quarter has labels that are no classes: only evaluation would find them.
    let Data::I32(labels) = data.column("y").unwrap().value().data() else { panic!() };
    let bad: Vec<i32> = labels.iter().enumerate().map(|(i, l)| if i < 15 { *l } else { 7 }).collect();
    let x = data.column("x").unwrap().value().clone();
    let data = Dataset::new(x, array([20], bad).unwrap()).unwrap();
    let mut trainer = trainer();
    assert!(trainer.fit(&data, Fit::epochs(1).batch(5).validation_split(0.25).silent()).is_err());
    assert_eq!(trainer.steps().unwrap(), 3, "training itself went through");
    let both = Fit::epochs(1).validation_split(0.25).validate(&data).silent();
    assert!(trainer.fit(&data, both).is_err());
}

#[test]
fn the_optimizers_schedule_sets_the_rate_of_each_step() {
    let schedule = Schedule::exponential(0.1, 10, 0.5);
    let scheduled = model().compile(Sgd::new(schedule.clone()), SparseCategoricalCrossEntropy, []).unwrap();
    let mut trainer = scheduled.with_options(CompileOptions::threads(1)).unwrap();
    let history = trainer.fit(&sectors(30), Fit::epochs(2).batch(10).silent()).unwrap();
    for (lr, step) in history.get("lr").into_iter().zip([2, 5]) {
        assert!((lr - schedule.at(step)).abs() < 1e-8, "{lr} at step {step}");
    }
    assert_eq!(trainer.learning_rate().unwrap(), schedule.at(6));
    assert!(trainer.set_learning_rate(0.1).is_err(), "the schedule would undo it");
}

/// `x + w` with a weight for each sample of a batch, as no layer should have it.
#[derive(Default)]
struct OfTheBatch {
    id: LayerId,
}

impl Layer for OfTheBatch {
    fn base(&self) -> &str {
        "of_the_batch"
    }

    fn kind(&self) -> &str {
        "OfTheBatch"
    }

    fn id(&self) -> Option<&LayerId> {
        Some(&self.id)
    }

    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        let Some(ty) = x.ty() else { return x.clone() };
        let ty = TypeSpec::new(ty.dtype, ty.shape.dims());
        x + x.builder().param(&format!("{name}/w"), ty, zeros())
    }
}

/// The program of a last batch of fewer samples can't run on the states; they aren't lost by that.
#[test]
fn weights_stay_where_a_program_wants_others() {
    let model = Sequential::new([2]).add(OfTheBatch::default()).dense(3);
    let mut trainer = model.compile(Adam::new(0.01), SparseCategoricalCrossEntropy, []).unwrap();
    trainer.fit(&sectors(1), Fit::epochs(3).batch(1).silent()).unwrap();
    let before = weight_bits(&mut trainer);
    let error = trainer.fit(&sectors(4), Fit::epochs(1).batch(4).silent()).unwrap_err();
    assert!(error.to_string().contains("of_the_batch/w"), "{error}");
    assert_eq!(weight_bits(&mut trainer), before);
    assert_eq!(trainer.steps().unwrap(), 3);
}

fn coordinate(i: usize, shift: f32) -> f32 {
    ((i as f32 + shift) * 0.618_034).fract() - 0.5
}

/// Points of the plane twice over, `a` and `b`; targets: the first one's sector, and the sum of both.
fn joined(n: usize) -> Dataset {
    let points = |shift: f32| -> Vec<f32> { (0..2 * n).map(|i| coordinate(i, shift)).collect() };
    let (a, b) = (points(0.0), points(0.25));
    let class = (0..n).map(|i| i32::from(a[2 * i] > 0.0)).collect();
    let sums = a.iter().zip(&b).map(|(a, b)| a + b).collect();
    let column = |value: Value| crate::data::Column::new(value).unwrap();
    Dataset::of("a", column(array([n, 2], a).unwrap()))
        .with("b", column(array([n, 2], b).unwrap()))
        .and_then(|data| data.with("class", column(array([n], class).unwrap())))
        .and_then(|data| data.with("sum", column(array([n, 2], sums).unwrap())))
        .unwrap()
}

/// Two inputs through one encoder, two outputs.
fn two_outputs() -> Functional {
    let encoder = Sequential::new([2]).dense(16).tanh().named("encoder");
    let inputs = [("a", f32([2])), ("b", f32([2]))];
    Functional::with_outputs(inputs, ["class", "sum"], move |x| {
        let both = encoder.apply(&x[0]).concat(&[&encoder.apply(&x[1])], -1);
        [Dense::new(2).apply(&both), Dense::new(2).apply(&both)]
    })
}

#[test]
fn two_inputs_and_two_outputs_train_by_a_loss_and_a_weight_each() {
    let losses =
        || Losses::new().output("class", SparseCategoricalCrossEntropy, 1.0).output("sum", MeanSquaredError, 0.25);
    let metrics = [Accuracy.on("class"), Metric::Mae.on("sum")];
    let trainer = two_outputs().compile(Adam::new(0.02), losses(), metrics).unwrap();
    let mut trainer = trainer.with_options(CompileOptions::threads(1)).unwrap();
    let (train, test) = (joined(90), joined(37));
    let history = trainer.fit(&train, Fit::epochs(40).batch(16).validate(&test).silent()).unwrap();
    for prefix in ["", "val_"] {
        let get = |name: &str| history.get(&format!("{prefix}{name}"));
        for ((loss, class), sum) in get("loss").iter().zip(get("class_loss")).zip(get("sum_loss")) {
            assert!((loss - (class + 0.25 * sum)).abs() < 1e-6, "{loss} of {class} and {sum}");
        }
        assert_eq!(get("sum_loss").len(), 40);
    }
    let last = |name: &str| history.last(name).unwrap();
    assert!(last("val_class_accuracy") > 0.9 && last("val_sum_loss") < 0.05, "{history:?}");
    let evaluation = trainer.evaluate(&test).unwrap();
    assert_eq!(evaluation.metric("sum_loss"), history.last("val_sum_loss"));
    assert_eq!(evaluation.metric("class_accuracy"), history.last("val_class_accuracy"));
    let outputs = trainer.predict_outputs(&test).unwrap();
    assert_eq!(outputs["class"].ty().shape.dims(), [37, 2]);
    let want: Vec<f64> =
        (0..74).map(|i| [0.0f32, 0.25].map(|shift| coordinate(i, shift)).iter().sum::<f32>().into()).collect();
    let error: f64 = outputs["sum"].to_f64_vec().iter().zip(&want).map(|(x, t)| (x - t).powi(2)).sum();
    assert!((error / 74.0 - evaluation.metric("sum_loss").unwrap()).abs() < 1e-6);
    let text = trainer.predict(&test).unwrap_err().to_string();
    assert!(text.contains("the outputs class, sum: `predict_outputs` gives them all"), "{text}");
    // Monitors know the losses of outputs.
    let watched = Fit::epochs(2).silent().validate(&test).callback(EarlyStopping::new("val_sum_loss").patience(1));
    trainer.fit(&train, watched).unwrap();
}

#[test]
fn losses_that_fit_no_output_are_refused_at_the_users_line() {
    let refused = |losses: Losses, metrics: Vec<Metric>, want: &str| {
        let line = line!() + 1;
        let text = two_outputs().compile(Adam::new(0.1), losses, metrics).unwrap_err().to_string();
        assert!(text.starts_with(&format!("src/train/tests.rs:{line}:")) && text.contains(want), "{text}");
    };
    let good = || Losses::new().output("class", SparseCategoricalCrossEntropy, 1.0);
    refused(
        good().output("size", MeanSquaredError, 1.0),
        vec![],
        "there is no output \"size\": the model has class, sum",
    );
    refused(good().output("class", MeanSquaredError, 1.0), vec![], "the output \"class\" has a loss already");
    refused(good().output("sum", MeanSquaredError, -1.0), vec![], "the weight must be finite and at least 0, not -1");
    refused(Losses::new(), vec![], "no output has a loss");
    refused(good(), vec![Accuracy], "the metric accuracy: say of which output, by `Metric::on`");
    refused(good(), vec![Metric::Mae.on("sum")], "the output \"sum\" has no loss, and so no targets");
    let text = two_outputs().compile(Adam::new(0.1), MeanSquaredError, []).unwrap_err().to_string();
    assert!(text.contains("say of which output, by `Losses`: the model has class, sum"), "{text}");
}

#[test]
fn features_of_a_trained_model_are_outputs_of_a_new_one() {
    let model = Sequential::new([2]).dense(16).tanh().dense(3);
    let trainer = model.compile(Adam::new(0.02), SparseCategoricalCrossEntropy, [Accuracy]).unwrap();
    let mut trainer = trainer.with_options(CompileOptions::threads(1)).unwrap();
    trainer.fit(&sectors(60), Fit::epochs(10).silent()).unwrap();
    let (weights, samples) = (trainer.weights().unwrap(), sectors(20));
    // The layers' results, by the layers alone.
    let mut first = Sequential::new([2]).dense(16).tanh().compile(Sgd::new(0.1), MeanSquaredError, []).unwrap();
    first.set_weights(weights.clone().into_iter().filter(|(name, _)| name.starts_with("dense/")).collect()).unwrap();
    let (want, logits) = (first.predict(&samples).unwrap(), trainer.predict(&samples).unwrap());

    let features = model.features(["tanh", "dense_1"]);
    let step = features.inference_graph(20).unwrap();
    let mut program = step.compile(&CompileOptions::threads(1)).unwrap();
    program.set_states(&weights).unwrap();
    let x = samples.column("x").unwrap().value().clone();
    let out = program.run([("x", &x)]).unwrap();
    assert_eq!((&out["tanh"], &out["dense_1"]), (&want, &logits));

    // In a new model they are frozen below a layer of its own.
    let head = Functional::new(f32([2]), move |x| {
        let [tanh, _] = features.apply_many(x);
        Dense::new(1).apply(&tanh)
    });
    let optimizer = Groups::new().freeze(Select::layer("features")).rest(Sgd::new(0.1));
    let mut head = head.compile(optimizer, MeanSquaredError, []).unwrap();
    head.set_weights_of("features", weights.clone()).unwrap();
    let radius = Dataset::new(x, array([20, 1], vec![1.0f32; 20]).unwrap()).unwrap();
    let history = head.fit(&radius, Fit::epochs(5).silent()).unwrap();
    assert!(history.last("loss").unwrap() < history.get("loss")[0]);
    assert_eq!(head.weights_of("features").unwrap(), weights);
}

#[test]
fn features_that_a_model_does_not_have_name_the_call() {
    let line = line!() + 1;
    let features = Sequential::new([2]).dense(3).relu().features(["dense", "tanh"]);
    let text = features.inference_graph(1).unwrap_err().to_string();
    assert!(text.starts_with(&format!("src/train/tests.rs:{line}:")), "{text}");
    assert!(text.contains("no layer \"tanh\"") && text.ends_with("it has dense, relu"), "{text}");
    // Applied twice, they are those of each application.
    let twice = Functional::with_inputs([("a", f32([2])), ("b", f32([2]))], |x| {
        let features = Sequential::new([2]).dense(3).relu().features(["dense"]);
        features.apply(&x[0]) - features.apply(&x[1])
    });
    let step = twice.inference_graph(1).unwrap();
    let difference = step.graph.operands(step.graph.output("output").unwrap());
    assert_ne!(difference[0], difference[1]);
    assert_eq!(step.parameter_count(), 2 * 3 + 3);
}
