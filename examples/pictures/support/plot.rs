//! Pictures of what training measured, for the examples.

use gradc::train::History;
use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

/// The colours of lines, in order (Okabe and Ito's, told apart by colour-blind people too).
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];

/// A line of a plot: a name and its points.
pub(crate) struct Line {
    /// What the legend calls it.
    pub(crate) name: String,
    /// Its points, by ascending x.
    pub(crate) points: Vec<(f64, f64)>,
}

/// The values of that name, one for each epoch.
#[allow(dead_code)] // Not every example plots epochs.
pub(crate) fn by_epoch(history: &History, name: &str) -> Line {
    let points = history.get(name).into_iter().enumerate().map(|(i, value)| ((i + 1) as f64, value)).collect();
    Line { name: name.into(), points }
}

/// Draws lines over one pair of axes into an SVG file.
pub(crate) fn lines(
    path: impl AsRef<Path>,
    title: &str,
    axes: [&str; 2],
    lines: &[Line],
) -> Result<(), Box<dyn Error>> {
    let bounds = |pick: fn(&(f64, f64)) -> f64| {
        let values = || lines.iter().flat_map(|line| &line.points).map(pick);
        let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        // Room around, and an interval even where all values are one.
        let room = ((high - low) * 0.05).max(1e-6);
        low - room..high + room
    };
    if lines.iter().all(|line| line.points.is_empty()) {
        return Err("there is nothing to plot".into());
    }
    let root = SVGBackend::new(&path, (720, 440)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(bounds(|p| p.0), bounds(|p| p.1))?;
    chart.configure_mesh().x_desc(axes[0]).y_desc(axes[1]).draw()?;
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)))?
            .label(&line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK).draw()?;
    root.present()?;
    Ok(())
}
