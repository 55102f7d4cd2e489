//! Compiles the network's steps.

mod model;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=model.rs");
    let config = gradc_build::Config::new();
    config.compile_step("cnn_train", &model::training()?)?;
    config.compile_step("cnn_infer", &model::prediction()?)?;
    Ok(())
}
