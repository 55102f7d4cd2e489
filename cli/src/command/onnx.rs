//! `gradc import`: ONNX models, and what they are made of.

use super::print;
use clap::Args;
use gradc_onnx::{Import, ImportError, Imported, KnownTensor, Refusal, Survey};
use ir::{DType, Scalar, Shape, Value};
use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What a model leaves open.
#[derive(Args)]
pub(super) struct OpenExtents {
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

impl OpenExtents {
    /// The import of a file as it is set; numbers get the types that the model's inputs have.
    fn import(&self, model: &Path, survey: &Survey) -> Import {
        let mut import = Import::new(model);
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
    pub(super) fn load(&self, model: &Path, survey: &Survey) -> Result<Imported, Box<dyn Error>> {
        let error = match self.import(model, survey).load() {
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
#[command(
    after_help = "Example:\n  What a model is made of, and its graph as text for `gradc opt` and `gradc run`:\n      gradc import model.onnx --dim batch=1 --to model.ir"
)]
pub(super) struct ImportModel {
    /// The model: an .onnx file
    model: PathBuf,
    #[command(flatten)]
    extents: OpenExtents,
    /// Write the graph's text to a file
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

impl ImportModel {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        let survey = Import::new(&self.model).survey()?;
        print(&operators(&survey))?;
        let model = self.extents.load(&self.model, &survey)?;
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
