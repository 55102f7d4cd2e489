//! `gradc diff`: what differs between two programs, by their structure.

use super::given::module_of;
use super::print;
use ::passes::Module;
use clap::Args;
use ir::diff::GraphDiff;
use kernel::{Kernel, Program};
use std::error::Error;
use std::fmt::Write;

/// What to compare.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Diff {
    /// A file with a graph or with loops as text, or what `gradc dump` takes
    a: String,
    /// Another one
    b: String,
}

const EXAMPLES: &str = "The exit code is 1 if something differs.

Example:
  What a pass has changed, whatever the numbers of nodes and the order of lines:
      gradc opt step.ir --until cse -o a.ir && gradc opt step.ir --until dce -o b.ir && gradc diff a.ir b.ir";

impl Diff {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        let (text, is_same) = self.compared()?;
        print(&text)?;
        if is_same { Ok(()) } else { Err(format!("{} and {} differ", self.a, self.b).into()) }
    }

    /// What differs, and whether nothing does.
    fn compared(&self) -> Result<(String, bool), Box<dyn Error>> {
        match (module_of(&self.a)?, module_of(&self.b)?) {
            (Module::Graph(a), Module::Graph(b)) => {
                let diff = GraphDiff::of(&a, &b);
                Ok((diff.to_string(), diff.is_empty()))
            }
            (Module::Program(a), Module::Program(b)) => Ok(loops(&a, &b)),
            _ => Err(format!("one of {} and {} is a graph, the other one loops", self.a, self.b).into()),
        }
    }
}

/// Kernels are alike if their code is, whatever their names; the rest is compared line by line, with the names of `a`.
fn loops(a: &Program, b: &Program) -> (String, bool) {
    let (mut text, mut alike) = (String::new(), 0);
    let mut open: Vec<usize> = (0..b.kernels.len()).collect();
    let mut gone = vec![];
    for kernel in &a.kernels {
        match open.iter().position(|&other| same_code(kernel, &b.kernels[other])) {
            Some(at) => {
                open.remove(at);
                alike += 1;
            }
            None => gone.push(kernel),
        }
    }
    for kernel in gone {
        let same_name = open.iter().position(|&other| b.kernels[other].name == kernel.name);
        let other = same_name.map(|at| b.kernels[open.remove(at)].to_string());
        text += &lines(&kernel.to_string(), &other.unwrap_or_default());
    }
    for other in open {
        text += &lines("", &b.kernels[other].to_string());
    }
    text += &lines(&without_kernels(a), &without_kernels(b));
    let is_same = text.is_empty();
    let _ = writeln!(text, "{alike} kernels alike of {} and {}", a.kernels.len(), b.kernels.len());
    (text, is_same)
}

fn same_code(a: &Kernel, b: &Kernel) -> bool {
    let unnamed = |kernel: &Kernel| kernel.to_string().replacen(&kernel.name, "", 1);
    a.shares_code_with(b) || unnamed(a) == unnamed(b)
}

/// Buffers, checks, origins and launches.
fn without_kernels(program: &Program) -> String {
    let text = program.to_string();
    let mut inside = false;
    let outside = text.lines().filter(|line| {
        inside |= line.starts_with("kernel ");
        let keep = !inside;
        inside &= *line != "}";
        keep
    });
    outside.map(|line| format!("{line}\n")).collect()
}

/// The lines that differ, each after `-` or `+`.
fn lines(a: &str, b: &str) -> String {
    let diff = similar::TextDiff::from_lines(a, b);
    let mut text = String::new();
    for change in diff.iter_all_changes() {
        let sign = match change.tag() {
            similar::ChangeTag::Equal => continue,
            similar::ChangeTag::Delete => '-',
            similar::ChangeTag::Insert => '+',
        };
        let _ = write!(text, "{sign} {}", change.value());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::parsed;
    use super::*;
    use ir::Graph;

    #[test]
    fn graphs_and_loops_are_compared() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let compared = |a: &str, b: &str| parsed::<Diff>(&format!("{a} {b}")).compared().map_err(|e| e.to_string());
        assert!(compared("mlp_tiny", "mlp_tiny").unwrap().1);
        let graph = super::super::given::step_of("mlp_tiny", None).unwrap().graph;
        let other = file("g.ir", &graph.to_string().replacen("= tanh ", "= exp ", 1));
        let (text, is_same) = compared("mlp_tiny", &other).unwrap();
        assert!(
            !is_same && text.contains("- %") && text.contains(" = exp ") && text.contains("1 removed, 1 added"),
            "{text}"
        );
        let loops = |graph: &Graph| {
            let cx = passes::PassContext::new(kernel::Target::avx2());
            passes::compile(graph.clone(), &cx, &passes::RunOptions::default()).unwrap().module.text()
        };
        let (a, b) = (
            file("a.ir", &loops(&graph)),
            file("b.ir", &loops(&Graph::parse(&std::fs::read_to_string(&other).unwrap()).unwrap())),
        );
        assert!(compared(&a, &a).unwrap().1);
        let (text, is_same) = compared(&a, &b).unwrap();
        assert!(!is_same && text.contains("kernels alike of"), "{text}");
        assert!(compared("mlp_tiny", &a).unwrap_err().contains("the other one loops"));
    }
}
