//! `gradc dump`: a step after a pass, as text, as a picture, as code.

use super::given::{Subject, subject_of};
use super::{graph_text, print};
use crate::bench::ArenaLimit;
use crate::document::{GraphDocument, ProgramDocument};
use crate::report::{graph_html, program_html, to_svg};
use ::passes::{Module, Stop};
use clap::{Args, ValueEnum};
use gradc::compile::{CompileOptions, run_passes};
use kernel::Program;
use runtime::{LoadOptions, Loaded};
use std::error::Error;
use std::fmt::Write;

/// What to print, and of which model.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Dump {
    /// A model that comes with gradc (mlp, cnn, logreg, mlp_tiny, resnet), a workload of `gradc bench`, or a file: a graph as text (`Step::save` writes it), loops as text, or a model that `save_model` wrote
    model: String,
    /// The pass after which the program is printed (`gradc passes` lists them), or `none` for the step as declared; without it, the last one
    #[arg(long, visible_alias = "stage", value_name = "PASS")]
    after: Option<String>,
    /// What is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Samples in a batch of a model that comes with gradc; without it, its usual number
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// How large the arena may be: bytes (`64M`) or a part of what it takes otherwise (`60%`)
    #[arg(long, value_name = "BYTES|%")]
    memory_limit: Option<ArenaLimit>,
    /// Show where each node comes from in the source
    #[arg(long)]
    locations: bool,
    /// Of layers that are alike show the first one only; such a text can't be read back
    #[arg(long)]
    fold: bool,
}

const EXAMPLES: &str = "Examples:
  The fused training step of the built-in CNN, and where each node comes from:
      gradc dump cnn --after fuse --locations
  The same as a picture:
      gradc dump cnn --after fuse --format svg > cnn.svg
  The same as a page to be zoomed and searched, which needs no network:
      gradc dump cnn --after fuse --format html > cnn.html
  The same of a Transformer, of its blocks only the first:
      gradc dump transformer_lm --after fuse --fold
  The loops and their memory plan, for a tool:
      gradc dump cnn --format json > cnn.json
  The machine code of a step of one's own, that `step.save(\"step.ir\")` has written:
      gradc dump step.ir --format asm";

#[derive(Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// The graph, or the loops once it has been lowered
    #[default]
    Text,
    /// The graph for Graphviz
    Dot,
    /// The graph as a picture
    Svg,
    /// The graph, or the loops with their memory plan, as a page for a browser: to be zoomed and searched
    Html,
    /// The graph, or the loops with their memory plan, for tools; docs/workbench.md describes it
    Json,
    /// The loops
    Kernel,
    /// Cranelift's intermediate code of each kernel that it compiles
    Clif,
    /// The machine code of each kernel, disassembled
    Asm,
}

impl Dump {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        print(&self.text()?)
    }

    fn text(&self) -> Result<String, Box<dyn Error>> {
        if self.format != Format::Text && (self.fold || self.locations) {
            return Err("`--fold` and `--locations` are of graphs as text: leave `--format` out, or these".into());
        }
        let step = match subject_of(&self.model, self.batch)? {
            Subject::Step(step) => step,
            Subject::Loops(_) if self.after.is_some() => {
                return Err(format!("{} has loops in it already: `gradc opt` runs passes on them", self.model).into());
            }
            Subject::Loops(program) => return self.shown(Module::Program(program), &CompileOptions::default()),
        };
        let stop = match self.after.as_deref() {
            None => Stop::End,
            Some("none") => Stop::AfterCount(0),
            Some(name) => Stop::AfterPass(name.into()),
        };
        let mut options = CompileOptions::default();
        if let Some(limit) = self.memory_limit {
            options = limit.apply(&step.graph, options)?;
        }
        self.shown(run_passes(step.graph, &options, stop)?.module, &options)
    }

    /// A program in the format that was asked for.
    fn shown(&self, module: Module, options: &CompileOptions) -> Result<String, Box<dyn Error>> {
        match (self.format, module) {
            (Format::Dot, Module::Graph(graph)) => Ok(ir::dot::to_dot(&graph)),
            (Format::Svg, Module::Graph(graph)) => Ok(to_svg(&graph)),
            (Format::Dot | Format::Svg, Module::Program(_)) => {
                Err("loops have no picture: choose a pass before `lower`, or `--format text`".into())
            }
            (Format::Kernel | Format::Clif | Format::Asm, Module::Graph(_)) => {
                Err("there are no loops yet: choose `lower` or a pass after it, or `--format text`".into())
            }
            (Format::Json, Module::Graph(graph)) => json(&GraphDocument::of(&graph)),
            (Format::Json, Module::Program(program)) => json(&ProgramDocument::of(&program)),
            (Format::Html, Module::Graph(graph)) => Ok(graph_html(&self.title(), GraphDocument::of(&graph))?),
            (Format::Html, Module::Program(program)) => Ok(program_html(&self.title(), ProgramDocument::of(&program))?),
            (Format::Text, Module::Graph(graph)) => Ok(graph_text(&graph, self.locations, self.fold)),
            (Format::Text | Format::Kernel, Module::Program(program)) => Ok(program.to_string()),
            (Format::Clif | Format::Asm, Module::Program(program)) if program.arena_bytes.is_none() => {
                Err("code is made of loops that have their places in memory: leave `--after` out".into())
            }
            (Format::Clif | Format::Asm, Module::Program(program)) => self.code(program, options),
        }
    }

    /// What a page is called: the model and where in the pipeline it is.
    fn title(&self) -> String {
        match self.after.as_deref() {
            None => self.model.clone(),
            Some("none") => format!("{} as declared", self.model),
            Some(pass) => format!("{} after {pass}", self.model),
        }
    }

    /// The code of each kernel, under its name and the lines that it was made of.
    fn code(&self, program: Program, options: &CompileOptions) -> Result<String, Box<dyn Error>> {
        let origins: Vec<String> = (0..program.kernels.len()).map(|kernel| origins(&program, kernel)).collect();
        let options = LoadOptions { dump: true, target: Some(options.target_or_host()?), ..LoadOptions::default() };
        let loaded = Loaded::compile(program, &options)?;
        let mut text = String::new();
        for (kernel, origins) in loaded.kernels().iter().zip(origins) {
            let _ = writeln!(text, "; kernel {}, {}{origins}", kernel.name, kernel.emitter);
            let _ = match &kernel.dump {
                None => writeln!(text, "; the code of an equal kernel above"),
                Some(dump) if self.format == Format::Asm => writeln!(text, "{}", dump.assembly),
                Some(dump) if dump.clif.is_empty() => writeln!(text, "; not compiled by Cranelift: see `--format asm`"),
                Some(dump) => writeln!(text, "{}", dump.clif),
            };
        }
        Ok(text)
    }
}

fn json(document: &impl serde::Serialize) -> Result<String, Box<dyn Error>> {
    Ok(serde_json::to_string_pretty(document)? + "\n")
}

/// The ops that a kernel's launches were made of, each with its source line.
fn origins(program: &Program, kernel: usize) -> String {
    let launches = program.launches.iter().filter(|launch| launch.kernel as usize == kernel);
    let mut numbers: Vec<u32> = launches.flat_map(|launch| launch.origins.iter().copied()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let mut text = String::new();
    for origin in numbers.iter().filter_map(|&number| program.origins.get(number as usize)) {
        let _ =
            write!(text, "\n;   {}{}", origin.op, origin.loc.as_ref().map_or_else(String::new, |l| format!(" at {l}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn dump(model: &str, after: Option<&str>, format: Format) -> Result<String, String> {
        let (model, after) = (model.to_string(), after.map(String::from));
        let dump = Dump { model, after, format, batch: None, memory_limit: None, locations: false, fold: false };
        dump.text().map_err(|e| e.to_string())
    }

    #[test]
    fn every_model_is_a_graph_that_parses() {
        for model in crate::command::built_in::BuiltIn::names() {
            let text = dump(&model, Some("none"), Format::Text).unwrap();
            let graph = ir::Graph::parse(&text).unwrap();
            assert!(text.contains("\n  ; forward") && text.contains("\n  ; update"), "{text}");
            let plain: String = text.lines().filter(|l| !l.starts_with("  ;")).map(|l| format!("{l}\n")).collect();
            assert_eq!(graph.to_string(), plain, "{model}");
        }
    }

    #[test]
    fn formats_go_with_stages() {
        let tiny = "mlp_tiny";
        assert!(dump(tiny, Some("fuse"), Format::Text).unwrap().contains(" @0"));
        assert!(dump(tiny, Some("fuse"), Format::Dot).unwrap().starts_with("digraph"));
        assert!(dump(tiny, None, Format::Kernel).unwrap().contains("kernel"));
        assert!(dump(tiny, Some("fuse"), Format::Svg).unwrap().starts_with("<svg "));
        assert!(dump(tiny, Some("fuse"), Format::Html).unwrap().contains("<title>mlp_tiny after fuse</title>"));
        assert!(dump(tiny, None, Format::Html).unwrap().contains("<title>mlp_tiny</title>"));
        assert!(dump(tiny, None, Format::Dot).is_err() && dump(tiny, None, Format::Svg).is_err());
        assert!(dump(tiny, Some("dce"), Format::Kernel).is_err());
        let unknown = dump(tiny, Some("simplifi"), Format::Text).unwrap_err();
        assert!(unknown.contains("did you mean `simplify`?") && unknown.contains("autodiff"), "{unknown}");
        assert!(dump(tiny, Some("tile"), Format::Asm).unwrap_err().contains("leave `--after` out"));
    }

    #[test]
    fn tools_get_graphs_and_memory_plans() {
        let graph: GraphDocument = serde_json::from_str(&dump("cnn", Some("fuse"), Format::Json).unwrap()).unwrap();
        let text = ir::Graph::parse(&dump("cnn", Some("fuse"), Format::Text).unwrap()).unwrap();
        assert_eq!((graph.nodes.len(), graph.outputs.len()), (text.len(), text.outputs().len()));
        assert!(graph.nodes.iter().all(|node| node.operands.iter().all(|operand| *operand < node.id)));
        let layers: BTreeSet<&str> = graph.nodes.iter().filter_map(|node| node.layer.as_deref()).collect();
        assert!(["conv2d", "conv2d_1", "dense"].iter().all(|layer| layers.contains(layer)), "{layers:?}");
        let sections: BTreeSet<&str> = graph.nodes.iter().filter_map(|node| node.section.as_deref()).collect();
        assert_eq!(sections.into_iter().collect::<Vec<_>>(), ["backward", "forward", "update"]);
        let loops: ProgramDocument = serde_json::from_str(&dump("cnn", None, Format::Json).unwrap()).unwrap();
        let memory = loops.memory.unwrap();
        let end = |buffer: &crate::document::BufferDocument| Some(buffer.offset? + buffer.bytes);
        assert!(loops.buffers.iter().filter_map(end).max().unwrap() <= memory.arena_bytes);
        assert!(memory.lower_bound_bytes <= memory.arena_bytes && memory.lower_bound_bytes > 0);
        assert!(loops.launches.iter().all(|launch| !launch.origins.is_empty()));
    }

    /// Each kernel has a text, and says which lines it is of.
    #[test]
    fn code_is_shown_beside_its_source() {
        let loops: Program = dump("mlp_tiny", None, Format::Kernel).unwrap().parse().unwrap();
        for format in [Format::Asm, Format::Clif] {
            let text = dump("mlp_tiny", None, format).unwrap();
            for kernel in &loops.kernels {
                assert!(text.contains(&format!("; kernel {}, ", kernel.name)), "{}", kernel.name);
            }
            assert!(text.contains(".rs:"), "{text}");
        }
        assert!(dump("mlp_tiny", None, Format::Asm).unwrap().contains("ret"));
    }
}
