//! What epochs measured, as pictures: learning curves, and matrices of what was taken for what.

use super::{History, TrainError};
use crate::io::write_atomically;
use crate::nn::ConfusionMatrix;
use gradc_plot::{LinePlot, MatrixPlot, PictureFormat, PlotError};
use std::path::Path;

impl History {
    /// Draws learning curves as SVG or PNG, as the file's name ends: a line for each of these names (`loss`, `val_loss`), over the epochs. Numbers that aren't finite are left out. The feature
    /// `plots`.
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
    /// history.plot(path.with_extension("png"), &["loss", "val_loss"])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A name that no epoch has measured, a file's name that ends otherwise, a file that can't be written.
    pub fn plot(&self, path: impl AsRef<Path>, names: &[&str]) -> Result<(), TrainError> {
        let mut plot = LinePlot::default().axes("epoch", "");
        for &name in names {
            let of = |epoch: &super::EpochRecord| Some((epoch.epoch as f64, epoch.get(name)?));
            let points: Vec<(f64, f64)> = self.epochs.iter().filter_map(of).collect();
            if points.is_empty() {
                let known =
                    self.epochs.first().map_or_else(Vec::new, |e| e.values.iter().map(|(n, _)| n.clone()).collect());
                return Err(TrainError::Monitor { name: name.into(), known });
            }
            plot = plot.line(name, points);
        }
        write(path.as_ref(), |format| plot.encode(format))
    }
}

impl ConfusionMatrix {
    /// Draws the matrix as SVG or PNG, as the file's name ends: a row for each actual class, a square for each count, the darker the larger its part of the row. Classes
    /// without a name are called by their numbers. The feature `plots`.
    ///
    /// ```
    /// use gradc::nn::ConfusionMatrix;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("confusion.png");
    /// let matrix = ConfusionMatrix::new(2, vec![8.0, 2.0, 1.0, 9.0]).ok_or("two rows of two")?;
    /// matrix.plot(&path, &["ham", "spam"])?;
    /// assert!(std::fs::read(&path)?.starts_with(b"\x89PNG"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A name that ends otherwise, a file that can't be written.
    pub fn plot(&self, path: impl AsRef<Path>, names: &[&str]) -> Result<(), TrainError> {
        let rows = self.rows().map(<[f64]>::to_vec);
        let plot = MatrixPlot::new("Confusion matrix", rows).axes("predicted", "actual").names(names.iter().copied());
        write(path.as_ref(), |format| plot.encode(format))
    }
}

/// Writes a plot in the format that the file's name asks for.
fn write(path: &Path, encode: impl FnOnce(PictureFormat) -> Result<Vec<u8>, PlotError>) -> Result<(), TrainError> {
    let bytes = PictureFormat::of(path).and_then(encode).map_err(|e| TrainError::Setting(e.to_string()))?;
    Ok(write_atomically(path, &bytes)?)
}
