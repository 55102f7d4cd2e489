//! `gradc run`: a model or a graph from a file, what it computes, by which of the ways there are, and how long it takes.

use super::given::{step_of, target};
use super::native::{Native, differentiated};
#[cfg(feature = "onnx")]
use super::onnx::OpenExtents;
use super::print;
use super::values::ValueSource;
use ::passes::{Module, PassContext, RunOptions, interpret};
use clap::{Args, ValueEnum};
use gradc::compile::CompileOptions;
use gradc::dsl::Step;
use gradc::io::save_tensors;
use ir::Value;
use ir::eval::{RunResults, Trials};
use ir::shrink::GraphCase;
use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What to run, on what.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RunModel {
    /// A graph as text (`Step::save` writes it), a .safetensors file that `save_model` wrote, an .onnx file, or what `gradc dump` takes
    model: String,
    #[cfg(feature = "onnx")]
    #[command(flatten)]
    extents: OpenExtents,
    /// The inputs: a .npz or .safetensors file with a tensor for each, or `random:SEED`
    #[arg(long, value_name = "FILE|random:SEED", default_value = "random:0")]
    inputs: ValueSource,
    /// The states, those that aren't in it as the model says that they start: a .npz or .safetensors file
    #[arg(long, value_name = "FILE")]
    states: Option<PathBuf>,
    /// Write the outputs to a .safetensors file
    #[arg(long, value_name = "FILE")]
    outputs: Option<PathBuf>,
    /// By what it is run
    #[arg(long, value_enum, default_value_t)]
    through: Way,
    /// Run it in every way, and compare each with the interpreter, to the last digit that rounding leaves
    #[arg(long)]
    check: bool,
    /// Samples in a batch of a model that comes with gradc: interpreters are slow, and few are enough to compare
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Threads; without it, all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// How often to run it; the time is the median of all runs but the first
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
}

const EXAMPLES: &str = "Examples:
  What a saved model predicts for the arrays in a file, and how long it takes:
      gradc run model.safetensors --inputs x.npz --outputs y.safetensors --runs 100
  Whether a step of one's own computes the same by the interpreter, as loops and as machine code:
      gradc run step.ir --inputs random:7 --check
  By the interpreter alone:
      gradc run step.ir --through interpreter";

/// The ways to run a graph.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
enum Way {
    /// The reference interpreter, node by node
    Interpreter,
    /// The interpreter of the loops that the passes make of the graph
    Loops,
    /// Machine code
    #[default]
    Native,
}

impl RunModel {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        if let Some(path) = &self.outputs {
            gradc::io::check_destination(path)?;
        }
        let step = self.step()?;
        let case = self.inputs.case(&step, self.states.as_deref())?;
        let mut runner = self.runner(&case, self.through)?;
        let start = Instant::now();
        let results = runner.run()?;
        let mut times = vec![start.elapsed()];
        for _ in 1..self.runs {
            let start = Instant::now();
            runner.run_again()?;
            times.push(start.elapsed());
        }
        let mut text = format!("{:.4} ms\n", median(&mut times) * 1e3);
        for (name, value) in &results.outputs {
            let _ = writeln!(text, "{name:?} {}", described(value));
        }
        print(&text)?;
        if let Some(path) = &self.outputs {
            save_tensors(path, &results.outputs)?;
        }
        if self.check { self.check(&case) } else { Ok(()) }
    }

    /// The model's step.
    fn step(&self) -> Result<Step, Box<dyn Error>> {
        if Path::new(&self.model).extension().is_none_or(|extension| extension != "onnx") {
            return step_of(&self.model, self.batch);
        }
        self.imported()
    }

    #[cfg(feature = "onnx")]
    fn imported(&self) -> Result<Step, Box<dyn Error>> {
        let model = Path::new(&self.model);
        let survey = gradc_onnx::Import::new(model).survey()?;
        Ok(self.extents.load(model, &survey)?.finish()?)
    }

    #[cfg(not(feature = "onnx"))]
    fn imported(&self) -> Result<Step, Box<dyn Error>> {
        Err("ONNX models need the command's feature `onnx`: cargo build --features onnx".into())
    }

    fn runner<'c>(&self, case: &'c GraphCase, way: Way) -> Result<CaseRunner<'c>, Box<dyn Error>> {
        let cx = PassContext::new(target(None)?);
        let module = match way {
            Way::Native => {
                let threads = self.threads.map_or_else(|| CompileOptions::default().threads, usize::from);
                return Ok(CaseRunner::Native(Box::new(Native::new(case, threads)?)));
            }
            Way::Interpreter => Module::Graph(differentiated(&case.graph, &cx)?),
            Way::Loops => ::passes::compile(case.graph.clone(), &cx, &RunOptions::default())?.module,
        };
        Ok(CaseRunner::Interpreted(Box::new(module), case))
    }

    /// Says of each way whether it gives what the interpreter gives.
    fn check(&self, case: &GraphCase) -> Result<(), Box<dyn Error>> {
        let expected = self.runner(case, Way::Interpreter)?.run()?.named();
        let graph = differentiated(&case.graph, &PassContext::new(target(None)?))?;
        let mut wrong = vec![];
        for (way, name) in [(Way::Loops, "loops"), (Way::Native, "native")] {
            let found = self.runner(case, way)?.run()?.named();
            let difference =
                Trials::difference_beyond_rounding(&graph, (&case.inputs, &case.states), &expected, &found);
            let is = difference.as_ref().map_or_else(
                || format!("{} results are the interpreter's, but for rounding", found.len()),
                |difference| format!("not what the interpreter gives: {difference}"),
            );
            print(&format!("{name:<6} {is}\n"))?;
            wrong.extend(difference.map(|_| name));
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(format!("{} and interpreter differ: `gradc bisect` finds the pass", wrong.join(", ")).into())
    }
}

/// A graph on its values, ready to run in one of the ways.
enum CaseRunner<'c> {
    Interpreted(Box<Module>, &'c GraphCase),
    Native(Box<Native<'c>>),
}

impl CaseRunner<'_> {
    /// Once, from the states that the case begins with.
    fn run(&mut self) -> Result<RunResults, Box<dyn Error>> {
        match self {
            Self::Interpreted(module, case) => Ok(interpret(module, case)?),
            Self::Native(native) => native.run(),
        }
    }

    /// Once more, for its time.
    fn run_again(&mut self) -> Result<(), Box<dyn Error>> {
        match self {
            Self::Interpreted(..) => self.run().map(drop),
            Self::Native(native) => native.step(),
        }
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
