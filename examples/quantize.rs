//! A convolutional network in bytes: `cargo run --release --example quantize`.
//!
//! Trains the network of the example `mnist` for an epoch, quantizes it, and compares accuracy, time and memory of both.

use gradc::prelude::*;
use std::time::Instant;

/// Samples that ranges are taken from, in batches of [`BATCH`].
const BATCHES: usize = 4;
/// Samples in the largest batch.
const BATCH: usize = 128;
/// How often each prediction is timed.
const REPEATS: usize = 200;

#[allow(clippy::print_stdout)] // An example speaks to whoever runs it.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (train, test) = gradc::data::mnist::load()?;
    let model = Sequential::new([28, 28, 1])
        .conv2d(32, 3)
        .relu()
        .max_pool2d(2)
        .conv2d(64, 3)
        .relu()
        .max_pool2d(2)
        .flatten()
        .dense(10);
    let trainer = model.compile(Adam::default(), SparseCategoricalCrossEntropy, [Accuracy])?;
    let mut trainer = trainer.with_batch(BATCH)?;
    trainer.fit(&train, Fit::epochs(1).batch(32))?;

    let quantized = trainer.quantize(&train, Quantization::new().batches(BATCHES))?;
    for layer in quantized.layers() {
        println!("{:16} activations from {:.3} to {:.3}", layer.kernel, layer.range.0, layer.range.1);
    }
    let floats = trainer.predictor()?;
    let bytes = quantized.predictor();
    println!("{:10} {:>10} {:>14} {:>14} {:>12}", "", "accuracy", "batch of 1", "batch of 128", "weights");
    for (name, predictor) in [("f32", &floats), ("int8", bytes)] {
        let weights = predictor.bytes();
        let accuracy = 100.0 * accuracy(predictor, &test)?;
        let [one, many] = [1, BATCH].map(|samples| microseconds(predictor, samples));
        println!("{name:10} {accuracy:>8.2} % {:>11.1} µs {:>11.1} µs {:>8} KiB", one?, many?, weights >> 10);
    }
    Ok(())
}

/// The share of samples whose largest output is that of their label.
fn accuracy(predictor: &Predictor, test: &Dataset) -> Result<f64, Box<dyn std::error::Error>> {
    let outputs = predictor.predict(test)?.to_f64_vec();
    let labels = test.column("y").ok_or("there are no labels")?.value().to_f64_vec();
    let classes = outputs.len() / labels.len();
    let is_right = |(outputs, label): (&[f64], &f64)| {
        let best = (0..classes).max_by(|&a, &b| outputs[a].total_cmp(&outputs[b]));
        best == Some(*label as usize)
    };
    Ok(outputs.chunks(classes).zip(&labels).filter(|&sample| is_right(sample)).count() as f64 / labels.len() as f64)
}

/// The median time of a prediction.
fn microseconds(predictor: &Predictor, samples: usize) -> Result<f64, TrainError> {
    let images: Vec<f32> = (0..samples * 784).map(|i| (i % 251) as f32 / 250.0).collect();
    let mut output = vec![0.0f32; samples * 10];
    let mut times = Vec::new();
    for _ in 0..REPEATS {
        let start = Instant::now();
        predictor.predict_into(&[("x", (&images).into())], &mut [("output", &mut output)])?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
