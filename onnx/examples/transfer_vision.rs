//! Digits by the body of a pretrained network: `cargo run --release -p gradc-onnx --example transfer_vision [-- FOLDER]`.
//!
//! The body is that of PP-OCR's classifier of text directions, a small MobileNetV3 that has never been asked what a text says
//! (`scripts/fetch_onnx_models.sh data/models` fetches it). A new head of ten digits is trained on its features while the body stands still; then all convolutions go on with it, at
//! a smaller rate. Statistics of batch normalizations stay what they are.
//!
//! Prints the accuracy on test digits after each step. With a folder, the trained network goes there as an ONNX model, beside digits and what it says of them:
//! `tools/compare_onnx.py --same FOLDER` has onnxruntime compute the same.

use gradc::data::{Dataset, mnist};
use gradc::io::{save_tensors, write_atomically};
use gradc::prelude::*;
use gradc_onnx::{Import, export};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

/// The pretrained network.
const MODEL: &str = "data/models/ppocr2_cls.onnx";
/// Its tensor that the new head begins at: 200 numbers for each image.
const FEATURES: &str = "reshape2_0.tmp_0";
/// How many digits are written beside the exported model.
const WRITTEN: usize = 100;

/// Digits `[n, 28, 28, 1]` of pixels in 0 to 1 as the body wants images: three equal colours in -1 to 1, each pixel as four.
fn enlarged(x: &Tensor) -> Tensor {
    let n = x.shape().map_or(1, |shape| shape[0]);
    let colours = x.reshape([n as isize, 1, 28, 1, 28, 1]).broadcast_to([n, 3, 28, 2, 28, 2]);
    colours.reshape([n as isize, 3, 56, 56]) * 2.0 - 1.0
}

/// The body and a new head.
fn digits_on(body: Import) -> Functional {
    Functional::new(f32([28, 28, 1]), move |x| {
        let body = body.load_on(&[("x", &enlarged(x))]).expect("it has been imported before");
        let features = body.tensor(FEATURES).expect("it has been found before");
        Dense::new(10).name("head").apply(&features)
    })
}

#[allow(clippy::print_stdout)] // An example speaks to whoever runs it.
fn main() -> Result<(), Box<dyn Error>> {
    if !Path::new(MODEL).exists() {
        return Err(format!("there is no {MODEL}: scripts/fetch_onnx_models.sh data/models fetches it").into());
    }
    let trained = ["_weights", "_offset", "_scale"];
    let body = Import::new(MODEL).parameters(Select::by(move |p| trained.iter().any(|end| p.name.ends_with(end))));
    // What could fail fails here.
    body.clone().input_shape("x", [1, 3, 56, 56]).load()?.tensor(FEATURES)?;

    let (train, test) = mnist::load()?;
    let model = digits_on(body);
    let metrics = || [Accuracy];
    let still = Groups::new().freeze(!Select::layer("head")).rest(Adam::new(3e-3));
    let mut head = model.compile(still, SparseCategoricalCrossEntropy, metrics())?;
    println!("new head              {}", head.evaluate(&test)?);
    head.fit(&train, Fit::epochs(1).batch(50).silent())?;
    println!("trained head          {}", head.evaluate(&test)?);

    let moving = Groups::new().group(Select::layer("head"), Adam::new(3e-3)).rest(Adam::new(1e-3));
    let mut whole = model.compile(moving, SparseCategoricalCrossEntropy, metrics())?;
    whole.set_weights(head.weights()?)?;
    for epoch in 1..=3 {
        whole.fit(&train, Fit::epochs(1).batch(50).seed(epoch).silent())?;
        println!("all trained, epoch {epoch}  {}", whole.evaluate(&test)?);
    }
    match std::env::args_os().nth(1) {
        Some(folder) => write(&model, &mut whole, &test, Path::new(&folder)),
        None => Ok(()),
    }
}

/// The trained network as a model, and some digits with what it says of them.
fn write(model: &Functional, trainer: &mut Trainer, test: &Dataset, folder: &Path) -> Result<(), Box<dyn Error>> {
    let step = model.inference_graph(WRITTEN)?;
    std::fs::create_dir_all(folder)?;
    write_atomically(folder.join("model.onnx"), &export(&step.graph, &trainer.weights()?)?)?;
    let some = test.take(WRITTEN)?;
    let outputs = BTreeMap::from([("output".to_string(), trainer.predict(&some)?)]);
    save_tensors(folder.join("outputs.safetensors"), &outputs)?;
    // The data set has bytes, which training scales; the model takes what they become.
    let pixels = some.value("x")?.to_f64_vec().into_iter().map(|byte| (byte / 255.0) as f32).collect();
    let inputs = BTreeMap::from([("x".to_string(), array([WRITTEN, 28, 28, 1], pixels)?)]);
    Ok(save_tensors(folder.join("inputs.safetensors"), &inputs)?)
}
