//! Learning curves: what epochs measured, as a picture.

use super::{History, TrainError};
use crate::io::write_atomically;
use plotters::prelude::*;
use std::error::Error;
use std::ops::Range;
use std::path::Path;

/// The colours of lines, in order (Okabe and Ito's, told apart by colour-blind people, too).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// A line: its name, and a point for each epoch that measured it.
type Curve = (String, Vec<(f64, f64)>);

impl History {
    /// Draws learning curves as SVG: a line for each of these names (`loss`, `val_loss`), over the epochs. Numbers that aren't finite are left out. The feature `plots`.
    ///
    /// ```
    /// use gradc::data::array;
    /// use gradc::prelude::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("loss.svg");
    /// let data = Dataset::new(array([2, 1], vec![0.0f32, 1.0])?, array([2, 1], vec![1.0f32, 3.0])?)?;
    /// let mut trainer = Sequential::new([1]).dense(1).compile(Sgd::new(0.1), MeanSquaredError, [])?;
    /// let history = trainer.fit(&data, Fit::epochs(5).validate(&data).silent())?;
    /// history.plot(&path, &["loss", "val_loss"])?;
    /// assert!(std::fs::read_to_string(&path)?.contains("val_loss"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A name that no epoch has measured, a file that can't be written.
    pub fn plot(&self, path: impl AsRef<Path>, names: &[&str]) -> Result<(), TrainError> {
        let mut curves: Vec<Curve> = vec![];
        for &name in names {
            let of = |epoch: &super::EpochRecord| Some((epoch.epoch as f64, epoch.get(name)?));
            let points: Vec<(f64, f64)> = self.epochs.iter().filter_map(of).filter(|(_, y)| y.is_finite()).collect();
            if points.is_empty() {
                let known =
                    self.epochs.first().map_or_else(Vec::new, |e| e.values.iter().map(|(n, _)| n.clone()).collect());
                return Err(TrainError::Monitor { name: name.into(), known });
            }
            curves.push((name.to_string(), points));
        }
        let mut text = String::new();
        draw(&mut text, &curves).map_err(|e| TrainError::Setting(format!("the curves can't be drawn: {e}")))?;
        Ok(write_atomically(path, text.as_bytes())?)
    }
}

/// The interval of all curves' points along an axis, with room around.
fn range(curves: &[Curve], pick: fn(&(f64, f64)) -> f64) -> Range<f64> {
    let values = || curves.iter().flat_map(|(_, points)| points).map(pick);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    // An interval even where all values are one.
    let room = ((high - low) * 0.05).max(1e-6 * low.abs().max(1.0));
    low - room..high + room
}

fn draw(text: &mut String, curves: &[Curve]) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::with_string(text, (720, 440)).into_drawing_area();
    root.fill(&WHITE).map_err(|e| e.to_string())?;
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(range(curves, |p| p.0), range(curves, |p| p.1))
        .map_err(|e| e.to_string())?;
    chart.configure_mesh().x_desc("epoch").draw().map_err(|e| e.to_string())?;
    for ((name, points), colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        let line = chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)));
        line.map_err(|e| e.to_string())?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    let mut labels = chart.configure_series_labels();
    labels.background_style(WHITE.mix(0.8)).border_style(BLACK).draw().map_err(|e| e.to_string())?;
    root.present().map_err(|e| e.to_string())?;
    Ok(())
}
