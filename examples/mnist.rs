//! A convolutional network that reads handwritten digits: `cargo run --release --example mnist`.
//!
//! Trains on the whole of MNIST if it lies in `data/full` (see `gradc data mnist`), else on the subset that comes with gradc. An argument
//! names a file for the trained weights: `cargo run --release --example mnist -- cnn.safetensors`.

use gradc::prelude::*;

#[allow(clippy::print_stdout)] // An example speaks to whoever runs it.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (train, test) = gradc::data::mnist::load()?;
    let model = Sequential::new([28, 28, 1])
        .conv2d(32, 3)
        .relu()
        .max_pool2d(2)
        .conv2d(64, 3)
        .relu()
        .max_pool2d(2)
        .flatten()
        .dense(10)
        .softmax();
    println!("{}", model.summary()?);

    let mut trainer = model.compile(Adam::default(), SparseCategoricalCrossEntropy, [Accuracy])?;
    trainer.fit(&train, Fit::epochs(5).batch(32).validate(&test))?;
    println!("Test: {}", trainer.evaluate(&test)?);
    if let Some(path) = std::env::args_os().nth(1) {
        trainer.save_weights(path)?;
    }
    Ok(())
}
