//! Activations, their slopes, and losses over what they are functions of.

use super::chart::{Chart, ChartLine, UpperLeft, UpperMiddle, UpperRight};
use gradc::compile::CompileOptions;
use gradc::data::array;
use gradc::dsl::{GraphBuilder, Tensor, f64};
use gradc::nn::{Activation, absolute_error, huber, squared_error};
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
fn curves(x: &[f64], functions: &[NamedFunction<'_>]) -> Result<Vec<ChartLine>, Box<dyn Error>> {
    let g = GraphBuilder::new("curves");
    let input = g.input("x", f64([x.len()]));
    for (name, function) in functions {
        g.output(name, &function(&input));
    }
    let mut program = g.finish()?.compile(&CompileOptions::default())?;
    let found = program.run([("x", &array([x.len()], x.to_vec())?)])?;
    let line = |(name, _): &NamedFunction<'_>| ChartLine::new(*name, x.iter().copied().zip(found[*name].to_f64_vec()));
    Ok(functions.iter().map(line).collect())
}

pub(super) fn activations() -> Result<String, Box<dyn Error>> {
    let [sigmoid, tanh, relu, gelu] = SHOWN.map(|activation| move |x: &Tensor| activation.apply(x));
    let lines =
        curves(&points(-4.0, 4.0), &[("sigmoid", &sigmoid), ("tanh", &tanh), ("relu", &relu), ("gelu", &gelu)])?;
    Chart {
        axes: ["x", "activation"],
        x: -4.0..4.001,
        y: -1.2..2.5,
        legend: UpperLeft,
        behind: vec![],
        dots: vec![],
        lines,
    }
    .svg()
}

/// The derivatives, by `autodiff`.
pub(super) fn slopes() -> Result<String, Box<dyn Error>> {
    let slope =
        |activation: Activation| move |x: &Tensor| x.builder().gradients(&activation.apply(x).sum(), &[x])[0].clone();
    let [sigmoid, tanh, relu, gelu] = SHOWN.map(slope);
    let lines =
        curves(&points(-4.0, 4.0), &[("sigmoid", &sigmoid), ("tanh", &tanh), ("relu", &relu), ("gelu", &gelu)])?;
    Chart {
        axes: ["x", "slope"],
        x: -4.0..4.001,
        y: -0.25..1.3,
        legend: UpperLeft,
        behind: vec![],
        dots: vec![],
        lines,
    }
    .svg()
}

pub(super) fn regression_losses() -> Result<String, Box<dyn Error>> {
    let target = |x: &Tensor| x * 0.0;
    let squared = |x: &Tensor| squared_error(x, target(x));
    let absolute = |x: &Tensor| absolute_error(x, target(x));
    let huber = |x: &Tensor| huber(x, target(x), 1.0);
    let lines = curves(&points(-3.0, 3.0), &[("squared", &squared), ("absolute", &absolute), ("huber", &huber)])?;
    Chart {
        axes: ["error", "loss"],
        x: -3.0..3.001,
        y: -0.2..5.0,
        legend: UpperMiddle,
        behind: vec![],
        dots: vec![],
        lines,
    }
    .svg()
}

pub(super) fn cross_entropy() -> Result<String, Box<dyn Error>> {
    let mut lines = curves(&points(0.005, 1.0), &[("−log p", &|x: &Tensor| -x.log())])?;
    let tenth = ChartLine::new("one of ten, by chance: 2.303", [(0.1, 10.0_f64.ln())]).marked();
    lines.push(tenth);
    Chart {
        axes: ["probability of the right class", "loss"],
        x: 0.0..1.001,
        y: 0.0..5.3,
        legend: UpperRight,
        behind: vec![],
        dots: vec![],
        lines,
    }
    .svg()
}
