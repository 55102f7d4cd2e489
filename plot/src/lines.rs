//! Lines over one pair of axes.

use crate::PlotError;
use crate::format::{Drawing, PictureFormat, PlotScale, drawing_error, encode};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
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
/// The colour of what stands behind the lines.
const FAINT: RGBColor = RGBColor(190, 190, 190);

/// Where the legend stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LegendPosition {
    /// At the left above.
    UpperLeft,
    /// In the middle above.
    UpperMiddle,
    /// At the right above.
    UpperRight,
    /// Half way down at the right.
    #[default]
    MiddleRight,
}

/// Points that are joined in their order.
#[derive(Clone, PartialEq, Debug)]
struct PlotLine {
    name: String,
    points: Vec<(f64, f64)>,
    marked: bool,
}

/// Lines over one pair of axes, with a legend.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LinePlot {
    title: String,
    axes: [String; 2],
    limits: [Option<Range<f64>>; 2],
    legend: LegendPosition,
    lines: Vec<PlotLine>,
    behind: Vec<Vec<(f64, f64)>>,
    dots: Vec<(f64, f64)>,
}

/// The axes of a plot, on which is drawn.
type PlotAxes<'a, B> = ChartContext<'a, B, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

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

    /// What is shown of the axes; without it, all points. What lies outside isn't drawn.
    #[must_use]
    pub fn limits(self, x: Range<f64>, y: Range<f64>) -> Self {
        Self { limits: [Some(x), Some(y)], ..self }
    }

    /// Where the legend stands.
    #[must_use]
    pub fn legend(self, legend: LegendPosition) -> Self {
        Self { legend, ..self }
    }

    /// A line through these points in their order; those that aren't finite are left out. Without a name it isn't in the legend.
    #[must_use]
    pub fn line(self, name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.with_line(name.into(), points, false)
    }

    /// A line whose points are marked.
    #[must_use]
    pub fn marked_line(self, name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.with_line(name.into(), points, true)
    }

    /// A faint line without a name, behind all others: of a grid, of equal heights.
    #[must_use]
    pub fn line_behind(mut self, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.behind.push(finite(points));
        self
    }

    /// Single points in black.
    #[must_use]
    pub fn dots(mut self, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.dots.extend(finite(points));
        self
    }

    fn with_line(mut self, name: String, points: impl IntoIterator<Item = (f64, f64)>, marked: bool) -> Self {
        self.lines.push(PlotLine { name, points: finite(points), marked });
        self
    }

    /// The plot as a file's bytes.
    ///
    /// # Errors
    /// If there is no point, or limits that aren't an interval of finite numbers.
    pub fn encode(&self, format: PictureFormat) -> Result<Vec<u8>, PlotError> {
        if self.points().next().is_none() {
            return Err(PlotError::Empty);
        }
        for limits in self.limits.iter().flatten() {
            if !(limits.start < limits.end && limits.start.is_finite() && limits.end.is_finite()) {
                return Err(PlotError::Limits { start: limits.start.to_string(), end: limits.end.to_string() });
            }
        }
        encode(self, (720, 440), format)
    }

    fn points(&self) -> impl Iterator<Item = &(f64, f64)> {
        self.lines.iter().map(|line| &line.points).chain(&self.behind).flatten().chain(&self.dots)
    }

    /// What is shown of an axis: its limits, or the interval of all points with room around.
    fn range(&self, axis: usize) -> Range<f64> {
        if let Some(limits) = &self.limits[axis] {
            return limits.clone();
        }
        let values = || self.points().map(|&(x, y)| [x, y][axis]);
        let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        // An interval even where all values are one.
        let room = ((high - low) * 0.05).max(1e-6 * low.abs().max(1.0));
        low - room..high + room
    }

    /// The pieces of a line that can be seen.
    fn seen(&self, points: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
        let [xs, ys] = [self.range(0), self.range(1)];
        let is_seen = |(x, y): &(f64, f64)| xs.start <= *x && *x <= xs.end && ys.start <= *y && *y <= ys.end;
        points.split(|point| !is_seen(point)).filter(|piece| !piece.is_empty()).map(<[_]>::to_vec).collect()
    }

    fn draw_line<'a, B: DrawingBackend + 'a>(
        &self,
        chart: &mut PlotAxes<'a, B>,
        line: &PlotLine,
        colour: RGBColor,
        length: u32,
    ) -> Result<(), PlotError> {
        let style = colour.stroke_width(2 * length);
        let pieces = self.seen(&line.points);
        for (number, piece) in pieces.iter().enumerate() {
            let series = LineSeries::new(piece.iter().copied(), style);
            let drawn = chart.draw_series(series).map_err(drawing_error)?;
            if number == 0 && !line.name.is_empty() {
                let sample = 20 * length as i32;
                drawn.label(&line.name).legend(move |(x, y)| PathElement::new([(x, y), (x + sample, y)], style));
            }
        }
        if line.marked {
            let marks = pieces.iter().flatten().map(|&point| Circle::new(point, 3 * length, colour.filled()));
            chart.draw_series(marks).map_err(drawing_error)?;
        }
        Ok(())
    }
}

fn finite(points: impl IntoIterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    points.into_iter().filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
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
        let mut chart = builder.build_cartesian_2d(self.range(0), self.range(1)).map_err(drawing_error)?;
        let mut mesh = chart.configure_mesh();
        // Epochs and steps are whole numbers, and 0 has no sign.
        let number = |x: &f64| ((x * 1e6).round() / 1e6 + 0.0).to_string();
        mesh.x_label_formatter(&number).light_line_style(TRANSPARENT);
        mesh.label_style(small).axis_desc_style(small).x_desc(&self.axes[0]).y_desc(&self.axes[1]);
        mesh.draw().map_err(drawing_error)?;
        for piece in self.behind.iter().flat_map(|points| self.seen(points)) {
            chart.draw_series(LineSeries::new(piece, FAINT.stroke_width(length))).map_err(drawing_error)?;
        }
        let dots = self.seen(&self.dots).into_iter().flatten();
        let dots = dots.map(|dot| Circle::new(dot, 4 * length, BLACK.filled()));
        chart.draw_series(dots).map_err(drawing_error)?;
        for (line, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            self.draw_line(&mut chart, line, *colour, length)?;
        }
        if self.lines.iter().all(|line| line.name.is_empty()) {
            return Ok(());
        }
        let mut labels = chart.configure_series_labels();
        labels.position(self.legend.into()).label_font(small).legend_area_size(30 * length).margin(5 * length);
        labels.background_style(WHITE.mix(0.8)).border_style(BLACK).draw().map_err(drawing_error)
    }
}

impl From<LegendPosition> for SeriesLabelPosition {
    fn from(position: LegendPosition) -> Self {
        match position {
            LegendPosition::UpperLeft => Self::UpperLeft,
            LegendPosition::UpperMiddle => Self::UpperMiddle,
            LegendPosition::UpperRight => Self::UpperRight,
            LegendPosition::MiddleRight => Self::MiddleRight,
        }
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
        assert_eq!(flat.range(1), 2.0 - 2e-6..2.0 + 2e-6);
    }

    #[test]
    fn what_is_outside_is_not_drawn() {
        let plot = LinePlot::new("").marked_line("way", [(0.0, 0.0), (1.0, 1.0), (2.0, 9.0), (3.0, 1.0)]);
        let text = |plot: &LinePlot| String::from_utf8(plot.encode(PictureFormat::Svg).unwrap()).unwrap();
        assert_eq!(text(&plot).matches("<circle").count(), 4);
        let plot = plot.limits(0.0..3.0, 0.0..2.0).dots([(1.0, 0.5), (1.0, 2.5)]);
        // Three marks and a dot; the line is in two pieces, under one name.
        assert_eq!((text(&plot).matches("<circle").count(), text(&plot).matches("\nway\n").count()), (4, 1));
        assert_eq!(plot.seen(&plot.lines[0].points), [vec![(0.0, 0.0), (1.0, 1.0)], vec![(3.0, 1.0)]]);
        let backwards = plot.limits(1.0..0.0, 0.0..2.0).encode(PictureFormat::Svg).unwrap_err();
        assert_eq!(backwards.to_string(), "an axis can't go from 1 to 0: the lower limit is named first");
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
