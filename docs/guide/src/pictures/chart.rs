//! Lines over a pair of axes.

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

pub(super) use plotters::prelude::SeriesLabelPosition::{self, UpperLeft, UpperMiddle, UpperRight};

use std::error::Error;
use std::ops::Range;

/// The colours of lines, in order (Okabe and Ito's, told apart by colour-blind people, too).
const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
];

/// A line of a chart.
pub(crate) struct ChartLine {
    /// What the legend calls it.
    pub(crate) name: String,
    /// Its points, in the order in which they are joined.
    pub(crate) points: Vec<(f64, f64)>,
    /// Whether each point is marked.
    pub(crate) marked: bool,
}

impl ChartLine {
    /// A smooth line.
    pub(crate) fn new(name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self { name: name.into(), points: points.into_iter().collect(), marked: false }
    }

    /// A line whose points are marked.
    pub(crate) fn marked(mut self) -> Self {
        self.marked = true;
        self
    }
}

/// A pair of axes, what is drawn faintly behind the lines, and the lines.
pub(crate) struct Chart<'c> {
    /// What stands at the axes.
    pub(crate) axes: [&'c str; 2],
    /// What is shown of the horizontal axis.
    pub(crate) x: Range<f64>,
    /// What is shown of the vertical axis.
    pub(crate) y: Range<f64>,
    /// Where the legend stands.
    pub(crate) legend: SeriesLabelPosition,
    /// Faint lines without names.
    pub(crate) behind: Vec<Vec<(f64, f64)>>,
    /// Single points.
    pub(crate) dots: Vec<(f64, f64)>,
    /// The lines, each in a colour of its own.
    pub(crate) lines: Vec<ChartLine>,
}

impl Chart<'_> {
    /// The chart as SVG.
    pub(crate) fn svg(&self) -> Result<String, Box<dyn Error>> {
        let mut text = String::new();
        self.draw(&mut text).map_err(|e| e.to_string())?;
        Ok(text)
    }

    fn draw(&self, text: &mut String) -> Result<(), Box<dyn Error>> {
        let failed = |e: &dyn Error| e.to_string();
        let root = SVGBackend::with_string(text, (640, 360)).into_drawing_area();
        root.fill(&WHITE).map_err(|e| failed(&e))?;
        let mut chart = ChartBuilder::on(&root)
            .margin(10)
            .x_label_area_size(36)
            .y_label_area_size(50)
            .build_cartesian_2d(self.x.clone(), self.y.clone())
            .map_err(|e| failed(&e))?;
        let mut mesh = chart.configure_mesh();
        mesh.light_line_style(TRANSPARENT).x_labels(9).y_labels(7).x_desc(self.axes[0]).y_desc(self.axes[1]);
        mesh.draw().map_err(|e| failed(&e))?;
        for points in &self.behind {
            let faint = RGBColor(190, 190, 190).stroke_width(1);
            chart.draw_series(LineSeries::new(points.iter().copied(), faint)).map_err(|e| failed(&e))?;
        }
        let dots = self.dots.iter().map(|&dot| Circle::new(dot, 4, BLACK.filled()));
        chart.draw_series(dots).map_err(|e| failed(&e))?;
        for (line, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            self.add(&mut chart, line, *colour).map_err(|e| failed(&*e))?;
        }
        if self.lines.iter().any(|line| !line.name.is_empty()) {
            let mut labels = chart.configure_series_labels();
            labels
                .position(self.legend.clone())
                .background_style(WHITE.mix(0.8))
                .border_style(BLACK)
                .draw()
                .map_err(|e| failed(&e))?;
        }
        root.present().map_err(|e| failed(&e))?;
        Ok(())
    }

    fn add(
        &self,
        chart: &mut ChartContext<'_, SVGBackend<'_>, Cartesian2d<RangedCoordf64, RangedCoordf64>>,
        line: &ChartLine,
        colour: RGBColor,
    ) -> Result<(), Box<dyn Error>> {
        // What leaves the axes for good would be drawn over the labels.
        let inside = |(x, y): &(f64, f64)| self.x.contains(x) && *y >= self.y.start && *y <= self.y.end;
        let points: Vec<(f64, f64)> = line.points.iter().copied().filter(inside).collect();
        let series = chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)));
        let named = series.map_err(|e| e.to_string())?;
        if !line.name.is_empty() {
            named
                .label(&line.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
        }
        if line.marked {
            let marks = points.iter().map(|&point| Circle::new(point, 3, colour.filled()));
            chart.draw_series(marks).map_err(|e| e.to_string())?;
        }
        Ok(())
    }
}
