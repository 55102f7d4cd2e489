//! Pictures of what training measured, for the examples.

use gradc::io::write_atomically;
use gradc::train::History;
use gradc_plot::{LinePlot, PictureFormat};
use std::error::Error;
use std::path::Path;

/// Draws what epochs measured under these names.
#[allow(dead_code)] // Not every example plots epochs.
pub(crate) fn epochs(
    path: impl AsRef<Path>,
    title: &str,
    unit: &str,
    history: &History,
    names: &[&str],
) -> Result<(), Box<dyn Error>> {
    let plot = names.iter().fold(LinePlot::new(title).axes("epochs", unit), |plot, name| {
        plot.line(*name, (1..).map(f64::from).zip(history.get(name)))
    });
    save(path, &plot)
}

/// Writes a plot in the format that the file's name asks for.
pub(crate) fn save(path: impl AsRef<Path>, plot: &LinePlot) -> Result<(), Box<dyn Error>> {
    let bytes = plot.encode(PictureFormat::of(&path)?)?;
    Ok(write_atomically(path, &bytes)?)
}
