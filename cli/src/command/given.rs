//! What a command is given: a model that comes with gradc, a workload, or a file of one's own.

use super::built_in::BuiltIn;
use crate::bench::{Workload, did_you_mean};
use ::passes::Module;
use clap::ValueEnum;
use gradc::compile::CompileOptions;
use gradc::dsl::{StateRole, StateSpec, Step, zeros};
use ir::Graph;
use kernel::{Program, Target};
use std::error::Error;
use std::path::Path;

/// What a command can be given: a step, or loops that passes have made of one.
pub(super) enum Subject {
    /// Of a model, a workload or a graph.
    Step(Box<Step>),
    /// From a file of their text.
    Loops(Program),
}

/// The step of that name, or what is in that file.
pub(super) fn subject_of(name: &str, batch: Option<usize>) -> Result<Subject, Box<dyn Error>> {
    if let Ok(built_in) = BuiltIn::from_str(name, false) {
        return Ok(Subject::Step(built_in.step(batch.unwrap_or_else(|| built_in.batch()))?.into()));
    }
    if batch.is_some() {
        return Err(format!(
            "`{name}` has a batch size of its own: `--batch` goes with {}",
            BuiltIn::names().join(", ")
        )
        .into());
    }
    if let Ok(workload) = Workload::named(name) {
        return Ok(Subject::Step(workload.step()?.into()));
    }
    let path = Path::new(name);
    if !path.is_file() {
        return Err(unknown(name).into());
    }
    if holds_tensors(path) {
        return Ok(Subject::Step(gradc::io::load_model(path)?.into()));
    }
    Ok(match read_module(path)? {
        Module::Graph(graph) => Subject::Step(step_from(graph).into()),
        Module::Program(program) => Subject::Loops(program),
    })
}

/// The step of that name or in that file.
pub(super) fn step_of(name: &str, batch: Option<usize>) -> Result<Step, Box<dyn Error>> {
    match subject_of(name, batch)? {
        Subject::Step(step) => Ok(*step),
        Subject::Loops(_) => Err(no_graph(Path::new(name)).into()),
    }
}

/// Whether a file's name says that it holds tensors, with a graph among them if it is a model.
fn holds_tensors(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| ["safetensors", "npz", "npy"].iter().any(|of_tensors| extension == *of_tensors))
}

/// The graph of a step, or the loops that are in a file.
pub(super) fn module_of(name: &str) -> Result<Module, Box<dyn Error>> {
    Ok(match subject_of(name, None)? {
        Subject::Step(step) => Module::Graph(step.graph),
        Subject::Loops(program) => Module::Program(program),
    })
}

/// This machine, or one like it with other instructions.
pub(super) fn target(cpu: Option<&str>) -> Result<Target, Box<dyn Error>> {
    let host = CompileOptions::default().target_or_host()?;
    Ok(match cpu {
        Some(name) => {
            let set = host.set_named(name)?;
            host.with_instruction_set(set)?
        }
        None => host,
    })
}

/// A step of a graph alone; its states start at 0.
pub(super) fn step_from(graph: Graph) -> Step {
    let state = |(_, state): (ir::NodeId, &ir::op::source::State)| StateSpec {
        name: state.name.clone(),
        ty: state.ty.clone(),
        init: zeros(),
        role: StateRole::Buffer,
    };
    let states = graph.states().map(state).collect();
    Step { graph, states, layers: vec![] }
}

fn unknown(name: &str) -> String {
    let path = Path::new(name);
    if path.is_dir() {
        return format!(
            "{name} is a folder: a file with a graph or with loops as text is needed, or a model that `save_model` wrote"
        );
    }
    if path.extension().is_some() || path.components().count() > 1 {
        return format!(
            "there is no file {name}: `Step::save` and `Model::save_graph` write such; models that come with gradc are {}",
            BuiltIn::names().join(", ")
        );
    }
    let (models, workloads) = (BuiltIn::names(), Workload::all().map(|w| w.name));
    let workloads: Vec<&str> = workloads.collect();
    let all: Vec<&str> = models.iter().map(String::as_str).chain(workloads.iter().copied()).collect();
    format!(
        "there is no model, workload or file `{name}`{}; the models are {}; the workloads are {}",
        did_you_mean(name, &all),
        models.join(", "),
        workloads.join(", ")
    )
}

fn no_graph(path: &Path) -> String {
    format!("{} has loops in it: here a graph is needed, which loops are made of", path.display())
}

/// A graph from a file of its text.
pub(super) fn read_graph(path: &Path) -> Result<Graph, String> {
    match read_module(path)? {
        Module::Graph(graph) => Ok(graph),
        Module::Program(_) => Err(no_graph(path)),
    }
}

/// A graph or loops from a file of text.
pub(super) fn read_module(path: &Path) -> Result<Module, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let code = text.lines().map(str::trim_start).find(|line| !(line.is_empty() || line.starts_with([';', '/'])));
    if code.is_some_and(|line| line.starts_with("program")) {
        return read_program(&text).map(Module::Program).map_err(|e| format!("{}:{e}", path.display()));
    }
    Graph::parse_file(&text, &path.display().to_string())
        .map(Module::Graph)
        .map_err(|e| format!("{}:{e}", path.display()))
}

/// The loops that a text says; an error shows the line as that of a graph does.
fn read_program(text: &str) -> Result<Program, String> {
    text.parse().map_err(|e: kernel::text::ParseError| {
        let line = text.lines().nth(e.line - 1).unwrap_or("");
        format!("{}:{}: {}\n  | {line}\n  | {:>width$}", e.line, e.column, e.message, "^", width = e.column)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_in_files_are_told_with_their_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("step.ir");
        let told = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_module(&path).unwrap_err()
        };
        let graph = told("; mine\ngraph \"g\" {\n  %0 = input {name=\"x\"} : f33[2]\n}");
        assert!(graph.contains("step.ir:3:27: ") && graph.contains("  | "), "{graph}");
        let program = told("// mine\nprogram \"p\"\nb0: f32[4] inputt \"x\"");
        assert!(program.contains("step.ir:3:") && program.contains("inputt"), "{program}");
        assert!(step_of("no_such_model", None).unwrap_err().to_string().contains("k_sgemm_64"));
        assert!(step_of("resnt", None).unwrap_err().to_string().contains("file `resnt` (did you mean `resnet`?); the"));
        let told = |name: &Path| step_of(name.to_str().unwrap(), None).unwrap_err().to_string();
        assert!(told(dir.path()).contains("is a folder"));
        assert!(
            told(&dir.path().join("stop.ir")).contains("there is no file")
                && told(Path::new("stop.ir")).contains("no file stop.ir")
        );
        std::fs::write(&path, "program \"p\"\n").unwrap();
        assert!(step_of(path.to_str().unwrap(), None).unwrap_err().to_string().contains("here a graph is needed"));
    }
}
