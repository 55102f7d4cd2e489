//! What can go wrong between a program and its results.

use crate::{PortKind, States};
use codegen::CodegenError;
use kernel::{DType, Target, TargetError};

/// Why a program could not be loaded.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The kernel verifier refused it: running it could access memory out of bounds.
    #[error("the program is not valid: {0}")]
    Invalid(String),
    /// Its buffers have no valid place in the arena.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// It could not be compiled.
    #[error(transparent)]
    Codegen(#[from] CodegenError),
    /// There is not enough memory.
    #[error("no memory for {what}: {bytes} bytes")]
    OutOfMemory {
        /// For what.
        what: &'static str,
        /// How many bytes were asked for.
        bytes: usize,
    },
    /// The system doesn't let this process run code that it has made.
    #[error("machine code could not be made executable: {0}")]
    Protect(#[source] std::io::Error),
    /// Code is generated for no machine like this one.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The code is for another machine.
    #[error("code for {target} doesn't run on this machine, which is {host}")]
    Foreign {
        /// What it was compiled for.
        target: Box<Target>,
        /// What this machine is.
        host: Box<Target>,
    },
    /// A block of states isn't what a program runs on.
    #[error("{0}")]
    States(String),
    /// A shared library can't be used: the system can't map it, it isn't what its manifests say, or its code refuses.
    #[cfg(feature = "built")]
    #[error("{0}")]
    Library(String),
    /// A worker thread could not be started.
    #[error("could not start a worker thread: {0}")]
    Threads(#[from] std::io::Error),
}

/// States that a program can't run on, handed back.
#[derive(thiserror::Error)]
#[error("{why}")]
pub struct Refused {
    /// Which state is missing, or of another type.
    pub why: LoadError,
    /// The states, as they were.
    pub states: Box<States>,
}

/// The message: what a program shows that returns the error from `main`.
impl std::fmt::Debug for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// The message: what a program shows that returns the error from `main`.
impl std::fmt::Debug for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// What is wrong with a program's memory plan or its launches.
#[derive(PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// `plan_memory` hasn't run.
    #[error("the program has no arena size: memory must be planned first")]
    Unplanned,
    /// A buffer has no offset, or doesn't fit.
    #[error("buffer b{buffer} ({bytes} bytes at {offset:?}) doesn't lie aligned within the arena of {arena} bytes")]
    Misplaced {
        /// The buffer.
        buffer: usize,
        /// Its size.
        bytes: usize,
        /// Where it is to start.
        offset: Option<usize>,
        /// The arena's size.
        arena: usize,
    },
    /// A constant's bytes are not as many as its elements need.
    #[error("constant b{buffer} has {found} bytes instead of {expected}")]
    Constant {
        /// The buffer.
        buffer: usize,
        /// The bytes it has.
        found: usize,
        /// The bytes it needs.
        expected: usize,
    },
    /// A launch doesn't fit its kernel.
    #[error("launch {launch}: {what}")]
    Launch {
        /// The launch, by position.
        launch: usize,
        /// The rule it breaks.
        what: String,
    },
    /// Two ports of one kind have the same name.
    #[error("there are two ports named `{0}`")]
    DuplicatePort(String),
}

/// The message: what a program shows that returns the error from `main`.
impl std::fmt::Debug for PlanError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// A run-time check failed: an index out of range, found before it was used. Outputs and states are undefined after it.
#[derive(Clone, PartialEq, Eq)]
pub struct StepError {
    /// What was found.
    pub message: String,
    /// The user's source line, if it is known.
    pub loc: Option<String>,
}

/// The message: what a program shows that returns the error from `main`.
impl std::fmt::Debug for StepError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for StepError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.loc {
            Some(loc) => write!(f, "{} (at {loc})", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for StepError {}

/// Why an input, an output or a state could not be accessed.
#[derive(PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PortError {
    /// There is none of that name.
    #[error("there is no {kind} named `{name}`; there are: {}", known.join(", "))]
    Unknown {
        /// What was looked for.
        kind: PortKind,
        /// The name.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// It has another element type.
    #[error("{kind} `{name}` has elements of {expected}, not {found}")]
    WrongType {
        /// What it is.
        kind: PortKind,
        /// Its name.
        name: String,
        /// Its element type.
        expected: DType,
        /// The type asked for.
        found: &'static str,
    },
    /// Another number of elements was given.
    #[error("{kind} `{name}` has {expected} elements, not {found}")]
    WrongLength {
        /// What it is.
        kind: PortKind,
        /// Its name.
        name: String,
        /// Its elements.
        expected: usize,
        /// The elements given.
        found: usize,
    },
    /// A byte for a `bool` is neither 0 nor 1.
    #[error("{kind} `{name}` is bool: element {position} is {value}, neither 0 nor 1")]
    NotBool {
        /// What it is.
        kind: PortKind,
        /// Its name.
        name: String,
        /// Where.
        position: usize,
        /// What.
        value: u8,
    },
    /// The program has no states, or shares them with others.
    #[error("state `{name}` can't be looked at or changed here: the program has no states of its own")]
    NoStates {
        /// Its name.
        name: String,
    },
    /// A `bool` may be written by a checked copy only.
    #[error("{kind} `{name}` is bool: write it by a copy, which checks that every byte is 0 or 1")]
    UncheckedBool {
        /// What it is.
        kind: PortKind,
        /// Its name.
        name: String,
    },
}

/// The message: what a program shows that returns the error from `main`.
impl std::fmt::Debug for PortError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
