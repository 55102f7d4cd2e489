//! What a network looks at when it reads a digit: `cargo run --release --example explain`.
//!
//! Trains a small convolutional network for two epochs, then writes `explain.png`: for some test digits, from left to right, the digit, the gradient of
//! its class's logit by the pixels, integrated gradients from a black image, and how much covering each square of 5 by 5 pixels lowers the logit. Red is
//! for, blue is against. Prints how well the integrated gradients sum to the difference of the logits.

#[path = "support/png.rs"]
mod png;

use gradc::data::{array, mnist};
use gradc::interpret::{Occlusion, Palette, Picture, integrated_gradients_graph, occlusion_graph, saliency_graph};
use gradc::prelude::*;
use gradc::train::TrainError;
use std::error::Error;

/// Digits that are drawn.
const DRAWN: usize = 6;

/// A compiled step with the trained weights.
fn program(step: Step, trainer: &mut Trainer) -> Result<CompiledProgram, TrainError> {
    let mut program = step.compile(&CompileOptions::default())?;
    program.set_states(&trainer.weights()?)?;
    Ok(program)
}

#[allow(clippy::print_stdout)] // An example speaks to whoever runs it.
fn main() -> Result<(), Box<dyn Error>> {
    let (train, test) = mnist::load()?;
    let model = Sequential::new([28, 28, 1]).conv2d(16, 5).relu().max_pool2d(2).flatten().dense(10);
    let mut trainer = model.compile(Adam::default(), SparseCategoricalCrossEntropy, [Accuracy])?;
    trainer.fit(&train, Fit::epochs(2).batch(32).validate(&test))?;

    let occlusion = Occlusion { size: 5, stride: 1, fill: 0.0 };
    let mut saliency = program(saliency_graph(&model, 1)?, &mut trainer)?;
    let mut integrated = program(integrated_gradients_graph(&model, 64)?, &mut trainer)?;
    let mut covering = program(occlusion_graph(&model, occlusion)?, &mut trainer)?;
    let elements = |name: &str| test.column(name).map(|column| column.value().to_f64_vec()).unwrap_or_default();
    let (pixels, labels) = (elements("x"), elements("y"));
    let mut picture: Option<Picture> = None;
    for (image, label) in pixels.chunks_exact(784).zip(&labels).take(DRAWN) {
        let x = array([1, 28, 28, 1], image.iter().map(|byte| (byte / 255.0) as f32).collect())?;
        let (black, class) = (array([1, 28, 28, 1], vec![0f32; 784])?, array([1], vec![*label as i32])?);
        let by_gradient = saliency.run([("x", &x), ("class", &class)])?;
        let by_path = integrated.run([("x", &x), ("baseline", &black), ("class", &class)])?;
        let by_covering = covering.run([("x", &x), ("class", &class)])?;
        let sum: f64 = by_path["attribution"].to_f64_vec().iter().sum();
        let [score, baseline] = ["score", "baseline_score"].map(|name| by_path[name].to_f64_vec()[0]);
        println!("a {label}: logit {score:.3}, {baseline:.3} of black; the attributions sum to {sum:.3}");
        let signed = |values: Vec<f64>, width: usize| Picture::of(&values, width, Palette::Signed);
        let row = Picture::of(image, 28, Palette::Grey)
            .beside(&signed(by_gradient["saliency"].to_f64_vec(), 28), 2)
            .beside(&signed(by_path["attribution"].to_f64_vec(), 28), 2)
            .beside(&signed(by_covering["drop"].to_f64_vec(), 24), 2);
        picture = Some(match picture {
            Some(above) => above.above(&row, 2),
            None => row,
        });
    }
    png::write("explain.png", &picture.ok_or("there are no digits")?.enlarged(4))?;
    println!("Test: {}", trainer.evaluate(&test)?);
    Ok(())
}
