//! Accumulation, averages and statistics, whatever the optimizer.

use super::*;
use crate::dsl::{TypeSpec, bf16, zeros};
use crate::testing::NamedValues;
use ir::DType;

/// The states after `updates` updates of a network by batches of 8, in as many `parts` each, fed one after the other.
fn trained(optimizer: &dyn Optimizer, dtype: DType, parts: usize, updates: usize) -> NamedValues {
    let g = GraphBuilder::new("test");
    let rows = 8 / parts;
    let x = g.input("x", TypeSpec::new(dtype, [rows, 3]));
    let y = Dense::new(2).apply(&Dense::new(5).apply(&x).tanh());
    let step = g.minimize((y - 1.0).square().mean(), optimizer).unwrap();
    let mut runner = Runner::new(&step);
    let mut rng = ir::SplitMix64::new(3);
    for _ in 0..updates {
        let batch: Vec<f64> = (0..24).map(|_| rng.bits() as f64 / 2f64.powi(63) - 1.0).collect();
        for part in batch.chunks(rows * 3) {
            runner.step(&[("x", value(TypeSpec::new(dtype, [rows, 3]), part))]);
        }
    }
    runner.states
}

fn compare(optimizer: impl Optimizer + Clone, dtype: DType, tolerance: f64) {
    let name = optimizer.name().to_string();
    let (whole, parts) = (trained(&optimizer, dtype, 1, 5), trained(&optimizer.accumulate(4), dtype, 4, 5));
    for (state, want) in &whole {
        if state != STEP {
            assert_close(&parts[state].to_f64_vec(), &want.to_f64_vec(), tolerance);
        }
    }
    assert_eq!(parts[STEP].to_f64_vec(), [20.0]);
    let sums: Vec<f64> =
        parts.iter().filter(|(n, _)| n.contains("/accumulated/")).flat_map(|(_, v)| v.to_f64_vec()).collect();
    assert!(sums.len() == 3 * 5 + 5 + 5 * 2 + 2 && sums.iter().all(|s| *s == 0.0), "{name}: {sums:?}");
}

#[test]
fn four_batches_of_two_are_one_of_eight() {
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 1e-6)] {
        compare(Sgd::new(0.1), dtype, tolerance);
        compare(Sgd::new(0.1).momentum(0.9).weight_decay(0.01), dtype, tolerance);
        compare(Adam::new(0.01), dtype, tolerance);
        compare(AdamW::new(0.01).weight_decay(0.1), dtype, tolerance);
        compare(RmsProp::new(0.01).centered(true), dtype, tolerance);
        compare(Adagrad::new(0.01), dtype, tolerance);
        compare(Adam::new(0.01).clip_global_norm(0.05), dtype, tolerance);
        compare(Sgd::new(0.1).clip_value(0.02), dtype, tolerance);
        compare(AdamW::new(0.01).ema(0.5), dtype, tolerance);
        let groups = Groups::new().group(Select::pattern("*/bias"), Sgd::new(0.1)).rest(Adam::new(0.01));
        compare(groups.clip_global_norm(0.05), dtype, tolerance);
    }
}

#[test]
fn nothing_changes_between_updates_and_the_order_of_settings_does_not_matter() {
    let states = |optimizer: &dyn Optimizer, steps: usize| {
        let g = GraphBuilder::new("test");
        let p = g.param("p", f64([3]), Initializer::Given(value(f64([3]), &START)));
        let step = g.minimize((p * g.input("g", f64([3]))).sum(), optimizer).unwrap();
        let mut runner = Runner::new(&step);
        for i in 0..steps {
            runner.step(&[("g", value(f64([3]), &GRADIENTS[i % 3]))]);
        }
        runner.states
    };
    let optimizer = || Adam::new(0.1).accumulate(3);
    let (before, between, after) = (states(&optimizer(), 0), states(&optimizer(), 2), states(&optimizer(), 3));
    for name in ["p", "adam/m/p", "adam/v/p"] {
        assert_eq!(between[name], before[name]);
        assert_ne!(after[name], before[name]);
    }
    let first = |a: &dyn Optimizer, b: &dyn Optimizer| assert_eq!(states(a, 7), states(b, 7));
    first(&Adam::new(0.1).clip_global_norm(0.1).accumulate(3), &optimizer().clip_global_norm(0.1));
    first(&Adam::new(0.1).ema(0.9).accumulate(3), &optimizer().ema(0.9));
    first(&Groups::new().rest(optimizer()).ema(0.9), &Groups::new().rest(Adam::new(0.1).ema(0.9)).accumulate(3));
    first(&Adam::new(0.1).accumulate(1), &Adam::new(0.1));
}

#[test]
fn averages_follow_the_parameters_as_kerass_do() {
    let g = GraphBuilder::new("test");
    let p = g.param("p", f64([3]), Initializer::Given(value(f64([3]), &START)));
    let step = g.minimize((p * g.input("g", f64([3]))).sum(), &Sgd::new(0.1).ema(0.9)).unwrap();
    let mut runner = Runner::new(&step);
    let mut average = vec![];
    for gradient in &GRADIENTS {
        runner.step(&[("g", value(f64([3]), gradient))]);
        let p = runner.state("p");
        average = if average.is_empty() { p } else { (0..3).map(|e| 0.9 * average[e] + 0.1 * p[e]).collect() };
        assert_close(&runner.state("sgd/average/p"), &average, 1e-14);
    }
    // What is too little for 16 bits is kept.
    let g = GraphBuilder::new("test");
    let p = g.param("p", bf16([1]), zeros());
    let step = g.minimize(p.cast(DType::F32).sum(), &Sgd::new(1.0).ema(0.999).accumulate(2)).unwrap();
    for state in ["sgd/average/p", "sgd/accumulated/p"] {
        assert_eq!(step.state(state).unwrap().ty.dtype, DType::F32);
    }
    let mut runner = Runner::new(&step);
    (0..4).for_each(|_| drop(runner.step(&[])));
    assert_eq!(runner.state("p"), [-2.0]);
    assert_close(&runner.state("sgd/average/p"), &[-1.001], 1e-6);
}

#[test]
fn norms_of_gradients_are_outputs() {
    let g = GraphBuilder::new("test");
    let (a, b) = (g.param("a", f64([2]), zeros()), g.param("b", f64([]), zeros()));
    let groups = Groups::new()
        .group(Select::pattern("b"), Sgd::new(1.0).clip_global_norm(1.0).output_gradient_norm("grad_norm_b"))
        .rest(Sgd::new(1.0));
    let optimizer = groups.clip_value(1.0).output_gradient_norm("grad_norm");
    assert_eq!(optimizer.statistics(), ["grad_norm", "grad_norm_b"]);
    let step = g.minimize(a.sum() * 4.0 - b * 7.0, &optimizer).unwrap();
    let outputs = Runner::new(&step).step(&[]);
    assert_close(&outputs["grad_norm"].to_f64_vec(), &[9.0], 1e-14);
    assert_close(&outputs["grad_norm_b"].to_f64_vec(), &[7.0], 1e-14);
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let refused = |optimizer: &dyn Optimizer, says: &str| {
        let g = GraphBuilder::new("test");
        let loss = g.param("p", f64([]), zeros()).square();
        let text = g.minimize(loss, optimizer).unwrap_err().to_string();
        assert!(text.contains(says), "{text}");
    };
    refused(&Sgd::new(0.1).accumulate(0), "at least 1 step");
    for decay in [1.0, -0.1, f64::NAN] {
        refused(&Sgd::new(0.1).ema(decay), "the decay of averages must be at least 0 and below 1");
    }
    refused(&Sgd::new(Schedule::Custom(std::sync::Arc::new(|_| f64::NAN))), "the learning rate must be finite");
    refused(&Sgd::new(0.1).accumulate(2).accumulate(2), "state \"sgd/accumulated/p\"");
}

#[test]
fn rows_are_updated_with_averages_and_as_a_whole_where_gradients_are_summed() {
    let (_, plain, _) = embedded(&Sgd::new(0.3), true, false);
    let (_, states, text) = embedded(&Sgd::new(0.3).ema(0.5), true, false);
    assert!(text.contains("scatter_add"));
    assert_eq!(states["embedding/embeddings"], plain["embedding/embeddings"]);
    let dense = embedded(&Sgd::new(0.3).ema(0.5), false, false).1;
    let average = "sgd/average/embedding/embeddings";
    assert_close(&states[average].to_f64_vec(), &dense[average].to_f64_vec(), 1e-14);
    for sparse in [true, false] {
        let (_, states, text) = embedded(&Sgd::new(0.3).accumulate(2), sparse, false);
        assert!(!text.contains("scatter_add"));
        assert_eq!(states, embedded(&Sgd::new(0.3).accumulate(2), false, false).1);
    }
}
