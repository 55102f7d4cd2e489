//! Digits that nobody has written: a generator and a discriminator that learn from one another, in one compiled step:
//! `cargo run --release --example gan`.
//!
//! A conditional GAN (Goodfellow et al., arXiv 1406.2661; Mirza and Osindero, arXiv 1411.1784), the generator with the loss that doesn't saturate. The step has two losses,
//! each lowered by an optimizer of its own over one network's parameters; digits are made with moving averages of the generator's.
//!
//! Prints both losses, and how many made digits a classifier, trained on real ones alone, reads as the digit that was asked for. As a generator that makes one picture of each
//! digit would do well at that, it also prints how much pictures of one digit differ, beside the same of real ones. Writes made digits to `gan.png`.

#[path = "../support/digits.rs"]
mod digits;
#[path = "support/png.rs"]
mod png;

use gradc::interpret::{Palette, Picture};
use gradc::nn::{Activation, binary_cross_entropy};
use gradc::prelude::*;
use std::collections::BTreeMap;
use std::error::Error;
use std::time::Instant;

const PIXELS: usize = 784;
const LATENT: usize = 64;
const BATCH: usize = 64;
/// Digits that are made to be judged: as many of each.
const MADE: usize = 1000;
/// What stands at a label's place, and 0 elsewhere: a large number, so that ten labels count beside 784 pixels.
const LABEL: f64 = 4.0;
const EPOCHS: u64 = 20;

fn dense(name: &str, units: usize, activation: Activation) -> Dense {
    Dense::new(units).name(name).activation(activation)
}

/// Pictures `[n, 784]` of pixels in 0 to 1 for labels `[n, 10]`, from noise.
fn generator(labels: &Tensor, n: usize) -> Tensor {
    let noise = labels.builder().random_normal(f32([n, LATENT]));
    let hidden = dense("generator_1", 256, Activation::LeakyRelu(0.2)).apply(&noise.concat(&[labels], -1));
    let hidden = dense("generator_2", 512, Activation::LeakyRelu(0.2)).apply(&hidden);
    dense("generator_3", PIXELS, Activation::Sigmoid).apply(&hidden)
}

/// Logits `[n, 1]` of the pictures' being real.
fn discriminator(pictures: &Tensor, labels: &Tensor) -> Tensor {
    let hidden = dense("discriminator_1", 384, Activation::LeakyRelu(0.2)).apply(&pictures.concat(&[labels], -1));
    let hidden = Dropout::new(0.5).apply(&hidden);
    let hidden = dense("discriminator_2", 128, Activation::LeakyRelu(0.2)).apply(&hidden);
    let hidden = Dropout::new(0.5).apply(&hidden);
    dense("discriminator_3", 1, Activation::Linear).apply(&hidden)
}

/// A step in which both networks learn.
fn training() -> Result<Step, ModelErrors> {
    let g = GraphBuilder::new("gan");
    g.set_training(true);
    let real = g.input("x", u8([BATCH, 28, 28, 1])).cast(DType::F32).reshape([BATCH as isize, PIXELS as isize]) / 255.0;
    let labels = g.input("y", u8([BATCH])).cast(DType::I32).one_hot(10, DType::F32) * LABEL;
    let made = generator(&labels, BATCH);
    // Real and made pictures in one batch: each product is one for both.
    let logits = discriminator(&real.concat(&[&made], 0), &labels.concat(&[&labels], 0));
    let (on_real, on_made) = (logits.slice_axis(0, 0..BATCH), logits.slice_axis(0, BATCH..2 * BATCH));
    let is = |logits: &Tensor, truth: f64| binary_cross_entropy(logits, g.full(truth, f32([BATCH, 1]))).mean();
    // Real ones are said to be so with 90 % only, so that the discriminator never becomes too sure.
    let of_discriminator = is(&on_real, 0.9) + is(&on_made, 0.0);
    let of_generator = is(&on_made, 1.0);
    let adam = |rate: f64| Adam::new(rate).betas(0.5, 0.999);
    g.minimize_only(&of_discriminator, &Select::pattern("discriminator*"), &adam(2e-4).named("discriminator"));
    g.minimize_only(&of_generator, &Select::pattern("generator*"), &adam(7e-4).named("generator").ema(0.999));
    g.output("discriminator_loss", &of_discriminator);
    g.output("generator_loss", &of_generator);
    g.finish()
}

/// Makes digits.
struct DigitMaker(CompiledProgram);

impl DigitMaker {
    fn new() -> Result<Self, Box<dyn Error>> {
        let g = GraphBuilder::new("generate");
        let labels = g.input("y", i32([MADE])).one_hot(10, DType::F32) * LABEL;
        g.output("pictures", &generator(&labels, MADE));
        let mut program = g.finish()?.compile(&CompileOptions::default())?;
        program.set_input("y", &wanted()?)?;
        Ok(Self(program))
    }

    /// Pictures of 0, 1, ... 9, 0, ..., with the averages that the training has.
    fn make(&mut self, training: &CompiledProgram) -> Result<Vec<f32>, Box<dyn Error>> {
        let names: Vec<String> = self.0.states().iter().filter(|s| s.trainable()).map(|s| s.name.clone()).collect();
        for name in names {
            self.0.set_state(&name, &training.state_value(&format!("generator/average/{name}"))?)?;
        }
        self.0.step()?;
        Ok(self.0.output::<f32>("pictures")?.to_vec())
    }
}

/// What each made digit is asked to be.
fn wanted() -> Result<Value, Box<dyn Error>> {
    Ok(array([MADE], (0..MADE).map(|i| (i % 10) as i32).collect())?)
}

/// The standard deviation of a pixel among pictures of one digit, the root mean square over digits and pixels.
fn spread(pictures: &[f32], labels: impl Iterator<Item = usize>) -> f64 {
    let mut sums: BTreeMap<usize, (f64, Vec<[f64; 2]>)> = BTreeMap::new();
    for (picture, label) in pictures.chunks_exact(PIXELS).zip(labels) {
        let (count, pixels) = sums.entry(label).or_insert_with(|| (0.0, vec![[0.0; 2]; PIXELS]));
        *count += 1.0;
        for (sum, pixel) in pixels.iter_mut().zip(picture) {
            *sum = [sum[0] + f64::from(*pixel), sum[1] + f64::from(pixel * pixel)];
        }
    }
    let variances = sums.values().flat_map(|(n, pixels)| pixels.iter().map(move |[x, xx]| xx / n - (x / n).powi(2)));
    (variances.sum::<f64>() / (sums.len() * PIXELS) as f64).sqrt()
}

/// Which share of made pictures the judge reads as what was asked for.
fn recognized(judge: &mut Trainer, pictures: Vec<f32>) -> Result<f64, Box<dyn Error>> {
    accuracy(judge, &Dataset::new(array([MADE, 28, 28, 1], pictures)?, wanted()?)?)
}

#[allow(clippy::print_stdout)] // An example speaks to whoever runs it.
fn main() -> Result<(), Box<dyn Error>> {
    let (train, test) = gradc::data::mnist::load()?;
    let mut judge = digits::network(10).compile(Adam::default(), SparseCategoricalCrossEntropy, [Accuracy])?;
    judge.fit(&train, Fit::epochs(3).batch(64).silent())?;
    println!("The judge reads {:.1} % of real test digits rightly", 100.0 * accuracy(&mut judge, &test)?);

    let mut program = training()?.compile(&CompileOptions::default())?;
    let mut maker = DigitMaker::new()?;
    let start = Instant::now();
    for epoch in 1..=EPOCHS {
        let (mut losses, mut steps) = ([0.0; 2], 0.0);
        for batch in train.shuffled(epoch).batches(BATCH).filter(|batch| batch.len() == BATCH) {
            program.set_input("x", &batch.value("x")?)?;
            program.set_input("y", &batch.value("y")?)?;
            program.step()?;
            let step = [program.scalar("discriminator_loss")?, program.scalar("generator_loss")?];
            losses = [losses[0] + step[0], losses[1] + step[1]];
            steps += 1.0;
        }
        if epoch == 1 || epoch % 5 == 0 {
            let share = recognized(&mut judge, maker.make(&program)?)?;
            let ([d, g], seconds) = (losses.map(|loss| loss / steps), start.elapsed().as_secs_f64());
            println!(
                "Epoch {epoch:2}  discriminator {d:.3}  generator {g:.3}  made digits read as asked {:.1} %  {seconds:.0} s",
                100.0 * share
            );
        }
    }

    let pictures = maker.make(&program)?;
    let real: Vec<f32> = test.value("x")?.to_f64_vec().iter().map(|byte| (byte / 255.0) as f32).collect();
    let truth = test.value("y")?.to_f64_vec();
    let (made, real) = (spread(&pictures, (0..MADE).map(|i| i % 10)), spread(&real, truth.iter().map(|y| *y as usize)));
    println!("Spread among pictures of one digit: {made:.3}, of real ones {real:.3}");
    draw(&pictures)
}

fn accuracy(judge: &mut Trainer, data: &Dataset) -> Result<f64, Box<dyn Error>> {
    Ok(judge.evaluate(data)?.metric("accuracy").unwrap_or(f64::NAN))
}

/// Ten of each digit.
fn draw(pictures: &[f32]) -> Result<(), Box<dyn Error>> {
    let pixels: Vec<f64> = pictures[..100 * PIXELS].iter().map(|pixel| f64::from(*pixel)).collect();
    let image = |image: &[f64]| Picture::of(image, 28, Palette::Grey);
    let row = |row: &[f64]| row.chunks_exact(PIXELS).map(image).reduce(|all, next| all.beside(&next, 2));
    let rows = pixels.chunks_exact(10 * PIXELS).filter_map(row);
    if let Some(sheet) = rows.reduce(|all, next| all.above(&next, 2)) {
        png::write("gan.png", &sheet)?;
    }
    Ok(())
}
