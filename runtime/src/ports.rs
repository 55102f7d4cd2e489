//! The named buffers of a program: inputs, outputs, states.

use crate::{Element, PlanError, PortError};
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
    /// Where it starts in the arena, in bytes; states stand elsewhere.
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
        let offset = match kind {
            PortKind::State => 0,
            _ => buffer.offset.ok_or(PlanError::Unplanned)?,
        };
        let port = Port { kind, name: name.clone(), dtype: buffer.dtype, len: buffer.len, offset };
        if ports.entry(kind).or_default().insert(name.clone(), port).is_some() {
            return Err(PlanError::DuplicatePort(name.clone()));
        }
    }
    Ok(ports)
}

/// Whether values fit a port of that type and length.
pub(crate) fn check_values<T: Element>(
    kind: PortKind,
    name: &str,
    (dtype, expected): (DType, usize),
    values: &[T],
) -> Result<(), PortError> {
    if values.len() != expected {
        let (name, found) = (name.to_owned(), values.len());
        return Err(PortError::WrongLength { kind, name, expected, found });
    }
    if dtype == DType::Bool {
        let wrong = values.iter().filter_map(|v| v.byte()).enumerate().find(|(_, byte)| *byte > 1);
        if let Some((position, value)) = wrong {
            return Err(PortError::NotBool { kind, name: name.to_owned(), position, value });
        }
    }
    Ok(())
}
