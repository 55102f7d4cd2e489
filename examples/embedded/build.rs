//! Compiles the network's steps.

mod model;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=model.rs");
    gradc_build::Config::new().compile_steps("cnn", &[("train", &model::training()?), ("infer", &model::prediction()?)])?;
    Ok(())
}
