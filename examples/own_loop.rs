//! A training loop of one's own on a subset of MNIST, and predictions from it: the accuracy, and how long one prediction takes beside the bare step. `cargo run --release --example own_loop`

use gradc::data::{ArrayView, mnist};
use gradc::prelude::*;
use std::error::Error;
use std::time::Instant;

const BATCH: usize = 64;
const EPOCHS: u64 = 3;

#[allow(clippy::print_stdout)] // An example speaks to whoever runs it.
fn main() -> Result<(), Box<dyn Error>> {
    digits()?;
    latency()
}

/// Trains a perceptron, step by step.
#[allow(clippy::print_stdout)]
fn digits() -> Result<(), Box<dyn Error>> {
    let (train, test) = mnist::load_from(concat!(env!("CARGO_MANIFEST_DIR"), "/data/mnist-subset"))?;
    let steps = EPOCHS * train.len().div_ceil(BATCH) as u64;
    let model = Sequential::new([28, 28, 1]).flatten().dense(128).relu().dense(10);
    let rate = Schedule::cosine(2e-3, steps).warmup(50);
    let trainer = model.compile(Adam::new(rate), SparseCategoricalCrossEntropy, [Accuracy])?;
    let mut trainer = trainer.with_batch(BATCH)?;
    for epoch in 0..EPOCHS {
        trainer.reset_metrics();
        for batch in train.shuffled(epoch).batches(BATCH) {
            trainer.train_step(&batch)?;
        }
        for batch in test.batches(BATCH) {
            trainer.test_step(&batch)?;
        }
        let evaluation = trainer.evaluate(&test)?;
        println!("epoch {}: trained {}; test {evaluation}", epoch + 1, trainer.logs().evaluation()?);
    }
    let predictor = trainer.predictor()?;
    for samples in 1..=BATCH {
        predictor.predict(&test.take(samples)?)?;
    }
    let (programs, bytes) = (predictor.programs(), predictor.bytes() as f64 / f64::from(1 << 20));
    println!("{BATCH} sizes of a batch: {programs} programs, {bytes:.2} MiB with the weights");
    Ok(())
}

/// One sample through a small network: by a bare step, by `predict_into`, by `predict`, in turns; the medians.
#[allow(clippy::print_stdout)]
fn latency() -> Result<(), Box<dyn Error>> {
    let model = Sequential::new([4]).dense(16).tanh().dense(16).tanh().dense(2);
    let trainer = model.compile(Adam::default(), MeanSquaredError, [])?;
    let mut trainer = trainer.with_options(CompileOptions::threads(1))?;
    let predictor = trainer.predictor()?;
    let mut bare = model.inference_graph(1)?.compile(&CompileOptions::threads(1))?;
    bare.set_states(&trainer.weights()?)?;
    let (x, mut y) = ([0.1f32, -0.2, 0.3, 0.4], [0.0f32; 2]);
    bare.input_mut::<f32>("x")?.copy_from_slice(&x);
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..2000 {
        times[0].push(micros(|| Ok(bare.step()?))?);
        let arrays = [("x", ArrayView::from(&x))];
        times[1].push(micros(|| Ok(predictor.predict_into(&arrays, &mut [("output", &mut y)])?))?);
        times[2].push(micros(|| Ok(predictor.predict(&arrays).map(drop)?))?);
    }
    let [step, into, value] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    println!("one sample, medians: bare step {step:.3} us, predict_into {into:.3} us, predict {value:.3} us");
    Ok(())
}

/// Microseconds of one of 50 calls in a row.
fn micros(mut f: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    for _ in 0..50 {
        f()?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / 50.0)
}
