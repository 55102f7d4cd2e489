//! A recurrent network that tells spam from other mail: `cargo run --release --example text_lstm`.
//!
//! The first run fetches 6,046 real mails (see `gradc data spam`). The vocabulary comes from the training mails alone. Prints the accuracy on the test
//! mails, of which 67.9 % are no spam; writes the learning curve to `text_lstm.svg`.

#[path = "support/plot.rs"]
mod plot;

use gradc::data::text::{Encoder, Labelled, Rule, Side, Vocabulary, spam};
use gradc::data::{Column, array};
use gradc::prelude::*;
use std::error::Error;

/// How many ids the vocabulary has.
const VOCABULARY: usize = 10_000;
/// How many words of a mail the network reads: its first ones.
const LENGTH: usize = 200;

/// Mails as rows of ids with their labels. Short mails are padded in front, so that the last state has seen words last.
fn dataset(mails: &Labelled, vocabulary: &Vocabulary) -> Result<Dataset, Box<dyn Error>> {
    let encoder = Encoder::new(LENGTH).padding(Side::Pre).empty_as_unknown();
    let ids = encoder.encode(vocabulary, mails.texts())?.column()?;
    let labels = Column::new(array([mails.labels.len()], mails.labels.clone())?)?;
    Ok(Dataset::of("x", ids).with("y", labels)?)
}

#[allow(clippy::print_stdout)] // An example speaks to whoever runs it.
fn main() -> Result<(), Box<dyn Error>> {
    let (train, test) = spam()?;
    let vocabulary = Vocabulary::build(Rule::Words, train.texts(), VOCABULARY)?;
    let (train, test) = (dataset(&train, &vocabulary)?.shuffled(1), dataset(&test, &vocabulary)?);
    let model = Sequential::of(i32([LENGTH])).embedding(VOCABULARY, 64).lstm(64).dense(2).softmax();
    println!("{}", model.summary()?);

    let mut trainer = model.compile(Adam::new(2e-3), SparseCategoricalCrossEntropy, [Accuracy])?;
    let history = trainer.fit(&train, Fit::epochs(4).batch(32).validation_split(0.1))?;
    let names = ["loss", "val_loss", "accuracy", "val_accuracy"];
    plot::epochs("text_lstm.svg", "Spam or ham", "loss, accuracy", &history, &names)?;
    println!("Test: {}", trainer.evaluate(&test)?);
    Ok(())
}
