//! `gradc report`: a step as one HTML page.

use super::print;
use super::profile::load;
use crate::bench::{ArenaLimit, MachineLimits, profile};
use crate::document::{GraphDocument, ProgramDocument};
use crate::report::{ReportParts, html};
use ::passes::pipeline::PIPELINE;
use ::passes::{Module, Stop};
use clap::Args;
use gradc::compile::{CompileOptions, run_passes};
use ir::Graph;
use kernel::Program;
use runtime::{LoadOptions, Loaded};
use std::error::Error;
use std::path::PathBuf;

/// What to compile and run, and where to write the page.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Report {
    /// A model of `gradc dump`, a workload of `gradc bench`, or a file: a graph as text (`Step::save` writes it), or a model that `save_model` wrote
    model: String,
    /// Where to write the page
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    output: PathBuf,
    /// Threads that run a step; pin the process to as many cores with `taskset`
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// Steps to run; the times are their medians
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// How large the arena may be: bytes (`64M`) or a part of what it takes otherwise (`60%`)
    #[arg(long, value_name = "BYTES|%")]
    memory_limit: Option<ArenaLimit>,
    /// Don't measure the machine first: then there is no roofline
    #[arg(long)]
    no_limits: bool,
}

const EXAMPLES: &str = "The page needs no network and nothing beside it. It shows the graph as it is fused, the memory plan, the passes' times, each kernel against the machine's
limits, and each kernel's loops and machine code beside the lines of the source, if these are found from the folder that the command runs in.

Examples:
  The built-in CNN:
      gradc report cnn -o cnn.html
  A step of one's own, that `step.save(\"step.ir\")` has written, on two threads:
      gradc report step.ir --threads 2 -o step.html";

impl Report {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        gradc::io::check_destination(&self.output)?;
        let page = self.page()?;
        gradc::io::write_atomically(&self.output, page.as_bytes())?;
        print(&format!(
            "the report is in {}, {:.1} MB: open it in a browser\n",
            self.output.display(),
            page.len() as f64 / 1e6
        ))
    }

    fn page(&self) -> Result<String, Box<dyn Error>> {
        let threads = usize::from(self.threads);
        let (step, options, mut program) = load(&self.model, CompileOptions::threads(threads), self.memory_limit)?;
        let machine = if self.no_limits { None } else { Some(MachineLimits::measure(threads)?) };
        let profile = profile(&step, &mut program, &options, self.steps as usize, machine)?;
        drop(program);
        let graph = lowered_graph(&step.graph, &options)?;
        let outcome = run_passes(step.graph, &options, Stop::End)?;
        let Module::Program(loops) = outcome.module else {
            return Err("the passes ended before there were loops".into());
        };
        let target = options.target_or_host()?;
        let parts = ReportParts {
            model: &self.model,
            graph: GraphDocument::of(&graph),
            program: ProgramDocument::of(&loops),
            passes: &outcome.report.passes,
            loaded: &code(loops, &options)?,
            profile: &profile,
            target: target.to_string(),
        };
        Ok(html(parts)?)
    }
}

/// The graph that loops are made of.
fn lowered_graph(graph: &Graph, options: &CompileOptions) -> Result<Graph, Box<dyn Error>> {
    let last = PIPELINE.iter().take_while(|pass| pass.name != "lower").last();
    let stop = last.map_or(Stop::AfterCount(0), |pass| Stop::AfterPass(pass.name.into()));
    match run_passes(graph.clone(), options, stop)?.module {
        Module::Graph(graph) => Ok(graph),
        Module::Program(_) => Err("a pass before `lower` has made loops".into()),
    }
}

/// The loops as machine code, with its text.
fn code(program: Program, options: &CompileOptions) -> Result<Loaded, Box<dyn Error>> {
    let load = LoadOptions { dump: true, target: Some(options.target_or_host()?), ..LoadOptions::default() };
    Ok(Loaded::compile(program, &load)?)
}

#[cfg(test)]
mod tests {
    use super::super::parsed;
    use super::*;

    #[test]
    fn a_report_is_one_page() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tiny.html");
        let report: Report = parsed(&format!("mlp_tiny --no-limits --steps 2 -o {}", path.display()));
        report.run().unwrap();
        let page = std::fs::read_to_string(&path).unwrap();
        assert!(page.contains("<title>mlp_tiny: ") && page.ends_with("</html>\n"));
        let data = page.split_once(r#"id="data">"#).unwrap().1.split_once("</script>").unwrap().0;
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        let count = |of: &serde_json::Value| of.as_array().unwrap().len();
        assert_eq!(count(&data["graph"]["nodes"]), count(&data["layout"]["nodes"]));
        assert_eq!(count(&data["program"]["launches"]), count(&data["launches"]));
        assert_eq!(count(&data["program"]["kernels"]), count(&data["codes"]));
        assert!(data["codes"][0]["assembly"].as_str().unwrap().contains("ret"));
        assert_eq!(count(&data["passes"]), PIPELINE.len());
    }

    #[test]
    fn a_folder_is_no_place_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let report: Report = parsed(&format!("mlp_tiny -o {}", dir.path().display()));
        assert!(report.run().unwrap_err().to_string().contains("no file can be written there"));
    }
}
