//! What can go wrong when a compiled step is called.

use std::fmt;

/// Why a step didn't run, or what of the model failed while it did.
#[non_exhaustive]
pub enum StepFailure {
    /// There is no memory.
    OutOfMemory {
        /// How many bytes were asked for.
        bytes: usize,
    },
    /// The system refuses threads.
    Threads(std::io::Error),
    /// Values for a port, a state or all states that aren't as many as it has.
    Length {
        /// The port's or the state's name.
        name: String,
        /// Elements given.
        found: usize,
        /// Elements that it has.
        expected: usize,
    },
    /// There is no such state.
    NoState {
        /// The name that was asked for.
        name: String,
        /// Those that there are.
        known: Vec<&'static str>,
    },
    /// A port or a state has elements of another type.
    ElementType {
        /// Its name.
        name: String,
        /// The type asked for.
        found: &'static str,
        /// The type that it has.
        expected: &'static str,
    },
    /// States of a step that lays them out in another way.
    Layout {
        /// The first state that isn't there, or lies elsewhere.
        state: &'static str,
    },
    /// A byte of a truth value is neither 0 nor 1.
    NotBool {
        /// The state.
        name: &'static str,
        /// The byte.
        value: u8,
    },
    /// A check of the model failed: an index out of range, a label that is no class. Outputs hold no particular values, nor do states.
    Check {
        /// The step's status, above 0.
        status: i32,
        /// What is wrong, after the line that the model was declared on.
        message: &'static str,
    },
    /// The step refuses to run: this processor lacks instructions. Nothing was touched.
    Refused {
        /// The step's status, below 0.
        status: i32,
        /// What is wrong.
        message: &'static str,
    },
}

impl fmt::Display for StepFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory { bytes } => write!(f, "no memory: {bytes} bytes"),
            Self::Threads(error) => write!(f, "could not start a worker thread: {error}"),
            Self::Length { name, found, expected } => {
                write!(f, "`{name}` has {expected} elements, and was given {found}")
            }
            Self::NoState { name, known } => write!(f, "there is no state `{name}`; there are {}", known.join(", ")),
            Self::ElementType { name, found, expected } => {
                write!(f, "the elements of `{name}` are {expected}, not {found}")
            }
            Self::Layout { state } => write!(
                f,
                "the step's state `{state}` isn't where it expects it: these states are of a step that lays them out in another way"
            ),
            Self::NotBool { name, value } => write!(f, "the state `{name}` is bool: {value} is neither 0 nor 1"),
            Self::Check { message, .. } | Self::Refused { message, .. } => f.write_str(message),
        }
    }
}

/// The message: what a program shows that returns the error from `main`.
impl fmt::Debug for StepFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for StepFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Threads(error) => Some(error),
            _ => None,
        }
    }
}
