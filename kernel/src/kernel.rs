//! A kernel: a function of pointers.

use crate::{BufRef, DType, Stmt};
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, OnceLock};

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

/// What a kernel is but for its name.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Code {
    /// The parameters.
    pub params: Vec<Param>,
    /// Scratch buffers.
    pub locals: Vec<Local>,
    /// What it does.
    pub body: Vec<Stmt>,
}

impl Code {
    /// The element type of a buffer, if there is that buffer.
    pub fn dtype_of(&self, buf: BufRef) -> Option<DType> {
        match buf {
            BufRef::Param(p) => self.params.get(p as usize).map(|p| p.dtype),
            BufRef::Local(l) => self.locals.get(l as usize).map(|l| l.dtype),
        }
    }
}

/// A function of its parameters: a name, and [`Code`], which is read and written as if it were the kernel's own. Text:
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
///
/// Copies share their code, and so do kernels of layers that are alike ([`crate::Program::share_code`]): a copy is made when one of them is
/// written to. Comparing two that share it is comparing two addresses, and its number is computed once.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// A name, unique in the program: letters, digits, `_`.
    pub name: String,
    code: Arc<SharedCode>,
}

/// Code, and the number that stands for it once somebody has asked.
#[derive(Debug)]
struct SharedCode {
    code: Code,
    number: OnceLock<u64>,
}

impl Clone for SharedCode {
    /// A copy to be written to.
    fn clone(&self) -> Self {
        Self { code: self.code.clone(), number: OnceLock::new() }
    }
}

impl Kernel {
    /// A kernel with code of its own.
    pub fn new(name: String, code: Code) -> Self {
        Self { name, code: Arc::new(SharedCode { code, number: OnceLock::new() }) }
    }

    /// The name, and the code to be written to.
    pub fn into_parts(self) -> (String, Code) {
        let code = Arc::try_unwrap(self.code).map_or_else(|shared| shared.code.clone(), |shared| shared.code);
        (self.name, code)
    }

    /// A number that stands for the kernel's code: all but its name.
    pub fn code_number(&self) -> u64 {
        *self.code.number.get_or_init(|| crate::fingerprint::number(&self.code.code))
    }

    /// Whether two kernels have one code in memory. Those that haven't may be equal all the same.
    pub fn shares_code_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.code, &other.code)
    }

    /// Puts another kernel's code in the place of its own.
    pub fn take_code_of(&mut self, other: &Self) {
        self.code = Arc::clone(&other.code);
    }

    /// The order of kernels by their code alone.
    pub(crate) fn compare_code(&self, other: &Self) -> Ordering {
        if self.shares_code_with(other) {
            return Ordering::Equal;
        }
        // The numbers go first: codes are compared only where they are nearly certain to be equal.
        self.code_number().cmp(&other.code_number()).then_with(|| self.code.code.cmp(&other.code.code))
    }
}

impl Deref for Kernel {
    type Target = Code;

    fn deref(&self) -> &Code {
        &self.code.code
    }
}

impl DerefMut for Kernel {
    fn deref_mut(&mut self) -> &mut Code {
        let shared = Arc::make_mut(&mut self.code);
        shared.number.take();
        &mut shared.code
    }
}

impl PartialEq for Kernel {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && (self.shares_code_with(other) || self.code.code == other.code.code)
    }
}

impl Eq for Kernel {}

impl Hash for Kernel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.code.code.hash(state);
    }
}
