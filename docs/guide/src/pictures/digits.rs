//! Digits, and what networks make of them.

use super::mosaic::Mosaic;
use gradc::data::mnist;
use gradc::interpret::{Occlusion, Palette, Picture, integrated_gradients_graph, occlusion_graph, saliency_graph};
use gradc::prelude::*;
use std::error::Error;

/// Pixels of an image.
const PIXELS: usize = 28 * 28;

/// Digits of each class from the training images, two of each.
pub(super) fn digits() -> Result<String, Box<dyn Error>> {
    let (train, _) = mnist::load()?;
    let some = train.take(200)?;
    let (pixels, labels) = (some.value("x")?.to_f64_vec(), some.value("y")?.to_f64_vec());
    let mut page = Mosaic::default();
    for class in 0..10 {
        let of_class = (0..labels.len()).filter(|at| labels[*at] as usize == class);
        for (row, at) in of_class.take(2).enumerate() {
            let image = Picture::of(&pixels[PIXELS * at..PIXELS * (at + 1)], 28, Palette::Grey);
            page.picture(&image, (8 + 62 * class, 8 + 62 * row), 2);
        }
    }
    Ok(page.svg())
}

/// A network with one convolution, trained as in the chapters.
fn trained(filters: usize, size: usize) -> Result<(Sequential, Trainer, Dataset), Box<dyn Error>> {
    let (train, test) = mnist::load()?;
    let model = Sequential::new([28, 28, 1]).conv2d(filters, size).relu().max_pool2d(2).flatten().dense(10);
    let mut trainer = model.compile(Adam::new(2e-3), SparseCategoricalCrossEntropy, [])?;
    trainer.fit(&train.take(3000)?, Fit::epochs(2).batch(32).silent())?;
    Ok((model, trainer, test))
}

/// A compiled step with the trained weights.
fn program(step: Step, trainer: &mut Trainer) -> Result<CompiledProgram, Box<dyn Error>> {
    let mut program = step.compile(&CompileOptions::default())?;
    program.set_states(&trainer.weights()?)?;
    Ok(program)
}

/// A test image as the network takes it: pixels in 0 to 1.
fn image(test: &Dataset, at: usize) -> Result<(Vec<f64>, Value), Box<dyn Error>> {
    let pixels: Vec<f64> = test.part(at..at + 1)?.value("x")?.to_f64_vec();
    let scaled = pixels.iter().map(|byte| (byte / 255.0) as f32).collect();
    Ok((pixels, array([1, 28, 28, 1], scaled)?))
}

/// The kernels of a first layer, and what they make of a digit.
pub(super) fn filters() -> Result<String, Box<dyn Error>> {
    const FILTERS: usize = 8;
    let (model, mut trainer, test) = trained(FILTERS, 5)?;
    let kernels = trainer.weights()?["conv2d/kernel"].to_f64_vec();
    let (pixels, x) = image(&test, 0)?;
    let seen = program(model.features(["relu"]).inference_graph(1)?, &mut trainer)?.run([("x", &x)])?;
    let seen = seen["relu"].to_f64_vec();
    let mut page = Mosaic::default();
    page.picture(&Picture::of(&pixels, 28, Palette::Grey), (8, 66), 2);
    for filter in 0..FILTERS {
        let of = |values: &[f64]| -> Vec<f64> { values.iter().skip(filter).step_by(FILTERS).copied().collect() };
        let left = 84 + 62 * filter;
        page.picture(&Picture::of(&of(&kernels), 5, Palette::Signed), (left, 8), 10);
        page.picture(&Picture::of(&of(&seen), 24, Palette::Signed), (left, 66), 2);
    }
    Ok(page.svg())
}

/// Digits with saliency, integrated gradients and occlusion beside them.
pub(super) fn explanations() -> Result<String, Box<dyn Error>> {
    let (model, mut trainer, test) = trained(16, 5)?;
    let occlusion = Occlusion { size: 5, stride: 1, fill: 0.0 };
    let mut saliency = program(saliency_graph(&model, 1)?, &mut trainer)?;
    let mut integrated = program(integrated_gradients_graph(&model, 64)?, &mut trainer)?;
    let mut covering = program(occlusion_graph(&model, occlusion)?, &mut trainer)?;
    let labels = test.value("y")?.to_f64_vec();
    let black = array([1, 28, 28, 1], vec![0.0f32; PIXELS])?;
    let mut page = Mosaic::default();
    for (row, label) in labels.iter().take(3).enumerate() {
        let (pixels, x) = image(&test, row)?;
        let class = array([1], vec![*label as i32])?;
        let by_gradient = saliency.run([("x", &x), ("class", &class)])?["saliency"].to_f64_vec();
        let by_path = integrated.run([("x", &x), ("baseline", &black), ("class", &class)])?;
        let by_covering = covering.run([("x", &x), ("class", &class)])?["drop"].to_f64_vec();
        let maps = [(by_gradient, 28), (by_path["attribution"].to_f64_vec(), 28), (by_covering, 24)];
        let top = 8 + 92 * row;
        page.picture(&Picture::of(&pixels, 28, Palette::Grey), (8, top), 3);
        for (at, (map, width)) in maps.into_iter().enumerate() {
            page.picture(&Picture::of(&map, width, Palette::Signed), (100 + 92 * at, top + 42 - 3 * width / 2), 3);
        }
    }
    Ok(page.svg())
}
