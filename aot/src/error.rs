//! What can go wrong while an object is built.

use std::path::PathBuf;

/// Why there is no object.
#[derive(thiserror::Error)]
pub enum AotError {
    /// A name that can't be the prefix of C's identifiers.
    #[error("`{name}` can't be an entry's name: C wants letters, digits and `_`, no digit first")]
    Name {
        /// The name.
        name: String,
    },
    /// Nothing to compile.
    #[error("the entry `{name}` has no program to compile: give at least one variant")]
    NoVariant {
        /// The entry.
        name: String,
    },
    /// Variants that aren't one step.
    #[error("the variants of `{name}` differ in {what}: they must be one step for several processors of one system")]
    Variants {
        /// The entry.
        name: String,
        /// In what.
        what: String,
    },
    /// An initial value that isn't a state's.
    #[error("the state `{state}` can't start so: {message}")]
    Initial {
        /// The state.
        state: String,
        /// The rule that is broken.
        message: String,
    },
    /// An initial value of what is no state.
    #[error("there is an initial value for `{state}`, which is no state of the program; its states are {}", states.join(", "))]
    NoState {
        /// The name.
        state: String,
        /// The states that there are.
        states: Vec<String>,
    },
    /// Entries that can't run on one block of states.
    #[error(
        "the state `{state}` has another {what} in `{name}` than in an entry before it: only steps of one model share their states"
    )]
    SharedState {
        /// The state.
        state: String,
        /// The entry.
        name: String,
        /// In what they differ.
        what: &'static str,
    },
    /// Two entries of one name.
    #[error("two entries are called `{name}`: their files and symbols would be the same")]
    SameName {
        /// The name.
        name: String,
    },
    /// A buffer that a launch reads or writes, and that stands nowhere.
    #[error(
        "a launch of `{name}` uses the buffer {buffer}, which has no place in the arena, and is no port or state of the first variant"
    )]
    NoPlace {
        /// The entry.
        name: String,
        /// The buffer's number.
        buffer: usize,
    },
    /// A program that can't be run.
    #[error(transparent)]
    Program(#[from] runtime::LoadError),
    /// No code for it.
    #[error(transparent)]
    Code(#[from] codegen::CodegenError),
    /// The step's graph can't be lowered to loops.
    #[error(transparent)]
    Compile(#[from] gradc::compile::CompileError),
    /// There is no such target.
    #[error(transparent)]
    Target(#[from] kernel::TargetError),
    /// An initial value of another type than the state's.
    #[error("the initial value of the state `{state}` is {found}, the state is {expected}")]
    InitialType {
        /// The state.
        state: String,
        /// The value's type.
        found: ir::TensorType,
        /// The state's.
        expected: ir::TensorType,
    },
    /// What the writer of objects or archives refuses.
    #[error("the object of `{name}` can't be written: {message}")]
    Object {
        /// The entry.
        name: String,
        /// What it said.
        message: String,
    },
    /// A shared library for a system that the C compiler here doesn't link for.
    #[error(
        "a shared library for {triple} can't be linked on {host}: name a C compiler for it by the environment variable CC (`CC=aarch64-linux-gnu-gcc`), or link the objects there (`cc -shared *.o -lm`)"
    )]
    SharedSystem {
        /// The system.
        triple: target_lexicon::Triple,
        /// This one.
        host: target_lexicon::Triple,
    },
    /// There is no C compiler.
    #[error(
        "a shared library takes a C compiler, and `{compiler}` doesn't start: {error} (the environment variable CC names another)"
    )]
    NoCompiler {
        /// What was to be started.
        compiler: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// The C compiler doesn't link the shared library.
    #[error("{} isn't linked; `{compiler}` says: {message}", library.display())]
    Shared {
        /// The library.
        library: PathBuf,
        /// The compiler.
        compiler: String,
        /// What it said.
        message: String,
    },
    /// A file that can't be written.
    #[error(transparent)]
    Write(#[from] gradc::io::IoError),
    /// A folder that can't be made.
    #[error("the folder {} can't be made: {error}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

/// The message: what a program shows that returns the error from `main`.
impl std::fmt::Debug for AotError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
