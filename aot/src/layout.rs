//! Where everything is in the caller's memory: the context, the states, the arena.

use crate::identifier::{identifiers, is_identifier};
use crate::states::{StateBlock, state_types};
use crate::{AotError, EntryPoint, Initial};
use codegen::Object;
use gradc::dsl::Fill;
use kernel::{Access, Buffer, BufferKind, DType, InstructionSet, Program};
use runtime::ALIGN;
use std::collections::BTreeMap;
use target_lexicon::Triple;

/// The version of the C interface: the layout of the context and what functions there are. What calls it from Rust has the same.
pub const ABI_VERSION: u32 = runtime::OBJECT_ABI_VERSION;

/// The most threads that a step is shared among: enough, and products with sizes don't overflow.
pub(crate) const MOST_THREADS: u32 = 1024;

/// Offsets of the context's fields, in bytes; all pointers have 8 bytes.
pub(crate) mod context {
    pub(crate) const VERSION: i32 = 0;
    pub(crate) const THREADS: i32 = 4;
    pub(crate) const STATES: i32 = 8;
    pub(crate) const STATE_BYTES: i32 = 16;
    pub(crate) const ARENA: i32 = 24;
    pub(crate) const ARENA_BYTES: i32 = 32;
    pub(crate) const PARALLEL_FOR: i32 = 40;
    pub(crate) const USER: i32 = 48;
    pub(crate) const PROCESSOR: i32 = 56;
    /// Inputs, then outputs, a pointer each.
    pub(crate) const PORTS: i32 = 64;
}

/// Whether a port is read or written by the step.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum PortDirection {
    Input,
    Output,
}

impl PortDirection {
    /// The field of the context.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Input => "inputs",
            Self::Output => "outputs",
        }
    }
}

/// An input or an output: memory of the caller's.
#[derive(Clone, Debug)]
pub(crate) struct PortField {
    pub(crate) side: PortDirection,
    pub(crate) name: String,
    /// Its field in the context.
    pub(crate) c_name: String,
    pub(crate) dtype: DType,
    pub(crate) dims: Vec<usize>,
    pub(crate) len: usize,
    /// What its address must be a multiple of.
    pub(crate) align: usize,
}

/// All of it.
#[derive(Clone, Debug)]
pub(crate) struct Layout<'a> {
    pub(crate) name: String,
    pub(crate) triple: Triple,
    /// Of the variants, in ascending order.
    pub(crate) sets: Vec<InstructionSet>,
    /// Inputs by name, then outputs by name.
    pub(crate) ports: Vec<PortField>,
    /// Of all entries that run on one block.
    pub(crate) states: &'a StateBlock,
}

impl<'a> Layout<'a> {
    /// The layout of an entry, whose states stand in that block.
    ///
    /// # Errors
    /// If variants differ in ports, states, or system; a name that isn't C's.
    pub(crate) fn of(entry: &EntryPoint, states: &'a StateBlock) -> Result<Self, AotError> {
        if !is_identifier(&entry.name) {
            return Err(AotError::Name { name: entry.name.clone() });
        }
        let variants = entry.sorted();
        let first = variants.first().ok_or_else(|| AotError::NoVariant { name: entry.name.clone() })?;
        let differ = |what: &str| AotError::Variants { name: entry.name.clone(), what: what.into() };
        let mut ports = ports_of(&first.program, entry);
        for pair in variants.windows(2) {
            if pair[0].target.instruction_set() == pair[1].target.instruction_set() {
                return Err(differ("nothing: two are for one instruction set"));
            }
        }
        for variant in &variants[1..] {
            if variant.target.triple() != first.target.triple() {
                return Err(differ("their triples"));
            }
            if state_types(&variant.program) != state_types(&first.program) {
                return Err(differ("their states"));
            }
            let others = ports_of(&variant.program, entry);
            let ids = |ports: &[PortField]| {
                ports.iter().map(|p| (p.side, p.name.clone(), p.dtype, p.len)).collect::<Vec<_>>()
            };
            if ids(&others) != ids(&ports) {
                return Err(differ("their inputs or outputs"));
            }
            for (port, other) in ports.iter_mut().zip(others) {
                port.align = port.align.max(other.align);
            }
        }
        Ok(Self {
            name: entry.name.clone(),
            triple: first.target.triple().clone(),
            sets: variants.iter().map(|variant| variant.target.instruction_set()).collect(),
            ports,
            states,
        })
    }

    /// The prefix of macros.
    pub(crate) fn prefix(&self) -> String {
        self.name.to_uppercase()
    }

    /// Where a port's pointer is in the context.
    pub(crate) fn port_offset(port: usize) -> i32 {
        context::PORTS + 8 * port as i32
    }

    /// The ports of one side, with their numbers.
    pub(crate) fn side(&self, side: PortDirection) -> impl Iterator<Item = &PortField> {
        self.ports.iter().filter(move |port| port.side == side)
    }
}

/// What the caller's arena has: the variants' arenas, one over the other; addresses of parameters; scratch memory of each thread.
pub(crate) struct ArenaLayout {
    /// Where the addresses start, in bytes.
    pub(crate) params: usize,
    /// Where the scratch memory starts.
    pub(crate) scratch: usize,
    /// Of each thread.
    pub(crate) scratch_bytes: usize,
}

impl ArenaLayout {
    /// With room for each variant, and for the doubles that the largest orthogonal matrix is made of while states are initialized.
    pub(crate) fn of(states: &StateBlock, objects: &[Object]) -> Self {
        let most = |size: fn(&Object) -> usize| objects.iter().map(size).max().unwrap_or(0);
        let params = most(|object| object.arena_bytes().unwrap_or(0)).next_multiple_of(ALIGN);
        let matrix = |initial: &Initial| match initial.init.fill(&initial.ty) {
            Fill::Orthogonal { rows, cols, .. } => rows * cols * size_of::<f64>(),
            _ => 0,
        };
        let matrix = states.initial.values().map(matrix).max().unwrap_or(0);
        let count = most(|object| object.launches().iter().map(|launch| launch.args.len()).sum());
        Self {
            params,
            scratch: (params + 8 * count).max(matrix).next_multiple_of(ALIGN),
            scratch_bytes: most(Object::scratch_bytes).next_multiple_of(ALIGN),
        }
    }
}

fn ports_of(program: &Program, entry: &EntryPoint) -> Vec<PortField> {
    let mut found = BTreeMap::new();
    for (at, buffer) in program.buffers.iter().enumerate() {
        match &buffer.kind {
            BufferKind::Input { name } => found.insert((PortDirection::Input, name.clone()), at),
            BufferKind::Output { name } => found.insert((PortDirection::Output, name.clone()), at),
            _ => None,
        };
    }
    let streamed = streamed(program);
    let mut ports = vec![];
    for side in [PortDirection::Input, PortDirection::Output] {
        let of_side: Vec<_> = found.iter().filter(|((s, _), _)| *s == side).collect();
        let names = identifiers(of_side.iter().map(|((_, name), _)| name.as_str()));
        for (((_, name), &at), c_name) in of_side.into_iter().zip(names) {
            let Buffer { dtype, len, .. } = program.buffers[at];
            let shape = entry.shapes.get(name).filter(|dims| dims.iter().product::<usize>() == len);
            let align = if streamed[at] { ALIGN } else { dtype.size_bytes() };
            let dims = shape.cloned().unwrap_or_else(|| vec![len]);
            ports.push(PortField { side, name: name.clone(), c_name, dtype, dims, len, align });
        }
    }
    ports
}

/// Buffers that some launch stores whole vectors to past the caches, which must be aligned.
fn streamed(program: &Program) -> Vec<bool> {
    let mut streamed = vec![false; program.buffers.len()];
    for launch in &program.launches {
        let params = &program.kernels[launch.kernel as usize].params;
        for (arg, param) in launch.args.iter().zip(params) {
            streamed[arg.0 as usize] |= param.access == Access::Stream;
        }
    }
    streamed
}
