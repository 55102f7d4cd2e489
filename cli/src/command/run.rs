//! `gradc run`: a model from a file, what it computes, and how long it takes.

#[cfg(feature = "onnx")]
use super::onnx::OpenExtents;
use super::print;
use clap::Args;
use gradc::compile::CompileOptions;
use gradc::dsl::Step;
use gradc::io::{load_model, load_tensors, save_tensors};
use ir::{Scalar, SplitMix64, TensorType, Value};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What to run, on what.
#[derive(Args)]
pub(super) struct RunModel {
    /// The model: a .safetensors file that `save_model` wrote, or an .onnx file
    model: PathBuf,
    #[cfg(feature = "onnx")]
    #[command(flatten)]
    extents: OpenExtents,
    /// The inputs: a .npz or .safetensors file with a tensor for each, or `random:SEED`
    #[arg(long, value_name = "FILE|random:SEED", default_value = "random:0")]
    inputs: String,
    /// Write the outputs to a .safetensors file
    #[arg(long, value_name = "FILE")]
    outputs: Option<PathBuf>,
    /// Threads; without it, all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// How often to run it; the time is the median of all runs but the first
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
}

impl RunModel {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        if let Some(path) = &self.outputs {
            gradc::io::check_destination(path)?;
        }
        let step = self.step()?;
        let threads = self.threads.map(usize::from);
        let mut program = step.compile(&threads.map_or_else(CompileOptions::default, CompileOptions::threads))?;
        let inputs = self.values(program.inputs())?;
        let start = Instant::now();
        let outputs = program.run(&inputs)?;
        let mut times = vec![start.elapsed()];
        for _ in 1..self.runs {
            let start = Instant::now();
            program.step()?;
            times.push(start.elapsed());
        }
        let mut text = format!("{:.4} ms\n", median(&mut times) * 1e3);
        for (name, value) in &outputs {
            let _ = writeln!(text, "{name:?} {}", described(value));
        }
        print(&text)?;
        match &self.outputs {
            Some(path) => Ok(save_tensors(path, &outputs)?),
            None => Ok(()),
        }
    }

    /// The model's step.
    fn step(&self) -> Result<Step, Box<dyn Error>> {
        if self.model.extension().is_none_or(|extension| extension != "onnx") {
            return Ok(load_model(&self.model)?);
        }
        self.imported()
    }

    #[cfg(feature = "onnx")]
    fn imported(&self) -> Result<Step, Box<dyn Error>> {
        let survey = gradc_onnx::Import::new(&self.model).survey()?;
        Ok(self.extents.load(&self.model, &survey)?.finish()?)
    }

    #[cfg(not(feature = "onnx"))]
    fn imported(&self) -> Result<Step, Box<dyn Error>> {
        Err("ONNX models need the command's feature `onnx`: cargo build --features onnx".into())
    }

    /// A value for each input.
    fn values(&self, types: &BTreeMap<String, TensorType>) -> Result<BTreeMap<String, Value>, Box<dyn Error>> {
        let Some(seed) = self.inputs.strip_prefix("random:") else { return Ok(load_tensors(&self.inputs)?) };
        let mut random = SplitMix64::new(seed.parse().map_err(|_| format!("{seed:?} is no seed"))?);
        let mut element = |ty: &TensorType| {
            let unit = (random.bits() >> 11) as f64 / (1u64 << 53) as f64;
            // Integers are indices more often than not: small ones.
            Scalar::from_f64(if ty.dtype.is_float() { 2.0 * unit - 1.0 } else { (unit * 2.0).floor() }, ty.dtype)
        };
        let value = |ty: &TensorType| Value::from_fn(ty.clone(), |_| element(ty));
        Ok(types.iter().zip(types.values().map(value).collect::<Vec<_>>()).map(|((n, _), v)| (n.clone(), v)).collect())
    }
}

/// The median of the runs in seconds, of which the first only counts if there is no other.
fn median(times: &mut [Duration]) -> f64 {
    let later = if times.len() > 1 { &mut times[1..] } else { times };
    later.sort_unstable();
    later[later.len() / 2].as_secs_f64()
}

/// The type of a result, its range, its first elements.
fn described(value: &Value) -> String {
    let elements = value.to_f64_vec();
    let (low, high) = elements.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &x| (l.min(x), h.max(x)));
    let mean = elements.iter().sum::<f64>() / elements.len() as f64;
    let first: Vec<String> = elements.iter().take(5).map(|x| format!("{x:.6}")).collect();
    format!("{}: from {low:.6} to {high:.6}, mean {mean:.6}; {}", value.ty(), first.join(" "))
}
