//! Parameters in groups, and several optimizers and losses in one graph.

use super::*;
use crate::dsl::{Step, zeros};
use crate::testing::{NamedValues, needed_ops};
use ir::{DType, Value};
use std::sync::{Arc, Mutex};

/// Two dense layers, `body` and `head`, and their mean squared result.
fn network(g: &GraphBuilder) -> Tensor {
    let x = g.input("x", f32([4, 3]));
    let hidden = Dense::new(5).name("body").apply(&x).tanh();
    Dense::new(2).name("head").apply(&hidden).square().mean()
}

fn step_of(optimizer: &dyn Optimizer) -> Step {
    let g = GraphBuilder::new("test");
    let loss = network(&g);
    g.minimize(loss, optimizer).unwrap()
}

fn batch() -> Value {
    value(f32([4, 3]), &(0..12).map(|i| f64::from(i) / 5.0 - 1.1).collect::<Vec<_>>())
}

/// The states after some steps.
fn after(step: &Step, steps: usize) -> NamedValues {
    let mut runner = Runner::new(step);
    for _ in 0..steps {
        runner.step(&[("x", batch())]);
    }
    runner.states
}

fn error_of(optimizer: &dyn Optimizer) -> String {
    let g = GraphBuilder::new("test");
    let loss = network(&g);
    g.minimize(loss, optimizer).unwrap_err().to_string()
}

#[test]
fn two_rates_are_two_steps_by_hand_to_the_bit() {
    let g = GraphBuilder::new("by hand");
    let loss = network(&g);
    for (name, p) in g.parameters() {
        let rate = if Select::layer("head").holds(&Parameter::of(&name, &p).unwrap()) { 0.5 } else { 0.1 };
        g.set_update(&name, &(&p - g.scalar(rate, DType::F32) * &g.gradients(&loss, &[&p])[0]));
    }
    let by_hand = after(&g.finish().unwrap(), 3);
    let groups = Groups::new().group(Select::layer("head"), Sgd::new(0.5)).rest(Sgd::new(0.1));
    let grouped = after(&step_of(&groups), 3);
    assert_eq!(by_hand.len(), 4);
    for (name, value) in &by_hand {
        assert_eq!(grouped[name], *value, "{name}");
    }
    assert_ne!(grouped, after(&step_of(&Sgd::new(0.1)), 3));
}

#[test]
fn each_group_has_its_own_rule_clipping_and_states() {
    let groups = Groups::new()
        .group(Select::pattern("*/bias"), Sgd::new(0.2).momentum(0.9).clip_value(1e-3))
        .group(Select::layer("head"), Adam::new(0.01))
        .rest(Adam::new(0.02).clip_global_norm(1e-2));
    let states = after(&step_of(&groups), 2);
    let alone = |optimizer: &dyn Optimizer, select: Select| {
        let g = GraphBuilder::new("alone");
        let loss = network(&g);
        g.minimize_only(&loss, &select, optimizer);
        let mut runner = Runner::new(&g.finish().unwrap());
        runner.step(&[("x", batch())]);
        runner.states
    };
    let mut runner = Runner::new(&step_of(&groups));
    runner.step(&[("x", batch())]);
    let kernel = |layer: &str| Select::pattern(&format!("{layer}/kernel"));
    for (want, names) in [
        (
            alone(&Sgd::new(0.2).momentum(0.9).clip_value(1e-3), Select::pattern("*/bias")),
            vec!["body/bias", "head/bias", "sgd/momentum/body/bias"],
        ),
        (alone(&Adam::new(0.01), kernel("head")), vec!["head/kernel", "adam/m/head/kernel"]),
        (
            alone(&Adam::new(0.02).clip_global_norm(1e-2).named("adam_1"), kernel("body")),
            vec!["body/kernel", "adam_1/v/body/kernel"],
        ),
    ] {
        for name in names {
            assert_eq!(runner.states[name], want[name], "{name}");
        }
    }
    let rates: Vec<&str> = states.keys().filter(|name| name.ends_with("lr")).map(String::as_str).collect();
    assert_eq!(rates, ["adam/lr", "adam_1/lr", "sgd/lr"]);
}

#[test]
fn one_rate_is_called_lr_and_names_can_be_given() {
    let names = |optimizer: &dyn Optimizer| -> Vec<String> {
        let states = step_of(optimizer).states;
        states.into_iter().map(|s| s.name).filter(|n| n.ends_with("lr") || n.contains("/m/body/k")).collect()
    };
    assert_eq!(names(&Adam::default()), ["lr", "adam/m/body/kernel"]);
    assert_eq!(names(&Adam::default().named("slow")), ["lr", "slow/m/body/kernel"]);
    let one = Groups::new().freeze(Select::layer("head")).rest(Adam::default());
    assert_eq!(names(&one), ["lr", "adam/m/body/kernel"]);
    let inner = Groups::new().group(Select::pattern("*/bias"), Adam::default()).rest(Adam::default().named("slow"));
    let two = Groups::new().group(Select::layer("head"), Sgd::default()).rest(inner).clip_value(1.0);
    assert_eq!(names(&two), ["sgd/lr", "adam/lr", "slow/lr", "slow/m/body/kernel"]);
    assert!(error_of(&Adam::default().named("a/b")).contains("none of them `/`"));
    assert!(error_of(&one.named("all")).contains("groups have no name"));
}

#[test]
fn what_is_frozen_has_no_gradient_and_keeps_its_bits() {
    let frozen = Groups::new().freeze(Select::layer("body")).rest(Adam::default());
    let (part, whole) = (step_of(&frozen), step_of(&Adam::default()));
    let gradients =
        |step: &Step| step.graph.ids().filter(|id| matches!(step.graph.op(*id), ir::Op::Gradient(_))).count();
    assert_eq!((gradients(&part), gradients(&whole)), (2, 4));
    // Two products forward; backward one for each kernel, and one from the head to the body.
    let products = |step: &Step| needed_ops(step).iter().filter(|op| **op == "dot").count();
    assert_eq!((products(&part), products(&whole)), (3, 5));
    assert!(needed_ops(&part).len() < needed_ops(&whole).len());
    let mut runner = Runner::new(&part);
    let before = runner.states.clone();
    for _ in 0..3 {
        runner.step(&[("x", batch())]);
    }
    for (name, value) in &before {
        assert_eq!(runner.states[name] == *value, name.starts_with("body/") || name == LEARNING_RATE, "{name}");
    }
    assert!(part.states.iter().all(|s| !s.name.contains("/body/")), "no moments of what is frozen");
}

#[test]
fn groups_and_parameters_that_do_not_belong_together_are_told_at_the_users_line() {
    for (groups, says) in [
        (Groups::new(), "there is no group"),
        (Groups::new().rest(Sgd::new(f64::NAN)), "the learning rate must be finite"),
        (
            Groups::new().group(Select::layer("hed"), Sgd::default()).rest(Sgd::default()),
            "no parameter is meant by layer \"hed\"; there are body/kernel, body/bias, head/kernel, head/bias",
        ),
        (
            Groups::new().rest(Sgd::default()).group(Select::layer("head"), Sgd::default()),
            "no parameter is left for layer \"head\"",
        ),
        (Groups::new().group(Select::layer("head"), Sgd::default()), "no group takes the parameter \"body/kernel\""),
        (Groups::new().freeze(Select::all()), "all parameters are frozen"),
    ] {
        let text = error_of(&groups);
        assert!(text.contains(says) && text.contains("src/optim/tests/groups.rs:"), "{text}");
    }
    // A rest of nothing is no mistake.
    let all = Groups::new().group(Select::all(), Sgd::default()).rest(Adam::default());
    assert!(step_of(&all).state("adam/m/body/bias").is_none());
}

#[test]
fn two_losses_train_two_parts_in_one_step() {
    let g = GraphBuilder::new("test");
    let (a, b) = (g.param("a/w", f64([2]), zeros()), g.param("b/w", f64([2]), zeros()));
    let x = g.input("x", f64([2]));
    g.minimize_only((&a * &x).sum() + (&a * &b).sum(), &Select::layer("a"), &Sgd::new(0.5));
    g.minimize_only((&b * 3.0 + &a).square().sum(), &Select::layer("b"), &Sgd::new(0.25).momentum(0.5));
    let step = g.finish().unwrap();
    let mut runner = Runner::new(&step);
    for (name, start) in [("a/w", [1.0, 2.0]), ("b/w", [-1.0, 0.5])] {
        runner.states.insert(name.into(), value(f64([2]), &start));
    }
    runner.step(&[("x", value(f64([2]), &[0.5, 4.0]))]);
    // Both read what was before the step.
    assert_eq!(runner.state("a/w"), [1.0 - 0.5 * (0.5 - 1.0), 2.0 - 0.5 * (4.0 + 0.5)]);
    assert_eq!(runner.state("b/w"), [-1.0 - 0.25 * 6.0 * -2.0, 0.5 - 0.25 * 6.0 * 3.5]);
    let rates: Vec<&str> = step.states.iter().map(|s| s.name.as_str()).filter(|n| n.ends_with("lr")).collect();
    assert_eq!(rates, ["sgd/lr", "sgd_1/lr"]);
    assert_eq!(runner.state("step"), [1.0]);
}

#[test]
fn a_parameter_is_updated_once() {
    let g = GraphBuilder::new("test");
    let loss = network(&g);
    g.minimize_only(&loss, &Select::layer("head"), &Sgd::default());
    let (line, result) = (line!(), g.minimize(loss, &Adam::default()));
    let text = result.unwrap_err().to_string();
    assert!(text.contains(&format!("src/optim/tests/groups.rs:{line}:")), "{text}");
    assert!(text.contains("minimize: the parameter \"head/kernel\" is updated already"), "{text}");
    let g = GraphBuilder::new("test");
    let (loss, line) = (network(&g), line!() + 1);
    g.minimize_only(&loss, &Select::pattern("tail/*"), &Sgd::default());
    let text = g.finish().unwrap_err().to_string();
    assert!(
        text.contains(&format!("groups.rs:{line}:")) && text.contains("no parameter is meant by pattern"),
        "{text}"
    );
}

#[test]
fn some_parameters_may_have_gradients_from_elsewhere() {
    let g = GraphBuilder::new("test");
    let (a, b) = (g.param("a", f64([2]), zeros()), g.param("b", f64([2]), zeros()));
    g.apply_gradients([(g.input("db", f64([2])), b.clone())], &Sgd::new(0.5));
    g.minimize_only((&a * &b + &a).sum(), &Select::pattern("a"), &Sgd::new(0.5).named("own"));
    let mut runner = Runner::new(&g.finish().unwrap());
    runner.step(&[("db", value(f64([2]), &[2.0, -4.0]))]);
    assert_eq!((runner.state("a"), runner.state("b")), (vec![-0.5, -0.5], vec![-1.0, 2.0]));
    assert_eq!(runner.state("own/lr"), [0.5]);
    assert_eq!(runner.state("sgd/lr"), [0.5]);
}

/// Tells what it is told, and trains nothing.
struct Curious(Arc<Mutex<Vec<(Parameter, String)>>>);

impl Optimizer for Curious {
    fn name(&self) -> &str {
        "curious"
    }

    fn schedule(&self) -> Option<&Schedule> {
        None
    }

    fn update(&self, cx: &Update<'_>, parameter: &Tensor, _: &Tensor) -> Tensor {
        self.0.lock().unwrap().push((cx.parameter().clone(), cx.parameter().layer().into()));
        parameter * &cx.lr
    }
}

#[test]
fn an_optimizer_is_told_of_its_parameters_and_may_have_no_rate() {
    let told = Arc::new(Mutex::new(vec![]));
    let step = step_of(&Groups::new().group(Select::layer("head"), Curious(told.clone())).rest(Sgd::default()));
    let told: Vec<String> =
        told.lock().unwrap().iter().map(|(p, l)| format!("{} {l} {} {}", p.name, p.dtype, p.shape)).collect();
    assert_eq!(told, ["head/kernel head f32 [5,2]", "head/bias head f32 [2]"]);
    assert!(step.state("lr").is_some() && step.state("curious/lr").is_none());
    let states = after(&step, 1);
    assert_eq!(states["head/kernel"], step.state("head/kernel").unwrap().initial(42), "times a rate of 1");
}

#[test]
fn biases_and_norms_may_have_no_weight_decay() {
    let without = |select: Option<Select>| -> [Box<dyn Optimizer>; 2] {
        let (mut adamw, mut sgd) = (AdamW::new(0.1).weight_decay(0.5), Sgd::new(0.1).momentum(0.5).weight_decay(0.5));
        if let Some(select) = select {
            (adamw, sgd) = (adamw.exclude_from_weight_decay(select.clone()), sgd.exclude_from_weight_decay(select));
        }
        [Box::new(adamw), Box::new(sgd)]
    };
    let plain: [Box<dyn Optimizer>; 2] = [Box::new(Adam::new(0.1)), Box::new(Sgd::new(0.1).momentum(0.5))];
    let all = without(None);
    for (i, optimizer) in without(Some(Select::biases_and_norms())).iter().enumerate() {
        let [some, all, none] = [optimizer, &all[i], &plain[i]].map(|o| after(&step_of(&**o), 2));
        // One step, as kernels that decay move the biases' gradients.
        let [first, undecayed] = [optimizer, &plain[i]].map(|o| after(&step_of(&**o), 1));
        assert_eq!(first["body/bias"], undecayed["body/bias"]);
        assert_eq!(first["head/bias"], undecayed["head/bias"]);
        assert_ne!(first["body/kernel"], undecayed["body/kernel"]);
        assert_ne!(some["head/bias"], all["head/bias"]);
        assert_ne!(some["head/kernel"], none["head/kernel"]);
    }
    let two = Sgd::new(0.1).weight_decay(0.5).exclude_from_weight_decay(Select::layer("head"));
    let states = after(&step_of(&two.exclude_from_weight_decay(Select::layer("body"))), 2);
    let plain = after(&step_of(&Sgd::new(0.1)), 2);
    assert_eq!(states, plain);
}

#[test]
fn frozen_statistics_stand_still_and_are_used() {
    let step = |still: Option<Select>, training: bool| {
        let g = GraphBuilder::new("test");
        g.set_training(training);
        still.into_iter().for_each(|select| g.freeze_statistics(select));
        let x = g.input("x", f32([4, 3]));
        let y = BatchNorm::new().name("b").apply(&BatchNorm::new().name("a").apply(&x));
        g.output("y", &y);
        g.minimize(y.square().mean(), &Sgd::default())
    };
    let run = |step: Step| {
        let mut runner = Runner::new(&step);
        for name in ["a/moving_mean", "b/moving_mean"] {
            runner.states.insert(name.into(), value(f32([3]), &[0.5, -0.5, 2.0]));
        }
        let y = runner.step(&[("x", batch())])["y"].clone();
        (y, ["a/moving_mean", "b/moving_mean"].map(|name| runner.state(name) == [0.5, -0.5, 2.0]))
    };
    let ((_, moved), (one, first)) =
        (run(step(None, true).unwrap()), run(step(Some(Select::layer("a")), true).unwrap()));
    let (all, still) = run(step(Some(Select::all()), true).unwrap());
    assert_eq!((moved, first, still), ([false, false], [true, false], [true, true]));
    let (inference, _) = run(step(None, false).unwrap());
    assert_eq!(all, inference);
    assert_ne!(one, inference);
    let text = step(Some(Select::layer("c")), true).unwrap_err().to_string();
    assert!(text.contains("freeze_statistics: no batch normalization after it is meant by layer \"c\""), "{text}");
}

#[test]
fn used_rows_alone_are_updated_in_groups_too() {
    let plain = embedded(&Sgd::new(0.3), true, false).1;
    let groups = |rest: Groups| rest.rest(Adam::new(0.1));
    let table = Groups::new().group(Select::layer("embedding"), Sgd::new(0.3));
    let (_, states, text) = embedded(&groups(table), true, false);
    assert!(text.contains("scatter_add"));
    assert_eq!(states["embedding/embeddings"], plain["embedding/embeddings"]);
    let clipped = Groups::new().group(Select::layer("embedding"), Sgd::new(0.3).clip_value(1.0));
    assert!(!embedded(&groups(clipped), true, false).2.contains("scatter_add"));
}
