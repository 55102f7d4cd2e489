//! Digits read after five labelled examples of each: `cargo run --release --example siamese`.
//!
//! What is used: the 10,000 training images of `data/` without their labels, the labels of 50 of them, five a digit, and the test images with their labels to count how many are read
//! right. No other labelled digits, and no other network.
//!
//! A siamese network sees two views of each image, both warped at random, through one encoder. It learns to find for each left view the right one that shows the same image, among those of
//! the batch (Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", arXiv 2002.05709). The encoder alone then gives every image a
//! vector. A digit is the mean of its five vectors (Snell, Swersky and Zemel, "Prototypical Networks for Few-shot Learning", arXiv 1703.05175), moved to the mean of the unlabelled
//! training images that are nearest to it (Ren et al., arXiv 1803.00676), and a test image is the digit that is nearest.
//!
//! Prints the share of test images that are read right, by the mean images themselves, by the encoder, and by the encoder with means that were moved: for the first five images of each
//! digit, and for twenty other choices of five.

#[path = "support/digits.rs"]
mod digits;

use gradc::data::{Rng, Schema, mnist};
use gradc::nn::sparse_cross_entropy;
use gradc::prelude::*;
use std::error::Error;

/// Pixels of a row.
const SIDE: usize = 28;
/// Digits.
const CLASSES: usize = 10;
/// Labelled images of each digit.
const SHOTS: usize = 5;
/// Extent of the encoder's vectors.
const WIDTH: usize = 64;
/// Images that are encoded at once.
const CHUNK: usize = 500;

/// Each left view is to be nearer to its own right view than to those of the other images, and the other way round.
struct FindOther;

impl Loss for FindOther {
    fn name(&self) -> &str {
        "find_other"
    }

    /// The image's number; which one is the right one follows from the places in the batch.
    fn target(&self, output: &TensorType) -> TypeSpec {
        i32([output.shape[0]])
    }

    fn per_sample(&self, output: &Tensor, target: &Tensor) -> Tensor {
        const TEMPERATURE: f64 = 0.2;
        let unit = |x: Tensor| &x * (x.square().sum_axes([-1]) + 1e-9).rsqrt().unsqueeze(-1);
        let [left, right] = [0, 1].map(|i| unit(output.slice_axis(1, i..i + 1).squeeze([1])));
        let alike = left.matmul(right.transpose()) / TEMPERATURE;
        let own = target.builder().iota(i32([output.shape().map_or(1, |shape| shape[0])]), 0);
        (sparse_cross_entropy(&alike, &own) + sparse_cross_entropy(alike.transpose(), &own)) * 0.5
    }
}

/// An image turned, sheared, made larger or smaller and moved at random, with bilinear interpolation.
fn warped(image: &[u8], view: &mut [u8], rng: &mut Rng) {
    let (angle, shear) = (rng.between(-0.4, 0.4), rng.between(-0.4, 0.4));
    let [wide, high] = [0, 1].map(|_| rng.between(0.75, 1.3));
    let [right, down] = [0, 1].map(|_| rng.between(-3.0, 3.0));
    let bold = rng.between(0.6, 1.6);
    let (sin, cos) = angle.sin_cos();
    let middle = (SIDE as f64 - 1.0) / 2.0;
    let pixel = |x: f64, y: f64| {
        let inside = |v: f64| v >= 0.0 && v < SIDE as f64;
        if inside(x) && inside(y) { f64::from(image[y as usize * SIDE + x as usize]) } else { 0.0 }
    };
    for (i, to) in view.iter_mut().enumerate() {
        let (x, y) = ((i % SIDE) as f64 - middle - right, (i / SIDE) as f64 - middle - down);
        let (x, y) = ((cos * x - sin * y + shear * y) * wide + middle, (sin * x + cos * y) * high + middle);
        let (left, top) = (x.floor(), y.floor());
        let (a, b) = (x - left, y - top);
        let row = |y: f64| pixel(left, y) * (1.0 - a) + pixel(left + 1.0, y) * a;
        let mixed = (row(top) * (1.0 - b) + row(top + 1.0) * b) / 255.0;
        *to = (mixed.powf(bold) * 255.0) as u8;
    }
}

/// Two views of each image, anew in each epoch.
fn views(images: &Dataset) -> Result<impl gradc::data::Source, Box<dyn Error>> {
    let image = [SIDE, SIDE, 1];
    let schema = Schema::new().image("left", image)?.image("right", image)?.column("y", i32([]))?;
    Ok(images.stream().shuffle(images.len()).workers(1).map_to(schema, |from, to, rng| {
        for side in ["left", "right"] {
            warped(from.get::<u8>("x")?, to.get_mut::<u8>(side)?, rng);
        }
        to.put("y", &[0i32])
    }))
}

/// Vectors of all images, of unit length.
fn encoded(program: &mut CompiledProgram, images: &Dataset) -> Result<Vec<Vec<f64>>, Box<dyn Error>> {
    let mut vectors = Vec::with_capacity(images.len());
    for start in (0..images.len()).step_by(CHUNK) {
        let bytes = images.part(start..start + CHUNK)?.value("x")?.to_f64_vec();
        let x = array([CHUNK, SIDE, SIDE, 1], bytes.into_iter().map(|byte| byte as f32 / 255.0).collect())?;
        let out = program.run([("x", &x)])?["output"].to_f64_vec();
        vectors.extend(out.chunks(WIDTH).map(|vector| unit(vector.to_vec())));
    }
    Ok(vectors)
}

fn unit(vector: Vec<f64>) -> Vec<f64> {
    let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
    vector.into_iter().map(|x| x / length).collect()
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The place of the prototype that points most nearly where the vector does.
fn nearest(prototypes: &[Vec<f64>], vector: &[f64]) -> usize {
    let product = |i: &usize| product(&prototypes[*i], vector);
    (0..prototypes.len()).max_by(|a, b| product(a).total_cmp(&product(b))).unwrap_or(0)
}

/// The direction of the mean.
fn mean<'v>(vectors: impl Iterator<Item = &'v Vec<f64>>) -> Vec<f64> {
    let sum = vectors.fold(Vec::new(), |sum: Vec<f64>, vector| {
        if sum.is_empty() { vector.clone() } else { sum.iter().zip(vector).map(|(a, b)| a + b).collect() }
    });
    unit(sum)
}

/// Prototypes of the digits from labelled places, moved `rounds` times to the means of the vectors that are nearest to each, the labelled ones among them.
fn prototypes(vectors: &[Vec<f64>], labelled: &[Vec<usize>], rounds: usize) -> Vec<Vec<f64>> {
    let first: Vec<Vec<f64>> = labelled.iter().map(|places| mean(places.iter().map(|&i| &vectors[i]))).collect();
    (0..rounds).fold(first, |prototypes, _| {
        let owners: Vec<usize> = vectors.iter().map(|vector| nearest(&prototypes, vector)).collect();
        let of = |class: usize| vectors.iter().zip(&owners).filter(move |(_, owner)| **owner == class).map(|(v, _)| v);
        (0..CLASSES).map(|class| mean(of(class).chain(labelled[class].iter().map(|&i| &vectors[i])))).collect()
    })
}

/// Images of which the labels are looked at: of each digit five, the first ones from a place on.
fn labelled(labels: &[u8], from: usize) -> Vec<Vec<usize>> {
    let after = |class: usize| (from..labels.len()).chain(0..from).filter(move |&i| usize::from(labels[i]) == class);
    (0..CLASSES).map(|class| after(class).take(SHOTS).collect()).collect()
}

/// Which share of the test images are read right.
struct FewShotReader<'v> {
    train: &'v [Vec<f64>],
    test: &'v [Vec<f64>],
    labels: &'v [u8],
    truth: &'v [u8],
}

impl FewShotReader<'_> {
    fn share(&self, from: usize, rounds: usize) -> f64 {
        let prototypes = prototypes(self.train, &labelled(self.labels, from), rounds);
        let right = self.test.iter().zip(self.truth).filter(|(v, t)| nearest(&prototypes, v) == usize::from(**t));
        100.0 * right.count() as f64 / self.test.len() as f64
    }

    /// For the first images, and as mean and worst of other choices.
    fn line(&self, what: &str, rounds: usize) -> String {
        let others: Vec<f64> = (1..=20).map(|i| self.share(i * 450, rounds)).collect();
        let worst = others.iter().copied().fold(f64::INFINITY, f64::min);
        let mean = others.iter().sum::<f64>() / others.len() as f64;
        format!("{what}: {:.2} %; others {mean:.2} % on average, at worst {worst:.2} %", self.share(0, rounds))
    }
}

fn bytes(data: &Dataset, name: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    Ok(data.value(name)?.to_f64_vec().into_iter().map(|byte| byte as u8).collect())
}

#[allow(clippy::print_stdout)] // An example speaks to whoever runs it.
fn main() -> Result<(), Box<dyn Error>> {
    let (train, test) = mnist::load()?;
    let encoder = digits::network(WIDTH).named("encoder");
    let shared = encoder.clone();
    let inputs = ["left", "right"].map(|side| (side, f32([SIDE, SIDE, 1])));
    let siamese = Functional::with_inputs(inputs, move |views| {
        let head = Dense::new(32);
        let [left, right] = [0, 1].map(|i| head.apply(&shared.apply(&views[i]).relu()));
        left.stack(&[&right], 1)
    })
    .named("siamese");
    println!("{}", siamese.summary()?);

    let mut trainer = siamese.compile(Adam::new(2e-3), FindOther, [])?;
    trainer.fit(&views(&train)?, Fit::epochs(6).batch(250))?;

    let mut program = encoder.inference_graph(CHUNK)?.compile(&CompileOptions::default())?;
    program.set_states(&trainer.weights_of("encoder")?)?;
    let (labels, truth) = (bytes(&train, "y")?, bytes(&test, "y")?);
    let pixels = |data: &Dataset| -> Result<Vec<Vec<f64>>, Box<dyn Error>> {
        Ok(data.value("x")?.to_f64_vec().chunks(SIDE * SIDE).map(|image| unit(image.to_vec())).collect())
    };
    let read = |train: &[Vec<f64>], test: &[Vec<f64>], what: &str, rounds: usize| {
        println!("{}", FewShotReader { train, test, labels: &labels, truth: &truth }.line(what, rounds));
    };
    let (a, b) = (pixels(&train)?, pixels(&test)?);
    read(&a, &b, "Pixels", 0);
    let (a, b) = (encoded(&mut program, &train)?, encoded(&mut program, &test)?);
    read(&a, &b, "Encoder", 0);
    read(&a, &b, "Encoder, prototypes moved", 10);
    Ok(())
}
