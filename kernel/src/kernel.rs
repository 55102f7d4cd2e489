//! A kernel: a function of pointers.

use crate::{DType, Stmt};

/// How a kernel uses a parameter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Access {
    /// It only loads.
    Read,
    /// It only stores.
    Write,
    /// It does both.
    ReadWrite,
    /// It only stores, and what it stores isn't read before much else has gone through the caches: machines that can, store past them.
    Stream,
}

impl Access {
    /// Whether the kernel may load from the parameter.
    pub fn loads(self) -> bool {
        matches!(self, Self::Read | Self::ReadWrite)
    }

    /// Whether the kernel may store to the parameter.
    pub fn stores(self) -> bool {
        self != Self::Read
    }
}

/// A pointer that the launch binds to a buffer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Param {
    /// The element type.
    pub dtype: DType,
    /// How many elements stand behind it.
    pub len: usize,
    /// How it is used.
    pub access: Access,
}

/// Scratch memory of one thread's run of a kernel; its contents are undefined at the start.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Local {
    /// The element type.
    pub dtype: DType,
    /// How many elements.
    pub len: usize,
}

/// A function of its parameters. Text:
///
/// ```text
/// kernel relu_1(p0: read f32[128], p1: write f32[128]) {
///   local l0: f32[64]
///   parallel i0 in 0..8 { .. }
/// }
/// ```
///
/// If the body's only statement is a `parallel` loop, the kernel may be run in ranges of its iterations; no other `parallel` loop may
/// occur. Parameters may be bound to the same memory only where each loop iteration loads an element before it stores it (see the memory
/// planner).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Kernel {
    /// A name, unique in the program: letters, digits, `_`.
    pub name: String,
    /// The parameters.
    pub params: Vec<Param>,
    /// Scratch buffers.
    pub locals: Vec<Local>,
    /// What it does.
    pub body: Vec<Stmt>,
}
