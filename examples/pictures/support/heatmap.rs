//! Maps of attention with the tokens beside them, for the examples.

use gradc::interpret::{Palette, Picture};
use gradc_plot::{GLYPH, glyph};

/// Pixels of a weight's square: a glyph, and room around it.
const CELL: usize = 10;

/// An empty picture.
fn white(width: usize, height: usize) -> Picture {
    Picture { width, height, rgb: vec![255; 3 * width * height] }
}

/// Draws a picture into another one, its upper left corner at column `x`, row `y`; what lies outside is cut off.
fn paste(into: &mut Picture, picture: &Picture, x: usize, y: usize) {
    let columns = picture.width.min(into.width.saturating_sub(x));
    for row in 0..picture.height.min(into.height.saturating_sub(y)) {
        let (to, from) = (3 * ((y + row) * into.width + x), 3 * row * picture.width);
        into.rgb[to..to + 3 * columns].copy_from_slice(&picture.rgb[from..from + 3 * columns]);
    }
}

/// A token in black on white. White space shows as a low line, what the font doesn't have as a question mark.
fn text(token: &str) -> Picture {
    let shown = |c: char| if c.is_whitespace() { '_' } else { c };
    let glyphs: Vec<[u8; GLYPH]> = token.chars().map(|c| glyph(shown(c))).collect();
    let mut picture = white(GLYPH * glyphs.len(), GLYPH);
    for (i, glyph) in glyphs.iter().enumerate() {
        for (y, bits) in glyph.iter().enumerate() {
            for x in (0..GLYPH).filter(|x| bits >> x & 1 == 1) {
                let at = 3 * (y * picture.width + i * GLYPH + x);
                picture.rgb[at..at + 3].fill(0);
            }
        }
    }
    picture
}

/// The picture turned by a quarter, so that text runs upwards.
fn upwards(picture: &Picture) -> Picture {
    let (width, height) = (picture.height, picture.width);
    let pixel = |i: usize| {
        let (x, y) = (i % width, i / width);
        let at = 3 * (x * picture.width + height - 1 - y);
        [picture.rgb[at], picture.rgb[at + 1], picture.rgb[at + 2]]
    };
    Picture { width, height, rgb: (0..width * height).flat_map(pixel).collect() }
}

/// The weights of one head, row by row: a row for each query, a column for each key, with their tokens to the left and above. White is 0, red the largest weight.
/// There are as many weights as pairs of tokens.
fn heatmap(weights: &[f64], tokens: &[String]) -> Picture {
    let labels: Vec<Picture> = tokens.iter().map(|token| text(token)).collect();
    let margin = labels.iter().map(|label| label.width).max().unwrap_or(0) + 4;
    let side = margin + CELL * tokens.len();
    let mut picture = white(side, side);
    for (i, label) in labels.iter().enumerate() {
        let (at, end) = (margin + i * CELL + 1, margin - 2 - label.width);
        paste(&mut picture, label, end, at);
        paste(&mut picture, &upwards(label), at, end);
    }
    paste(&mut picture, &Picture::of(weights, tokens.len(), Palette::Signed).enlarged(CELL), margin, margin);
    picture
}

/// The maps of heads side by side, each by [`heatmap`]; `None` if there are no heads.
pub(crate) fn heads<W: AsRef<[f64]>>(weights: impl IntoIterator<Item = W>, tokens: &[String]) -> Option<Picture> {
    let maps = weights.into_iter().map(|head| heatmap(head.as_ref(), tokens));
    maps.reduce(|left, right| left.beside(&right, 8))
}
