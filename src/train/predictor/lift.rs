//! Large constants as states: programs of several sizes of a batch have one copy of them.

use crate::dsl::{Initializer, StateRole, StateSpec, Step};
use ir::op::source::State;
use ir::{Graph, NodeId, Op, Value};
use passes::{PassContext, PassError};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Bytes from which on a constant is worth it.
const LARGE: usize = 4096;

/// Constants by their names. Graphs of one model share most of them, and what they hold is read through once.
#[derive(Default)]
pub(super) struct NamedConstants(Vec<(Value, String)>);

impl NamedConstants {
    fn name(&mut self, value: &Value) -> String {
        let is_copy = |known: &Value| std::ptr::eq(known.data(), value.data()) && known.ty() == value.ty();
        if let Some((_, name)) = self.0.iter().find(|(known, _)| is_copy(known)) {
            return name.clone();
        }
        let name = name_of(value);
        self.0.push((value.clone(), name.clone()));
        name
    }
}

/// Makes states of a step's large constants, called by what they hold: two graphs with the same elements name them alike. What is made of constants alone is computed before.
pub(super) fn lift(step: &mut Step, named: &mut NamedConstants, cx: &PassContext) -> Result<(), PassError> {
    passes::fold::run(&mut step.graph, cx)?;
    let mut lifted: BTreeMap<String, NodeId> = BTreeMap::new();
    for (id, value) in large_constants(&step.graph) {
        let name = named.name(&value);
        let state = match lifted.get(&name) {
            Some(state) => *state,
            None => {
                let ty = value.ty().clone();
                let loc = step.graph.loc(id).cloned();
                let state = step.graph.add(Op::State(State { name: name.clone(), ty: ty.clone() }), &[], loc)?;
                let (init, role) = (Initializer::Given(value), StateRole::Buffer);
                step.states.push(StateSpec { name: name.clone(), ty, init, role });
                lifted.insert(name, state);
                state
            }
        };
        step.graph.replace_uses(id, state);
    }
    step.graph.sweep();
    Ok(())
}

fn large_constants(graph: &Graph) -> Vec<(NodeId, Value)> {
    let constants = graph.ids().filter_map(|id| match graph.op(id) {
        Op::Constant(constant) if constant.value.ty().size_bytes() >= LARGE => Some((id, constant.value.clone())),
        _ => None,
    });
    constants.collect()
}

/// A name that only equal values have.
fn name_of(value: &Value) -> String {
    let mut hash = Sha256::new();
    hash.update(value.ty().to_string());
    hash.update(value.data().to_bytes());
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("constant/{digest}")
}
