//! What a program that makes bindings, or allocates by itself, wants to know, as JSON.

use crate::layout::{ArenaLayout, Layout, PortDirection, PortField};
use crate::{ABI_VERSION, Initial};
use codegen::Object;
use codegen::object::symbols_outside;
use gradc::dsl::Fill;
use runtime::ALIGN;
use serde_json::{Value, json};

/// What a state starts with, in a word.
fn how(initial: &Initial) -> &'static str {
    match initial.init.fill(&initial.ty) {
        Fill::Blocks([value]) if value.to_bits() == 0 => "zeros",
        Fill::Blocks([_]) => "constant",
        Fill::Blocks(_) => "blocks",
        Fill::Sample(sample) => sample.draw.name(),
        Fill::Orthogonal { .. } => "orthogonal",
        Fill::Given(_) => "given",
        Fill::Seed => "seed",
    }
}

/// The manifest's text.
pub(crate) fn manifest(layout: &Layout<'_>, arena: &ArenaLayout, objects: &[Object]) -> String {
    let port = |port: &PortField| {
        json!({
            "name": port.name, "field": port.c_name, "dtype": port.dtype.name(), "shape": port.dims, "align": port.align,
        })
    };
    let ports = |side: PortDirection| layout.side(side).map(port).collect::<Vec<Value>>();
    let states: Vec<Value> = layout.states.fields.iter().map(|state| {
        let initial = layout.states.initial.get(&state.name).map_or("zeros", how);
        json!({
            "name": state.name, "dtype": state.dtype.name(), "elements": state.len(), "shape": state.dims, "offset": state.offset, "initial": initial,
        })
    }).collect();
    let variants: Vec<Value> = objects.iter().map(|object| {
        json!({
            "cpu": object.target().instruction_set().name(), "code_bytes": object.code_bytes(), "kernels": object.kernels().len(),
        })
    }).collect();
    let name = &layout.name;
    let all = json!({
        "name": name,
        "abi_version": ABI_VERSION,
        "target": layout.triple.to_string(),
        "variants": variants,
        "functions": { "init": format!("{name}_init"), "step": format!("{name}_step"), "status_message": format!("{name}_status_message"), "arena_bytes": format!("{name}_arena_bytes") },
        "align": ALIGN,
        "states_shared_by": layout.states.entries,
        "state_bytes": layout.states.bytes,
        "changes_states": objects.iter().any(|object| object.changed_state().is_some()),
        "arena_bytes": arena.scratch,
        "arena_bytes_per_thread": arena.scratch_bytes,
        "inputs": ports(PortDirection::Input),
        "outputs": ports(PortDirection::Output),
        "states": states,
        "undefined_symbols": symbols_outside(objects),
    });
    format!("{all:#}\n")
}
