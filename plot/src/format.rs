//! What plots are written as.

use crate::PlotError;
use crate::raster::Raster;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::path::Path;

/// How a plot is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PictureFormat {
    /// Text, that grows with the page.
    Svg,
    /// Pixels, twice as many each way as an SVG is large, for dense screens.
    Png,
}

impl PictureFormat {
    /// What a file's name asks for by its end.
    ///
    /// # Errors
    /// If that is neither `.svg` nor `.png`.
    pub fn of(path: impl AsRef<Path>) -> Result<Self, PlotError> {
        let path = path.as_ref();
        match path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase).as_deref() {
            Some("svg") => Ok(Self::Svg),
            Some("png") => Ok(Self::Png),
            _ => Err(PlotError::Extension { name: path.display().to_string() }),
        }
    }
}

/// What sizes are multiplied by.
#[derive(Clone, Copy)]
pub(crate) struct PlotScale {
    /// Lengths, in pixels.
    pub(crate) length: u32,
    /// Sizes of fonts.
    pub(crate) font: u32,
}

impl PlotScale {
    const SVG: Self = Self { length: 1, font: 1 };
    /// The library guesses how wide a legend's text is, by the size of its font, and letters of dots are wider than that: they have a larger size than height.
    const PNG: Self = Self { length: 2, font: 3 };
}

/// What draws on an area of any kind.
pub(crate) trait Drawing {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, scale: PlotScale) -> Result<(), PlotError>;
}

/// A drawing of that size in pixels of an SVG, as a file's bytes.
pub(crate) fn encode(
    drawing: &impl Drawing,
    (width, height): (u32, u32),
    format: PictureFormat,
) -> Result<Vec<u8>, PlotError> {
    match format {
        PictureFormat::Svg => {
            let mut text = String::new();
            draw_on(drawing, SVGBackend::with_string(&mut text, (width, height)), PlotScale::SVG)?;
            Ok(text.into_bytes())
        }
        PictureFormat::Png => {
            let [width, height] = [width, height].map(|side| side * PlotScale::PNG.length);
            let mut rgb = vec![255; 3 * width as usize * height as usize];
            draw_on(drawing, Raster::on(&mut rgb, (width, height)), PlotScale::PNG)?;
            encode_png(width as usize, height as usize, &rgb)
        }
    }
}

fn draw_on<B: DrawingBackend>(drawing: &impl Drawing, backend: B, scale: PlotScale) -> Result<(), PlotError> {
    let area = backend.into_drawing_area();
    area.fill(&WHITE).map_err(drawing_error)?;
    drawing.draw(&area, scale)?;
    area.present().map_err(drawing_error)
}

pub(crate) fn drawing_error(error: impl std::fmt::Display) -> PlotError {
    PlotError::Backend(error.to_string())
}

/// A PNG file of pixels: red, green and blue, row by row from the top.
///
/// # Errors
/// If there are not three bytes for each of `width` by `height` pixels.
pub fn encode_png(width: usize, height: usize, rgb: &[u8]) -> Result<Vec<u8>, PlotError> {
    let side = |side: usize| u32::try_from(side).map_err(drawing_error);
    let mut file = vec![];
    let mut encoder = png::Encoder::new(&mut file, side(width)?, side(height)?);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().and_then(|mut writer| writer.write_image_data(rgb)).map_err(drawing_error)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_the_format() {
        assert_eq!(PictureFormat::of("a/b.SVG"), Ok(PictureFormat::Svg));
        assert_eq!(PictureFormat::of("b.png"), Ok(PictureFormat::Png));
        assert!(PictureFormat::of("b.jpg").unwrap_err().to_string().contains("\"b.jpg\""));
        assert!(encode_png(2, 2, &[0; 11]).is_err());
    }
}
