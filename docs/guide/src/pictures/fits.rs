//! Networks that fit too little, well, and too much.

use super::functions::points;
use super::svg;
use gradc::data::mnist;
use gradc::prelude::*;
use gradc_plot::{LegendPosition, LinePlot};
use std::error::Error;

/// Points to learn from: half a dozen of them a period, with noise that isn't random.
fn samples() -> Vec<(f64, f64)> {
    let noise = [0.22, -0.3, 0.1, 0.34, -0.26, -0.05, 0.3, -0.33, 0.18, -0.12, 0.28, -0.2];
    let sample = |(at, noise): (usize, &f64)| {
        let x = at as f64 / 11.0 * 2.0 - 1.0;
        (x, (2.6 * x).sin() + noise)
    };
    noise.iter().enumerate().map(sample).collect()
}

/// A straight line, a network held back by a penalty, and one that isn't, through the same points.
pub(super) fn fits() -> Result<String, Box<dyn Error>> {
    let samples = samples();
    let (x, y) = samples.iter().map(|&(x, y)| (x as f32, y as f32)).unzip();
    let data = Dataset::new(array([samples.len(), 1], x)?, array([samples.len(), 1], y)?)?;
    let wide = |penalty: f64| {
        let layer = |units| Dense::new(units).kernel_regularizer(Regularizer::l2(penalty));
        // Inputs on a finer scale, so that the network can bend between two points.
        let scaled = Functional::new(f32([1]), |x| x * 6.0);
        Sequential::new([1]).add(scaled).add(layer(64)).tanh().add(layer(64)).tanh().dense(1)
    };
    let models = [
        ("a line: underfits", Sequential::new([1]).dense(1), 400),
        ("a network with L2", wide(6e-3), 1500),
        ("the same without: overfits", wide(0.0), 4000),
    ];
    let grid = points(-1.0, 1.0);
    let mut plot = LinePlot::new("").axes("x", "y").dots(samples);
    for (name, model, epochs) in models {
        let mut trainer = model.compile(Adam::new(5e-3), MeanSquaredError, [])?;
        trainer.fit(&data, Fit::epochs(epochs).batch(12).silent())?;
        let inputs = grid.iter().map(|x| *x as f32).collect();
        let said = trainer.predict(&Dataset::unlabelled(array([grid.len(), 1], inputs)?)?)?.to_f64_vec();
        plot = plot.line(name, grid.iter().copied().zip(said));
    }
    svg(&plot.limits(-1.05..1.05, -1.6..2.4).legend(LegendPosition::UpperLeft))
}

/// The losses of 300 digits, and of 300 others, epoch by epoch.
pub(super) fn overfitting() -> Result<String, Box<dyn Error>> {
    let (train, _) = mnist::load()?;
    let (train, validation) = train.take(600)?.split_at(300)?;
    let model = Sequential::new([28, 28, 1]).flatten().dense(128).relu().dense(10);
    let mut trainer = model.compile(Adam::default(), SparseCategoricalCrossEntropy, [])?;
    let history = trainer.fit(&train, Fit::epochs(40).batch(20).validate(&validation).silent())?;
    let points = |name: &str| {
        let values = history.get(name).into_iter().enumerate();
        values.map(|(at, value)| ((at + 1) as f64, value)).collect::<Vec<_>>()
    };
    let plot = LinePlot::new("").axes("epoch", "loss").limits(0.0..40.5, 0.0..1.6);
    let plot = plot.line("training", points("loss")).line("validation", points("val_loss"));
    svg(&plot.legend(LegendPosition::UpperRight))
}
