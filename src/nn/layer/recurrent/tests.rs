//! Recurrent layers against plain loops over the formulas, in `f64`; gradients against differences; masks, directions, first states, errors.

use super::*;
use crate::dsl::{GraphBuilder, Tensor, bool_, f64, i32};
use crate::model::{Model, Sequential};
use crate::nn::Merge;
use crate::nn::{Activation, Embedding, Layer};
use crate::testing::{Runner, assert_close, check_gradients, constant, random, random_runner, value};

const BATCH: usize = 2;
const TIME: usize = 4;
const FEATURES: usize = 3;
const UNITS: usize = 2;

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn numbers() -> Vec<f64> {
    random(5, BATCH * TIME * FEATURES)
}

fn input(g: &GraphBuilder) -> Tensor {
    constant(g, &[BATCH, TIME, FEATURES], &numbers())
}

/// `row · matrix`, the matrix row-major.
fn product(row: &[f64], matrix: &[f64]) -> Vec<f64> {
    let columns = matrix.len() / row.len();
    (0..columns).map(|j| row.iter().enumerate().map(|(i, x)| x * matrix[i * columns + j]).sum()).collect()
}

fn sum(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// The weights of a layer called `name`.
struct Weights {
    kernel: Vec<f64>,
    recurrent: Vec<f64>,
    bias: Vec<f64>,
}

impl Weights {
    fn of(runner: &Runner, name: &str) -> Self {
        let part = |part: &str| runner.state(&format!("{name}/{part}"));
        Self { kernel: part("kernel"), recurrent: part("recurrent_kernel"), bias: part("bias") }
    }
}

type CellFn<'w> = dyn Fn(&[f64], &[Vec<f64>]) -> Vec<Vec<f64>> + 'w;

/// The first state after each step, `[batch, time, units]`; steps where `counts` doesn't hold carry on.
fn unrolled(states: usize, order: &[usize], counts: &dyn Fn(usize, usize) -> bool, step: &CellFn<'_>) -> Vec<f64> {
    let x = numbers();
    let mut sequence = vec![0.0; BATCH * TIME * UNITS];
    for b in 0..BATCH {
        let mut state = vec![vec![0.0; UNITS]; states];
        for &t in order {
            let at = (b * TIME + t) * FEATURES;
            if counts(b, t) {
                state = step(&x[at..at + FEATURES], &state);
            }
            let to = (b * TIME + t) * UNITS;
            sequence[to..to + UNITS].copy_from_slice(&state[0]);
        }
    }
    sequence
}

fn lstm_step(w: &Weights) -> impl Fn(&[f64], &[Vec<f64>]) -> Vec<Vec<f64>> + '_ {
    |x, state| {
        let z = sum(&sum(&product(x, &w.kernel), &product(&state[0], &w.recurrent)), &w.bias);
        let unit = |u: usize| {
            let [i, f, c, o] = [0, 1, 2, 3].map(|gate| z[gate * UNITS + u]);
            let c = sigmoid(f) * state[1][u] + sigmoid(i) * c.tanh();
            (sigmoid(o) * c.tanh(), c)
        };
        let both: Vec<(f64, f64)> = (0..UNITS).map(unit).collect();
        vec![both.iter().map(|s| s.0).collect(), both.iter().map(|s| s.1).collect()]
    }
}

const FORWARD: [usize; TIME] = [0, 1, 2, 3];
const BACKWARD: [usize; TIME] = [3, 2, 1, 0];

fn all(_: usize, _: usize) -> bool {
    true
}

#[test]
fn an_lstm_is_its_formula() {
    let mut runner = random_runner(&|g| Lstm::new(UNITS).return_sequences(true).apply(&input(g)));
    let want = unrolled(2, &FORWARD, &all, &lstm_step(&Weights::of(&runner, "lstm")));
    assert_close(&runner.step(&[])["y"].to_f64_vec(), &want, 1e-12);
    let mut last = random_runner(&|g| Lstm::new(UNITS).apply(&input(g)));
    let rows: Vec<f64> = (0..BATCH).flat_map(|b| want[((b + 1) * TIME - 1) * UNITS..][..UNITS].to_vec()).collect();
    assert_close(&last.step(&[])["y"].to_f64_vec(), &rows, 1e-12);
}

#[test]
fn a_simple_recurrence_is_its_formula() {
    let layer = || SimpleRnn::new(UNITS).return_sequences(true).activation(Activation::Softsign);
    let mut runner = random_runner(&|g| layer().apply(&input(g)));
    let w = Weights::of(&runner, "simple_rnn");
    let step = |x: &[f64], state: &[Vec<f64>]| {
        let z = sum(&sum(&product(x, &w.kernel), &product(&state[0], &w.recurrent)), &w.bias);
        vec![z.iter().map(|z| z / (1.0 + z.abs())).collect()]
    };
    assert_close(&runner.step(&[])["y"].to_f64_vec(), &unrolled(1, &FORWARD, &all, &step), 1e-12);
}

#[test]
fn a_gru_is_its_formula_with_the_reset_after_and_before() {
    for after in [true, false] {
        let layer = || Gru::new(UNITS).return_sequences(true).reset_after(after);
        let mut runner = random_runner(&|g| layer().apply(&input(g)));
        let w = Weights::of(&runner, "gru");
        let width = 3 * UNITS;
        let step = |x: &[f64], state: &[Vec<f64>]| {
            let h = &state[0];
            let zx = sum(&product(x, &w.kernel), &w.bias[..width]);
            let zh = product(h, &w.recurrent);
            let zh = if after { sum(&zh, &w.bias[width..]) } else { zh };
            let open = |gate: usize, u: usize| sigmoid(zx[gate * UNITS + u] + zh[gate * UNITS + u]);
            let reset: Vec<f64> = (0..UNITS).map(|u| open(1, u) * h[u]).collect();
            let of_reset = product(&reset, &w.recurrent);
            let candidate = |u: usize| {
                let at = 2 * UNITS + u;
                (zx[at] + if after { open(1, u) * zh[at] } else { of_reset[at] }).tanh()
            };
            vec![(0..UNITS).map(|u| open(0, u) * h[u] + (1.0 - open(0, u)) * candidate(u)).collect()]
        };
        let got = runner.step(&[])["y"].to_f64_vec();
        assert_close(&got, &unrolled(1, &FORWARD, &all, &step), 1e-12);
    }
}

#[test]
fn going_backwards_takes_and_gives_steps_in_reverse() {
    let layer = || Lstm::new(UNITS).return_sequences(true).go_backwards(true);
    let mut runner = random_runner(&|g| layer().apply(&input(g)).reverse([1]));
    let want = unrolled(2, &BACKWARD, &all, &lstm_step(&Weights::of(&runner, "lstm")));
    assert_close(&runner.step(&[])["y"].to_f64_vec(), &want, 1e-12);
}

#[test]
fn both_directions_stand_side_by_side() {
    let mut runner = random_runner(&|g| Bidirectional::new(Lstm::new(UNITS).return_sequences(true)).apply(&input(g)));
    let part = |which: &str, order| {
        unrolled(2, order, &all, &lstm_step(&Weights::of(&runner, &format!("bidirectional/{which}_lstm"))))
    };
    let (a, b) = (part("forward", &FORWARD), part("backward", &BACKWARD));
    let want: Vec<f64> = a.chunks(UNITS).zip(b.chunks(UNITS)).flat_map(|(a, b)| [a, b].concat()).collect();
    assert_close(&runner.step(&[])["y"].to_f64_vec(), &want, 1e-12);
    let merged = |merge| {
        let layer = move || Bidirectional::new(Lstm::new(UNITS).return_sequences(true)).merge(merge);
        random_runner(&|g| layer().apply(&input(g))).step(&[])["y"].to_f64_vec()
    };
    let pairs = |f: fn(f64, f64) -> f64| a.iter().zip(&b).map(|(&a, &b)| f(a, b)).collect::<Vec<f64>>();
    assert_close(&merged(Merge::Sum), &pairs(|a, b| a + b), 1e-12);
    assert_close(&merged(Merge::Mul), &pairs(|a, b| a * b), 1e-12);
    assert_close(&merged(Merge::Average), &pairs(|a, b| (a + b) / 2.0), 1e-12);
}

#[test]
fn masked_steps_carry_the_state() {
    let counts = |b: usize, t: usize| (b, t) != (0, 1) && (b, t) != (1, 3);
    let mask: Vec<f64> = (0..BATCH * TIME).map(|i| f64::from(u8::from(counts(i / TIME, i % TIME)))).collect();
    let g = |g: &GraphBuilder| {
        let x = input(g).with_mask(&g.constant(value(bool_([BATCH, TIME]), &mask)));
        Lstm::new(UNITS).return_sequences(true).apply(&x)
    };
    let mut runner = random_runner(&g);
    let want = unrolled(2, &FORWARD, &counts, &lstm_step(&Weights::of(&runner, "lstm")));
    assert_close(&runner.step(&[])["y"].to_f64_vec(), &want, 1e-12);
    check_gradients(g);
}

/// What a layer gives for two steps of which the mask lets some count: without first states and with ones, and in both directions.
#[test]
fn results_at_masked_steps_are_those_of_keras() {
    let run = |mask: [f64; 4], states: bool, zero: bool| {
        crate::testing::eval(|g| {
            let x = constant(g, &[1, 4, 1], &[1.0, 2.0, 3.0, 4.0]).with_mask(&g.constant(value(bool_([1, 4]), &mask)));
            let state = constant(g, &[1, 1], &[0.5]);
            let ones = crate::dsl::ones();
            let layer = SimpleRnn::new(1).activation(Activation::Linear).kernel_initializer(ones.clone());
            let layer = layer.recurrent_initializer(ones).return_sequences(true).zero_output_for_mask(zero);
            if states { layer.apply((&x, &state)) } else { layer.apply(&x) }
        })
    };
    let mask = [0.0, 1.0, 0.0, 1.0];
    assert_eq!(run(mask, false, false), [0.0, 2.0, 2.0, 6.0]);
    assert_eq!(run(mask, false, true), [0.0, 2.0, 0.0, 6.0]);
    assert_eq!(
        run(mask, true, false),
        [0.0, 2.5, 2.5, 6.5],
        "0 before the first step that counts, not the first state"
    );
    assert_eq!(run(mask, true, true), [0.0, 2.5, 0.0, 6.5]);
    let both = crate::testing::eval(|g| {
        let x = constant(g, &[1, 4, 1], &[1.0, 2.0, 3.0, 4.0]).with_mask(&g.constant(value(bool_([1, 4]), &mask)));
        let ones = crate::dsl::ones();
        let layer = SimpleRnn::new(1).activation(Activation::Linear).kernel_initializer(ones.clone());
        Bidirectional::new(layer.recurrent_initializer(ones).return_sequences(true)).apply(&x)
    });
    assert_eq!(both, [0.0, 0.0, 2.0, 6.0, 0.0, 0.0, 6.0, 4.0]);
}

#[test]
fn fillers_mask_themselves() {
    // The same words with and without fillers after them end in the same state, also through a second layer.
    let last = |words: &[f64]| {
        let time = words.len();
        random_runner(&|g: &GraphBuilder| {
            let words = g.constant(value(i32([1, time]), words));
            let x = Embedding::new(9, FEATURES).dtype(ir::DType::F64).mask_zero(true).apply(&words);
            Gru::new(UNITS).apply(&Lstm::new(UNITS).return_sequences(true).apply(&x))
        })
        .step(&[])["y"]
            .to_f64_vec()
    };
    assert_close(&last(&[4.0, 7.0, 1.0, 0.0, 0.0]), &last(&[4.0, 7.0, 1.0]), 1e-15);
    let mask = |g: &GraphBuilder| {
        let x = constant(g, &[1, 3, 2], &[0.0, 0.0, 0.0, 3.0, 0.0, 0.0]);
        Masking::default().apply(&x).mask().unwrap().cast(ir::DType::F64)
    };
    assert_eq!(crate::testing::eval(mask), [0.0, 1.0, 0.0]);
}

#[test]
fn runs_go_on_from_given_states() {
    // Two halves, the second from the states of the first, are the whole.
    let mut halves = random_runner(&|g| {
        let (x, layer) = (input(g), Lstm::new(UNITS).return_state(true));
        let [_, h, c] = layer.apply_many(&x.slice_axis(1, 0..2));
        let [last, ..] = layer.apply_many::<3>((&x.slice_axis(1, 2..4), &h, &c));
        last
    });
    let mut whole = random_runner(&|g| Lstm::new(UNITS).apply(&input(g)));
    assert_close(&halves.step(&[])["y"].to_f64_vec(), &whole.step(&[])["y"].to_f64_vec(), 1e-12);
}

#[test]
fn gradients_are_those_of_differences() {
    check_gradients(|g| Lstm::new(UNITS).apply(&g.param("x", f64([BATCH, TIME, FEATURES]), crate::dsl::zeros())));
    check_gradients(|g| Gru::new(UNITS).return_sequences(true).apply(&input(g)));
    check_gradients(|g| Gru::new(UNITS).reset_after(false).apply(&input(g)));
    check_gradients(|g| SimpleRnn::new(UNITS).recompute(true).use_bias(false).apply(&input(g)));
    check_gradients(|g| Bidirectional::new(SimpleRnn::new(UNITS)).apply(&input(g)));
}

#[test]
fn states_begin_as_in_keras() {
    let model = Sequential::new([TIME, FEATURES]).add(Lstm::new(UNITS).return_sequences(true)).lstm(3).gru(4);
    let step = model.inference_graph(BATCH);
    // The second LSTM gives its last result, so the GRU has no sequence.
    let text = step.unwrap_err().to_string();
    assert!(
        text.contains("in layer gru: a recurrent layer of f32[2,3]: the input must be [batch, time, features]"),
        "{text}"
    );
    let model = Sequential::new([TIME, FEATURES]).add(Lstm::new(UNITS).return_sequences(true)).gru(4).dense(1);
    let step = model.inference_graph(BATCH).unwrap();
    let names: Vec<&str> = step.states.iter().map(|s| s.name.as_str()).collect();
    let of = |layer: &str| ["kernel", "recurrent_kernel", "bias"].map(|part| format!("{layer}/{part}"));
    assert_eq!(names[..6], [of("lstm"), of("gru")].concat());
    let bias = step.state("lstm/bias").unwrap().initial(1).to_f64_vec();
    assert_eq!(bias, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(step.state("gru/bias").unwrap().ty.shape.dims(), [2, 12]);
    assert_eq!(model.summary().unwrap().trainable, 4 * (3 * 2 + 2 * 2 + 2) + 3 * (2 * 4 + 4 * 4 + 2 * 4) + 5);
}

#[test]
fn what_does_not_fit_is_named() {
    let g = GraphBuilder::new("broken");
    let x = g.input("x", f64([BATCH, TIME, FEATURES]));
    let line = line!() + 1;
    Lstm::new(UNITS).apply((&x, &x));
    x.with_mask(&g.input("mask", bool_([BATCH, 3])));
    Lstm::new(0).apply(&x);
    let text = g.finish().unwrap_err().to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with(&format!("src/nn/layer/recurrent/tests.rs:{line}:")), "{text}");
    assert!(lines[0].contains("it needs 2 first state(s) of f64[2, 2]"), "{text}");
    assert!(lines[1].contains("the mask must be bool[2, 4], it is bool[2,3]"), "{text}");
    assert!(lines[2].contains("at least one unit"), "{text}");
}

/// From states that it is given, those of the steps before or any others, a convolutional LSTM goes on as if it had made them; gradients go through them.
#[test]
fn convolutional_lstms_begin_with_their_first_states() {
    let layer = ConvLstm1d::new(2, 3).padding(crate::nn::Padding1d::Same).return_sequences(true).return_state(true);
    let extents = [BATCH, TIME, 5, FEATURES];
    let x = random(9, extents.iter().product());
    let found = random_runner(&|g| {
        let x = constant(g, &extents, &x);
        let [whole, h, c] = layer.apply_many(&x);
        let [first, first_h, first_c] = layer.apply_many(&x.slice_axis(1, 0..1));
        let [rest, rest_h, rest_c] = layer.apply_many((&x.slice_axis(1, 1..TIME), &first_h, &first_c));
        let differences = [whole - first.concat(&[&rest], 1), (h - rest_h).unsqueeze(1), (c - rest_c).unsqueeze(1)];
        differences[0].concat(&[&differences[1], &differences[2]], 1)
    })
    .step(&[])["y"]
        .to_f64_vec();
    assert!(found.iter().all(|difference| difference.abs() < 1e-12), "{found:?}");
    check_gradients(|g| {
        let [h, c] = ["h", "c"].map(|name| g.param(name, f64([1, 3, 2]), crate::dsl::constant(0.0)));
        ConvLstm1d::new(2, 2).padding(crate::nn::Padding1d::Same).apply((
            &constant(g, &[1, 2, 3, 1], &random(3, 6)),
            &h,
            &c,
        ))
    });
    let g = GraphBuilder::new("test");
    let (x, state) = (g.input("x", f64([1, 2, 3, 1])), g.input("h", f64([1, 2, 2])));
    let _ = ConvLstm1d::new(2, 2).padding(crate::nn::Padding1d::Same).apply((&x, &state, &state));
    let error = g.finish().unwrap_err().to_string();
    assert!(error.contains("it needs 2 first states of f64[1, 3, 2]"), "{error}");
}
