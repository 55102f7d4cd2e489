//! Copies of a state to its next value, to be changed there: the state is changed where it stands.
//!
//! A table of which a step changes some rows is copied as a whole first, as the result of `scatter_add` is a tensor of its own. If nothing asks for
//! the old table after the copy, both are one, and the step touches the rows alone.

use ir::map_of;
use kernel::{BufRef, BufferId, BufferKind, Expr, Kernel, Program, Reg, Stmt};
use std::collections::BTreeMap;

/// Drops copies from states to their next values where the old values aren't needed any more; what uses the next value uses the state.
pub(super) fn remove(program: &mut Program) {
    let dropped = needless(program);
    if dropped.is_empty() {
        return;
    }
    let mut places = 0..;
    program.launches.retain(|_| places.next().is_none_or(|place| !dropped.contains_key(&place)));
    let states = map_of(dropped.into_values().map(|(state, next)| (next, state)));
    for arg in program.launches.iter_mut().flat_map(|launch| &mut launch.args) {
        if let Some(&state) = states.get(&(arg.0 as usize)) {
            *arg = BufferId(state as u32);
        }
    }
    for &next in states.keys() {
        program.buffers[next].kind = BufferKind::Temp;
    }
    program.remove_unused();
}

/// The launches that copy a state to its next value, before which nothing has written the latter and after which nothing uses the former, with the two.
fn needless(program: &Program) -> BTreeMap<usize, (usize, usize)> {
    let (states, uses) = (program.states(), program.uses());
    let mut found = BTreeMap::new();
    for (next, buffer) in program.buffers.iter().enumerate() {
        let BufferKind::Next { name } = &buffer.kind else { continue };
        let (Some(&state), Some((at, last))) = (states.get(name.as_str()), uses[next]) else { continue };
        let launch = &program.launches[at];
        let pair = [state, next].map(|id| BufferId(id as u32));
        // What nothing changes after the copy is dealt with where states share memory with their next values.
        let is_last = last > at && uses[state].is_some_and(|(_, last)| last == at);
        if is_last && launch.args == pair && is_copy(&program.kernels[launch.kernel as usize]) {
            found.insert(at, (state, next));
        }
    }
    found
}

/// Whether all that a kernel does is to store elements of its first parameter to the same places of its second.
fn is_copy(kernel: &Kernel) -> bool {
    kernel.params.len() == 2 && is_copy_of(&kernel.body, &mut BTreeMap::new())
}

fn is_copy_of<'k>(body: &'k [Stmt], loaded: &mut BTreeMap<Reg, &'k Expr>) -> bool {
    body.iter().all(|stmt| match stmt {
        Stmt::For { body, .. } => is_copy_of(body, loaded),
        Stmt::Let { reg, value: value @ Expr::Load { .. } } => {
            loaded.insert(*reg, value);
            true
        }
        Stmt::Store { buf: BufRef::Param(1), index: to, value } => {
            let value = if let Expr::Reg(reg) = value { loaded.get(reg).copied() } else { Some(value) };
            matches!(value, Some(Expr::Load { buf: BufRef::Param(0), index: from, stride: 1, .. }) if from == to)
        }
        _ => false,
    })
}
