//! Ways down a valley.

use super::svg;
use gradc::dsl::constant;
use gradc::prelude::*;
use gradc_plot::{LegendPosition, LinePlot};
use std::error::Error;
use std::f64::consts::TAU;

/// The valley: `x²/20 + y²`, twenty times as steep across as along.
const ALONG: f64 = 0.05;

/// Where the optimizer goes from (-9, 1.6), step by step.
fn way(optimizer: &dyn Optimizer, steps: usize) -> Result<Vec<(f64, f64)>, Box<dyn Error>> {
    let g = GraphBuilder::new("valley");
    let (x, y) = (g.param("x", f64([]), constant(-9.0)), g.param("y", f64([]), constant(1.6)));
    let mut program = g.minimize(x.square() * ALONG + y.square(), optimizer)?.compile(&CompileOptions::default())?;
    let mut points = vec![];
    for _ in 0..=steps {
        points.push((program.state_value("x")?.get(0).as_f64(), program.state_value("y")?.get(0).as_f64()));
        program.step()?;
    }
    Ok(points)
}

/// Lines of equal loss.
fn contours() -> Vec<Vec<(f64, f64)>> {
    let ring = |loss: f64| {
        let point = |i: usize| {
            let angle = TAU * i as f64 / 96.0;
            ((loss / ALONG).sqrt() * angle.cos(), loss.sqrt() * angle.sin())
        };
        (0..=96).map(point).filter(|(x, y)| x.abs() <= 10.0 && y.abs() <= 2.0).collect()
    };
    [0.1, 0.4, 0.9, 1.6, 2.5, 3.6].map(ring).into()
}

/// Gradient descent, with momentum, and Adam.
pub(super) fn descent() -> Result<String, Box<dyn Error>> {
    let plot = contours().into_iter().fold(LinePlot::new("").axes("w₁", "w₂"), LinePlot::line_behind);
    let plot = plot
        .marked_line("gradient descent", way(&Sgd::new(0.85), 30)?)
        .marked_line("with momentum", way(&Sgd::new(0.15).momentum(0.85), 30)?)
        .marked_line("Adam", way(&Adam::new(0.5), 30)?);
    svg(&plot.limits(-10.0..4.0, -2.0..2.0).legend(LegendPosition::UpperRight))
}

/// The loss after each step, at three rates.
pub(super) fn rates() -> Result<String, Box<dyn Error>> {
    let mut plot = LinePlot::new("").axes("step", "loss");
    for rate in [0.02, 0.5, 1.02] {
        let points = way(&Sgd::new(rate), 40)?;
        let losses = points.iter().enumerate().map(|(step, (x, y))| (step as f64, ALONG * x * x + y * y));
        plot = plot.line(format!("rate {rate}"), losses);
    }
    svg(&plot.limits(0.0..40.5, 0.0..14.0).legend(LegendPosition::UpperRight))
}
