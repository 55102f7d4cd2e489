//! Pixels to draw on, with letters of squares: a drawing library's own need fonts of the system.

use crate::glyphs::{GLYPH, glyph};
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{BackendColor, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind};
use std::convert::Infallible;

/// Pixels to draw on.
pub(crate) struct Raster<'p> {
    width: u32,
    height: u32,
    /// Red, green, blue, row by row.
    rgb: &'p mut [u8],
}

type DrawResult = Result<(), DrawingErrorKind<Infallible>>;

impl<'p> Raster<'p> {
    /// Of pixels as many as there are: three bytes each.
    pub(crate) fn on(rgb: &'p mut [u8], (width, height): (u32, u32)) -> Self {
        Self { width, height, rgb }
    }

    /// Mixes a colour into a pixel; what lies outside is left out.
    fn mix(&mut self, (x, y): (i32, i32), color: BackendColor) {
        let inside = |at: i32, end: u32| u32::try_from(at).ok().filter(|at| *at < end);
        let (Some(x), Some(y)) = (inside(x, self.width), inside(y, self.height)) else { return };
        let at = 3 * (y as usize * self.width as usize + x as usize);
        let (r, g, b) = color.rgb;
        for (old, new) in self.rgb[at..at + 3].iter_mut().zip([r, g, b]) {
            let mixed = f64::from(*old) * (1.0 - color.alpha) + f64::from(new) * color.alpha;
            *old = mixed.round() as u8;
        }
    }
}

/// Pixels of a letter's dot, a whole number: letters are about half as high as their font's size.
fn dot(style: &impl BackendTextStyle) -> i32 {
    ((style.size() / 18.0).round() as i32).max(1)
}

/// Pixels of a text that isn't turned.
fn extent(text: &str, style: &impl BackendTextStyle) -> (i32, i32) {
    let side = GLYPH as i32 * dot(style);
    (text.chars().count() as i32 * side, side)
}

impl DrawingBackend for Raster<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    fn ensure_prepared(&mut self) -> DrawResult {
        Ok(())
    }

    fn present(&mut self) -> DrawResult {
        Ok(())
    }

    fn draw_pixel(&mut self, at: (i32, i32), color: BackendColor) -> DrawResult {
        self.mix(at, color);
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        (left, top): (i32, i32),
        (right, bottom): (i32, i32),
        style: &S,
        fill: bool,
    ) -> DrawResult {
        for y in top.max(0)..=bottom.min(self.height as i32 - 1) {
            for x in left.max(0)..=right.min(self.width as i32 - 1) {
                if fill || x == left || x == right || y == top || y == bottom {
                    self.mix((x, y), style.color());
                }
            }
        }
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, (x, y): (i32, i32)) -> DrawResult {
        let ((width, height), dot) = (extent(text, style), dot(style));
        let anchor = style.anchor();
        let left = match anchor.h_pos {
            HPos::Left => 0,
            HPos::Center => -width / 2,
            HPos::Right => -width,
        };
        let top = match anchor.v_pos {
            VPos::Top => 0,
            VPos::Center => -height / 2,
            VPos::Bottom => -height,
        };
        for (number, letter) in text.chars().enumerate() {
            for (row, bits) in glyph(letter).into_iter().enumerate() {
                for column in (0..GLYPH).filter(|column| bits >> column & 1 == 1) {
                    let (right, down) = (left + (number * GLYPH + column) as i32 * dot, top + row as i32 * dot);
                    for pixel in 0..dot * dot {
                        let (dx, dy) = style.transform().transform(right + pixel % dot, down + pixel / dot);
                        self.mix((x + dx, y + dy), style.color());
                    }
                }
            }
        }
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let (width, height) = extent(text, style);
        Ok((width as u32, height as u32))
    }
}
