//! `gradc build`: a step as an object file with a C interface.

use super::built_in::BuiltIn;
use super::given::read_graph;
use super::print;
use crate::bench::Workload;
use aot::{
    CompileObject, Files, ObjectOptions, compile_graph, compile_graphs, compile_steps, link_shared, values_of_states,
};
use clap::{Args, ValueEnum};
use gradc::compile::CompileOptions;
use gradc::dsl::{Initializer, Step};
use gradc::io::{load_steps, load_tensors};
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
    /// A model that comes with gradc (as `dump` lists them), a workload of `bench`, a file of a graph's text, which ends in `.ir`, or of a model that `save_model` wrote, which ends in `.safetensors` and has
    /// its weights and an entry for each size of a batch. Several files of graphs are entries of one model, which share its states
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
    /// Samples in a batch; without it, the model's usual number. Several, with commas between, are an entry each, on one block of states: `cnn_infer_b1`, `cnn_infer_b4`. Of a saved model, those of its sizes that
    /// are wanted
    #[arg(long = "batch", value_name = "N", value_delimiter = ',')]
    batches: Vec<usize>,
    /// How many bytes (`64M`) the arena of a step may have, scratch memory of threads apart: activations are computed again as far as that needs it
    #[arg(long, value_name = "BYTES", value_parser = crate::bench::bytes)]
    memory_limit: Option<usize>,
    /// Values that states start with, by name; states that the file doesn't have start as the model says. What the step doesn't have is left out
    #[arg(long, value_name = "FILE.safetensors")]
    weights: Option<PathBuf>,
    /// Link all entries to a shared library, `libNAME.so`, too, which programs load while they run; `gradc serve` serves it. By the C compiler: `cc`, or what the environment variable CC names
    #[arg(long)]
    shared: bool,
}

const EXAMPLES: &str = "Examples:
  Train the built-in CNN from C, on whatever x86-64 processor:
      gradc build cnn --entry train --cpu baseline,avx2,avx512 -o build
  Predict with trained weights, one image at a time:
      gradc build cnn --entry infer --batch 1 --weights cnn.safetensors -o build
  Train and predict in one program, on one block of states (`cnn_train.h`, `cnn_infer.h`):
      gradc build cnn --entry train,infer -o build
  Serve a trained model without compiling anything, by batches of up to 1, 4 and 32 samples:
      gradc build cnn --entry infer --batch 1,4,32 --weights cnn.safetensors --shared -o build
      gradc serve cnn=build/libcnn.so
  A model that `Trainer::save_model` wrote, all of its sizes:
      gradc build model.safetensors --shared -o build
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
        let mut written = vec![];
        for files in &files {
            written.extend(files.write(&self.output)?);
        }
        if self.shared {
            let name = match &files[..] {
                [files] => files.name.clone(),
                _ => self.name()?,
            };
            written.push(link_shared(&files, &name, &self.output)?);
        }
        let mut text = String::new();
        for path in written {
            let bytes = std::fs::metadata(&path)?.len();
            writeln!(text, "{bytes:>10}  {}", path.display())?;
        }
        print(&text)
    }

    fn files(&self) -> Result<Vec<Files>, Box<dyn Error>> {
        let memory_limit = self.memory_limit;
        let options = ObjectOptions { memory_limit, ..ObjectOptions::named(self.name()?).targets(self.targets()?) };
        let weights = self.weights.as_ref().map(load_tensors).transpose()?.unwrap_or_default();
        if self.are_all("ir") {
            if !self.batches.is_empty() {
                return Err("`--batch`: a graph in a file has its batch already".into());
            }
            let named = self.sources.iter().map(|source| Ok((stem(source)?.into(), read_graph(Path::new(source))?)));
            return compile_all(&named.collect::<Result<Vec<_>, String>>()?, options, weights);
        }
        let [source] = self.sources.as_slice() else {
            return Err("several sources must be files that end in .ir, the entries of one model".into());
        };
        if self.are_all("safetensors") {
            let (graphs, mut values) = self.saved(Path::new(source))?;
            values.extend(weights);
            return compile_all(&graphs, options, values);
        }
        let steps = self.steps(source)?;
        let options = options.values(values_of_states(steps.iter().map(|(_, step)| &step.graph), weights));
        match steps.as_slice() {
            [(_, step)] => Ok(vec![step.compile_object(&options)?]),
            steps => Ok(compile_steps(
                &steps.iter().map(|(name, step)| (name.as_str(), step)).collect::<Vec<_>>(),
                &options,
            )?),
        }
    }

    /// The entries of a model, for each size of a batch.
    fn steps(&self, source: &str) -> Result<Vec<(String, Step)>, Box<dyn Error>> {
        let mut steps = vec![];
        for entry in &self.entries {
            match self.batches.as_slice() {
                [] => steps.push((entry.name().into(), self.step(source, *entry, None)?)),
                [batch] => steps.push((entry.name().into(), self.step(source, *entry, Some(*batch))?)),
                several => {
                    for batch in several {
                        steps.push((format!("{}_b{batch}", entry.name()), self.step(source, *entry, Some(*batch))?));
                    }
                }
            }
        }
        Ok(steps)
    }

    /// The graphs of a saved model that are wanted, by the sizes of their batches, and its weights.
    fn saved(&self, path: &Path) -> Result<(NamedGraphs, BTreeMap<String, Value>), Box<dyn Error>> {
        let mut values = BTreeMap::new();
        let mut graphs = BTreeMap::new();
        for step in load_steps(path)? {
            for state in step.states {
                if let Initializer::Given(value) = state.init {
                    values.insert(state.name, value);
                }
            }
            let first = step.graph.inputs().find_map(|(_, input)| input.ty.shape.first().copied());
            graphs.insert(first.unwrap_or(1), step.graph);
        }
        if let Some(missing) = self.batches.iter().find(|batch| !graphs.contains_key(batch)) {
            let sizes: Vec<String> = graphs.keys().map(usize::to_string).collect();
            return Err(format!("`--batch {missing}`: {} has graphs for {}", path.display(), sizes.join(", ")).into());
        }
        graphs.retain(|batch, _| self.batches.is_empty() || self.batches.contains(batch));
        Ok((graphs.into_iter().map(|(batch, graph)| (format!("b{batch}"), graph)).collect(), values))
    }

    /// Whether all sources are files with that ending.
    fn are_all(&self, ending: &str) -> bool {
        self.sources.iter().all(|source| Path::new(source).extension().is_some_and(|extension| extension == ending))
    }

    fn step(&self, source: &str, entry: EntryKind, batch: Option<usize>) -> Result<Step, Box<dyn Error>> {
        if let Ok(model) = BuiltIn::from_str(source, false) {
            let batch = batch.unwrap_or(model.batch());
            return Ok(match entry {
                EntryKind::Train => model.step(batch)?,
                EntryKind::Infer => model.inference(batch)?,
            });
        }
        let workload = Workload::named(source).map_err(|e| {
            format!(
                "`{source}` is no file that ends in .ir or .safetensors, and none of the models {}; {e}",
                BuiltIn::names().join(", ")
            )
        })?;
        if batch.is_some() || entry == EntryKind::Infer {
            return Err("`--batch` and `--entry infer`: a workload is one step as it is".into());
        }
        Ok(workload.step()?)
    }

    /// The entry's name; of several entries, what stands before each one's own.
    fn name(&self) -> Result<String, String> {
        match (&self.name, self.sources.as_slice(), self.entries.as_slice()) {
            (Some(name), ..) => Ok(name.clone()),
            (None, [source], _) if self.are_all("ir") || self.are_all("safetensors") => stem(source).map(str::to_owned),
            (None, [source], [entry]) if self.batches.len() < 2 => Ok(format!("{}_{}", stem(source)?, entry.name())),
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

/// Graphs with the names of their entries.
type NamedGraphs = Vec<(String, Graph)>;

/// Entries of graphs, on states that start with these values.
fn compile_all(
    graphs: &[(String, Graph)],
    options: ObjectOptions,
    values: BTreeMap<String, Value>,
) -> Result<Vec<Files>, Box<dyn Error>> {
    let options = options.values(values_of_states(graphs.iter().map(|(_, graph)| graph), values));
    match graphs {
        [(_, graph)] => Ok(vec![compile_graph(graph, &options)?]),
        graphs => {
            let graphs: Vec<(&str, &Graph)> = graphs.iter().map(|(name, graph)| (name.as_str(), graph)).collect();
            Ok(compile_graphs(&graphs, &options)?)
        }
    }
}

/// What a source is called: a model's name, or a file's without its ending.
fn stem(source: &str) -> Result<&str, String> {
    let stem = Path::new(source).file_stem().and_then(|stem| stem.to_str());
    stem.ok_or_else(|| format!("the source `{source}` has no name: give `--name`"))
}
