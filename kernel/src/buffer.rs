//! A program: buffers in one arena, kernels, and the order in which they are launched.

use crate::{DType, Kernel};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// A buffer, by its position in [`Program::buffers`]. Text: `b3`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BufferId(pub u32);

/// What a buffer holds and how long it lives.
#[derive(Clone, PartialEq, Debug)]
pub enum BufferKind {
    /// Lives between its first and its last launch.
    Temp,
    /// Written by the caller before a run.
    Input {
        /// The port's name.
        name: String,
    },
    /// Read by the caller after a run.
    Output {
        /// The port's name.
        name: String,
    },
    /// Keeps its contents from run to run, in memory of its own beside the arena, which other programs may use as well.
    State {
        /// The port's name.
        name: String,
    },
    /// What a state is after the run. Shares the state's memory where the plan shows that this is safe; otherwise the plan
    /// appends a copy.
    Next {
        /// The state's name.
        name: String,
    },
    /// Written once, when the program is loaded; little-endian bytes.
    Constant {
        /// The elements, which copies of the program share.
        bytes: Arc<[u8]>,
    },
}

/// A stretch of the arena.
#[derive(Clone, PartialEq, Debug)]
pub struct Buffer {
    /// The element type.
    pub dtype: DType,
    /// How many elements.
    pub len: usize,
    /// What it is for.
    pub kind: BufferKind,
    /// Where it starts in the arena, in bytes; the pass `plan_memory` says. None before that, and after it for what stands outside of the arena: states, and
    /// next values in the memory of their states.
    pub offset: Option<usize>,
}

impl Buffer {
    /// Bytes it takes.
    pub fn size_bytes(&self) -> usize {
        self.len * self.dtype.size_bytes()
    }

    /// The state in whose memory it stands: its own, or that which it is the next value of.
    pub fn state(&self) -> Option<&str> {
        match &self.kind {
            BufferKind::State { name } => Some(name),
            BufferKind::Next { name } if self.offset.is_none() => Some(name),
            _ => None,
        }
    }

    /// The bytes of the arena that it takes; `None` if it has no place yet, or one beyond what can be addressed.
    pub fn span(&self) -> Option<Range<usize>> {
        let start = self.offset?;
        Some(start..start.checked_add(self.size_bytes())?)
    }
}

/// A run of a kernel on buffers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Launch {
    /// The kernel, by its position in [`Program::kernels`].
    pub kernel: u32,
    /// The buffers bound to its parameters.
    pub args: Vec<BufferId>,
    /// What it was made of, by positions in [`Program::origins`], in ascending order.
    pub origins: Vec<u32>,
}

/// An op of the graph that a program was made of, and the user's line that it stands for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Origin {
    /// The op's name: "conv".
    pub op: String,
    /// The user's source line, as text, if it is known.
    pub loc: Option<String>,
    /// The section of the step, if it is known: "backward".
    pub section: Option<String>,
    /// The path of the layer, if it is known: "encoder/dense".
    pub layer: Option<String>,
}

/// What two launches that become one were made of.
#[must_use]
pub fn join_origins(one: &[u32], other: &[u32]) -> Vec<u32> {
    let mut all = [one, other].concat();
    all.sort_unstable();
    all.dedup();
    all
}

/// What to tell the user when a check fails.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Check {
    /// The op, and what it found: "gather: index out of range, valid are 0 to 9".
    pub message: String,
    /// The user's source line, as text, if it is known.
    pub loc: Option<String>,
}

/// Everything that runs in a step.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Program {
    /// The name.
    pub name: String,
    /// The buffers.
    pub buffers: Vec<Buffer>,
    /// The kernels.
    pub kernels: Vec<Kernel>,
    /// What runs, in order.
    pub launches: Vec<Launch>,
    /// What checks in kernels refer to; a kernel that fails check `n` returns the status `n + 1`, 0 means success.
    pub checks: Vec<Check>,
    /// What launches were made of, each once. No code depends on it.
    pub origins: Vec<Origin>,
    /// Bytes of the arena, once `plan_memory` ran.
    pub arena_bytes: Option<usize>,
}

impl Program {
    /// The buffer.
    ///
    /// # Panics
    /// If the program has no such buffer.
    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.0 as usize]
    }

    /// The buffers of states, by name; of two of one name, which no sound program has, the first.
    pub fn states(&self) -> BTreeMap<&str, usize> {
        let mut states = BTreeMap::new();
        for (at, buffer) in self.buffers.iter().enumerate() {
            if let BufferKind::State { name } = &buffer.kind {
                states.entry(name.as_str()).or_insert(at);
            }
        }
        states
    }

    /// For each buffer the launches that it is bound in, the first and the last; `None` if there are none.
    ///
    /// # Panics
    /// If a launch binds a buffer that the program doesn't have.
    pub fn uses(&self) -> Vec<Option<(usize, usize)>> {
        let mut uses = vec![None; self.buffers.len()];
        for (at, launch) in self.launches.iter().enumerate() {
            for arg in &launch.args {
                let (_, last) = uses[arg.0 as usize].get_or_insert((at, at));
                *last = at;
            }
        }
        uses
    }
}
