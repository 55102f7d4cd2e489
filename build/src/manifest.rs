//! The manifest of an object, as far as its wrapper is made from it.

use serde::Deserialize;

/// An entry.
#[derive(Deserialize)]
pub(crate) struct Manifest {
    pub(crate) name: String,
    pub(crate) abi_version: u32,
    pub(crate) target: String,
    pub(crate) state_bytes: usize,
    pub(crate) changes_states: bool,
    pub(crate) inputs: Vec<PortEntry>,
    pub(crate) outputs: Vec<PortEntry>,
    pub(crate) states: Vec<StateEntry>,
    pub(crate) variants: Vec<VariantEntry>,
}

/// An input or an output.
#[derive(Deserialize)]
pub(crate) struct PortEntry {
    pub(crate) name: String,
    pub(crate) field: String,
    pub(crate) dtype: String,
    pub(crate) shape: Vec<usize>,
}

/// A state.
#[derive(Deserialize)]
pub(crate) struct StateEntry {
    pub(crate) name: String,
    pub(crate) dtype: String,
    pub(crate) elements: usize,
    pub(crate) offset: usize,
}

/// The code for one processor.
#[derive(Deserialize)]
pub(crate) struct VariantEntry {
    pub(crate) cpu: String,
}
