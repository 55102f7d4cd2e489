//! A transformer that learns to write like a novel, character by character: `cargo run --release --example char_transformer`.
//!
//! The first run fetches the novel (see `gradc data novel`). The last tenth of the text is for validation, the vocabulary comes from the rest. Options: `--steps S` (default 8000),
//! `--minutes M` after which it stops (default 15), `--threads N` (default: all cores). Prints the validation loss in nats per character as it trains, at the end a sample; writes the curves to
//! `char_transformer.svg`, and what the heads of the last block attend to in a phrase to `char_transformer.png`: a row for each character, a column for each before it.

#[path = "support/heatmap.rs"]
mod heatmap;
#[path = "support/plot.rs"]
mod plot;
#[path = "support/png.rs"]
mod png;

use gradc::compile::CompileOptions;
use gradc::data::array;
use gradc::data::text::{PADDING, Rule, Vocabulary, next_token_windows, novel};
use gradc::interpret::attention_graph;
use gradc::model::LanguageModel;
use gradc::prelude::*;
use gradc::train::{Generator, Sampling};
use gradc_plot::LinePlot;
use std::error::Error;
use std::time::{Duration, Instant};

/// How many characters the model sees at once.
const CONTEXT: usize = 128;
/// Texts in a batch.
const BATCH: usize = 16;

/// The number after an option, if it was given.
fn option(name: &str) -> Result<Option<f64>, Box<dyn Error>> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    match (arguments.next(), arguments.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(number)) => Ok(Some(number.parse()?)),
        (Some(_), None) => Err(format!("{name} needs a number").into()),
    }
}

/// Trains in rounds, each over all of the text in windows that begin elsewhere than the last round's, and prints the losses after each. Gives their curves.
#[allow(clippy::print_stdout)]
fn train(
    trainer: &mut Trainer,
    text: &[i32],
    validation: &Dataset,
    steps: u64,
    time: Duration,
) -> Result<LinePlot, Box<dyn Error>> {
    let start = Instant::now();
    let mut curves = [vec![], vec![]];
    for round in 0.. {
        let windows = next_token_windows(&text[round * 37 % CONTEXT..], CONTEXT, CONTEXT)?.shuffled(round as u64);
        let left = (steps - trainer.steps()?) as usize;
        let windows = windows.take(windows.len().min(left * BATCH))?;
        let history =
            trainer.fit(&windows, Fit::epochs(1).batch(BATCH).drop_last(true).silent().validate(validation))?;
        let done = trainer.steps()?;
        let losses = ["loss", "val_loss"].map(|name| history.last(name).unwrap_or(f64::NAN));
        curves.iter_mut().zip(losses).for_each(|(line, loss)| line.push((done as f64, loss)));
        let seconds = start.elapsed().as_secs();
        println!(
            "step {done} of {steps}, {seconds} s: training {:.4}, validation {:.4} nats per character",
            losses[0], losses[1]
        );
        if done >= steps || start.elapsed() >= time {
            break;
        }
    }
    let [training, validation] = curves;
    let plot = LinePlot::new("A transformer on a novel").axes("steps", "nats per character");
    Ok(plot.line("training", training).line("validation", validation))
}

/// Draws what the heads of the last block attend to in a phrase.
fn draw_attention(
    model: &LanguageModel,
    trainer: &mut Trainer,
    vocabulary: &Vocabulary,
    phrase: &str,
) -> Result<(), Box<dyn Error>> {
    let mut program = attention_graph(model, 1)?.compile(&CompileOptions::default())?;
    program.set_states(&trainer.weights()?)?;
    // What comes after the phrase is not seen by it.
    let mut ids = vocabulary.encode(phrase);
    let length = ids.len().min(CONTEXT);
    ids.resize(CONTEXT, PADDING);
    let out = program.run([("x", &array([1, CONTEXT], ids)?)])?;
    let last = out.iter().rfind(|(name, _)| name.ends_with("/weights")).ok_or("there is no attention")?;
    let characters: Vec<String> = phrase.chars().take(length).map(String::from).collect();
    let weights = last.1.to_f64_vec();
    let seen = weights.chunks_exact(CONTEXT * CONTEXT).map(|head| -> Vec<f64> {
        head.chunks(CONTEXT).take(length).flat_map(|row| &row[..length]).copied().collect()
    });
    let maps = heatmap::heads(seen, &characters);
    png::write("char_transformer.png", &maps.ok_or("there are no heads")?.enlarged(2))
}

#[allow(clippy::print_stdout)] // An example speaks to whoever runs it.
fn main() -> Result<(), Box<dyn Error>> {
    let minutes = option("--minutes")?.unwrap_or(15.0);
    let steps = option("--steps")?.unwrap_or(8000.0) as u64;
    let options = match option("--threads")? {
        Some(threads) => CompileOptions::threads(threads as usize),
        None => CompileOptions::default(),
    };
    let text = novel()?;
    let cut = text.char_indices().nth(text.chars().count() * 9 / 10).map_or(text.len(), |(at, _)| at);
    let (training, validation) = text.split_at(cut);
    let vocabulary = Vocabulary::build(Rule::Chars, [training], 256)?;
    let validation = next_token_windows(&vocabulary.encode(validation), CONTEXT, CONTEXT)?;

    let model = LanguageModel::new(vocabulary.size(), CONTEXT).width(128).heads(4).layers(4);
    println!("{}", model.summary()?);
    let optimizer = AdamW::new(Schedule::cosine(3e-3, steps).warmup(100)).betas(0.9, 0.99).weight_decay(0.1);
    let trainer = model.compile(optimizer.clip_global_norm(1.0), SparseCategoricalCrossEntropy, [])?;
    let mut trainer = trainer.with_options(options.clone())?;
    let time = Duration::from_secs_f64(minutes * 60.0);
    let curves = train(&mut trainer, &vocabulary.encode(training), &validation, steps, time)?;
    plot::save("char_transformer.svg", &curves)?;
    println!("validation loss: {:.4} nats per character", trainer.evaluate(&validation)?.loss);

    draw_attention(&model, &mut trainer, &vocabulary, "It was the white whale that he hunted.")?;

    let mut generator = Generator::new(&model, &trainer.weights()?, &options)?;
    let (prompt, start) = ("The whale ", Instant::now());
    let mut sampling = Sampling::new(1).temperature(0.8).top_k(20);
    let sample = generator.generate(&vocabulary.encode(prompt), 600, &mut sampling)?;
    let speed = sample.len() as f64 / start.elapsed().as_secs_f64();
    println!("\n{prompt}{}\n\n({speed:.0} characters a second)", vocabulary.decode(&sample)?);
    Ok(())
}
