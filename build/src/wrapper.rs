//! The wrapper of an object in Rust: what is of one step alone. The rest stands in the crate `embed`.

use crate::manifest::{Manifest, PortEntry};
use std::fmt::Write;

impl Manifest {
    /// The wrapper's text.
    pub(crate) fn wrapper(&self) -> String {
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, f: &mut String) -> std::fmt::Result {
        let cpus: Vec<&str> = self.variants.iter().map(|variant| variant.cpu.as_str()).collect();
        let (name, target) = (&self.name, &self.target);
        writeln!(f, "// The step `{name}` for {target} ({}), written by gradc-build.\n", cpus.join(", "))?;
        self.write_link(f)?;
        for port in self.ports() {
            let (label, shape) = (label(&port.name), &port.shape);
            writeln!(f, "/// The shape of {label}.")?;
            writeln!(
                f,
                "#[allow(dead_code)]\npub const {}_SHAPE: [usize; {}] = {shape:?};",
                port.field.to_uppercase(),
                shape.len()
            )?;
        }
        write_struct(f, "Inputs", "What the step reads.", &self.inputs)?;
        write_struct(f, "Outputs", "What the step writes.", &self.outputs)?;
        self.write_states(f)?;
        self.write_step(f)
    }

    fn ports(&self) -> impl Iterator<Item = &PortEntry> {
        self.inputs.iter().chain(&self.outputs)
    }

    /// The step's symbols, and what is at which place.
    fn write_link(&self, f: &mut String) -> std::fmt::Result {
        let name = &self.name;
        writeln!(f, "static STATE_SPECS: [embed::StatePlace; {}] = [", self.states.len())?;
        for state in &self.states {
            let (name, dtype, len, offset) = (&state.name, &state.dtype, state.elements, state.offset);
            writeln!(f, "    embed::StatePlace {{ name: {name:?}, dtype: {dtype:?}, len: {len}, offset: {offset} }},")?;
        }
        writeln!(f, "];\nstatic PORT_SPECS: [embed::PortSpec; {}] = [", self.ports().count())?;
        for (at, port) in self.ports().enumerate() {
            let (name, dtype, len) = (&port.name, &port.dtype, port.elements());
            let is_output = at >= self.inputs.len();
            writeln!(
                f,
                "    embed::PortSpec {{ name: {name:?}, dtype: {dtype:?}, len: {len}, is_output: {is_output} }},"
            )?;
        }
        writeln!(f, "];\nembed::link_step! {{")?;
        writeln!(
            f,
            "    Code: init = {name}_init, step = {name}_step, status_message = {name}_status_message, arena_bytes = {name}_arena_bytes,"
        )?;
        writeln!(
            f,
            "    abi_version = {}, states = STATE_SPECS, state_bytes = {},",
            self.abi_version, self.state_bytes
        )?;
        writeln!(f, "    changes_states = {}, ports = PORT_SPECS\n}}\n", self.changes_states)
    }

    fn write_states(&self, f: &mut String) -> std::fmt::Result {
        let mut names = vec![];
        for state in &self.states {
            names.push(format!("{} `{}[{}]`", label(&state.name), state.dtype, state.elements));
        }
        writeln!(f, "/// States with the values that the step's start with: {}.\n///", names.join(", "))?;
        writeln!(f, "/// # Errors\n/// If there is no memory for them.")?;
        writeln!(
            f,
            "#[allow(dead_code)]\npub fn states(seed: u64) -> Result<embed::States, embed::StepFailure> {{\n    embed::initial_states::<Code>(seed)\n}}\n"
        )
    }

    fn write_step(&self, f: &mut String) -> std::fmt::Result {
        let zeros = |ports: &[PortEntry]| {
            let fields = ports
                .iter()
                .map(|port| format!("{}: embed::AlignedBox::zeros({})?", port.rust_name(), port.elements()));
            fields.collect::<Vec<_>>().join(", ")
        };
        let inputs = self.inputs.iter().map(|port| format!("embed::PortRef::input(&self.inputs.{})", port.rust_name()));
        let outputs =
            self.outputs.iter().map(|port| format!("embed::PortRef::output(&mut self.outputs.{})", port.rust_name()));
        let ports = inputs.chain(outputs).collect::<Vec<_>>().join(",\n            ");
        let (states, run) =
            if self.changes_states { ("&mut embed::States", "run") } else { ("&embed::States", "run_shared") };
        let text = STEP.replace("@NAME", &self.name).replace("@STATES", states).replace("@RUN", run);
        let text = text.replace("@PORTS", &ports);
        f.write_str(&text.replace("@INPUTS", &zeros(&self.inputs)).replace("@OUTPUTS", &zeros(&self.outputs)))
    }
}

const STEP: &str = "/// The step `@NAME`, with memory for what it reads and writes.
#[allow(dead_code)]
pub struct Step {
    runner: embed::StepRunner<Code>,
    /// What it reads.
    pub inputs: Inputs,
    /// What it has written.
    pub outputs: Outputs,
}

#[allow(dead_code)]
impl Step {
    /// The step on so many threads, the calling one counted; inputs are zeros.
    ///
    /// # Errors
    /// If memory or threads are not to be had.
    pub fn new(threads: usize) -> Result<Self, embed::StepFailure> {
        Ok(Self {
            runner: embed::StepRunner::new(threads)?,
            inputs: Inputs { @INPUTS },
            outputs: Outputs { @OUTPUTS },
        })
    }

    /// Runs it once, on these states.
    ///
    /// # Errors
    /// States that aren't laid out as the step's, a port that was exchanged for one of another length: then nothing has been touched. A check of the model that failed: then
    /// outputs, and states that the step changes, hold no particular values.
    pub fn run(&mut self, states: @STATES) -> Result<(), embed::StepFailure> {
        self.runner.@RUN(states, [
            @PORTS,
        ])
    }
}
";

/// A struct with a field for each port.
fn write_struct(f: &mut String, name: &str, what: &str, ports: &[PortEntry]) -> std::fmt::Result {
    writeln!(f, "\n/// {what}\n#[derive(Debug)]\n#[allow(dead_code)]\npub struct {name} {{")?;
    for port in ports {
        let note = match port.dtype.as_str() {
            "bf16" => ": the upper halves of `f32`",
            "f16" => ": the bits of half-precision floats",
            _ => "",
        };
        writeln!(f, "    /// {}, `{}{:?}`{note}.", label(&port.name), port.dtype, port.shape)?;
        writeln!(f, "    pub {}: embed::AlignedBox<{}>,", port.rust_name(), rust_type(&port.dtype))?;
    }
    writeln!(f, "}}\n")
}

/// A name in a line of documentation.
fn label(name: &str) -> String {
    format!("`{}`", name.replace(['`', '\n', '\r'], "'"))
}

/// The type of elements in Rust.
fn rust_type(dtype: &str) -> &str {
    match dtype {
        "bf16" | "f16" => "u16",
        other => other,
    }
}

/// Words that Rust has for itself.
const KEYWORDS: [&str; 47] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn", "else", "enum",
    "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod", "move",
    "mut", "override", "priv", "pub", "ref", "return", "static", "struct", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "yield",
];

/// Those that no prefix makes a name.
const NO_NAMES: [&str; 5] = ["_", "Self", "crate", "self", "super"];

impl PortEntry {
    fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// The field's name, written as Rust takes it.
    fn rust_name(&self) -> String {
        let field = self.field.as_str();
        match (KEYWORDS.contains(&field), NO_NAMES.contains(&field)) {
            (true, _) => format!("r#{field}"),
            (_, true) => format!("{field}_"),
            _ => field.to_owned(),
        }
    }
}
