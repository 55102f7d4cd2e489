//! Programs as JSON, for tools: what `gradc dump --format json` prints, and what `gradc report` draws. docs/workbench.md describes it.
//!
//! Each document begins with `format` and `version`. Within a version members are added and none changes its meaning, so that a reader skips what it doesn't know; what
//! isn't known of a node or a buffer is left out.

mod graph;
mod program;

pub use graph::{GraphDocument, NodeDocument, ResultDocument, TypeDocument};
pub use program::{
    BufferDocument, KernelDocument, LaunchDocument, LocalDocument, MemoryDocument, OriginDocument, ParameterDocument,
    ProgramDocument,
};

/// The version of the documents.
pub const VERSION: u32 = 1;
