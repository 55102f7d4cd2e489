//! Dates as people write them, into ISO 8601, by an encoder and a decoder: a transformer trained on dates that are made up, and what it writes by taking the likeliest character each time and by beam
//! search. `cargo run --release --example dates`

use gradc::data::{Column, Rng};
use gradc::prelude::*;
use gradc::train::{BeamSearch, Hypothesis};
use std::error::Error;

/// Characters of a date as it is read, filled up with 0, and of one as it is written: `2024-03-17` and the end.
const SOURCE: usize = 20;
const TARGET: usize = 11;
/// The end of what is written, which is also what it starts with. 0 fills up.
const END: i32 = 1;
const WIDTH: usize = 64;
const BATCH: usize = 64;
const EPOCHS: usize = 6;
const TRAINING: usize = 12_000;
const TEST: usize = 500;
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Characters that occur, after the two that are none.
const CHARACTERS: &str = "0123456789-., /abcdefghijklmnopqrstuvwxyz";

fn code(text: &str) -> Vec<i32> {
    text.chars().filter_map(|c| CHARACTERS.find(c.to_ascii_lowercase())).map(|i| i as i32 + 2).collect()
}

fn text(codes: &[i32]) -> String {
    codes.iter().filter_map(|&code| CHARACTERS.chars().nth((code as usize).checked_sub(2)?)).collect()
}

/// A date in one of the ways that people have, and as ISO has it.
fn date(random: &mut Rng) -> (String, String) {
    let (year, month, day) = (1950 + random.below(100), random.below(12), 1 + random.below(28));
    let name = MONTHS[month];
    let written = match random.below(6) {
        0 => format!("{day} {name} {year}"),
        1 => format!("{name} {day}, {year}"),
        2 => format!("{day}.{}.{year}", month + 1),
        3 => format!("{} {day}, {year}", &name[..3]),
        // Two digits of a year, which say the century, since all years are between 1950 and 2049.
        4 => format!("{day}-{}-{:02}", &name[..3], year % 100),
        _ => format!("{}/{day}/{year}", month + 1),
    };
    (written, format!("{year}-{:02}-{day:02}", month + 1))
}

/// Dates as codes: those to be read, and those to be written with their ends.
fn samples(count: usize, random: &mut Rng) -> (Vec<Vec<i32>>, Vec<Vec<i32>>) {
    let one = |_| {
        let (written, iso) = date(random);
        let (mut source, mut target) = (code(&written), code(&iso));
        source.resize(SOURCE, 0);
        target.push(END);
        (source, target)
    };
    (0..count).map(one).unzip()
}

/// Two blocks that read, and two that write.
fn model() -> Functional {
    Functional::with_inputs([("source", i32([SOURCE])), ("target", i32([TARGET]))], |x| {
        let vocabulary = CHARACTERS.len() + 2;
        let embed = |x: &Tensor, length: usize| {
            LearnedPositions::new(length).apply(&Embedding::new(vocabulary, WIDTH).mask_zero(true).apply(x))
        };
        let read = (0..2).fold(embed(&x[0], SOURCE), |x, _| TransformerBlock::new(4).apply(&x));
        let read = LayerNorm::new().apply(&read);
        let write = |y: Tensor, _| TransformerBlock::new(4).causal(true).apply((&y, &read));
        let written = (0..2).fold(embed(&x[1], TARGET), write);
        Dense::new(vocabulary).apply(&LayerNorm::new().apply(&written))
    })
}

/// What the decoder sees when it writes each character: those before it.
fn before(target: &[i32]) -> Vec<i32> {
    [&[END], &target[..target.len() - 1]].concat()
}

fn dataset(sources: &[Vec<i32>], targets: &[Vec<i32>]) -> Result<Dataset, Box<dyn Error>> {
    let n = sources.len();
    let seen: Vec<i32> = targets.iter().flat_map(|target| before(target)).collect();
    let column = |length: usize, codes: Vec<i32>| Ok::<_, Box<dyn Error>>(Column::new(array([n, length], codes)?)?);
    let data = Dataset::of("source", column(SOURCE, sources.concat())?);
    Ok(data.with("target", column(TARGET, seen)?)?.with("y", column(TARGET, targets.concat())?)?)
}

/// The best that the model writes for each date.
fn translate(predictor: &Predictor, sources: &[Vec<i32>], search: &BeamSearch) -> Result<Vec<Hypothesis>, TrainError> {
    let prompts = vec![[END]; sources.len()];
    let found = search.run(&prompts, |beams| {
        let source: Vec<i32> = beams.iter().flat_map(|beam| sources[beam.prompt].iter().copied()).collect();
        let filled = |tokens: &[i32]| (0..TARGET).map(|i| tokens.get(i).copied().unwrap_or(0)).collect::<Vec<i32>>();
        let target: Vec<i32> = beams.iter().flat_map(|beam| filled(beam.tokens)).collect();
        let logits = predictor.predict(&[("source", (&source).into()), ("target", (&target).into())])?;
        let (last, vocabulary) = (beams[0].tokens.len() - 1, CHARACTERS.len() + 2);
        let row = |beam: usize| (0..vocabulary).map(move |i| (beam * TARGET + last) * vocabulary + i);
        Ok((0..beams.len()).flat_map(row).map(|i| logits.get(i).as_f64() as f32).collect())
    })?;
    Ok(found.into_iter().filter_map(|found| found.into_iter().next()).collect())
}

#[allow(clippy::print_stdout)] // An example speaks to whoever runs it.
fn main() -> Result<(), Box<dyn Error>> {
    let mut random = Rng::new(&[1]);
    let (sources, targets) = samples(TRAINING, &mut random);
    let (test, wanted) = samples(TEST, &mut random);
    let model = model();
    println!("{}", model.summary()?);
    let steps = (EPOCHS * TRAINING.div_ceil(BATCH)) as u64;
    let rate = Schedule::cosine(3e-3, steps).warmup(steps / 10);
    let mut trainer = model.compile(Adam::new(rate), SparseCategoricalCrossEntropy, [Accuracy])?;
    trainer.fit(&dataset(&sources, &targets)?, Fit::epochs(EPOCHS).batch(BATCH))?;
    let predictor = trainer.predictor()?;
    for (name, width) in [("greedy", 1), ("beam of 4", 4)] {
        let search = BeamSearch::new(width, TARGET).end(END).length_penalty(0.6);
        let found = translate(&predictor, &test, &search)?;
        let is_right = |(found, wanted): (&Hypothesis, &Vec<i32>)| found.ended && found.tokens == wanted[..TARGET - 1];
        let right = found.iter().zip(&wanted).filter(|pair| is_right(*pair)).count();
        println!("{name}: {:.1} % of {TEST} dates are written exactly", 100.0 * right as f64 / TEST as f64);
        for (source, found) in test.iter().zip(&found).take(3) {
            println!("  {} -> {} ({:.3})", text(source), text(&found.tokens), found.score);
        }
    }
    Ok(())
}
