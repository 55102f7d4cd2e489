//! What a Transformer's heads look at.

use super::mosaic::Mosaic;
use gradc::interpret::{Palette, Picture, attention_graph};
use gradc::prelude::*;
use std::error::Error;

/// Letters of a word.
const LENGTH: usize = 8;
/// Letters of the alphabet.
const LETTERS: usize = 10;
/// Pixels of a weight.
const SCALE: usize = 18;

/// Words of random letters and the same words backwards, as in the chapter.
fn words(count: usize, mut seed: u64) -> Result<Dataset, Box<dyn Error>> {
    let mut letter = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((seed >> 33) % LETTERS as u64) as i32
    };
    let words: Vec<i32> = (0..count * LENGTH).map(|_| letter()).collect();
    let backwards = words.chunks(LENGTH).flat_map(|word| word.iter().rev().copied()).collect();
    Ok(Dataset::new(array([count, LENGTH], words)?, array([count, LENGTH], backwards)?)?)
}

/// The maps of two heads that write a word backwards.
pub(super) fn attention() -> Result<String, Box<dyn Error>> {
    let model = Sequential::of(i32([LENGTH]))
        .add(Embedding::new(LETTERS, 32))
        .add(LearnedPositions::new(LENGTH))
        .add(TransformerBlock::new(2))
        .dense(LETTERS);
    let mut trainer = model.compile(Adam::new(5e-3), SparseCategoricalCrossEntropy, [])?;
    trainer.fit(&words(2000, 1)?, Fit::epochs(5).batch(32).silent())?;
    let mut maps = attention_graph(&model, 1)?.compile(&CompileOptions::default())?;
    maps.set_states(&trainer.weights()?)?;
    let found = maps.run([("x", &array([1, LENGTH], (0..LENGTH as i32).collect())?)])?;
    let weights = found["transformer_block/attention/weights"].to_f64_vec();
    let mut page = Mosaic::default();
    for (head, map) in weights.chunks_exact(LENGTH * LENGTH).enumerate() {
        let left = 24 + head * (LENGTH * SCALE + 40);
        page.picture(&Picture::of(map, LENGTH, Palette::Signed), (left, 24), SCALE);
        for at in 0..LENGTH {
            let letter = char::from(b'a' + at as u8).to_string();
            page.text(&letter, (left + at * SCALE + 6, 18));
            page.text(&letter, (left - 14, 24 + at * SCALE + 13));
        }
    }
    Ok(page.svg())
}
