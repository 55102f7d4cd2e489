//! Parameters in groups, accumulation, averages and frozen parts, as machine code and in a trainer.

use gradc::compile::CompileOptions;
use gradc::data::array;
use gradc::prelude::*;
use gradc::train::TrainError;
use std::collections::BTreeMap;

const INPUTS: usize = 12;

/// Samples of four classes, which the signs of sums tell apart.
fn data(n: usize) -> Dataset {
    let x: Vec<f32> = (0..n * INPUTS).map(|i| ((i * i + 7 * i) as f32 * 0.37).sin()).collect();
    let class = |row: &[f32]| {
        let sign = |part: &[f32]| i32::from(part.iter().sum::<f32>() > 0.0);
        2 * sign(&row[..INPUTS / 2]) + sign(&row[INPUTS / 2..])
    };
    let y = x.chunks(INPUTS).map(class).collect();
    Dataset::new(array([n, INPUTS], x).unwrap(), array([n], y).unwrap()).unwrap()
}

fn model() -> Sequential {
    let dense = |units: usize, name: &str| Dense::new(units).name(name);
    Sequential::new([INPUTS]).add(dense(16, "body")).add(BatchNorm::new().name("norm")).tanh().add(dense(4, "head"))
}

fn trainer_of(model: &Sequential, optimizer: impl Optimizer + 'static) -> Trainer {
    let trainer = model.compile(optimizer, SparseCategoricalCrossEntropy, [Accuracy]).unwrap();
    trainer.with_options(CompileOptions::threads(1)).unwrap()
}

fn trainer(optimizer: impl Optimizer + 'static) -> Trainer {
    trainer_of(&model(), optimizer)
}

fn fit(trainer: &mut Trainer, samples: usize, batch: usize, epochs: usize) -> History {
    trainer.fit(&data(samples), Fit::epochs(epochs).batch(batch).shuffle(false).silent()).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    value.data().to_bytes()
}

/// Asserts that weights have the same bits.
fn same_bits(a: &BTreeMap<String, Value>, b: &BTreeMap<String, Value>) {
    assert!(a.keys().eq(b.keys()));
    for (name, value) in a {
        assert_eq!(bytes(value), bytes(&b[name]), "{name}");
    }
}

#[test]
fn two_rates_are_two_steps_by_hand_to_the_bit() {
    let step = |grouped: bool| {
        let g = GraphBuilder::new("step");
        let x = g.input("x", f32([8, INPUTS]));
        let hidden = Dense::new(16).name("body").apply(&x).tanh();
        let loss = Dense::new(4).name("head").apply(&hidden).square().mean();
        if grouped {
            let groups = Groups::new().group(Select::layer("head"), Sgd::new(0.5)).rest(Sgd::new(0.1));
            return g.minimize(loss, &groups).unwrap();
        }
        for (name, p) in g.parameters() {
            let rate = g.state(
                &format!("rate of {name}"),
                f32([]),
                gradc::dsl::constant(if name.starts_with("head") { 0.5 } else { 0.1 }),
            );
            g.set_update(&name, &(&p - rate * &g.gradients(&loss, &[&p])[0]));
        }
        g.finish().unwrap()
    };
    let [by_hand, grouped] = [false, true].map(|grouped| {
        let mut program = step(grouped).compile(&CompileOptions::threads(1)).unwrap();
        for i in 0..5 {
            let x: Vec<f32> = (0..8 * INPUTS).map(|j| ((i * 97 + j) as f32).cos()).collect();
            program.set_input("x", &array([8, INPUTS], x).unwrap()).unwrap();
            program.step().unwrap();
        }
        ["body/kernel", "body/bias", "head/kernel", "head/bias"].map(|name| bytes(&program.state_value(name).unwrap()))
    });
    assert_eq!(by_hand, grouped);
}

/// Compares 12 updates by 4 batches of 32 each with 12 by one of 128.
fn accumulates<O: Optimizer + Clone + 'static>(optimizer: O) {
    let plain = Sequential::new([INPUTS]).dense(16).tanh().dense(4);
    let (mut whole, mut parts) =
        (trainer_of(&plain, optimizer.clone()), trainer_of(&plain, optimizer.clone().accumulate(4)));
    fit(&mut whole, 512, 128, 3);
    fit(&mut parts, 512, 32, 3);
    assert_eq!((whole.steps().unwrap(), parts.steps().unwrap()), (12, 48));
    let (want, got) = (whole.weights().unwrap(), parts.weights().unwrap());
    let mut worst = 0.0f64;
    for (name, value) in &want {
        let pairs = value.to_f64_vec().into_iter().zip(got[name].to_f64_vec());
        worst = pairs.fold(worst, |worst, (a, b)| worst.max((a - b).abs()));
    }
    assert!(worst < 1e-6, "{}: {worst:.1e}", optimizer.name());
    assert!((whole.learning_rate().unwrap() - parts.learning_rate().unwrap()).abs() < 1e-12);
}

#[test]
fn four_batches_of_32_are_one_of_128() {
    accumulates(Sgd::new(0.1));
    accumulates(Sgd::new(0.1).momentum(0.9).weight_decay(1e-3));
    accumulates(Adam::new(0.01));
    accumulates(AdamW::new(0.01).weight_decay(0.1));
    accumulates(Adam::new(0.01).clip_global_norm(0.1));
    accumulates(AdamW::new(Schedule::cosine(0.01, 12).warmup(3)).clip_global_norm(0.1));
}

#[test]
fn training_goes_on_from_a_checkpoint_between_two_updates() {
    let path = tempfile::tempdir().unwrap();
    let path = path.path().join("checkpoint.safetensors");
    let groups = || {
        let bias = Sgd::new(0.1).momentum(0.9);
        Groups::new().group(Select::pattern("*/bias"), bias).rest(Adam::new(0.01)).accumulate(3).ema(0.9)
    };
    let (mut whole, mut first, mut second) = (trainer(groups()), trainer(groups()), trainer(groups()));
    fit(&mut whole, 80, 16, 2);
    fit(&mut first, 80, 16, 1);
    assert_eq!(first.steps().unwrap() % 3, 2);
    first.save_checkpoint(&path).unwrap();
    second.load_checkpoint(&path).unwrap();
    fit(&mut second, 80, 16, 1);
    same_bits(&second.weights().unwrap(), &whole.weights().unwrap());
    for trainer in [&mut second, &mut whole] {
        trainer.use_averages().unwrap();
    }
    same_bits(&second.weights().unwrap(), &whole.weights().unwrap());
    // Weights alone may come from any optimizer's checkpoint.
    let mut plain = trainer(Sgd::new(0.1));
    plain.load_weights(&path).unwrap();
    same_bits(&plain.weights().unwrap(), &first.weights().unwrap());
}

#[test]
fn a_pretrained_part_stays_as_it_is_to_the_bit() {
    let path = tempfile::tempdir().unwrap();
    let path = path.path().join("weights.safetensors");
    let mut pretrained = trainer(Adam::new(0.01));
    fit(&mut pretrained, 128, 32, 2);
    pretrained.save_weights(&path).unwrap();
    let part = || Select::layer("body") | Select::layer("norm");
    let frozen = Groups::new().freeze(part()).freeze_statistics(part()).rest(Adam::new(0.01));
    let mut tuned = trainer(frozen);
    tuned.load_weights(&path).unwrap();
    let before = tuned.weights().unwrap();
    fit(&mut tuned, 256, 32, 2);
    for (name, value) in tuned.weights().unwrap() {
        assert_eq!(bytes(&value) == bytes(&before[&name]), !name.starts_with("head/"), "{name}");
    }
    // Without asking for it, statistics follow the batches.
    let mut following = trainer(Groups::new().freeze(part()).rest(Adam::new(0.01)));
    following.load_weights(&path).unwrap();
    fit(&mut following, 256, 32, 1);
    let after = following.weights().unwrap();
    assert_ne!(after["norm/moving_mean"], before["norm/moving_mean"]);
    assert_eq!(after["norm/gamma"], before["norm/gamma"]);
}

#[test]
fn a_model_in_a_model_is_a_layer_that_may_be_frozen() {
    let encoder = Sequential::new([INPUTS]).named("encoder").add(Dense::new(8)).add(BatchNorm::new()).tanh();
    let model = Sequential::new([INPUTS]).add(encoder).add(Dense::new(4));
    let part = || Select::layer("encoder");
    let mut tuned =
        trainer_of(&model, Groups::new().freeze(part()).freeze_statistics(part()).rest(Adam::new(0.01).ema(0.9)));
    let before = tuned.weights().unwrap();
    fit(&mut tuned, 64, 16, 1);
    let after = tuned.weights().unwrap();
    assert_eq!(after.len(), 8);
    for (name, value) in &after {
        assert_eq!(bytes(value) == bytes(&before[name]), name.starts_with("encoder/"), "{name}");
    }
    // A layer that is applied twice is updated once, by both gradients.
    let g = GraphBuilder::new("shared");
    let (x, shared) = (g.input("x", f32([8, INPUTS])), Dense::new(INPUTS).name("shared"));
    let loss = shared.apply(&shared.apply(&x)).square().mean();
    let step = g.minimize(loss, &Groups::new().group(Select::layer("shared"), Adam::new(0.1)).accumulate(2)).unwrap();
    assert_eq!(step.graph.updates().iter().filter(|(name, _)| name.starts_with("shared/")).count(), 2);
}

#[test]
fn each_group_has_a_rate_that_is_shown_and_set() {
    let groups = || {
        let slow = Adam::new(Schedule::step(0.01, 2, 0.5)).named("slow").accumulate(2);
        Groups::new().group(Select::layer("body"), slow).rest(Sgd::new(0.5).output_gradient_norm("grad_norm"))
    };
    let mut grouped = trainer(groups());
    let names = |rates: &[(String, f64)]| rates.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let rates = grouped.learning_rates().unwrap();
    assert_eq!(names(&rates), ["slow/lr", "sgd/lr"]);
    assert!(matches!(grouped.learning_rate(), Err(TrainError::Setting(what)) if what.contains("slow/lr, sgd/lr")));
    assert!(grouped.set_learning_rate_of("slow/lr", 0.1).unwrap_err().to_string().contains("follows a schedule"));
    assert!(grouped.set_learning_rate_of("lr", 0.1).is_err() && grouped.set_learning_rate_of("sgd/lr", -0.1).is_err());
    grouped.set_learning_rate_of("sgd/lr", 0.25).unwrap();
    // Four steps each: two updates of the slow group.
    let history = fit(&mut grouped, 64, 16, 2);
    assert_eq!(history.get("sgd/lr"), [0.25, 0.25]);
    for (got, want) in history.get("slow/lr").iter().zip([0.01, 0.005]) {
        assert!((got - want).abs() < 1e-9, "{history:?}");
    }
    assert!(history.get("grad_norm").iter().all(|norm| *norm > 0.0) && history.get("grad_norm").len() == 2);
    let constant = Groups::new().group(Select::layer("body"), Sgd::new(0.2)).rest(Adam::new(0.01));
    let mut reduced = trainer(constant);
    let halve = LearningRateSchedule::new(|_, rate| rate / 2.0);
    reduced.fit(&data(32), Fit::epochs(2).callback(halve).silent()).unwrap();
    for ((_, rate), want) in reduced.learning_rates().unwrap().iter().zip([0.05, 0.0025]) {
        assert!((rate - want).abs() < 1e-8, "{rate}");
    }
}

#[test]
fn averages_stand_in_for_the_weights() {
    let mut kept = trainer(Sgd::new(0.5).ema(0.9));
    let loss = |trainer: &mut Trainer| trainer.evaluate(&data(64)).map(|evaluation| evaluation.loss);
    let at_first = loss(&mut kept).unwrap();
    assert_eq!(kept.with_averages(loss).unwrap(), at_first, "before the first update there is none");
    let fit = Fit::epochs(2).batch(16).validate_averages().silent();
    let test = data(64);
    let history = kept.fit(&data(64), fit.validate(&test)).unwrap();
    let weights = kept.weights().unwrap();
    let of_averages = kept.with_averages(loss).unwrap();
    assert_eq!(history.last("val_loss"), Some(of_averages));
    same_bits(&kept.weights().unwrap(), &weights);
    assert_ne!(loss(&mut kept).unwrap(), of_averages);
    // Also where it fails.
    kept.with_averages(|_| Err::<(), _>(TrainError::Setting("no".into()))).unwrap_err();
    same_bits(&kept.weights().unwrap(), &weights);
    kept.use_averages().unwrap();
    assert_eq!(loss(&mut kept).unwrap(), of_averages);
    let mut plain = trainer(Sgd::new(0.5));
    let asked = Fit::epochs(1).validate(&test).validate_averages().silent();
    for error in [plain.use_averages().unwrap_err(), plain.fit(&data(64), asked).unwrap_err()] {
        assert!(error.to_string().contains("keeps no averages"), "{error}");
    }
    assert_eq!(plain.steps().unwrap(), 0, "told before the first step");
}

#[test]
fn what_groups_lack_is_told_at_the_users_line() {
    let compiled = |optimizer: Groups| {
        let (line, result) = (line!(), model().compile(optimizer, SparseCategoricalCrossEntropy, []));
        (line, result.unwrap_err().to_string())
    };
    for (optimizer, says) in [
        (
            Groups::new().group(Select::layer("bodi"), Sgd::default()).rest(Sgd::default()),
            "no parameter is meant by layer",
        ),
        (Groups::new().rest(Sgd::new(-1.0)), "the learning rate must be finite and at least 0"),
        (
            Groups::new().freeze_statistics(Select::layer("body")).rest(Sgd::default()),
            "no batch normalization after it is meant by layer \"body\"",
        ),
    ] {
        let (line, text) = compiled(optimizer);
        assert!(text.contains(says) && text.contains(&format!("tests/it/parameters.rs:{line}:")), "{text}");
    }
}
