//! A network trained here and given away as an object file: `cargo run --release -p gradc-aot --example export -- [FOLDER]`.
//!
//! Trains on the digits that come with gradc, then writes prediction with the trained weights to `target/export` (or the folder named): an object, a static library
//! and a C header, for this processor. A program in C, C++ or any language that calls C links it and needs nothing of gradc; `docs/aot.md` shows one.

use aot::{CompileObject, ObjectOptions, values_of_states};
use gradc::prelude::*;
use std::path::PathBuf;

#[allow(clippy::print_stdout)] // An example speaks to whoever runs it.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (train, test) = gradc::data::mnist::load()?;
    let model = Sequential::new([28, 28, 1]).flatten().dense(128).relu().dense(10).softmax();
    let mut trainer = model.compile(Adam::default(), SparseCategoricalCrossEntropy, [Accuracy])?;
    trainer.fit(&train, Fit::epochs(3).validate(&test))?;

    // One image at a time; the weights lie in the object.
    let step = model.inference_graph(1)?;
    let weights = values_of_states([&step.graph], trainer.weights()?);
    let files = step.compile_object(&ObjectOptions::named("digits").values(weights))?;
    let folder = std::env::args_os().nth(1).map_or_else(|| "target/export".into(), PathBuf::from);
    for path in files.write(&folder)? {
        println!("{} bytes: {}", std::fs::metadata(&path)?.len(), path.display());
    }
    for line in files.header.lines().filter(|line| line.ends_with(");") && line.contains("digits_")) {
        println!("{line}");
    }
    Ok(())
}
