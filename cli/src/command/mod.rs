//! The command line: one file per subcommand.
//!
//! Exit codes: 0 success, 1 what was asked for failed, 2 the command line is wrong.

mod bench;
mod bisect;
mod build;
mod built_in;
mod cache;
mod data;
mod diff;
mod dump;
mod given;
mod native;
#[cfg(feature = "onnx")]
mod onnx;
mod opt;
mod passes;
mod profile;
mod report;
mod run;
#[cfg(feature = "serve")]
mod serve;
mod spinner;
mod values;
mod watch;

pub use bisect::bisect_in;

use ::passes::pipeline::PIPELINE;
use clap::{Parser, Subcommand};
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

/// A compiler for deep learning: looks into training steps and predictions, runs, times, builds and serves them
#[derive(Parser)]
#[command(name = "gradc", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print a step as it is after a pass, or the code of it
    Dump(dump::Dump),
    /// Run passes by name, or the pipeline up to a point, on a graph or on loops
    Opt(opt::Opt),
    /// Find the pass that changes what a graph computes, its rule, and the least graph on which it does
    Bisect(bisect::Bisect),
    /// Compare two graphs, or two programs of loops, by their structure
    Diff(diff::Diff),
    /// List the passes in the order they run, with the reason of each
    #[command(after_help = "Example:\n  gradc passes")]
    Passes,
    /// Time training steps, predictions and kernels of fixed workloads, and the machine's limits
    Bench(bench::Bench),
    /// Show where the time of a step goes: its launches with speeds and source lines, and a trace of the threads
    Profile(profile::Profile),
    /// Write a page about a step: its graph, its memory plan, the times of passes and kernels, kernels against the machine's limits
    Report(report::Report),
    /// Write a page that follows runs of training, from the lines of JSON that they write
    Watch(watch::WatchRuns),
    /// Compile a step ahead of time: an object file, a static library, and a C header
    Build(build::Build),
    /// Look at or remove the compiled steps that are kept in files
    Cache(cache::CacheFiles),
    /// Get data sets
    Data(data::Data),
    /// Read an ONNX model: its operators, its shapes, what isn't provided
    #[cfg(feature = "onnx")]
    Import(onnx::ImportModel),
    /// Run a graph, loops or a model from a file: by the interpreter, as loops, as machine code
    Run(run::RunModel),
    /// Serve models over HTTP: the Open Inference Protocol, and TensorFlow Serving's form
    #[cfg(feature = "serve")]
    Serve(Box<serve::Serve>),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.command {
        Command::Dump(dump) => dump.run(),
        Command::Opt(opt) => opt.run(),
        Command::Bisect(bisect) => bisect.run(PIPELINE),
        Command::Diff(diff) => diff.run(),
        Command::Passes => passes::run(),
        Command::Bench(bench) => bench.run(),
        Command::Profile(profile) => profile.run(),
        Command::Report(report) => report.run(),
        Command::Watch(watch) => watch.run(),
        Command::Build(build) => build.run(),
        Command::Cache(cache) => cache.run(),
        Command::Data(data) => data.run(),
        #[cfg(feature = "onnx")]
        Command::Import(import) => import.run(),
        Command::Run(run) => run.run(),
        #[cfg(feature = "serve")]
        Command::Serve(serve) => serve.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the output has read enough.
        Err(e) if is_broken_pipe(&*e) => ExitCode::SUCCESS,
        Err(e) => {
            let _ = writeln!(io::stderr(), "error: {e}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Writes to the standard output.
fn print(text: &str) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// A graph's text with its sections and layers in comments, on request with places in the source, or of layers that are alike the first only.
fn graph_text(graph: &ir::Graph, locations: bool, fold: bool) -> String {
    graph.display().comments(true).locations(locations).fold(fold).to_string()
}

/// A subcommand's arguments from what a test writes on its command line.
#[cfg(test)]
fn parsed<A: clap::Args>(arguments: &str) -> A {
    let command = A::augment_args(clap::Command::new("gradc").no_binary_name(true));
    let matches = command.try_get_matches_from(arguments.split_whitespace()).unwrap();
    A::from_arg_matches(&matches).unwrap()
}
