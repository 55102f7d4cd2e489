//! The benchmark's workloads, compiled: their losses are those that several other frameworks compute from the same numbers.

use gradc::compile::CompileOptions;
use gradc_cli::bench::{LoadedWorkload, Workload, launch_facts};
use kernel::{InstructionSet, Target};
use std::collections::BTreeMap;

/// The losses of step 1 and of a later one, before each step's update, to five digits. They are what several frameworks in Rust agree on;
/// where two of them differ in the last digits, the tolerance is theirs. In mlp_large a unit's argument is 1e-7 at step 2, so that rounding decides whether it is on,
/// and Adam makes of that another curve from step 7 on.
const LOSSES: [(&str, f64, (usize, f64), f64); 6] = [
    ("mlp_small", 2.31489, (10, 2.22501), 1e-5),
    ("mlp_tiny", 0.46017, (10, 0.41613), 1e-5),
    ("mlp_large", 2.30932, (6, 1.80025), 1e-3),
    ("cnn_mnist_b32", 2.30592, (10, 2.09144), 1e-4),
    ("cnn_mnist_b128", 2.30912, (10, 2.20151), 1e-4),
    ("transformer_lm", 4.32040, (10, 3.93754), 1e-4),
];

#[test]
fn losses_are_those_of_other_frameworks() {
    for (name, first, (step, later), tolerance) in LOSSES {
        let mut subject = LoadedWorkload::new(Workload::named(name).unwrap(), 1).unwrap();
        let losses: Vec<f64> = (0..step).map(|_| f64::from(subject.step().unwrap())).collect();
        assert!((losses[0] - first).abs() < 1e-5, "{name}: the loss of step 1 is {}, not {first}", losses[0]);
        let last = losses[step - 1];
        assert!((last - later).abs() < tolerance, "{name}: the loss of step {step} is {last}, not {later}");
    }
}

/// The sums of what inference gives, as other frameworks compute them from the same numbers.
#[test]
fn predictions_are_those_of_other_frameworks() {
    for (name, sum) in [("infer_mlp_small_b1", -0.25802), ("infer_cnn_b1", 0.61167), ("infer_cnn_b32", 19.20975)] {
        let mut subject = LoadedWorkload::new(Workload::named(name).unwrap(), 1).unwrap();
        subject.step().unwrap();
        let found: f64 = outputs(&subject).into_iter().sum();
        assert!((found - sum).abs() < 2e-5 * sum.abs().max(1.0), "{name}: the outputs' sum is {found}, not {sum}");
    }
}

fn outputs(subject: &LoadedWorkload) -> Vec<f64> {
    subject.result_bits().unwrap().into_iter().map(|bits| f32::from_bits(bits).into()).collect()
}

/// A kernel's operands and, after one step, its results.
fn run(name: &str) -> (BTreeMap<String, Vec<f64>>, Vec<f64>) {
    let workload = Workload::named(name).unwrap();
    let step = workload.step().unwrap();
    let operands = workload.inputs(&step).unwrap().into_iter().chain(workload.initial_values(&step).unwrap());
    let operands = operands.map(|(name, value)| (name, value.to_f64_vec())).collect();
    let mut subject = LoadedWorkload::new(workload, 1).unwrap();
    subject.step().unwrap();
    (operands, outputs(&subject))
}

/// Places spread over a result, the last one among them.
fn places(n: usize) -> impl Iterator<Item = usize> {
    (0..97).map(move |i| i * (n - 1) / 96)
}

fn close(name: &str, place: usize, found: f64, want: f64) {
    assert!((found - want).abs() < 1e-4 * want.abs().max(1.0), "{name}[{place}] is {found}, not {want}");
}

#[test]
fn matrix_products_are_sums_of_products() {
    for (name, m, n, k) in [("k_sgemm_64", 64, 64, 64), ("k_sgemm_32x128x784", 32, 128, 784)] {
        let (operands, out) = run(name);
        let (a, b) = (&operands["a"], &operands["b"]);
        assert_eq!(out.len(), m * n);
        for place in places(out.len()) {
            let (i, j) = (place / n, place % n);
            close(name, place, out[place], (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum());
        }
    }
}

#[test]
fn maps_and_rows_compute_their_formulas() {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let (operands, out) = run("k_tanh_64k");
    places(out.len()).for_each(|at| close("k_tanh_64k", at, out[at], operands["x"][at].tanh()));
    let (operands, out) = run("k_chain_4m");
    for at in places(out.len()) {
        let x = operands["x"][at];
        close("k_chain_4m", at, out[at], (1.5 * x + 0.25).max(0.0) * sigmoid(x));
    }
    let (operands, out) = run("k_softmax_4096x1024");
    for at in places(out.len()) {
        let row = &operands["x"][at / 1024 * 1024..][..1024];
        close(
            "k_softmax_4096x1024",
            at,
            out[at] * 1e3,
            row[at % 1024].exp() / row.iter().map(|x| x.exp()).sum::<f64>() * 1e3,
        );
    }
    let (operands, out) = run("k_layernorm_4096x1024");
    for at in places(out.len()) {
        let row = &operands["x"][at / 1024 * 1024..][..1024];
        let mean = row.iter().sum::<f64>() / 1024.0;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 1024.0;
        let normal = (row[at % 1024] - mean) / (variance + 1e-5).sqrt();
        close(
            "k_layernorm_4096x1024",
            at,
            out[at],
            normal * operands["gamma"][at % 1024] + operands["beta"][at % 1024],
        );
    }
    let (operands, out) = run("k_rowsum_4096x4096");
    places(out.len()).for_each(|at| {
        close("k_rowsum_4096x4096", at, out[at], operands["x"][at * 4096..][..4096].iter().sum());
    });
}

/// The first step of Adam moves each parameter by the learning rate against its gradient's sign.
#[test]
fn adam_moves_parameters_against_the_gradient() {
    let (operands, out) = run("k_adam_10m");
    for at in places(out.len()) {
        let (p, g) = (operands["p"][at], operands["g"][at]);
        assert!((out[at] - (p - 1e-3 * g / (g.abs() + 1e-8))).abs() < 1e-6, "p[{at}]: {p} to {} by {g}", out[at]);
    }
}

#[test]
fn convolution_and_its_gradients_are_sums_over_the_window() {
    const SIDE: isize = 28;
    let at =
        |b: isize, y: isize, x: isize, c: isize, channels: isize| (((b * SIDE + y) * SIDE + x) * channels + c) as usize;
    let inside = |y: isize, x: isize| (0..SIDE).contains(&y) && (0..SIDE).contains(&x);
    let filter = |ky: isize, kx: isize, i: isize, o: isize| (((ky * 3 + kx) * 32 + i) * 64 + o) as usize;
    let window = || (0..3).flat_map(|ky| (0..3).map(move |kx| (ky, kx)));
    let split = |place: usize, channels: usize| {
        let (b, y, x) = (place / channels / 784, place / channels / 28 % 28, place / channels % 28);
        (b as isize, y as isize, x as isize, (place % channels) as isize)
    };
    let (operands, out) = run("k_conv3x3_fwd");
    for place in places(out.len()) {
        let (b, y, x, o) = split(place, 64);
        let taps = window().filter(|(ky, kx)| inside(y + ky - 1, x + kx - 1));
        let tap = |(ky, kx): (isize, isize)| -> f64 {
            let term = |i| operands["x"][at(b, y + ky - 1, x + kx - 1, i, 32)] * operands["w"][filter(ky, kx, i, o)];
            (0..32).map(term).sum()
        };
        close("k_conv3x3_fwd", place, out[place], taps.map(tap).sum());
    }
    let (operands, out) = run("k_conv3x3_dx");
    for place in places(out.len()) {
        let (b, y, x, i) = split(place, 32);
        let taps = window().filter(|(ky, kx)| inside(y + 1 - ky, x + 1 - kx));
        let tap = |(ky, kx): (isize, isize)| -> f64 {
            let term = |o| operands["dy"][at(b, y + 1 - ky, x + 1 - kx, o, 64)] * operands["w"][filter(ky, kx, i, o)];
            (0..64).map(term).sum()
        };
        close("k_conv3x3_dx", place, out[place], taps.map(tap).sum());
    }
    let (operands, out) = run("k_conv3x3_dw");
    assert_eq!(out.len(), 9 * 32 * 64);
    for place in places(out.len()) {
        let (o, i, tap) = ((place % 64) as isize, (place / 64 % 32) as isize, (place / 2048) as isize);
        let places = (0..32 * SIDE * SIDE).map(|p| (p / SIDE / SIDE, p / SIDE % SIDE, p % SIDE));
        let seen = places.filter(|(_, y, x)| inside(y + tap / 3 - 1, x + tap % 3 - 1));
        let term = |(b, y, x)| {
            operands["x"][at(b, y + tap / 3 - 1, x + tap % 3 - 1, i, 32)] * operands["dy"][at(b, y, x, o, 64)]
        };
        close("k_conv3x3_dw", place, out[place], seen.map(term).sum());
    }
}

/// The same bits at one to four threads, and twice in a row: losses of models, all results of kernels and predictions.
#[test]
fn results_do_not_depend_on_threads() {
    // Single operations have results of all types.
    for workload in Workload::all().filter(|w| !w.name.contains('/')) {
        let run = |threads: usize| -> Vec<u32> {
            let mut subject = LoadedWorkload::new(workload, threads).unwrap();
            let losses: Vec<u32> = (0..3).map(|_| subject.step().unwrap().to_bits()).collect();
            [losses, subject.result_bits().unwrap()].concat()
        };
        let one = run(1);
        for threads in [1, 2, 3, 4] {
            let other = run(threads);
            let first = one.iter().zip(&other).position(|(a, b)| a != b);
            assert_eq!((one.len(), first), (other.len(), None), "{}: {threads} threads differ", workload.name);
        }
    }
}

/// Of the CNN's launches, 5 of 24 had no line before launches knew what they were made of, both fused convolutions among them.
#[test]
fn every_launch_names_a_line_of_the_user_s() {
    for workload in Workload::all() {
        for set in [InstructionSet::Fma, InstructionSet::Avx2, InstructionSet::Avx512] {
            let target = Target::avx512().limited_to(set);
            let options = CompileOptions { target: Some(target), ..CompileOptions::default() };
            for facts in launch_facts(&workload.step().unwrap(), &options).unwrap() {
                let (name, kernel) = (workload.name, &facts.kernel);
                assert!(!facts.places.is_empty(), "{name} for {set}: {kernel} of {:?} comes from nowhere", facts.ops);
                assert!(facts.places.iter().all(|place| place.contains(".rs:")), "{name}: {:?}", facts.places);
            }
        }
    }
}
