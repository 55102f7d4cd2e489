//! Clothes: Fashion-MNIST by a small network in half precision, with images moved anew in each pass.
//!
//! `scripts/fetch_fashion_mnist.sh data/fashion` fetches the images; then `cargo run --release --example fashion`, or with another folder and a seed after it. The settings were chosen by what
//! 10,000 of the training images, held back, said; the test images are looked at once, at the end.

use gradc::data::{Augment, Stream, mnist};
use gradc::nn::activation::silu;
use gradc::prelude::*;
use std::error::Error;
use std::time::Instant;

/// Passes over the training images.
const EPOCHS: usize = 8;
/// Images in a step.
const BATCH: usize = 64;
/// The largest learning rate, after a fifth of the steps.
const RATE: f64 = 0.007;

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
    let with_moved = accuracy_with_moved(&mut trainer, &test)?;
    println!(
        "{:.2} % of the test images are told right; {:.2} % by the mean with the logits of two moved copies; {:.1} s",
        100.0 * right,
        100.0 * with_moved,
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// The images in a random order, each moved by up to a pixel. Mirrored ones are left out: shoes all point the same way, and a short training has no time for both.
pub(crate) fn changed(train: &Dataset) -> Stream {
    train.stream().shuffle(train.len()).augment(Augment::new().crop(1)).workers(1).prefetch(4)
}

/// Five convolutions: few channels where images are large, and many where they are small.
fn network() -> Functional {
    Functional::new(f32([28, 28, 1]), |x| {
        let conv = |filters| Conv2d::new(filters, 3).padding(Padding::Same).use_bias(false);
        let norm = |x: &Tensor| BatchNorm::new().momentum(0.9).apply(x);
        // The largest of four pixels before all else: what follows is then a quarter of the work.
        let halved = |x: &Tensor| silu(&norm(&MaxPool2d::new(2).apply(x)));
        let y = halved(&conv(16).apply(x));
        let y = halved(&conv(32).apply(&y));
        let y = silu(&norm(&conv(64).apply(&y)));
        let y = silu(&norm(&conv(128).stride(2).apply(&y)));
        let y = norm(&conv(128).apply(&y)).relu() + y;
        Dense::new(10).apply(&GlobalMaxPool2d.apply(&y))
    })
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

/// The share of images whose class is told by the logits of an image and of the same moved up and left by a pixel, and down and right, which count half each.
///
/// # Errors
/// Images without labels.
pub(crate) fn accuracy_with_moved(trainer: &mut Trainer, images: &Dataset) -> Result<f64, Box<dyn Error>> {
    let labels = images.value("y")?.to_f64_vec();
    let mut sums = trainer.predict(images)?.to_f64_vec();
    for back in [false, true] {
        let moved = images.stream().map(move |image, _| {
            moved(image.get_mut::<u8>("x")?, back);
            Ok(())
        });
        let logits = trainer.predict(&moved)?.to_f64_vec();
        sums.iter_mut().zip(logits).for_each(|(sum, logit)| *sum += 0.5 * logit);
    }
    let best = |sums: &[f64]| (0..10).fold(0, |best, class| if sums[class] > sums[best] { class } else { best });
    let right = sums.chunks_exact(10).zip(&labels).filter(|(sums, label)| best(sums) as f64 == **label).count();
    Ok(right as f64 / labels.len() as f64)
}

/// Moves an image of 28x28 pixels by one up and left, or down and right, with zeros behind it.
fn moved(image: &mut [u8], back: bool) {
    if back {
        image.reverse();
    }
    image.copy_within(29.., 0);
    image[27 * 28 - 1..].fill(0);
    image.iter_mut().skip(27).step_by(28).for_each(|last| *last = 0);
    if back {
        image.reverse();
    }
}
