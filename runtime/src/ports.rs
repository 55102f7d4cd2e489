//! The named buffers of a program: inputs, outputs, states.

use crate::PlanError;
use kernel::{Buffer, BufferKind, DType};
use std::collections::BTreeMap;
use std::fmt;

/// What a named buffer is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PortKind {
    /// Written before a step.
    Input,
    /// Read after a step.
    Output,
    /// Kept from step to step.
    State,
}

impl fmt::Display for PortKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::State => "state",
        })
    }
}

/// A named buffer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Port {
    /// What it is for.
    pub kind: PortKind,
    /// Its name; unique among ports of its kind.
    pub name: String,
    /// The element type.
    pub dtype: DType,
    /// How many elements.
    pub len: usize,
    /// Where it starts in the arena, in bytes.
    pub(crate) offset: usize,
}

/// All ports, by kind and name.
pub(crate) type Ports = BTreeMap<PortKind, BTreeMap<String, Port>>;

/// Collects the ports among buffers whose places have been checked.
pub(crate) fn collect(buffers: &[Buffer]) -> Result<Ports, PlanError> {
    let mut ports = Ports::new();
    for buffer in buffers {
        let (kind, name) = match &buffer.kind {
            BufferKind::Input { name } => (PortKind::Input, name),
            BufferKind::Output { name } => (PortKind::Output, name),
            BufferKind::State { name } => (PortKind::State, name),
            BufferKind::Temp | BufferKind::Next { .. } | BufferKind::Constant { .. } => continue,
        };
        let offset = buffer.offset.ok_or(PlanError::Unplanned)?;
        let port = Port { kind, name: name.clone(), dtype: buffer.dtype, len: buffer.len, offset };
        if ports.entry(kind).or_default().insert(name.clone(), port).is_some() {
            return Err(PlanError::DuplicatePort(name.clone()));
        }
    }
    Ok(ports)
}
