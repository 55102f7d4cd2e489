//! `gradc import` and `gradc run`: ONNX models, what they are made of, and what they compute.

use super::print;
use clap::Args;
use gradc::compile::CompileOptions;
use gradc::io::load_tensors;
use gradc_onnx::{Import, Imported, KnownTensor, Survey};
use ir::{Scalar, SplitMix64, TensorType, Value};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::path::PathBuf;

/// A model, and what it leaves open.
#[derive(Args)]
struct ModelSettings {
    /// The model: an .onnx file
    model: PathBuf,
    /// An extent that the model calls by a name: `batch=1`
    #[arg(long, value_name = "NAME=N", value_parser = named_extent)]
    dim: Vec<(String, usize)>,
    /// All extents of an input: `x=1,3,224,224`
    #[arg(long, value_name = "INPUT=N,N", value_parser = named_shape)]
    shape: Vec<(String, Vec<usize>)>,
    /// An input of one integer that is always the same: `rate=16000`
    #[arg(long, value_name = "INPUT=N", value_parser = named_integer)]
    value: Vec<(String, i64)>,
}

/// `NAME=TEXT` in its parts.
fn named(text: &str) -> Result<(String, &str), String> {
    let (name, value) = text.rsplit_once('=').ok_or_else(|| format!("{text:?} isn't NAME=VALUE"))?;
    Ok((name.to_string(), value))
}

fn named_extent(text: &str) -> Result<(String, usize), String> {
    let (name, extent) = named(text)?;
    Ok((name, extent.parse().map_err(|_| format!("{extent:?} is no extent"))?))
}

fn named_shape(text: &str) -> Result<(String, Vec<usize>), String> {
    let (name, list) = named(text)?;
    let extents = list.split(',').map(|d| d.trim().parse().map_err(|_| format!("{d:?} is no extent")));
    Ok((name, extents.collect::<Result<_, _>>()?))
}

fn named_integer(text: &str) -> Result<(String, i64), String> {
    let (name, value) = named(text)?;
    Ok((name, value.parse().map_err(|_| format!("{value:?} is no integer"))?))
}

impl ModelSettings {
    fn import(&self) -> Import {
        let mut import = Import::new(&self.model);
        for (name, extent) in &self.dim {
            import = import.dim(name, *extent);
        }
        for (input, dims) in &self.shape {
            import = import.input_shape(input, dims);
        }
        for (input, value) in &self.value {
            import = import.value(input, Value::splat(Scalar::I64(*value), ir::Shape::scalar()));
        }
        import
    }
}

/// What to import, and where to.
#[derive(Args)]
pub(super) struct ImportModel {
    #[command(flatten)]
    settings: ModelSettings,
    /// Write the graph's text to a file
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

impl ImportModel {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        let import = self.settings.import();
        print(&operators(&import.survey()?))?;
        let model = import.load()?;
        let ports = ports(&model);
        let step = model.finish()?;
        print(&format!("{ports}graph       {} nodes\n", step.graph.len()))?;
        if let Some(path) = &self.to {
            gradc::io::write_atomically(path, step.graph.to_string().as_bytes())?;
        }
        Ok(())
    }
}

/// Which operators a model has, those that aren't provided last.
fn operators(survey: &Survey) -> String {
    let list = |provided: bool| -> Vec<String> {
        let of_kind = survey.operators.iter().filter(|(_, (_, known))| *known == provided);
        of_kind.map(|(name, (count, _))| format!("{name} {count}")).collect()
    };
    let mut text = format!("elements    {} stored\noperators   {}\n", survey.elements, list(true).join(", "));
    let missing = list(false);
    if !missing.is_empty() {
        let _ = writeln!(text, "not provided {}", missing.join(", "));
    }
    text
}

/// The inputs and outputs with their types.
fn ports(model: &Imported) -> String {
    let mut text = String::new();
    for (name, tensor) in model.inputs() {
        let _ = writeln!(text, "input       {name:?} {}", tensor.ty().map_or_else(String::new, |ty| ty.to_string()));
    }
    for name in model.outputs() {
        let ty = match model.known(name) {
            Some(KnownTensor::Value(value)) => format!("{}, known", value.ty()),
            _ => model.tensor(name).ok().and_then(|t| t.ty()).map_or_else(String::new, |ty| ty.to_string()),
        };
        let _ = writeln!(text, "output      {name:?} {ty}");
    }
    text
}

/// What to run, on what.
#[derive(Args)]
pub(super) struct RunModel {
    #[command(flatten)]
    settings: ModelSettings,
    /// The inputs: a .safetensors file with a tensor for each, or `random:SEED`
    #[arg(long, value_name = "FILE|random:SEED", default_value = "random:0")]
    inputs: String,
    /// Threads; without it, all
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

impl RunModel {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        let step = self.settings.import().load()?.finish()?;
        let options = self.threads.map_or_else(CompileOptions::default, CompileOptions::threads);
        let mut program = step.compile(&options)?;
        let types = program.inputs().clone();
        for (name, value) in self.values(&types)? {
            program.set_input(&name, &value)?;
        }
        let start = std::time::Instant::now();
        program.step()?;
        let mut text = format!("{:.3} ms\n", start.elapsed().as_secs_f64() * 1e3);
        for (name, _) in step.graph.outputs() {
            let _ = writeln!(text, "{name:?} {}", described(&program.output_value(name)?));
        }
        print(&text)
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

/// The type of a result, its range, its first elements.
fn described(value: &Value) -> String {
    let elements = value.to_f64_vec();
    let (low, high) = elements.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &x| (l.min(x), h.max(x)));
    let mean = elements.iter().sum::<f64>() / elements.len() as f64;
    let first: Vec<String> = elements.iter().take(5).map(|x| format!("{x:.6}")).collect();
    format!("{}: from {low:.6} to {high:.6}, mean {mean:.6}; {}", value.ty(), first.join(" "))
}
