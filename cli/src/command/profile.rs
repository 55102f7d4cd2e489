//! `gradc profile`: the launches of a step by their time, and a trace of which thread ran what when.

use super::given::step_of;
use super::print;
use crate::bench::{ArenaLimit, MachineLimits, Workload, profile, stream::unit};
use clap::Args;
use gradc::compile::{CompileOptions, CompiledProgram};
use gradc::dsl::Step;
use ir::Value;
use std::error::Error;
use std::path::PathBuf;

/// What to run, and what to write.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Profile {
    /// A model of `gradc dump`, a workload of `gradc bench`, or a file: a graph as text (`Step::save` writes it), or a model that `save_model` wrote
    model: String,
    /// Threads that run a step; pin the process to as many cores with `taskset`
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// Steps to run; the times are their medians
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// How large the arena may be: bytes (`64M`) or a part of what it takes otherwise (`60%`)
    #[arg(long, value_name = "BYTES|%")]
    memory_limit: Option<ArenaLimit>,
    /// Write the last steps as a trace for chrome://tracing or Perfetto: a row for each thread
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// How many of the last steps the trace holds
    #[arg(long, value_name = "N", default_value_t = 5, requires = "trace")]
    traced: usize,
    /// Don't measure the machine first: then no launch is compared with its limits
    #[arg(long)]
    no_limits: bool,
}

const EXAMPLES: &str = "Examples:
  Where the time of the built-in CNN's step goes, compared with what the machine can do:
      gradc profile cnn
  The same of a step of one's own on two threads, and a trace for chrome://tracing:
      gradc profile step.ir --threads 2 --trace step.json";

impl Profile {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        let threads = usize::from(self.threads);
        let (step, options, mut program) = load(&self.model, CompileOptions::threads(threads), self.memory_limit)?;
        let machine = if self.no_limits { None } else { Some(MachineLimits::measure(threads)?) };
        let profile = profile(&step, &mut program, &options, self.steps as usize, machine)?;
        print(&profile.to_string())?;
        if let Some(path) = &self.trace {
            profile.write_trace(path, self.traced)?;
            print(&format!("the trace is in {}: open it in chrome://tracing or ui.perfetto.dev\n", path.display()))?;
        }
        Ok(())
    }
}

/// The step of that name or in that file, compiled, with values in its states and inputs, and the options with the limit.
pub(super) fn load(
    model: &str,
    mut options: CompileOptions,
    limit: Option<ArenaLimit>,
) -> Result<(Step, CompileOptions, CompiledProgram), Box<dyn Error>> {
    let workload = Workload::named(model).ok();
    let step = match workload {
        Some(workload) => workload.step()?,
        None => step_of(model, None)?,
    };
    if let Some(limit) = limit {
        options = limit.apply(&step.graph, options)?;
    }
    let mut program = step.compile(&options)?;
    match workload {
        Some(workload) => workload.fill(&step, &mut program)?,
        None => fill(&step, &mut program)?,
    }
    Ok((step, options, program))
}

/// Gives inputs values.
fn fill(step: &Step, program: &mut CompiledProgram) -> Result<(), Box<dyn Error>> {
    for (number, (_, input)) in step.graph.inputs().enumerate() {
        // Numbers from 0 to 1; as integers and truth values they are 0, which is an index that every table has.
        let value = |i: usize| ir::Scalar::F32(unit(number as u64, i)).cast(input.ty.dtype);
        program.set_input(&input.name, &Value::from_fn(input.ty.clone(), value))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::built_in::BuiltIn;

    #[test]
    fn models_workloads_and_files_load() {
        let load = |name: &str| load(name, CompileOptions::threads(1), Some(ArenaLimit::Percent(100.0)));
        for name in ["mlp_tiny", "mlp", "infer_mlp_small_b1"] {
            let (.., mut program) = load(name).unwrap_or_else(|e| panic!("{name}: {e}"));
            program.step().unwrap();
        }
        let error = load("no_such_model").err().unwrap().to_string();
        assert!(error.contains("cnn, ") && error.contains("k_sgemm_64"), "{error}");
    }

    #[test]
    fn a_graph_in_a_file_runs_on_zeros_and_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("step.ir");
        let step = BuiltIn::Logreg.step(4).unwrap();
        std::fs::write(&path, step.graph.to_string()).unwrap();
        let load = || load(path.to_str().unwrap(), CompileOptions::threads(1), None);
        let (read, _, mut program) = load().unwrap();
        assert_eq!(read.graph.to_string(), step.graph.to_string());
        program.step().unwrap();
        // All weights are 0: every class has the same probability.
        assert!((program.scalar("loss").unwrap() - 10f64.ln()).abs() < 1e-6);
        std::fs::write(&path, "graph broken").unwrap();
        let error = load().err().unwrap().to_string();
        assert!(error.contains("step.ir"), "{error}");
    }
}
