//! `gradc bisect`: which pass, which rule, on which least graph.

use super::given::{step_of, target};
use super::native::Native;
use super::print;
use super::spinner::Spinner;
use super::values::{ValueSource, save_case};
use ::passes::bisect::{BisectProgress, Finding, bisect_with, panic_message};
use ::passes::{Module, Pass, PassContext};
use clap::{Args, Parser};
use ir::eval::Trials;
use ir::shrink::{GraphCase, shrink};
use std::error::Error;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::PathBuf;

/// What to look into.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Bisect {
    /// A file with a graph as text, or what `gradc dump` takes
    file: String,
    /// The inputs: a .npz or .safetensors file with a tensor for each, or `random:SEED`
    #[arg(long, value_name = "FILE|random:SEED", default_value = "random:0")]
    inputs: ValueSource,
    /// The states: a .npz or .safetensors file. Those that aren't in it start as the model says; of a graph or loops in a text file, as random numbers from 0 to 1
    #[arg(long, value_name = "FILE")]
    states: Option<PathBuf>,
    /// Passes to run, with commas between; without it, the whole pipeline, and the machine code that is made of it
    #[arg(long, value_name = "PASS,..", value_delimiter = ',')]
    passes: Vec<String>,
    /// Samples in a batch of a model that comes with gradc: few are enough, and soon interpreted
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Compile for the instructions of another machine of this kind: `x86-64`, `baseline`, `avx2`, `avx512`, `avx512-vnni`, `avx512-bf16`
    #[arg(long, value_name = "SET")]
    cpu: Option<String>,
    /// Write the least graph and its values into a folder: graph.ir, inputs.npz, states.npz
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
}

const EXAMPLES: &str = "After each pass the program is interpreted; the first pass after which it computes something else, by more than rounding, is at fault.
The exit code is 1 if there is one.

Examples:
  Which pass is wrong about a step that `step.save(\"step.ir\")` has written, on random values, and the least graph to report:
      gradc bisect step.ir --to fault
  To see that graph again:
      gradc bisect fault/graph.ir --inputs fault/inputs.npz --passes simplify
  Whether all is well with the built-in CNN, on two images:
      gradc bisect cnn --batch 2";

impl Bisect {
    pub(super) fn run(&self, pipeline: &[Pass]) -> Result<(), Box<dyn Error>> {
        let spinner = Spinner::new();
        let report = silently(|| self.report(pipeline, &spinner))?;
        drop(spinner);
        print(&report.text)?;
        report.fault.map_or(Ok(()), |fault| Err(fault.into()))
    }

    /// What is found in a pipeline.
    fn report(&self, pipeline: &[Pass], spinner: &Spinner) -> Result<BisectReport, Box<dyn Error>> {
        let step = step_of(&self.file, self.batch)?;
        let case = self.inputs.case(&step, self.states.as_deref())?;
        let passes = self.list(pipeline)?;
        let cx = PassContext::new(target(self.cpu.as_deref())?);
        spinner.say("the graph as it is");
        let tell = |progress| match progress {
            BisectProgress::After { pass } => spinner.say(&format!("after `{pass}`")),
            BisectProgress::Least { nodes } => {
                spinner.say(&format!("a fault: {nodes} nodes show it, are fewer enough?"))
            }
        };
        let found = match bisect_with(&case, &passes, &cx, &tell)? {
            Some(finding) => Some((self.of_pass(&finding, &passes, case.graph.len()), finding.case)),
            None if self.passes.is_empty() && self.cpu.is_none() => of_code(&case, &cx, spinner)?,
            None => None,
        };
        let Some((mut report, least)) = found else {
            let of_code =
                if self.passes.is_empty() && self.cpu.is_none() { ", and so does the machine code" } else { "" };
            return Ok(BisectReport {
                text: format!("{} passes keep what the graph computes{of_code}\n", passes.len()),
                fault: None,
            });
        };
        if let Some(folder) = &self.to {
            save_case(folder, &least)?;
            let _ = writeln!(report.text, "\nit is in {}, with its values", folder.display());
        }
        Ok(report)
    }

    fn list(&self, pipeline: &[Pass]) -> Result<Vec<Pass>, Box<dyn Error>> {
        let find = |name: &String| {
            let found = pipeline.iter().find(|pass| pass.name == name.trim());
            found.map_or_else(|| ::passes::pipeline::find(name.trim()), Ok).copied()
        };
        if self.passes.is_empty() {
            Ok(pipeline.to_vec())
        } else {
            Ok(self.passes.iter().map(find).collect::<Result<_, _>>()?)
        }
    }

    fn of_pass(&self, finding: &Finding, passes: &[Pass], nodes: usize) -> BisectReport {
        let Finding { fault, rule, case, least, .. } = finding;
        let mut text = format!("pass {} of {}, `{}`: {}\n", fault.position + 1, passes.len(), fault.pass, fault.what);
        if let Some(rule) = rule {
            let _ = writeln!(text, "its rule `{rule}` makes the difference");
        }
        text += &least_case(case, nodes);
        if least.what != fault.what {
            let _ = writeln!(text, "\nthere: {}", least.what);
        }
        if let Some(module) = &least.after {
            let _ = write!(text, "\nwhich becomes\n{}", module.text());
        }
        let (first, last) = finding.passes;
        let names: Vec<&str> = passes[first..=last].iter().map(|pass| pass.name).collect();
        let _ = writeln!(text, "\nby --passes {}", names.join(","));
        let rule = rule.map_or_else(String::new, |rule| format!(", by its rule `{rule}`"));
        BisectReport { text, fault: Some(format!("pass `{}` is at fault{rule}", fault.pass)) }
    }
}

/// What is printed, and the fault in a sentence, if there is one.
struct BisectReport {
    text: String,
    fault: Option<String>,
}

fn least_case(case: &GraphCase, nodes: usize) -> String {
    let mut text = format!("\nthe least graph, {} nodes of {nodes}:\n{}", case.graph.len(), case.graph);
    for (name, value) in case.inputs.iter().chain(&case.states) {
        let elements = value.to_f64_vec();
        let more = if elements.len() > 8 { ", .." } else { "" };
        let first: Vec<String> = elements.iter().take(8).map(|x| format!("{x}")).collect();
        let _ = writeln!(text, "{name} = {}{more}", first.join(", "));
    }
    text
}

/// Whether machine code computes what the interpreter says, where all passes do; and the least graph of which it doesn't.
fn of_code(
    case: &GraphCase,
    cx: &PassContext,
    spinner: &Spinner,
) -> Result<Option<(BisectReport, GraphCase)>, Box<dyn Error>> {
    spinner.say("the machine code");
    let differentiated = super::native::differentiated(&case.graph, cx)?;
    let case = GraphCase { graph: differentiated, ..case.clone() };
    let what = |case: &GraphCase| {
        let expected = ::passes::interpret(&Module::Graph(case.graph.clone()), case).ok()?.named();
        let run = catch_unwind(AssertUnwindSafe(|| Native::new(case, 1)?.run()));
        match run {
            Ok(Ok(found)) => {
                let ports = (&case.inputs, &case.states);
                Trials::difference_beyond_rounding(&case.graph, ports, &expected, &found.named())
            }
            Ok(Err(e)) => Some(e.to_string()),
            Err(payload) => Some(format!("it panics: {}", panic_message(payload.as_ref()))),
        }
    };
    let Some(fault) = what(&case) else { return Ok(None) };
    let nodes = case.graph.len();
    let least = shrink(case, |case| what(case).is_some());
    let text = format!("all passes are right, the machine code isn't: {fault}\n{}", least_case(&least, nodes));
    Ok(Some((BisectReport { text, fault: Some("the machine code is at fault".into()) }, least)))
}

/// Runs what may panic many times, and prints none of it.
fn silently<T>(run: impl FnOnce() -> T) -> T {
    let usual = take_hook();
    set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(run));
    set_hook(usual);
    result.unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}

/// What `gradc bisect` prints with these arguments, of a pipeline that is given: so can tests of it plant a fault.
///
/// # Errors
/// As the command.
pub fn bisect_in(arguments: &[&str], pipeline: &[Pass]) -> Result<String, Box<dyn Error>> {
    /// The arguments alone.
    #[derive(Parser)]
    struct BisectArguments {
        #[command(flatten)]
        bisect: Bisect,
    }
    let arguments = BisectArguments::try_parse_from([&["bisect"], arguments].concat())?;
    Ok(arguments.bisect.report(pipeline, &Spinner::hidden())?.text)
}
