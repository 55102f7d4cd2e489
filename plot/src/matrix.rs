//! A matrix of counts: each cell a square, the darker the larger its part of the row.

use crate::PlotError;
use crate::format::{Drawing, PictureFormat, PlotScale, drawing_error, encode};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Pixels of a cell.
const CELL: u32 = 46;
/// Pixels for the names of rows, and of columns and the title.
const MARGIN: u32 = 96;

/// A matrix of counts with a name for each row and column: a confusion matrix.
#[derive(Clone, PartialEq, Debug)]
pub struct MatrixPlot {
    title: String,
    axes: [String; 2],
    names: Vec<String>,
    rows: Vec<Vec<f64>>,
}

impl MatrixPlot {
    /// Of these rows, which are as long as there are; rows and columns are called by their numbers.
    pub fn new(title: impl Into<String>, rows: impl IntoIterator<Item = Vec<f64>>) -> Self {
        let rows: Vec<Vec<f64>> = rows.into_iter().collect();
        let names = (0..rows.len()).map(|i| i.to_string()).collect();
        Self { title: title.into(), axes: [String::new(), String::new()], names, rows }
    }

    /// What columns and rows stand for.
    #[must_use]
    pub fn axes(self, columns: impl Into<String>, rows: impl Into<String>) -> Self {
        Self { axes: [columns.into(), rows.into()], ..self }
    }

    /// The names of rows and columns; those that aren't given stay numbers.
    #[must_use]
    pub fn names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.names.iter_mut().zip(names).for_each(|(to, name)| *to = name.into());
        self
    }

    /// The plot as a file's bytes.
    ///
    /// # Errors
    /// If there is no row.
    pub fn encode(&self, format: PictureFormat) -> Result<Vec<u8>, PlotError> {
        if self.rows.is_empty() {
            return Err(PlotError::Empty);
        }
        let side = MARGIN + CELL * self.rows.len() as u32 + 16;
        encode(self, (side.max(280), side), format)
    }
}

/// Letters around the middle of a line.
fn font(size: u32, colour: &RGBColor, h_pos: HPos) -> TextStyle<'_> {
    TextStyle::from(("sans-serif", size)).color(colour).pos(Pos::new(h_pos, VPos::Center))
}

impl Drawing for MatrixPlot {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, scale: PlotScale) -> Result<(), PlotError> {
        let (cell, margin) = ((CELL * scale.length) as i32, (MARGIN * scale.length) as i32);
        let font = |size, colour, h_pos| font(size * scale.font, colour, h_pos);
        let write =
            |text: &str, at: (i32, i32), style: TextStyle<'_>| area.draw_text(text, &style, at).map_err(drawing_error);
        let (middle, unit) = (margin + cell * self.rows.len() as i32 / 2, scale.length as i32);
        write(&self.title, (12 * unit, 20 * unit), font(18, &BLACK, HPos::Left))?;
        write(&self.axes[0], (middle, 52 * unit), font(12, &BLACK, HPos::Center))?;
        let upwards = font(12, &BLACK, HPos::Center).transform(FontTransform::Rotate270);
        write(&self.axes[1], (18 * unit, middle), upwards)?;
        for (i, (row, name)) in self.rows.iter().zip(&self.names).enumerate() {
            let top = margin + i as i32 * cell;
            write(name, (margin - 8 * unit, top + cell / 2), font(12, &BLACK, HPos::Right))?;
            write(name, (top + cell / 2, margin - 14 * unit), font(12, &BLACK, HPos::Center))?;
            let sum: f64 = row.iter().sum();
            for (j, count) in row.iter().enumerate() {
                let (left, part) = (margin + j as i32 * cell, if sum > 0.0 { count / sum } else { 0.0 });
                // From white to blue.
                let shade = |dark: f64| (255.0 + (dark - 255.0) * part.clamp(0.0, 1.0)).round() as u8;
                let square = Rectangle::new(
                    [(left, top), (left + cell - unit, top + cell - unit)],
                    RGBColor(shade(0.0), shade(90.0), shade(156.0)).filled(),
                );
                area.draw(&square).map_err(drawing_error)?;
                let colour = if part > 0.5 { &WHITE } else { &BLACK };
                if *count != 0.0 {
                    let (x, y) = (left + cell / 2, top + cell / 2);
                    write(&count.to_string(), (x, y), font(12, colour, HPos::Center))?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_their_counts() {
        let plot =
            MatrixPlot::new("Digits", [vec![8.0, 2.0], vec![0.0, 9.0]]).axes("predicted", "actual").names(["no"]);
        let text = String::from_utf8(plot.encode(PictureFormat::Svg).unwrap()).unwrap();
        for word in ["Digits", "predicted", "actual", "no", "\n1\n", "\n8\n", "\n2\n", "\n9\n"] {
            assert!(text.contains(word), "no {word:?} in {text}");
        }
        assert!(!text.contains("\n0\n"));
        assert!(plot.encode(PictureFormat::Png).unwrap().starts_with(b"\x89PNG"));
        assert_eq!(MatrixPlot::new("", []).encode(PictureFormat::Svg), Err(PlotError::Empty));
    }
}
