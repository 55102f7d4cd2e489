//! Spam told from ham after sixteen mails of each: `cargo run --release --features tokenizers --example transfer_minilm`.
//!
//! The body is MiniLM, which has read a billion pairs of sentences, but no label of a mail (`scripts/fetch_minilm.sh data/minilm` fetches it; the mails come at their first use). It gives each
//! mail a vector, once, and isn't trained. From the vectors of 32 mails, sixteen of each class, three heads learn which is which: the mails that are nearest, the means of the classes, a
//! logistic regression. Beside them, from nothing, a network of embeddings reads the same tokens of the same 32 mails, and has only these to learn words from.
//!
//! Prints which share of test mails each tells right: the mean of several draws of 32, the standard deviation and the worst. Of the test mails 67.9 % are ham.

#[path = "support/minilm.rs"]
mod minilm;

use gradc::data::text::{Labelled, Tokenizer, spam};
use gradc::data::{Column, Rng};
use gradc::nn::{NearestNeighbours, Prototypes};
use gradc::prelude::*;
use std::error::Error;
use std::path::Path;

/// Mails of each class whose labels are looked at.
const SHOTS: usize = 16;
/// Ham and spam.
const CLASSES: usize = 2;
/// How often other mails are drawn.
const DRAWS: usize = 8;
/// Tokens of a mail that are read, from its subject on.
const LENGTH: usize = 256;
/// Each so many-th test mail counts: the body takes the most of the time.
const EVERY: usize = 2;

/// Mails as the networks get them.
struct Mails {
    /// `ids`, `mask`, `types` and the classes, `y`.
    tokens: Dataset,
    /// The body's vectors, `x`, and the classes, `y`.
    vectors: Dataset,
}

impl Mails {
    fn read(mails: &Labelled, tokenizer: &Tokenizer, body: &mut Trainer) -> Result<Self, Box<dyn Error>> {
        let tokens = minilm::sentences(tokenizer, LENGTH, mails.texts())?;
        let labels = array([mails.labels.len()], mails.labels.clone())?;
        let vectors = Dataset::new(body.predict(&tokens)?, labels.clone())?;
        Ok(Self { tokens: tokens.with("y", Column::new(labels)?)?, vectors })
    }

    fn select(&self, places: &[usize]) -> Result<Self, Box<dyn Error>> {
        Ok(Self { tokens: self.tokens.select(places)?, vectors: self.vectors.select(places)? })
    }
}

/// Other mails for each draw: as many of each class as all draws need, and which of them a draw gets.
fn drawn(mails: &Labelled) -> (Labelled, Vec<Vec<usize>>) {
    let mut rng = Rng::new(&[1]);
    let mut pool = Labelled { texts: Vec::new(), labels: Vec::new() };
    let mut draws = vec![Vec::new(); DRAWS];
    for class in 0..CLASSES as i32 {
        let mut places: Vec<usize> = (0..mails.labels.len()).filter(|&i| mails.labels[i] == class).collect();
        for i in 0..DRAWS * SHOTS {
            let other = i + rng.below(places.len() - i);
            places.swap(i, other);
            draws[i / SHOTS].push(pool.labels.len());
            pool.texts.push(mails.texts[places[i]].clone());
            pool.labels.push(class);
        }
    }
    (pool, draws)
}

/// The share of samples whose class has the largest of the model's numbers, in percent.
fn told_right(logits: &Value, data: &Dataset) -> Result<f64, Box<dyn Error>> {
    let (logits, labels) = (logits.to_f64_vec(), data.value("y")?.to_f64_vec());
    let is_right = |(row, label): &(&[f64], &f64)| f64::from(u8::from(row[1] > row[0])) == **label;
    Ok(100.0 * logits.chunks(CLASSES).zip(&labels).filter(is_right).count() as f64 / labels.len() as f64)
}

/// A head that is made of vectors and isn't trained.
fn of_a_made_head(head: Sequential, test: &Mails) -> Result<f64, Box<dyn Error>> {
    let mut program = head.inference_graph(test.vectors.len())?.compile(&CompileOptions::default())?;
    told_right(&program.run([("x", &test.vectors.value("x")?)])?["output"], &test.vectors)
}

/// A logistic regression on vectors, with a penalty on its weights.
fn of_a_trained_head(few: &Mails, test: &Mails, seed: u64) -> Result<f64, Box<dyn Error>> {
    let head = Sequential::new([minilm::WIDTH]).add(Dense::new(CLASSES).kernel_regularizer(Regularizer::l2(3e-3)));
    let mut trainer = head.compile(Adam::new(0.1), SparseCategoricalCrossEntropy, [])?.with_seed(seed)?;
    trainer.fit(&few.vectors, Fit::epochs(100).batch(few.vectors.len()).silent())?;
    told_right(&trainer.predict(&test.vectors)?, &test.vectors)
}

/// A network that starts from nothing: a vector for each token, of which there is a mean, and which is trained on the few mails.
fn from_nothing(tokens: usize, few: &Mails, test: &Mails, seed: u64) -> Result<f64, Box<dyn Error>> {
    let inputs = [("ids", i32([LENGTH])), ("mask", bool_([LENGTH]))];
    let network = Functional::with_inputs(inputs, move |x| {
        let words = Embedding::new(tokens, 32).apply(&x[0]).with_mask(&x[1]);
        Dense::new(CLASSES).apply(&GlobalAvgPool1d.apply(&words))
    });
    let mut trainer = network.compile(Adam::new(0.01), SparseCategoricalCrossEntropy, [])?.with_seed(seed)?;
    trainer.fit(&few.tokens, Fit::epochs(40).batch(8).silent())?;
    told_right(&trainer.predict(&test.tokens)?, &test.tokens)
}

/// Mean, standard deviation and worst of several draws.
fn line(what: &str, shares: &[f64]) -> String {
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    let deviation = (shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / shares.len() as f64).sqrt();
    let worst = shares.iter().copied().fold(f64::INFINITY, f64::min);
    format!("{what}: {mean:.1} % ± {deviation:.1}, at worst {worst:.1} %")
}

#[allow(clippy::print_stdout)] // An example speaks to whoever runs it.
fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(minilm::FOLDER);
    if !folder.join("model.safetensors").exists() {
        let folder = folder.display();
        return Err(format!("there is no MiniLM in {folder}: scripts/fetch_minilm.sh {folder} fetches it").into());
    }
    let tokenizer = Tokenizer::load(folder.join("tokenizer.json"))?;
    let (train, all) = spam()?;
    let test = Labelled {
        texts: all.texts.iter().step_by(EVERY).cloned().collect(),
        labels: all.labels.iter().step_by(EVERY).copied().collect(),
    };
    let (pool, draws) = drawn(&train);

    let mut body = minilm::body(LENGTH).compile(Sgd::new(0.0), MeanSquaredError, [])?.with_batch(16)?;
    println!("{}", body.load_pretrained(folder.join("model.safetensors"), &minilm::rules())?);
    println!("reading {} mails", pool.texts.len() + test.texts.len());
    let pool = Mails::read(&pool, &tokenizer, &mut body)?;
    let test = Mails::read(&test, &tokenizer, &mut body)?;

    let mut shares = [const { Vec::new() }; 4];
    for (seed, places) in (0..).zip(&draws) {
        let few = pool.select(places)?;
        let (vectors, labels) = (few.vectors.value("x")?, few.vectors.value("y")?);
        let labels: Vec<i32> = labels.to_f64_vec().into_iter().map(|label| label as i32).collect();
        let head = || Sequential::new([minilm::WIDTH]);
        let nearest = head().add(NearestNeighbours::of(&vectors, &labels, CLASSES, 3)?);
        let means = head().add(Prototypes::of(&vectors, &labels, CLASSES)?);
        shares[0].push(from_nothing(tokenizer.size(), &few, &test, seed)?);
        shares[1].push(of_a_made_head(nearest, &test)?);
        shares[2].push(of_a_made_head(means, &test)?);
        shares[3].push(of_a_trained_head(&few, &test, seed)?);
    }
    for (what, shares) in
        ["From nothing", "Nearest mails", "Means of the classes", "Logistic regression"].iter().zip(&shares)
    {
        println!("{}", line(what, shares));
    }
    Ok(())
}
