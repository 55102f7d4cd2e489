//! Lines over one pair of axes.

use crate::PlotError;
use crate::format::{Drawing, PictureFormat, PlotScale, drawing_error, encode};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::ops::Range;

/// The colours of lines, in order (Okabe and Ito's, told apart by colour-blind people, too).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// Points by ascending x under a name.
type NamedPoints = (String, Vec<(f64, f64)>);

/// Lines over one pair of axes, with a legend.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LinePlot {
    title: String,
    axes: [String; 2],
    lines: Vec<NamedPoints>,
}

impl LinePlot {
    /// An empty plot; without a title if that is empty.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// What the axes are called.
    #[must_use]
    pub fn axes(self, x: impl Into<String>, y: impl Into<String>) -> Self {
        Self { axes: [x.into(), y.into()], ..self }
    }

    /// A line through these points, by ascending x; those that aren't finite are left out.
    #[must_use]
    pub fn line(mut self, name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let finite = points.into_iter().filter(|(x, y)| x.is_finite() && y.is_finite());
        self.lines.push((name.into(), finite.collect()));
        self
    }

    /// The plot as a file's bytes.
    ///
    /// # Errors
    /// If there is no point.
    pub fn encode(&self, format: PictureFormat) -> Result<Vec<u8>, PlotError> {
        if self.lines.iter().all(|(_, points)| points.is_empty()) {
            return Err(PlotError::Empty);
        }
        encode(self, (720, 440), format)
    }

    /// The interval of all points along an axis, with room around.
    fn range(&self, pick: fn(&(f64, f64)) -> f64) -> Range<f64> {
        let values = || self.lines.iter().flat_map(|(_, points)| points).map(pick);
        let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        // An interval even where all values are one.
        let room = ((high - low) * 0.05).max(1e-6 * low.abs().max(1.0));
        low - room..high + room
    }
}

impl Drawing for LinePlot {
    fn draw<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        PlotScale { length, font }: PlotScale,
    ) -> Result<(), PlotError> {
        let (small, large) = (("sans-serif", 12 * font), ("sans-serif", 20 * font));
        let mut builder = ChartBuilder::on(area);
        builder.margin(12 * length).x_label_area_size(40 * length).y_label_area_size(70 * length);
        if !self.title.is_empty() {
            builder.caption(&self.title, large);
        }
        let (x, y) = (self.range(|p| p.0), self.range(|p| p.1));
        let mut chart = builder.build_cartesian_2d(x, y).map_err(drawing_error)?;
        let mut mesh = chart.configure_mesh();
        // Epochs and steps are whole numbers.
        let number = |x: &f64| ((x * 1e6).round() / 1e6).to_string();
        mesh.x_label_formatter(&number).light_line_style(TRANSPARENT);
        mesh.label_style(small).axis_desc_style(small).x_desc(&self.axes[0]).y_desc(&self.axes[1]);
        mesh.draw().map_err(drawing_error)?;
        for ((name, points), colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let style = colour.stroke_width(2 * length);
            let line = chart.draw_series(LineSeries::new(points.iter().copied(), style)).map_err(drawing_error)?;
            let sample = 20 * length as i32;
            line.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + sample, y)], style));
        }
        let mut labels = chart.configure_series_labels();
        labels.label_font(small).legend_area_size(30 * length).margin(5 * length);
        labels.background_style(WHITE.mix(0.8)).border_style(BLACK).draw().map_err(drawing_error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finite_is_left_out() {
        let none = LinePlot::new("").line("loss", [(1.0, f64::NAN)]);
        assert_eq!(none.encode(PictureFormat::Svg), Err(PlotError::Empty));
        let flat = LinePlot::new("").line("loss", [(1.0, 2.0), (2.0, f64::INFINITY)]);
        assert!(flat.encode(PictureFormat::Png).is_ok());
        assert_eq!(flat.range(|p| p.1), 2.0 - 2e-6..2.0 + 2e-6);
    }

    #[test]
    fn a_png_has_lines_and_letters() {
        let plot = |title: &str| LinePlot::new(title).axes("epoch", "").line("loss", [(1.0, 0.0), (2.0, 1.0)]);
        let pixels = |title: &str| {
            let bytes = plot(title).encode(PictureFormat::Png).unwrap();
            let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            let info = reader.next_frame(&mut pixels).unwrap();
            assert_eq!((info.width, info.height), (1440, 880));
            pixels
        };
        let (titled, plain) = (pixels("Title"), pixels(""));
        let of = |pixels: &[u8], colour: [u8; 3]| pixels.chunks(3).filter(|pixel| *pixel == colour).count();
        assert!(of(&plain, [0, 114, 178]) > 1000, "no line");
        assert!(of(&titled, [0; 3]) > of(&plain, [0; 3]), "no letters");
    }
}
