//! `gradc opt`: passes by name, or the pipeline up to a point, on a graph or on loops.

use super::given::{module_of, target};
use super::{graph_text, print};
use ::passes::pipeline::{PIPELINE, find, on_loops};
use ::passes::{Module, Pass, PassContext, RunOptions, Stop, run_watched};
use clap::Args;
use std::error::Error;
use std::fmt::Write;
use std::path::PathBuf;

/// What to run on what, and what to print.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Opt {
    /// A file with a graph or with loops as text, or what `gradc dump` takes
    file: String,
    /// Passes to run, with commas between (`gradc passes` lists them); without it, the whole pipeline
    #[arg(long, value_name = "PASS,..", value_delimiter = ',')]
    passes: Vec<String>,
    /// Run the pipeline up to the last pass of that name
    #[arg(long, value_name = "PASS", conflicts_with = "passes")]
    until: Option<String>,
    /// Run at most so many passes
    #[arg(long, value_name = "N", conflicts_with = "until")]
    stop_after: Option<usize>,
    /// Print the program after each pass
    #[arg(long)]
    print_after_each: bool,
    /// Print the program after each pass that changed it
    #[arg(long, conflicts_with = "print_after_each")]
    print_changed: bool,
    /// Tell how long each pass took
    #[arg(long)]
    time: bool,
    /// Tell what each pass did: how many nodes or kernels there are, and how often each rewrite rule fired
    #[arg(long)]
    stats: bool,
    /// Show where each node comes from in the source
    #[arg(long)]
    locations: bool,
    /// Of layers that are alike show the first one only; such a text can't be read back
    #[arg(long, conflicts_with = "output")]
    fold: bool,
    /// Compile for the instructions of another machine of this kind: `x86-64`, `baseline`, `avx2`, `avx512`, `avx512-vnni`, `avx512-bf16`
    #[arg(long, value_name = "SET")]
    cpu: Option<String>,
    /// Don't check after each pass that the program keeps the rules
    #[arg(long)]
    no_verify: bool,
    /// Write the program to a file instead
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["print_after_each", "print_changed"])]
    output: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  What two passes make of a graph:
      gradc opt step.ir --passes autodiff,simplify
  What each pass changed, up to fusion, and how often which rule fired:
      gradc opt step.ir --until fuse --print-changed --stats
  Passes on loops:
      gradc opt step.ir --until fuse_loops -o loops.ir && gradc opt loops.ir --passes tile,vectorize";

impl Opt {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        if let Some(path) = &self.output {
            gradc::io::check_destination(path)?;
        }
        let mut text = String::new();
        let result = self.write(&mut text);
        match &self.output {
            Some(path) => result.and_then(|()| Ok(gradc::io::write_atomically(path, text.as_bytes())?)),
            // Of passes of which one fails, those before it are shown: the last program is what it was given.
            None => print(&text).and(result),
        }
    }

    /// All that is printed, as far as passes go; what isn't program stands in comments, so that it can be read back.
    fn write(&self, text: &mut String) -> Result<(), Box<dyn Error>> {
        let module = module_of(&self.file)?;
        let passes = self.list(&module)?;
        let target = target(self.cpu.as_deref())?;
        let stop = self.stop_after.map_or(Stop::End, Stop::AfterCount);
        let options = RunOptions { verify: !self.no_verify, stop, ..RunOptions::default() };
        let (mut before, mut number) = (self.program(&module), 0);
        let outcome = run_watched(module, &passes, &PassContext::new(target), &options, &mut |pass, module| {
            number += 1;
            if self.print_after_each || self.print_changed {
                let after = self.program(module);
                if self.print_after_each || after != before {
                    let _ = writeln!(text, "; after {number}, {}\n{after}", pass.name);
                }
                before = after;
            }
        })?;
        if !(self.print_after_each || self.print_changed) {
            *text += &self.program(&outcome.module);
        }
        for record in &outcome.report.passes {
            if self.time || self.stats {
                let _ = write!(text, "; {:<14}", record.name);
            }
            if self.time {
                let _ = write!(text, " {:>10.3} ms", record.seconds * 1e3);
            }
            if self.stats {
                let changed = if record.changed { "" } else { ", nothing changed" };
                let _ = write!(text, " {:>6} -> {:<6}{changed}", record.before, record.after);
                for (rule, count) in &record.rules {
                    let _ = write!(text, "\n;     {count:>5} {rule}");
                }
            }
            if self.time || self.stats {
                text.push('\n');
            }
        }
        Ok(())
    }

    fn program(&self, module: &Module) -> String {
        match module {
            Module::Graph(graph) => graph_text(graph, self.locations, self.fold),
            Module::Program(program) => program.to_string(),
        }
    }

    /// The passes that are asked for. Of the pipeline, for loops, those on loops.
    fn list(&self, module: &Module) -> Result<Vec<Pass>, Box<dyn Error>> {
        if !self.passes.is_empty() {
            return self.passes.iter().map(|name| Ok(*find(name.trim())?)).collect();
        }
        let count = match &self.until {
            None => PIPELINE.len(),
            Some(name) => {
                find(name)?;
                PIPELINE.iter().rposition(|pass| pass.name == *name).map_or(0, |at| at + 1)
            }
        };
        let first = match module {
            Module::Graph(_) => 0,
            Module::Program(_) => PIPELINE.len() - on_loops().len(),
        };
        if first > count {
            let known: Vec<&str> = on_loops().iter().map(|pass| pass.name).collect();
            return Err(
                format!("{} has loops in it already; the passes on loops are {}", self.file, known.join(", ")).into()
            );
        }
        Ok(PIPELINE[first..count].to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::super::parsed;
    use super::*;

    fn opt(arguments: &str) -> Result<String, String> {
        let mut text = String::new();
        parsed::<Opt>(arguments).write(&mut text).map(|()| text).map_err(|e| e.to_string())
    }

    #[test]
    fn the_pipeline_is_run_in_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name).display().to_string();
        std::fs::write(file("a.ir"), opt("mlp_tiny --cpu avx2 --until schedule --locations").unwrap()).unwrap();
        let rest: Vec<&str> = PIPELINE.iter().map(|p| p.name).skip_while(|name| *name != "rematerialize").collect();
        let loops = opt(&format!("{} --cpu avx2 --passes {}", file("a.ir"), rest[..4].join(","))).unwrap();
        std::fs::write(file("b.ir"), loops).unwrap();
        let pieces = opt(&format!("{} --cpu avx2 --passes {}", file("b.ir"), rest[4..].join(","))).unwrap();
        assert_eq!(pieces, opt(&format!("{} --cpu avx2 --passes {}", file("a.ir"), rest.join(","))).unwrap());
        assert!(
            opt(&format!("{} --until fuse", file("b.ir"))).unwrap_err().contains("on loops are decompose, collapse")
        );
    }

    #[test]
    fn instruction_sets_have_the_names_that_the_environment_has() {
        let [fma, baseline] = ["fma", "baseline"].map(|cpu| opt(&format!("mlp_tiny --cpu {cpu}")).unwrap());
        assert_eq!(fma, baseline);
        assert!(opt("mlp_tiny --cpu avx").unwrap_err().contains("there are x86-64, fma"));
    }

    #[test]
    fn what_passes_do_is_told_in_comments() {
        let text = opt("mlp_tiny --until dce --time --stats").unwrap();
        assert!(text.contains("; autodiff") && text.contains(" ms ") && text.contains(" -> "), "{text}");
        let rules = ::passes::simplify::all();
        assert!(rules.iter().any(|rule| text.lines().any(|line| line.ends_with(&format!(" {}", rule.name)))), "{text}");
        assert!(ir::Graph::parse(&text).is_ok());
        let changed = opt("mlp_tiny --print-changed --until dce").unwrap().matches("; after ").count();
        let each = opt("mlp_tiny --print-after-each --until dce").unwrap().matches("; after ").count();
        assert!(changed < each && each == 8, "{changed} {each}");
        let block = |arguments: &str| opt(arguments).unwrap().matches(" dot ").count();
        assert!(block("transformer_lm --until dce --fold") < block("transformer_lm --until dce"));
        assert_eq!(opt("mlp_tiny --print-after-each --stop-after 3").unwrap().matches("; after ").count(), 3);
    }

    #[test]
    fn what_a_failing_pass_was_given_is_shown() {
        let mut text = String::new();
        let opt = parsed::<Opt>("mlp_tiny --print-after-each --passes autodiff,simplify,tile");
        let error = opt.write(&mut text).unwrap_err().to_string();
        assert!(error.contains("in pass `tile`") && text.contains("; after 2, simplify\ngraph "), "{error}: {text}");
    }

    #[test]
    fn wrong_names_and_orders_are_told() {
        let error = opt("mlp_tiny --passes autodiff,fussion").unwrap_err();
        assert!(error.contains("did you mean `fuse`?") && error.contains("autodiff, simplify"), "{error}");
        let error = opt("mlp_tiny --passes cse").unwrap_err();
        assert!(error.contains("in pass `cse`") && error.contains("run the passes before it first"), "{error}");
        let error = opt("mlp_tiny --passes autodiff,tile").unwrap_err();
        assert!(error.contains("in pass `tile`"), "{error}");
    }
}
