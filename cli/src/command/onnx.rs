//! `gradc import` and `gradc run`: ONNX models, what they are made of, and what they compute.

use super::print;
use clap::Args;
use gradc::compile::CompileOptions;
use gradc::io::{load_tensors, save_tensors};
use gradc_onnx::{Import, ImportError, Imported, KnownTensor, Refusal, Survey};
use ir::{DType, Scalar, Shape, SplitMix64, TensorType, Value};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

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
    /// An input of one number that is always the same: `rate=16000`
    #[arg(long, value_name = "INPUT=N", value_parser = named_number)]
    value: Vec<(String, f64)>,
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

fn named_number(text: &str) -> Result<(String, f64), String> {
    let (name, value) = named(text)?;
    Ok((name, value.parse().map_err(|_| format!("{value:?} is no number"))?))
}

impl ModelSettings {
    /// The import as it is set; numbers get the types that the model's inputs have.
    fn import(&self, survey: &Survey) -> Import {
        let mut import = Import::new(&self.model);
        for (name, extent) in &self.dim {
            import = import.dim(name, *extent);
        }
        for (input, dims) in &self.shape {
            import = import.input_shape(input, dims);
        }
        for (input, value) in &self.value {
            let dtype = survey.inputs.iter().find(|port| port.name == *input).and_then(|port| port.dtype);
            let value = Scalar::from_f64(*value, dtype.unwrap_or(DType::I64));
            import = import.value(input, Value::splat(value, Shape::scalar()));
        }
        import
    }

    /// The imported model; what is missing is asked for by this command's options.
    fn load(&self, survey: &Survey) -> Result<Imported, Box<dyn Error>> {
        let error = match self.import(survey).load() {
            Ok(model) => return Ok(model),
            Err(error) => error,
        };
        let option = match &error {
            ImportError::Dimension { input, .. } => {
                let ports = survey.inputs.iter().filter(|port| port.name == *input);
                let port = ports.map(ToString::to_string).collect::<String>();
                format!("--dim NAME=N or --shape {input}=N,N, which is {port} in the model")
            }
            ImportError::Node { reason, .. } => match reason.innermost() {
                Refusal::NeedsValue { .. } => "--value INPUT=N, for an input of one number".to_string(),
                _ => return Err(error.into()),
            },
            _ => return Err(error.into()),
        };
        Err(format!("{error}; on the command line {option}").into())
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
        let survey = Import::new(&self.settings.model).survey()?;
        print(&operators(&survey))?;
        let model = self.settings.load(&survey)?;
        let step = model.finish()?;
        print(&format!("{}graph       {} nodes\n", results(&model), step.graph.len()))?;
        if let Some(path) = &self.to {
            gradc::io::write_atomically(path, step.graph.to_string().as_bytes())?;
        }
        Ok(())
    }
}

/// What a model is made of: operators, those that aren't provided last, and its inputs as it declares them.
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
    for port in &survey.inputs {
        let _ = writeln!(text, "input       {port}");
    }
    text
}

/// The outputs with their types, and those of inputs that were open.
fn results(model: &Imported) -> String {
    let mut text = String::new();
    for (name, tensor) in model.inputs() {
        let _ = writeln!(text, "given       {name:?} {}", tensor.ty().map_or_else(String::new, |ty| ty.to_string()));
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
        let survey = Import::new(&self.settings.model).survey()?;
        let step = self.settings.load(&survey)?.finish()?;
        let threads = self.threads.map(usize::from);
        let mut program = step.compile(&threads.map_or_else(CompileOptions::default, CompileOptions::threads))?;
        let inputs = self.values(program.inputs())?;
        let start = Instant::now();
        let outputs = program.run(inputs.iter().map(|(name, value)| (name, value)))?;
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
