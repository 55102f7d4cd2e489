//! What a network says of the points of a plane.

use super::mosaic::Mosaic;
use gradc::interpret::{Palette, Picture};
use gradc::prelude::*;
use std::error::Error;

/// Points of a side.
const SIDE: usize = 48;

/// The probability of class 1 between and around the corners of exclusive or.
pub(super) fn exclusive_or() -> Result<String, Box<dyn Error>> {
    let x = array([4, 2], vec![0.0f32, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])?;
    let corners = Dataset::new(x, array([4], vec![0i32, 1, 1, 0])?)?;
    let model = Sequential::new([2]).dense(8).tanh().dense(2).softmax();
    let mut trainer = model.compile(Adam::new(0.05), SparseCategoricalCrossEntropy, [])?;
    trainer.fit(&corners, Fit::epochs(300).batch(4).silent())?;

    let place = |i: usize| (i as f32 + 0.5) / SIDE as f32 * 1.6 - 0.3;
    // The first row of a picture is its upper one.
    let plane = (0..SIDE * SIDE).flat_map(|i| [place(i % SIDE), place(SIDE - 1 - i / SIDE)]).collect();
    let said = trainer.predict(&Dataset::unlabelled(array([SIDE * SIDE, 2], plane)?)?)?.to_f64_vec();
    let signed: Vec<f64> = said.chunks_exact(2).map(|pair| 2.0 * pair[1] - 1.0).collect();
    let mut page = Mosaic::default();
    page.picture(&Picture::of(&signed, SIDE, Palette::Signed), (8, 8), 5);
    for (x, y, class) in [(0.0, 0.0, 0), (0.0, 1.0, 1), (1.0, 0.0, 1), (1.0, 1.0, 0)] {
        let pixel = |at: f64| ((at + 0.3) / 1.6 * SIDE as f64 * 5.0) as usize + 8;
        page.text(&class.to_string(), (pixel(x) - 3, pixel(1.0 - y) + 4));
    }
    Ok(page.svg())
}
