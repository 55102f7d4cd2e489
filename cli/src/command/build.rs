//! `gradc build`: a step as an object file with a C interface.

use super::built_in::BuiltIn;
use super::given::read_graph;
use super::print;
use crate::bench::Workload;
use aot::{CompileObject, Files, ObjectOptions, compile_graph, compile_graphs, compile_steps, values_of_states};
use clap::{Args, ValueEnum};
use gradc::compile::CompileOptions;
use gradc::io::load_tensors;
use ir::{Graph, Value};
use kernel::Target;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use target_lexicon::Triple;

/// What to build, for which machines.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Build {
    /// A model that comes with gradc (as `dump` lists them), a workload of `bench`, or a file of a graph's text, which ends in `.ir`. Several files are
    /// entries of one model, which share its states
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,
    /// Which steps of a model: `train`, `infer`, or both with a comma between, which then share one block of states. A graph in a file is a step already
    #[arg(long = "entry", default_value = "train", value_name = "train|infer", value_delimiter = ',')]
    entries: Vec<EntryKind>,
    /// The prefix of all symbols and the name of the files; without it, the source's name and the entry: `cnn_train`. Of several entries, what stands before
    /// each one's own: `cnn`
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
    /// How many bytes (`64M`) the arena of a step may have, scratch memory of threads apart: activations are computed again as far as that needs it
    #[arg(long, value_name = "BYTES", value_parser = crate::bench::bytes)]
    memory_limit: Option<usize>,
    /// Values that states start with, by name; states that the file doesn't have start as the model says. What the step doesn't have is left out
    #[arg(long, value_name = "FILE.safetensors")]
    weights: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  Train the built-in CNN from C, on whatever x86-64 processor:
      gradc build cnn --entry train --cpu baseline,avx2,avx512 -o build
  Predict with trained weights, one image at a time:
      gradc build cnn --entry infer --batch 1 --weights cnn.safetensors -o build
  Train and predict in one program, on one block of states (`cnn_train.h`, `cnn_infer.h`):
      gradc build cnn --entry train,infer -o build
  A graph of your own, that `step.save(\"model.ir\")` has written:
      gradc build model.ir --name model_step -o build
  Graphs of one model, which share their states (`model_train.h`, `model_infer.h`):
      gradc build train.ir infer.ir --name model -o build
  The same bytes wherever it is built, for a target that isn't this machine:
      gradc build cnn --target x86_64-unknown-linux-gnu --cpu x86-64 -o build
  Another architecture:
      cargo run --release --features cross -- build cnn --target aarch64-unknown-linux-gnu -o build";

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum EntryKind {
    Train,
    Infer,
}

impl EntryKind {
    fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Infer => "infer",
        }
    }
}

fn triple(text: &str) -> Result<Triple, String> {
    text.parse().map_err(|e: target_lexicon::ParseError| e.to_string())
}

impl Build {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        let files = self.files()?;
        let mut text = String::new();
        for files in files {
            for path in files.write(&self.output)? {
                let bytes = std::fs::metadata(&path)?.len();
                writeln!(text, "{bytes:>10}  {}", path.display())?;
            }
        }
        print(&text)
    }

    fn files(&self) -> Result<Vec<Files>, Box<dyn Error>> {
        let memory_limit = self.memory_limit;
        let options = ObjectOptions { memory_limit, ..ObjectOptions::named(self.name()?).targets(self.targets()?) };
        let weights = self.weights.as_ref().map(load_tensors).transpose()?.unwrap_or_default();
        if self.is_file() {
            if self.batch.is_some() {
                return Err("`--batch`: a graph in a file has its batch already".into());
            }
            return self.graphs(options, weights);
        }
        let [source] = self.sources.as_slice() else {
            return Err("several sources must be files that end in .ir, the entries of one model".into());
        };
        let steps = self.entries.iter().map(|entry| Ok((entry.name(), self.step(source, *entry)?)));
        let steps = steps.collect::<Result<Vec<_>, Box<dyn Error>>>()?;
        let options = options.values(values_of_states(steps.iter().map(|(_, step)| &step.graph), weights));
        match steps.as_slice() {
            [(_, step)] => Ok(vec![step.compile_object(&options)?]),
            steps => Ok(compile_steps(&steps.iter().map(|(name, step)| (*name, step)).collect::<Vec<_>>(), &options)?),
        }
    }

    /// Entries of graphs in files.
    fn graphs(&self, options: ObjectOptions, weights: BTreeMap<String, Value>) -> Result<Vec<Files>, Box<dyn Error>> {
        let named = self.sources.iter().map(|source| Ok((stem(source)?, read_graph(Path::new(source))?)));
        let graphs: Vec<(&str, Graph)> = named.collect::<Result<_, String>>()?;
        let options = options.values(values_of_states(graphs.iter().map(|(_, graph)| graph), weights));
        match graphs.as_slice() {
            [(_, graph)] => Ok(vec![compile_graph(graph, &options)?]),
            graphs => {
                let graphs: Vec<(&str, &Graph)> = graphs.iter().map(|(name, graph)| (*name, graph)).collect();
                Ok(compile_graphs(&graphs, &options)?)
            }
        }
    }

    fn is_file(&self) -> bool {
        self.sources.iter().all(|source| Path::new(source).extension().is_some_and(|extension| extension == "ir"))
    }

    fn step(&self, source: &str, entry: EntryKind) -> Result<gradc::dsl::Step, Box<dyn Error>> {
        if let Ok(model) = BuiltIn::from_str(source, false) {
            let batch = self.batch.unwrap_or(model.batch());
            return Ok(match entry {
                EntryKind::Train => model.step(batch)?,
                EntryKind::Infer => model.inference(batch)?,
            });
        }
        let workload = Workload::named(source).map_err(|e| {
            format!(
                "`{source}` is no file that ends in .ir, and none of the models {}; {e}",
                BuiltIn::names().join(", ")
            )
        })?;
        if self.batch.is_some() || entry == EntryKind::Infer {
            return Err("`--batch` and `--entry infer`: a workload is one step as it is".into());
        }
        Ok(workload.step()?)
    }

    /// The entry's name; of several entries, what stands before each one's own.
    fn name(&self) -> Result<String, String> {
        match (&self.name, self.sources.as_slice(), self.entries.as_slice()) {
            (Some(name), ..) => Ok(name.clone()),
            (None, [source], _) if self.is_file() => stem(source).map(str::to_owned),
            (None, [source], [entry]) => Ok(format!("{}_{}", stem(source)?, entry.name())),
            (None, [source], _) => stem(source).map(str::to_owned),
            (None, ..) => Err("several graphs are entries of one model: give its name by `--name`".into()),
        }
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

/// What a source is called: a model's name, or a file's without its ending.
fn stem(source: &str) -> Result<&str, String> {
    let stem = Path::new(source).file_stem().and_then(|stem| stem.to_str());
    stem.ok_or_else(|| format!("the source `{source}` has no name: give `--name`"))
}
