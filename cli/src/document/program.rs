//! Loops as JSON: buffers with their places and lives, kernels with their text and work, launches.

use super::VERSION;
use kernel::{Buffer, BufferKind, Kernel, Launch, Origin, Program};
use passes::plan_memory::{Life, lives, report};
use serde::{Deserialize, Serialize};

/// A program of loops. What is numbered is so by its position.
#[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
pub struct ProgramDocument {
    /// `gradc.program`.
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// The program's name.
    pub name: String,
    /// The buffers.
    pub buffers: Vec<BufferDocument>,
    /// The kernels.
    pub kernels: Vec<KernelDocument>,
    /// What runs, in order.
    pub launches: Vec<LaunchDocument>,
    /// The sizes of the memory plan, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryDocument>,
}

/// A buffer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct BufferDocument {
    /// `temp`, `input`, `output`, `state`, `next` (what a state is after the step) or `constant`.
    pub kind: String,
    /// The name of the input, output or state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The element type.
    pub dtype: String,
    /// How many elements.
    pub elements: usize,
    /// How many bytes.
    pub bytes: usize,
    /// Its first byte in the arena; what has none stands outside, or has no place yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<usize>,
    /// The launch that first writes it, or 0 if it is there before the step.
    pub first: usize,
    /// The launch that last reads it; the number of launches if it is needed after the step.
    pub last: usize,
}

/// A kernel.
#[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
pub struct KernelDocument {
    /// The name.
    pub name: String,
    /// Its parameters.
    pub parameters: Vec<ParameterDocument>,
    /// Scratch memory.
    pub locals: Vec<LocalDocument>,
    /// Operations on elements of one launch, two for a fused multiply-add.
    pub operations: f64,
    /// Bytes that one launch reads, each once.
    pub read_bytes: f64,
    /// Bytes that one launch writes, each once.
    pub written_bytes: f64,
    /// The loops, as text.
    pub text: String,
}

/// A parameter of a kernel.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct ParameterDocument {
    /// The element type.
    pub dtype: String,
    /// How many elements.
    pub elements: usize,
    /// `read`, `write`, `readwrite` or `stream`.
    pub access: String,
}

/// Scratch memory of a kernel.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct LocalDocument {
    /// The element type.
    pub dtype: String,
    /// How many elements.
    pub elements: usize,
}

/// A launch.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct LaunchDocument {
    /// The kernel.
    pub kernel: usize,
    /// The buffers bound to its parameters.
    pub buffers: Vec<usize>,
    /// The ops of the graph that it was made of.
    pub origins: Vec<OriginDocument>,
}

/// An op of the graph that loops were made of.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct OriginDocument {
    /// The op's name.
    pub op: String,
    /// The place in the user's source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// `forward`, `backward` or `update`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// The path of the layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
}

/// The sizes of a memory plan, in bytes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct MemoryDocument {
    /// The arena: the peak of all buffers in it.
    pub arena_bytes: usize,
    /// Of that, inputs and constants, which are there always.
    pub persistent_bytes: usize,
    /// States, which have memory of their own.
    pub state_bytes: usize,
    /// What no plan could do without.
    pub lower_bound_bytes: usize,
}

impl ProgramDocument {
    /// A program as it is.
    pub fn of(program: &Program) -> Self {
        let memory = program.arena_bytes.map(|_| report(program)).map(|report| MemoryDocument {
            arena_bytes: report.arena,
            persistent_bytes: report.persistent,
            state_bytes: report.states,
            lower_bound_bytes: report.lower_bound,
        });
        Self {
            format: "gradc.program".into(),
            version: VERSION,
            name: program.name.clone(),
            buffers: program.buffers.iter().zip(lives(program)).map(buffer).collect(),
            kernels: program.kernels.iter().map(kernel).collect(),
            launches: program.launches.iter().map(|one| launch(program, one)).collect(),
            memory,
        }
    }
}

fn buffer((buffer, life): (&Buffer, Life)) -> BufferDocument {
    let (kind, name) = match &buffer.kind {
        BufferKind::Temp => ("temp", None),
        BufferKind::Input { name } => ("input", Some(name)),
        BufferKind::Output { name } => ("output", Some(name)),
        BufferKind::State { name } => ("state", Some(name)),
        BufferKind::Next { name } => ("next", Some(name)),
        BufferKind::Constant { .. } => ("constant", None),
    };
    BufferDocument {
        kind: kind.into(),
        name: name.cloned(),
        dtype: buffer.dtype.to_string(),
        elements: buffer.len,
        bytes: buffer.size_bytes(),
        offset: buffer.offset,
        first: life.first,
        last: life.last,
    }
}

fn kernel(kernel: &Kernel) -> KernelDocument {
    let work = kernel.work();
    let parameters = kernel.params.iter().map(|param| ParameterDocument {
        dtype: param.dtype.to_string(),
        elements: param.len,
        access: param.access.to_string(),
    });
    let locals =
        kernel.locals.iter().map(|local| LocalDocument { dtype: local.dtype.to_string(), elements: local.len });
    KernelDocument {
        name: kernel.name.clone(),
        parameters: parameters.collect(),
        locals: locals.collect(),
        operations: work.operations,
        read_bytes: work.read_bytes,
        written_bytes: work.written_bytes,
        text: kernel.to_string(),
    }
}

fn launch(program: &Program, launch: &Launch) -> LaunchDocument {
    let origins = launch.origins.iter().filter_map(|&at| program.origins.get(at as usize));
    LaunchDocument {
        kernel: launch.kernel as usize,
        buffers: launch.args.iter().map(|buffer| buffer.0 as usize).collect(),
        origins: origins.map(origin).collect(),
    }
}

fn origin(origin: &Origin) -> OriginDocument {
    let Origin { op, loc, section, layer } = origin.clone();
    OriginDocument { op, location: loc, section, layer }
}
