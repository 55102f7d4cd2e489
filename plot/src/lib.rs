//! Plots of what training measured: lines over one pair of axes, matrices of counts; as SVG, or as PNG with a font of its own, so that nothing of the system's is needed.
//!
//! ```
//! use gradc_plot::{LinePlot, PictureFormat};
//! let plot = LinePlot::new("A model").axes("epoch", "loss").line("loss", vec![(1.0, 0.9), (2.0, 0.4)]);
//! let svg = String::from_utf8(plot.encode(PictureFormat::Svg)?)?;
//! assert!(svg.contains("A model") && svg.contains("epoch"));
//! assert!(plot.encode(PictureFormat::Png)?.starts_with(b"\x89PNG"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod format;
mod glyphs;
mod lines;
mod matrix;
mod raster;

pub use format::{PictureFormat, encode_png};
pub use glyphs::{GLYPH, glyph};
pub use lines::{LegendPosition, LinePlot};
pub use matrix::MatrixPlot;

/// Why a plot can't be drawn.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PlotError {
    /// There is no point, or no cell.
    #[error("there is nothing to plot")]
    Empty,
    /// A file's name ends otherwise.
    #[error("a picture is written as .svg or .png, and the name {name:?} ends with neither")]
    Extension {
        /// The name.
        name: String,
    },
    /// Limits of an axis that aren't an interval.
    #[error("an axis can't go from {start} to {end}: the lower limit is named first")]
    Limits {
        /// The first limit.
        start: String,
        /// The second one.
        end: String,
    },
    /// What the library that draws says.
    #[error("the plot can't be drawn: {0}")]
    Backend(String),
}
