//! Ways down a valley.

use super::chart::{Chart, ChartLine, UpperRight};
use gradc::dsl::constant;
use gradc::prelude::*;
use std::error::Error;
use std::f64::consts::TAU;

/// The valley: `x²/20 + y²`, twenty times as steep across as along.
const ALONG: f64 = 0.05;

/// Where the optimizer goes from (-9, 1.6), step by step.
fn way(name: &str, optimizer: &dyn Optimizer, steps: usize) -> Result<ChartLine, Box<dyn Error>> {
    let g = GraphBuilder::new("valley");
    let (x, y) = (g.param("x", f64([]), constant(-9.0)), g.param("y", f64([]), constant(1.6)));
    let mut program = g.minimize(x.square() * ALONG + y.square(), optimizer)?.compile(&CompileOptions::default())?;
    let mut points = vec![];
    for _ in 0..=steps {
        points.push((program.state_value("x")?.get(0).as_f64(), program.state_value("y")?.get(0).as_f64()));
        program.step()?;
    }
    Ok(ChartLine::new(name, points).marked())
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
    let lines = vec![
        way("gradient descent", &Sgd::new(0.85), 30)?,
        way("with momentum", &Sgd::new(0.15).momentum(0.85), 30)?,
        way("Adam", &Adam::new(0.5), 30)?,
    ];
    Chart {
        axes: ["w₁", "w₂"],
        x: -10.0..4.0,
        y: -2.0..2.0,
        legend: UpperRight,
        behind: contours(),
        dots: vec![],
        lines,
    }
    .svg()
}

/// The loss after each step, at three rates.
pub(super) fn rates() -> Result<String, Box<dyn Error>> {
    let mut lines = vec![];
    for rate in [0.02, 0.5, 1.02] {
        let points = way("", &Sgd::new(rate), 40)?.points;
        let losses = points.iter().enumerate().map(|(step, (x, y))| (step as f64, ALONG * x * x + y * y));
        lines.push(ChartLine::new(format!("rate {rate}"), losses));
    }
    Chart {
        axes: ["step", "loss"],
        x: 0.0..40.5,
        y: 0.0..14.0,
        legend: UpperRight,
        behind: vec![],
        dots: vec![],
        lines,
    }
    .svg()
}
