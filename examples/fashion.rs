//! Clothes: Fashion-MNIST by a small network in half precision, with images changed anew in each pass.
//!
//! `scripts/fetch_fashion_mnist.sh data/fashion` fetches the images; then `cargo run --release --example fashion`, or with another folder and a seed after it. The settings were chosen by what
//! 10,000 of the training images, held back, said; the test images are looked at once, at the end.

use gradc::data::{Augment, Stream, mnist};
use gradc::prelude::*;
use std::error::Error;
use std::time::Instant;

/// Passes over the training images.
const EPOCHS: usize = 8;
/// Images in a step.
const BATCH: usize = 128;
/// The largest learning rate, after a fifth of the steps.
const RATE: f64 = 0.01;

#[allow(clippy::print_stdout)] // An example speaks to whoever runs it.
fn main() -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| "data/fashion".into());
    let seed = arguments.next().map_or(Ok(0), |seed| seed.parse())?;
    let (train, test) = mnist::load_from(&folder)
        .map_err(|e| format!("{e}; `scripts/fetch_fashion_mnist.sh {folder}` fetches Fashion-MNIST"))?;
    let mut trainer = trained(&changed(&train), EPOCHS, seed)?;
    let right = trainer.evaluate(&test)?.metric("accuracy").unwrap_or(0.0);
    let with_mirrored = accuracy_with_mirrored(&mut trainer, &test)?;
    println!(
        "{:.2} % of the test images are told right; {:.2} % by the mean of an image's and its mirror image's logits; {:.1} s",
        100.0 * right,
        100.0 * with_mirrored,
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// The images in a random order, each moved by up to a pixel, every other one mirrored.
pub(crate) fn changed(train: &Dataset) -> Stream {
    let changes = Augment::new().flip_horizontal().crop(1);
    train.stream().shuffle(train.len()).augment(changes).workers(1).prefetch(4)
}

/// Four convolutions; pooling comes before what else there is to do with a result, which is then a quarter as much.
fn network() -> Sequential {
    let conv = |filters| Conv2d::new(filters, 3).padding(Padding::Same).use_bias(false);
    let norm = || BatchNorm::new().momentum(0.9);
    Sequential::new([28, 28, 1])
        .add(conv(32))
        .max_pool2d(2)
        .add(norm())
        .relu()
        .add(conv(32))
        .max_pool2d(2)
        .add(norm())
        .relu()
        .add(conv(64))
        .add(norm())
        .relu()
        .add(conv(96))
        .add(norm())
        .relu()
        .add(GlobalMaxPool2d)
        .dense(10)
}

/// A network after so many passes over the images.
///
/// # Errors
/// Images that aren't 28x28, or labels that are no class.
pub(crate) fn trained(images: &Stream, epochs: usize, seed: u64) -> Result<Trainer, Box<dyn Error>> {
    let fit = Fit::epochs(epochs).batch(BATCH).seed(seed).drop_last(true);
    let steps = fit.steps(images)?;
    let warmup = steps / 5;
    let rate = Schedule::polynomial(RATE, steps - warmup, 1.0).warmup(warmup);
    let model = network().with_policy(Policy::mixed_bf16());
    let loss = SparseCategoricalCrossEntropy.label_smoothing(0.1);
    let trainer = model.compile(AdamW::new(rate).weight_decay(0.01), loss, [Accuracy])?;
    let mut trainer = trainer.with_seed(seed)?.with_batch(BATCH)?;
    trainer.fit(images, fit)?;
    Ok(trainer)
}

/// The share of images whose class is told by the mean of the logits of an image and its mirror image.
///
/// # Errors
/// Images without labels.
pub(crate) fn accuracy_with_mirrored(trainer: &mut Trainer, images: &Dataset) -> Result<f64, Box<dyn Error>> {
    let labels = images.value("y")?.to_f64_vec();
    let mirrored = images.stream().map(|image, _| {
        image.get_mut::<u8>("x")?.chunks_exact_mut(28).for_each(<[u8]>::reverse);
        Ok(())
    });
    let logits = [trainer.predict(images)?, trainer.predict(&mirrored)?].map(|logits| logits.to_f64_vec());
    let sums: Vec<f64> = logits[0].iter().zip(&logits[1]).map(|(a, b)| a + b).collect();
    let best = |sums: &[f64]| (0..10).fold(0, |best, class| if sums[class] > sums[best] { class } else { best });
    let right = sums.chunks_exact(10).zip(&labels).filter(|(sums, label)| best(sums) as f64 == **label).count();
    Ok(right as f64 / labels.len() as f64)
}
