//! A recurrent network that foretells a chaotic series: `cargo run --release --example timeseries`.
//!
//! The series is Mackey and Glass's equation of blood cells (Science 197, 1977) with a delay of 17, computed here. The network reads 48 values, every one
//! further on by 1, and foretells the one 6 further on. Prints the root mean squared error on the last part of the series, beside that of guessing the last
//! value read; writes the forecast to `timeseries.svg` and the learning curve to `timeseries_loss.svg`.

#[path = "support/plot.rs"]
mod plot;

use gradc::data::{Column, array};
use gradc::prelude::*;
use gradc_plot::LinePlot;
use std::error::Error;

/// How many values the network reads.
const WINDOW: usize = 48;
/// How far ahead the value lies that it foretells.
const AHEAD: usize = 6;
/// Values of the series.
const VALUES: usize = 6000;
/// How many of the last windows are for testing.
const TEST: usize = 1000;

/// `x' = 0.2 x(t-17) / (1 + x(t-17)^10) - 0.1 x`, in steps of 0.1 by Euler's method, every tenth one; the beginning, which depends on where it started, left
/// out.
fn series() -> Vec<f64> {
    const STEPS: usize = 10;
    const DELAY: usize = 17 * STEPS;
    let mut x = vec![1.2; DELAY + 1];
    for t in DELAY..DELAY + (VALUES + 500) * STEPS {
        let late: f64 = x[t - DELAY];
        x.push(x[t] + (0.2 * late / (1.0 + late.powi(10)) - 0.1 * x[t]) / STEPS as f64);
    }
    x.into_iter().step_by(STEPS).skip(DELAY / STEPS + 500).take(VALUES).collect()
}

/// Windows of the series with the value that follows each.
fn windows(series: &[f64]) -> Result<Dataset, Box<dyn Error>> {
    let count = series.len() + 1 - WINDOW - AHEAD;
    let centred = |i: usize| (series[i] - 1.0) as f32;
    let x = (0..count).flat_map(|at| (at..at + WINDOW).map(centred)).collect();
    let y = (0..count).map(|at| centred(at + WINDOW + AHEAD - 1)).collect();
    let x = Column::new(array([count, WINDOW, 1], x)?)?;
    Ok(Dataset::of("x", x).with("y", Column::new(array([count, 1], y)?)?)?)
}

fn root_mean_square(differences: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = differences.len() as f64;
    (differences.map(|d| d * d).sum::<f64>() / n).sqrt()
}

#[allow(clippy::print_stdout)] // An example speaks to whoever runs it.
fn main() -> Result<(), Box<dyn Error>> {
    let series = series();
    let all = windows(&series)?;
    let (train, test) = all.split_at(all.len() - TEST)?;
    let model = Sequential::new([WINDOW, 1]).lstm(32).dense(1);
    println!("{}", model.summary()?);
    let mut trainer = model.compile(Adam::new(2e-3), MeanSquaredError, [])?;
    let history = trainer.fit(&train, Fit::epochs(15).batch(32).validate(&test))?;
    let (title, unit) = ("A forecast of a chaotic series", "mean squared error");
    plot::epochs("timeseries_loss.svg", title, unit, &history, &["loss", "val_loss"])?;

    let forecast: Vec<f64> = trainer.predict(&test)?.to_f64_vec().iter().map(|v| v + 1.0).collect();
    let truth = &series[VALUES - TEST..];
    let points = |values: &[f64]| (0..300).map(f64::from).zip(values.to_vec());
    let drawn = LinePlot::new("The series and its forecast, 6 ahead").axes("time", "value");
    let drawn = drawn.line("series", points(truth)).line("forecast", points(&forecast));
    plot::save("timeseries.svg", &drawn)?;
    let last_read = &series[VALUES - TEST - AHEAD..];
    let error = root_mean_square(forecast.iter().zip(truth).map(|(a, b)| a - b));
    let guess = root_mean_square(truth.iter().zip(&last_read[..TEST]).map(|(a, b)| a - b));
    println!("root mean squared error: {error:.4}; of guessing the last value: {guess:.4}");
    Ok(())
}
