//! `gradc build`: a step as an object file with a C interface.

use super::dump::BuiltIn;
use super::{print, read_graph};
use crate::bench::Workload;
use aot::{CompileObject, Files, ObjectOptions, compile_graph, values_of_states};
use clap::{Args, ValueEnum};
use gradc::compile::CompileOptions;
use gradc::io::load_tensors;
use kernel::Target;
use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use target_lexicon::Triple;

/// What to build, for which machines.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Build {
    /// A model that comes with gradc (as `dump` lists them), a workload of `bench`, or a file of a graph's text, which ends in `.ir`
    source: String,
    /// Which step of a model: `train` or `infer`. A graph in a file is a step already
    #[arg(long, default_value = "train", value_name = "train|infer")]
    entry: EntryKind,
    /// The prefix of all symbols and the name of the files; without it, the source's name and the entry: `cnn_train`
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The folder to write to, which is made if it isn't there
    #[arg(short, long, value_name = "FOLDER")]
    output: PathBuf,
    /// The system to compile for, as `aarch64-unknown-linux-gnu`; without it, this one. Another architecture needs the feature `cross`
    #[arg(long, value_name = "TRIPLE", value_parser = triple)]
    target: Option<Triple>,
    /// Instruction sets to compile for, with commas between: `baseline`, `avx2`, `avx512`, ... The code asks the processor once which it has. Without it, the
    /// widest of this machine, or the least of another system
    #[arg(long, value_name = "SETS", value_delimiter = ',')]
    cpu: Vec<String>,
    /// Samples in a batch; without it, the model's usual number
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// The seed of the values that states start with
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Values that states start with, by name; states that the file doesn't have start as the model says. What the step doesn't have is left out
    #[arg(long, value_name = "FILE.safetensors")]
    weights: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  Train the built-in CNN from C, on whatever x86-64 processor:
      gradc build cnn --entry train --cpu baseline,avx2,avx512 -o build
  Predict with trained weights, one image at a time:
      gradc build cnn --entry infer --batch 1 --weights cnn.safetensors -o build
  A graph of your own, written by `graph.to_string()`:
      gradc build model.ir --name model_step -o build
  Another architecture:
      cargo run --release --features cross -- build cnn --target aarch64-unknown-linux-gnu -o build";

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum EntryKind {
    Train,
    Infer,
}

fn triple(text: &str) -> Result<Triple, String> {
    text.parse().map_err(|e: target_lexicon::ParseError| e.to_string())
}

impl Build {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        let files = self.files()?;
        let mut text = String::new();
        for path in files.write(&self.output)? {
            let bytes = std::fs::metadata(&path)?.len();
            writeln!(text, "{bytes:>10}  {}", path.display())?;
        }
        print(&text)
    }

    fn files(&self) -> Result<Files, Box<dyn Error>> {
        let mut options = ObjectOptions::named(self.name()?).targets(self.targets()?).seed(self.seed);
        let weights = self.weights.as_ref().map(load_tensors).transpose()?.unwrap_or_default();
        if self.is_file() {
            if self.batch.is_some() {
                return Err("`--batch`: a graph in a file has its batch already".into());
            }
            let graph = read_graph(Path::new(&self.source))?;
            options = options.values(values_of_states(&graph, weights));
            return Ok(compile_graph(&graph, &options)?);
        }
        let step = self.step()?;
        options = options.values(values_of_states(&step.graph, weights));
        Ok(step.compile_object(&options)?)
    }

    fn is_file(&self) -> bool {
        Path::new(&self.source).extension().is_some_and(|extension| extension == "ir")
    }

    fn step(&self) -> Result<gradc::dsl::Step, Box<dyn Error>> {
        if let Ok(model) = BuiltIn::from_str(&self.source, false) {
            let batch = self.batch.unwrap_or(model.batch());
            return Ok(match self.entry {
                EntryKind::Train => model.step(batch)?,
                EntryKind::Infer => model.inference(batch)?,
            });
        }
        let workload = Workload::named(&self.source).map_err(|e| {
            format!(
                "`{}` is no file that ends in .ir, and none of the models {}; {e}",
                self.source,
                BuiltIn::names().join(", ")
            )
        })?;
        if self.batch.is_some() || self.entry == EntryKind::Infer {
            return Err("`--batch` and `--entry infer`: a workload is one step as it is".into());
        }
        Ok(workload.step()?)
    }

    fn name(&self) -> Result<String, String> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        let stem = Path::new(&self.source)
            .file_stem()
            .and_then(|stem| stem.to_str())
            .ok_or("the source has no name: give `--name`")?;
        let entry = if self.entry == EntryKind::Train { "train" } else { "infer" };
        Ok(if self.is_file() { stem.to_owned() } else { format!("{stem}_{entry}") })
    }

    /// The machines.
    fn targets(&self) -> Result<Vec<Target>, Box<dyn Error>> {
        let base = match &self.target {
            None => CompileOptions::default().target_or_host()?,
            Some(triple) => Target::generic(triple.clone())?,
        };
        let sets = match self.cpu.is_empty() {
            true => vec![base.instruction_set().name()],
            false => self.cpu.iter().map(String::as_str).collect(),
        };
        Ok(aot::targets(&base, sets)?)
    }
}
