//! An LSTM that reads reviews, word by word.

use super::svg;
use gradc::data::Column;
use gradc::data::text::{Encoder, Rule, Side, Vocabulary};
use gradc::prelude::*;
use gradc_plot::{LegendPosition, LinePlot};
use std::error::Error;

/// Words of a row.
const LENGTH: usize = 14;

/// Reviews with 1 for praise, 0 for blame: the grammar of the chapter.
fn reviews(count: usize, mut seed: u64) -> (Vec<String>, Vec<i32>) {
    let mut random = |n: usize| {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    };
    let mut clause = || {
        let subject = ["the plot", "the cast", "the music", "the ending", "this film"][random(5)];
        let (good, word) = match random(2) {
            1 => (true, ["good", "great", "moving", "clever"][random(4)]),
            _ => (false, ["bad", "dull", "silly", "endless"][random(4)]),
        };
        let not = random(2) == 1;
        (format!("{subject} was {}{word}", if not { "not " } else { "" }), good != not)
    };
    let mut review = || {
        let ((first, _), (last, praise)) = (clause(), clause());
        (format!("{first} but {last}"), i32::from(praise))
    };
    (0..count).map(|_| review()).unzip()
}

/// The probability of praise after each word of three reviews.
pub(super) fn reading() -> Result<String, Box<dyn Error>> {
    let (texts, labels) = reviews(2000, 1);
    let vocabulary = Vocabulary::build(Rule::Words, texts.iter().map(String::as_str), 100)?;
    let encoder = Encoder::new(LENGTH).padding(Side::Pre);
    let rows = encoder.encode(&vocabulary, texts.iter().map(String::as_str))?.column()?;
    let train = Dataset::of("x", rows).with("y", Column::new(array([labels.len()], labels)?)?)?;
    let model = Sequential::of(i32([LENGTH])).embedding(vocabulary.size(), 16).lstm(32).dense(2).softmax();
    let mut trainer = model.compile(Adam::new(5e-3), SparseCategoricalCrossEntropy, [])?;
    trainer.fit(&train, Fit::epochs(8).batch(32).silent())?;

    let mut plot = LinePlot::new("").axes("words read", "probability of praise").limits(0.5..10.5, -0.05..1.6);
    for text in [
        "the plot was good but the cast was not good",
        "the plot was not bad but the ending was silly",
        "the plot was dull but the cast was great",
    ] {
        let words: Vec<&str> = text.split(' ').collect();
        let beginnings: Vec<String> = (1..=words.len()).map(|n| words[..n].join(" ")).collect();
        let rows = encoder.encode(&vocabulary, beginnings.iter().map(String::as_str))?.column()?;
        let said = trainer.predict(&Dataset::of("x", rows))?.to_f64_vec();
        let points = said.chunks_exact(2).enumerate().map(|(at, pair)| ((at + 1) as f64, pair[1]));
        plot = plot.marked_line(text, points);
    }
    svg(&plot.legend(LegendPosition::UpperRight))
}
