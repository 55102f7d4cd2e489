//! Activations, their slopes, and losses over what they are functions of.

use super::svg;
use gradc::compile::CompileOptions;
use gradc::data::array;
use gradc::dsl::{GraphBuilder, Tensor, f64};
use gradc::nn::{Activation, absolute_error, huber, squared_error};
use gradc_plot::{LegendPosition, LinePlot};
use std::error::Error;

/// Points of a curve.
const POINTS: usize = 161;

/// The activations that are shown.
const SHOWN: [Activation; 4] = [Activation::Sigmoid, Activation::Tanh, Activation::Relu, Activation::Gelu];

/// So many points from one number to another, both included.
pub(super) fn points(low: f64, high: f64) -> Vec<f64> {
    (0..POINTS).map(|i| low + (high - low) * i as f64 / (POINTS - 1) as f64).collect()
}

/// A function of each element, and its name.
type NamedFunction<'f> = (&'f str, &'f dyn Fn(&Tensor) -> Tensor);

/// Functions of `x`, elementwise, as lines: what a compiled graph gives at each point.
fn curves(x: &[f64], functions: &[NamedFunction<'_>]) -> Result<LinePlot, Box<dyn Error>> {
    let g = GraphBuilder::new("curves");
    let input = g.input("x", f64([x.len()]));
    for (name, function) in functions {
        g.output(name, &function(&input));
    }
    let mut program = g.finish()?.compile(&CompileOptions::default())?;
    let found = program.run([("x", &array([x.len()], x.to_vec())?)])?;
    let points = |name: &str| x.iter().copied().zip(found[name].to_f64_vec());
    Ok(functions.iter().fold(LinePlot::new(""), |plot, (name, _)| plot.line(*name, points(name))))
}

pub(super) fn activations() -> Result<String, Box<dyn Error>> {
    let [sigmoid, tanh, relu, gelu] = SHOWN.map(|activation| move |x: &Tensor| activation.apply(x));
    let plot = curves(&points(-4.0, 4.0), &[("sigmoid", &sigmoid), ("tanh", &tanh), ("relu", &relu), ("gelu", &gelu)])?;
    svg(&plot.axes("x", "activation").limits(-4.0..4.0, -1.2..2.5).legend(LegendPosition::UpperLeft))
}

/// The derivatives, by `autodiff`.
pub(super) fn slopes() -> Result<String, Box<dyn Error>> {
    let slope =
        |activation: Activation| move |x: &Tensor| x.builder().gradients(&activation.apply(x).sum(), &[x])[0].clone();
    let [sigmoid, tanh, relu, gelu] = SHOWN.map(slope);
    let plot = curves(&points(-4.0, 4.0), &[("sigmoid", &sigmoid), ("tanh", &tanh), ("relu", &relu), ("gelu", &gelu)])?;
    svg(&plot.axes("x", "slope").limits(-4.0..4.0, -0.25..1.3).legend(LegendPosition::UpperLeft))
}

pub(super) fn regression_losses() -> Result<String, Box<dyn Error>> {
    let target = |x: &Tensor| x * 0.0;
    let squared = |x: &Tensor| squared_error(x, target(x));
    let absolute = |x: &Tensor| absolute_error(x, target(x));
    let huber = |x: &Tensor| huber(x, target(x), 1.0);
    let plot = curves(&points(-3.0, 3.0), &[("squared", &squared), ("absolute", &absolute), ("huber", &huber)])?;
    svg(&plot.axes("error", "loss").limits(-3.0..3.0, -0.2..5.0).legend(LegendPosition::UpperMiddle))
}

pub(super) fn cross_entropy() -> Result<String, Box<dyn Error>> {
    let plot = curves(&points(0.005, 1.0), &[("−log p", &|x: &Tensor| -x.log())])?;
    let plot = plot.marked_line("one of ten, by chance: 2.303", [(0.1, 10.0_f64.ln())]);
    let plot = plot.axes("probability of the right class", "loss").limits(0.0..1.0, 0.0..5.3);
    svg(&plot.legend(LegendPosition::UpperRight))
}
