//! Read-only tables in the object: constants, initial values, messages, where launches' parameters are.

use crate::layout::{Layout, PortDirection};
use crate::states::StateBlock;
use crate::{AotError, Initial};
use codegen::Object;
use gradc::dsl::Fill;
use kernel::{Buffer, BufferKind};

/// Where an address is counted from; the bases that the step puts side by side, in this order.
pub(crate) const ARENA: u32 = 0;
pub(crate) const STATES: u32 = 1;
pub(crate) const CONSTANTS: u32 = 2;
/// The first port's.
pub(crate) const PORTS: u32 = 3;

/// Bytes of an entry of the table of parameters: the base's number, and the offset from it.
pub(crate) const PARAM_BYTES: usize = 16;

/// The constants of a variant, and where each launch's parameters are.
pub(crate) struct Tables {
    pub(crate) constants: Vec<u8>,
    /// An entry of [`PARAM_BYTES`] for each parameter, launch after launch.
    pub(crate) params: Vec<u8>,
    pub(crate) param_count: usize,
}

impl Tables {
    /// The tables of a variant.
    ///
    /// # Errors
    /// If a launch has a parameter that stands nowhere: in no port or state of the layout, and not in the arena.
    pub(crate) fn of(object: &Object, layout: &Layout<'_>) -> Result<Self, AotError> {
        let mut constants = vec![];
        let places: Vec<Option<(u32, usize)>> =
            object.buffers().iter().map(|buffer| place(buffer, layout, &mut constants)).collect();
        let mut params = vec![];
        for id in object.launches().iter().flat_map(|launch| &launch.args) {
            let at = id.0 as usize;
            let (base, offset) = places
                .get(at)
                .copied()
                .flatten()
                .ok_or_else(|| AotError::NoPlace { name: layout.name.clone(), buffer: at })?;
            params.extend_from_slice(&u64::from(base).to_le_bytes());
            params.extend_from_slice(&(offset as u64).to_le_bytes());
        }
        Ok(Self { constants, param_count: params.len() / PARAM_BYTES, params })
    }
}

/// Where a buffer stands: the number of a base, and the offset from it. Constants are put behind those that there are.
fn place(buffer: &Buffer, layout: &Layout<'_>, constants: &mut Vec<u8>) -> Option<(u32, usize)> {
    let port = |name: &str, side| {
        let at = layout.ports.iter().position(|port| port.side == side && port.name == name)?;
        Some((PORTS + at as u32, 0))
    };
    if let Some(name) = buffer.state() {
        return Some((STATES, layout.states.field(name)?.offset));
    }
    match &buffer.kind {
        BufferKind::Input { name } => port(name, PortDirection::Input),
        BufferKind::Output { name } => port(name, PortDirection::Output),
        BufferKind::Constant { bytes } => {
            let at = constants.len();
            constants.extend_from_slice(bytes);
            constants.resize(constants.len().next_multiple_of(runtime::ALIGN), 0);
            Some((CONSTANTS, at))
        }
        BufferKind::Temp | BufferKind::State { .. } | BufferKind::Next { .. } => Some((ARENA, buffer.offset?)),
    }
}

/// States that start with given or repeated elements, and their contents; other states than these are computed, or start with zeros.
pub(crate) struct InitialValues {
    /// The contents, one after the other, each of whole words.
    pub(crate) bytes: Vec<u8>,
    /// For each stretch: where it starts among the states, where its contents are, how many words it has, and how many words of contents there are, which are
    /// repeated.
    pub(crate) stretches: Vec<u8>,
    pub(crate) count: usize,
}

/// Bytes of a stretch's entry.
pub(crate) const STRETCH_BYTES: usize = 32;

impl InitialValues {
    pub(crate) fn of(states: &StateBlock) -> Self {
        let (mut bytes, mut stretches) = (Vec::new(), Vec::new());
        for state in &states.fields {
            let Some(content) = states.initial.get(&state.name).and_then(contents) else { continue };
            // A state's last word may reach into what is between it and the next one.
            let words = state.bytes().div_ceil(8);
            for number in [state.offset, bytes.len(), words, content.len() / 8] {
                stretches.extend_from_slice(&(number as u64).to_le_bytes());
            }
            bytes.extend_from_slice(&content);
        }
        Self { count: stretches.len() / STRETCH_BYTES, bytes, stretches }
    }
}

/// What is kept of a state's elements: whole words, which are repeated. Nothing for zeros and what is computed.
fn contents(initial: &Initial) -> Option<Vec<u8>> {
    let Initial { ty, init } = initial;
    // No seed and no name make a difference to them.
    let elements = || init.value(ty, 0, "").data().to_bytes();
    let mut content = match init.fill(ty) {
        Fill::Blocks([value]) if value.to_bits() == 0 => return None,
        Fill::Blocks(values) => {
            let extent = if values.len() == 1 { 1 } else { ty.shape.last().copied().unwrap_or(1) };
            let mut row = elements();
            row.truncate(extent * ty.dtype.size_bytes());
            row.repeat(8)
        }
        Fill::Given(_) => elements(),
        Fill::Sample(_) | Fill::Orthogonal { .. } | Fill::Seed => return None,
    };
    content.resize(content.len().next_multiple_of(8), 0);
    content.iter().any(|byte| *byte != 0).then_some(content)
}

/// Texts, each with a 0 behind it, and where each starts.
pub(crate) fn texts(texts: &[String]) -> (Vec<u8>, Vec<u8>) {
    let (mut bytes, mut starts) = (vec![], vec![]);
    for text in texts {
        starts.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        bytes.extend(text.bytes().filter(|byte| *byte != 0));
        bytes.push(0);
    }
    (bytes, starts)
}
