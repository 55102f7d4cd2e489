//! Who will cancel? A table with missing cells and categories: `cargo run --release --example tabular`.
//!
//! The table is made up, by a seed: 20,000 customers of a phone company, each of whom cancels with a probability that their contract, tenure, charges, age and city
//! decide. So it is known how often the best possible rule would be right, and the network is measured by that.

use gradc::data::{Csv, FeatureSpace, Preprocessing, Rng};
use gradc::prelude::*;
use std::error::Error;
use std::fmt::Write;

const CITIES: [&str; 8] = ["Aachen", "Bremen", "Chemnitz", "Dresden", "Essen", "Freiburg", "Graz", "Hamburg"];
const CONTRACTS: [&str; 3] = ["monthly", "one year", "two years"];

/// The lines of the table, and how often the best rule is right that sees all cells.
fn customers(count: u64) -> Result<(String, f64), std::fmt::Error> {
    let mut text = String::from("id,age,city,contract,tenure,charges,payment,cancelled\n");
    let mut best = 0.0;
    for id in 0..count {
        let mut rng = Rng::new(&[11, id]);
        let (city, contract) = (rng.below(8), rng.below(3));
        let age = 18.0 + 60.0 * rng.beta(1.5);
        let (tenure, charges) = (rng.gamma(1.5) * 20.0, 20.0 + rng.gamma(3.0) * 15.0);
        let payment = ["card", "debit", "transfer"][rng.below(3)];
        let score = [2.2, -0.3, -2.0][contract] - 0.06 * tenure + 0.03 * (charges - 65.0) + [0.9, -0.9][city % 2]
            - 0.001 * (age - 45.0).powi(2);
        let probability = 1.0 / (1.0 + (-1.5 * score).exp());
        best += probability.max(1.0 - probability) / count as f64;
        let cancelled = if rng.chance(probability) { "yes" } else { "no" };
        // One cell in 12 is missing of three columns, each in its own way of saying so.
        let mut cell = |text: String, missing: &str| if rng.below(12) == 0 { missing.into() } else { text };
        let (age, charges) = (cell(format!("{age:.0}"), ""), cell(format!("{charges:.2}"), "NA"));
        let city = cell(CITIES[city].into(), "?");
        writeln!(text, "{id},{age},{city},{},{tenure:.1},{charges},{payment},{cancelled}", CONTRACTS[contract])?;
    }
    Ok((text, best))
}

#[allow(clippy::print_stdout)] // An example speaks to whoever runs it.
fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let (path, weights) = (dir.path().join("customers.csv"), dir.path().join("weights.safetensors"));
    let (text, best) = customers(20_000)?;
    std::fs::write(&path, text)?;

    // What a user writes, from here...
    let (train, test) = Csv::new(&path).read()?.split(0.2, 7)?;
    let features = FeatureSpace::new()
        .numbers(["age", "tenure", "charges"])
        .missing_indicators(true)
        .categories(["city", "contract", "payment"])
        .target("cancelled")
        .fit(&train)?;
    let (train, test) = (features.apply(&train)?, features.apply(&test)?);
    let model = Sequential::new([features.width()]).dense(32).relu().dense(32).relu().dense(2);
    let mut trainer = model.compile(Adam::new(0.002), SparseCategoricalCrossEntropy, [Accuracy])?;
    trainer.fit(&train, Fit::epochs(8).batch(64).validate(&test))?;
    trainer.set_metadata("features", features.to_json()?);
    trainer.save_weights(&weights)?;
    println!("Test: {}", trainer.evaluate(&test)?);
    // ...to here. Later, in another program, on customers of whom nobody knows yet:
    let mut trainer = model.compile(Adam::default(), SparseCategoricalCrossEntropy, [])?;
    trainer.load_weights(&weights)?;
    let features = Preprocessing::from_json(trainer.metadata("features").unwrap_or_default())?;
    let new =
        "city,age,contract,tenure,charges,payment\nBremen,,monthly,1.5,99,card\nZagreb,40,two years,60,35,debit\n";
    std::fs::write(&path, new)?;
    let scores = trainer.predict(&features.apply(&Csv::new(&path).read()?)?)?.to_f64_vec();
    for (scores, line) in scores.chunks(2).zip(new.lines().skip(1)) {
        println!("{line}: cancels with probability {:.2}", 1.0 / (1.0 + (scores[0] - scores[1]).exp()));
    }
    println!("The best rule there can be, which sees the missing cells too, is right in {:.2} %", 100.0 * best);
    Ok(())
}
