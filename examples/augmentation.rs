//! What changed images teach: `cargo run --release --example augmentation`.
//!
//! A network sees 1,000 of the digits that come with gradc, once as they are and once turned and moved a little, anew in each pass, by a stream's threads; the test
//! digits say what that was worth. The example `fashion` does it with clothes.

use gradc::data::{Augment, Source, mnist};
use gradc::prelude::*;
use std::error::Error;

fn network() -> Sequential {
    Sequential::new([28, 28, 1])
        .conv2d(32, 3)
        .relu()
        .conv2d(32, 3)
        .relu()
        .max_pool2d(2)
        .dropout(0.2)
        .conv2d(64, 3)
        .relu()
        .max_pool2d(2)
        .dropout(0.2)
        .flatten()
        .dense(128)
        .relu()
        .dropout(0.4)
        .dense(10)
}

/// The accuracy on the test images after training on the others.
fn accuracy(train: &dyn Source, test: &Dataset, epochs: usize) -> Result<f64, Box<dyn Error>> {
    let steps = epochs * train.samples().unwrap_or(1).div_ceil(64);
    let rate = Schedule::cosine(0.002, steps as u64);
    let mut trainer = network().compile(Adam::new(rate), SparseCategoricalCrossEntropy, [Accuracy])?;
    trainer.fit(train, Fit::epochs(epochs).batch(64))?;
    Ok(100.0 * trainer.evaluate(test)?.metric("accuracy").unwrap_or(0.0))
}

#[allow(clippy::print_stdout)] // An example speaks to whoever runs it.
fn main() -> Result<(), Box<dyn Error>> {
    let (train, test) = mnist::load()?;
    let few = train.take(1000)?;
    let changed = few.stream().shuffle(few.len()).augment(Augment::new().rotate(12.0).crop(3)).workers(1).prefetch(4);
    let (plain, augmented) = (accuracy(&few, &test, 40)?, accuracy(&changed, &test, 40)?);
    println!("1,000 digits as they are: {plain:.2} % of the test digits; changed anew in each pass: {augmented:.2} %");
    Ok(())
}
