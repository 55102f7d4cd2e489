//! An autoencoder of handwritten digits, 784 pixels by way of 32 numbers: `cargo run --release --example autoencoder`.
//!
//! Prints the mean squared error of test digits, beside that of the mean digit; writes the learning curve to `autoencoder.svg`, and digits over their
//! reconstructions to `autoencoder.png`.

#[path = "support/plot.rs"]
mod plot;
#[path = "support/png.rs"]
mod png;

use gradc::data::{Column, array, mnist};
use gradc::interpret::{Palette, Picture};
use gradc::nn::Metric::Mse;
use gradc::prelude::*;
use std::error::Error;

/// Digits that are drawn.
const DRAWN: usize = 12;

/// Digits as rows of pixels that are their own targets.
fn own_targets(digits: &Dataset) -> Result<Dataset, Box<dyn Error>> {
    let pixels = digits.column("x").ok_or("the digits have no pixels")?.clone().reshaped([784])?;
    Ok(Dataset::of("x", pixels.clone()).with("y", pixels)?)
}

/// The pixels of a data set, from 0 to 1.
fn pixels(digits: &Dataset) -> Vec<f64> {
    let bytes = digits.column("x").map(|column| column.value().to_f64_vec()).unwrap_or_default();
    bytes.into_iter().map(|byte| byte / 255.0).collect()
}

/// The mean squared error of the mean digit of `train` as a guess of each of `test`.
fn error_of_the_mean(train: &[f64], test: &[f64]) -> f64 {
    let mut mean = vec![0.0; 784];
    train.iter().enumerate().for_each(|(i, v)| mean[i % 784] += v * 784.0 / train.len() as f64);
    test.iter().enumerate().map(|(i, v)| (v - mean[i % 784]).powi(2)).sum::<f64>() / test.len() as f64
}

/// Images of 28 by 28 side by side.
fn row(images: &[f64]) -> Picture {
    let drawn = images.chunks_exact(784).map(|image| Picture::of(image, 28, Palette::Grey));
    drawn.reduce(|all, next| all.beside(&next, 2)).unwrap_or_else(|| Picture::of(&[], 28, Palette::Grey))
}

#[allow(clippy::print_stdout)] // An example speaks to whoever runs it.
fn main() -> Result<(), Box<dyn Error>> {
    let (train, test) = mnist::load()?;
    let (train, test) = (own_targets(&train)?, own_targets(&test)?);
    let model = Sequential::new([784]).dense(256).relu().dense(32).dense(256).relu().dense(784).sigmoid();
    println!("{}", model.summary()?);

    let mut trainer = model.compile(Adam::default(), BinaryCrossEntropy, [Mse])?;
    let history = trainer.fit(&train, Fit::epochs(10).batch(64).validate(&test))?;
    let (title, unit) = ("An autoencoder of digits", "binary cross-entropy");
    plot::epochs("autoencoder.svg", title, unit, &history, &["loss", "val_loss"])?;

    let truth = pixels(&test);
    let some = Column::new(array([DRAWN, 784], truth[..DRAWN * 784].iter().map(|v| *v as f32).collect())?)?;
    let again = trainer.predict(&Dataset::of("x", some))?.to_f64_vec();
    let both = row(&truth[..DRAWN * 784]).above(&row(&again), 2);
    png::write("autoencoder.png", &both.enlarged(2))?;
    println!("Test: {}", trainer.evaluate(&test)?);
    println!("Mean squared error of the mean digit: {:.4}", error_of_the_mean(&pixels(&train), &truth));
    Ok(())
}
