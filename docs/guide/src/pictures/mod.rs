//! The guide's pictures that no command draws: what gradc computes, as SVG.

mod descent;
mod digits;
mod fits;
mod functions;
mod heads;
mod mosaic;
mod plane;
mod texts;

use gradc_plot::{LinePlot, PictureFormat};
use std::error::Error;

/// What draws a picture: its SVG.
type DrawPicture = fn() -> Result<String, Box<dyn Error>>;

/// All of them, by the names of their files.
pub(crate) const PICTURES: &[(&str, DrawPicture)] = &[
    ("activations", functions::activations),
    ("slopes", functions::slopes),
    ("regression-losses", functions::regression_losses),
    ("cross-entropy", functions::cross_entropy),
    ("xor", plane::exclusive_or),
    ("descent", descent::descent),
    ("rates", descent::rates),
    ("digits", digits::digits),
    ("filters", digits::filters),
    ("reading", texts::reading),
    ("attention", heads::attention),
    ("fits", fits::fits),
    ("overfitting", fits::overfitting),
    ("explanations", digits::explanations),
];

/// A plot as SVG.
fn svg(plot: &LinePlot) -> Result<String, Box<dyn Error>> {
    Ok(String::from_utf8(plot.encode(PictureFormat::Svg)?)?)
}
