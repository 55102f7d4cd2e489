//! Pictures of pixels, with words beside them.

use gradc::interpret::Picture;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Colours are rounded to so many steps a channel, so that neighbours are often alike and drawn as one.
const STEP: u8 = 17;

/// A page of pictures and words.
#[derive(Default)]
pub(crate) struct Mosaic {
    body: String,
    width: usize,
    height: usize,
}

impl Mosaic {
    /// Puts a picture there, each of its pixels as a square of `scale`.
    pub(crate) fn picture(&mut self, picture: &Picture, (x, y): (usize, usize), scale: usize) {
        let _ =
            writeln!(self.body, "<g transform=\"translate({x} {y}) scale({scale})\" shape-rendering=\"crispEdges\">");
        let (mut runs, common) = runs(picture);
        let [r, g, b] = common;
        let (width, height) = (picture.width, picture.height);
        let _ = writeln!(self.body, "<rect width=\"{width}\" height=\"{height}\" fill=\"#{r:02x}{g:02x}{b:02x}\"/>");
        runs.remove(&common);
        for ([r, g, b], path) in runs {
            let _ = writeln!(self.body, "<path fill=\"#{r:02x}{g:02x}{b:02x}\" d=\"{path}\"/>");
        }
        self.body += "</g>\n";
        self.extend(x + scale * width, y + scale * height);
    }

    /// Puts words there: the beginning of their base line.
    pub(crate) fn text(&mut self, text: &str, (x, y): (usize, usize)) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(self.body, "<text x=\"{x}\" y=\"{y}\">{text}</text>");
        self.extend(x + 7 * text.chars().count(), y + 4);
    }

    fn extend(&mut self, right: usize, bottom: usize) {
        (self.width, self.height) = (self.width.max(right), self.height.max(bottom));
    }

    /// The page as SVG.
    pub(crate) fn svg(&self) -> String {
        let (width, height) = (self.width + 8, self.height + 8);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n{}</svg>\n",
            self.body
        )
    }
}

/// The runs of equal pixels in a row, by colour, as paths; and the colour of most pixels.
fn runs(picture: &Picture) -> (BTreeMap<[u8; 3], String>, [u8; 3]) {
    let (mut paths, mut counts) = (BTreeMap::<_, String>::new(), BTreeMap::<_, usize>::new());
    for y in 0..picture.height {
        let mut x = 0;
        while x < picture.width {
            let colour = rounded(picture, x, y);
            let length = (x..picture.width).take_while(|&at| rounded(picture, at, y) == colour).count();
            let _ = write!(paths.entry(colour).or_default(), "M{x} {y}h{length}v1h-{length}z");
            *counts.entry(colour).or_default() += length;
            x += length;
        }
    }
    let common = counts.into_iter().max_by_key(|(_, count)| *count).map_or([255; 3], |(colour, _)| colour);
    (paths, common)
}

fn rounded(picture: &Picture, x: usize, y: usize) -> [u8; 3] {
    let at = 3 * (y * picture.width + x);
    let channel = |value: u8| (value.saturating_add(STEP / 2) / STEP).min(15) * STEP;
    [channel(picture.rgb[at]), channel(picture.rgb[at + 1]), channel(picture.rgb[at + 2])]
}
