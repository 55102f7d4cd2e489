//! What a comparison finds.

use crate::compile::{CompileError, RunError};
use crate::dsl::ModelErrors;
use crate::io::IoError;
use crate::train::TrainError;
use passes::PassError;
use std::path::PathBuf;

/// What a test of this module finds, or why it can't be made.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum TestingError {
    /// A gradient isn't what differences of values say.
    #[error("`{parameter}`[{element}]: the gradient is {gradient}, by differences of values it is {difference}")]
    Gradient {
        /// The parameter.
        parameter: String,
        /// The element, row-major.
        element: usize,
        /// What the graph's gradient is.
        gradient: f64,
        /// What it should be.
        difference: f64,
    },
    /// A parameter that differences would be too coarse for.
    #[error(
        "`{parameter}` is {dtype}: differences of values need f64, so declare inputs as `f64([..])`, whose type layers take"
    )]
    NotF64 {
        /// The parameter.
        parameter: String,
        /// Its element type.
        dtype: ir::DType,
    },
    /// There is no parameter to check.
    #[error("no parameter was declared: what gradients are to be checked by is declared with `GraphBuilder::param`")]
    NoParameter,
    /// Two graphs, or what they are given, don't compute the same.
    #[error("the graphs differ: {0}")]
    Graphs(String),
    /// Numbers differ.
    #[error("`{name}`{place:?}: {found}, not {wanted} as in {}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The output.
        name: String,
        /// The element's coordinates.
        place: Vec<usize>,
        /// What the model gives.
        found: f64,
        /// What it should be.
        wanted: f64,
    },
    /// A file of another framework's numbers lacks something, or has something that isn't the model's.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A text isn't the one that was kept.
    #[error("{}, line {line}: {found:?}, where the snapshot has {kept:?}; run with GRADC_SNAPSHOTS=write to keep the new text", path.display())]
    Snapshot {
        /// The snapshot.
        path: PathBuf,
        /// The first line that differs, from 1.
        line: usize,
        /// What there is now; empty at the text's end.
        found: String,
        /// What was kept; empty at its end.
        kept: String,
    },
    /// What is declared breaks rules.
    #[error(transparent)]
    Declaration(#[from] ModelErrors),
    /// A pass failed, or isn't there.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// A graph can't be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// A compiled graph can't be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A model can't be run.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A file can't be read or written.
    #[error(transparent)]
    Io(#[from] IoError),
}

/// The message: what a test shows that returns the error.
impl std::fmt::Debug for TestingError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
