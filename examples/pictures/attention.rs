//! What a transformer attends to: `cargo run --release --example attention`.
//!
//! Trains a block of two heads to write words backwards, a task whose right attention is known: at each place the letter at the mirrored one. Prints the accuracy on words
//! that it hasn't seen, and how much of each head's attention lies on the letter to be copied; draws the heads' maps for one word to `attention.png`, a row for
//! each letter that is written, a column for each that is read.

#[path = "support/heatmap.rs"]
mod heatmap;
#[path = "support/png.rs"]
mod png;

use gradc::compile::CompileOptions;
use gradc::data::{DataError, array};
use gradc::interpret::attention_graph;
use gradc::prelude::*;
use std::error::Error;

/// Letters of a word.
const LENGTH: usize = 12;
/// Letters of the alphabet.
const LETTERS: usize = 10;

/// Words of random letters, and the same words backwards. The numbers are those of a linear congruential generator (Knuth's MMIX).
fn words(count: usize, seed: u64) -> Result<Dataset, DataError> {
    let mut state = seed;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % LETTERS as u64) as i32
    };
    let words: Vec<i32> = (0..count * LENGTH).map(|_| letter()).collect();
    let backwards = words.chunks(LENGTH).flat_map(|word| word.iter().rev().copied()).collect();
    Dataset::new(array([count, LENGTH], words)?, array([count, LENGTH], backwards)?)
}

#[allow(clippy::print_stdout)] // An example speaks to whoever runs it.
fn main() -> Result<(), Box<dyn Error>> {
    let model = Sequential::of(i32([LENGTH]))
        .add(Embedding::new(LETTERS, 32))
        .add(LearnedPositions::new(LENGTH))
        .add(TransformerBlock::new(2))
        .dense(LETTERS);
    let mut trainer = model.compile(Adam::new(3e-3), SparseCategoricalCrossEntropy, [Accuracy])?;
    let (train, test) = (words(6000, 1)?, words(1000, 2)?);
    trainer.fit(&train, Fit::epochs(3).batch(64).validate(&test))?;
    println!("Test: {}", trainer.evaluate(&test)?);

    // The maps are a graph of their own, compiled like any other, with the trained weights.
    let mut program = attention_graph(&model, 1)?.compile(&CompileOptions::default())?;
    program.set_states(&trainer.weights()?)?;
    let word: Vec<i32> = (0..LENGTH as i32).map(|i| i * 7 % LETTERS as i32).collect();
    let out = program.run([("x", &array([1, LENGTH], word.clone())?)])?;
    let weights = out["transformer_block/attention/weights"].to_f64_vec();
    let letters: Vec<String> = word.iter().map(|&letter| char::from(b'a' + letter as u8).to_string()).collect();
    for (head, weights) in weights.chunks_exact(LENGTH * LENGTH).enumerate() {
        let mirrored: f64 = (0..LENGTH).map(|i| weights[i * LENGTH + LENGTH - 1 - i]).sum();
        println!("head {head}: {:.1} % on the letter to be copied", 100.0 * mirrored / LENGTH as f64);
    }
    let maps = heatmap::heads(weights.chunks_exact(LENGTH * LENGTH), &letters);
    png::write("attention.png", &maps.ok_or("there are no heads")?.enlarged(3))?;
    Ok(())
}
