//! Gives every buffer its place in the arena.
//!
//! # Does
//! Drops copies of a state to a next value that goes on to change it, where nothing asks for the old one any more: the state is changed where it stands;
//! binds other next values to their state's own memory where no kernel reads the old value afterwards, else appends a copy;
//! lets a kernel write over an operand that dies there, if it provably reads each element before that ([`kernel::in_place_safe`]); then places buffers, the largest first, each as low as
//! the buffers alive at the same time leave room. What is stored to memory of its own and read only after more than the caches hold has gone
//! through them becomes a `stream`.
//! # Requires
//! Stage `decomposed`.
//! # Ensures
//! Stage `planned`: offsets are multiples of 64 bytes; buffers that are alive at the same time don't overlap, but for those that
//! share memory on purpose.
//! # Example
//! `%1 = exp %0`, `%2 = neg %1`, each a kernel: `%2` gets the place of `%1`.

mod copies;
mod lanes;
mod life;
mod place;
mod report;
mod stream;

pub use life::Life;
pub use report::{MemoryReport, report};

use crate::{PassContext, PassError};
use kernel::{
    Access, Affine, BufRef, BufferId, BufferKind, Code, Expr, InPlaceProofs, IndexVar, Kernel, Launch, Param, Program,
    Stmt,
};

/// Runs the pass.
///
/// # Errors
/// If the arena would be larger than an address space.
pub fn run(program: &mut Program, context: &PassContext) -> Result<(), PassError> {
    copies::remove(program);
    let mut roots: Vec<usize> = (0..program.buffers.len()).collect();
    share_states(program, &mut roots);
    copy_unshared_states(program, &roots);
    let lives = lives(program);
    share_dying_operands(program, &mut roots, &lives);
    place::assign(program, &roots, &lives)?;
    stream::mark(program, context.target.caches().l3_bytes);
    program.share_code();
    Ok(())
}

/// The position of a buffer among a launch's arguments.
fn position(launch: &Launch, buffer: usize) -> Option<usize> {
    launch.args.iter().position(|a| a.0 as usize == buffer)
}

/// Binds `Next` buffers to their states' memory where that is safe.
fn share_states(program: &Program, roots: &mut [usize]) {
    let mut proofs = InPlaceProofs::new(program);
    let (states, uses) = (program.states(), program.uses());
    let written = first_stores(program);
    for (next, buffer) in program.buffers.iter().enumerate() {
        let BufferKind::Next { name } = &buffer.kind else { continue };
        let (Some(&state), Some(first)) = (states.get(name.as_str()), written[next]) else { continue };
        if uses[state].is_none_or(|(_, last)| overwrites_safely(program, (state, last), (next, first), &mut proofs)) {
            roots[next] = state;
        }
    }
}

/// For each buffer the first launch that stores to it.
fn first_stores(program: &Program) -> Vec<Option<usize>> {
    let mut first = vec![None; program.buffers.len()];
    for (at, launch) in program.launches.iter().enumerate() {
        let params = &program.kernels[launch.kernel as usize].params;
        for (arg, _) in launch.args.iter().zip(params).filter(|(_, param)| param.access.stores()) {
            first[arg.0 as usize].get_or_insert(at);
        }
    }
    first
}

/// True if no launch needs the state's old value, which the launch `last` uses last, once launch `first` has begun to write the next.
fn overwrites_safely(
    program: &Program,
    (state, last): (usize, usize),
    (next, first): (usize, usize),
    proofs: &mut InPlaceProofs<'_>,
) -> bool {
    let launch = &program.launches[first];
    let places = position(launch, state).zip(position(launch, next));
    last < first
        || last == first && places.is_some_and(|(from, to)| proofs.safe(launch.kernel, from as u32, to as u32).is_ok())
}

/// Appends copies from the next values that have memory of their own.
fn copy_unshared_states(program: &mut Program, roots: &[usize]) {
    let states = program.states();
    let unshared = |&(next, root): &(usize, &usize)| next == *root;
    let pairs = roots.iter().enumerate().filter(unshared).filter_map(|(next, _)| match &program.buffers[next].kind {
        BufferKind::Next { name } => Some((next, *states.get(name.as_str())?)),
        _ => None,
    });
    let pairs: Vec<(usize, usize)> = pairs.collect();
    for (next, state) in pairs {
        let (dtype, len) = (program.buffers[next].dtype, program.buffers[next].len);
        let (var, at) = (IndexVar(0), Affine::term(IndexVar(0), 1));
        let value = Expr::load(BufRef::Param(0), at.clone());
        let body = vec![Stmt::serial(var, len, vec![Stmt::Store { buf: BufRef::Param(1), index: at, value }])];
        let param = |access| Param { dtype, len, access };
        let name = format!("update_{}", program.kernels.len());
        let params = vec![param(Access::Read), param(Access::Write)];
        program.kernels.push(Kernel::new(name, Code { params, locals: vec![], body }));
        let kernel = program.kernels.len() as u32 - 1;
        let (from, to) = (BufferId(next as u32), BufferId(state as u32));
        let writer = program.launches.iter().rfind(|launch| launch.args.contains(&from));
        let origins = writer.map_or_else(Vec::new, |launch| launch.origins.clone());
        program.launches.push(Launch { kernel, args: vec![from, to], origins });
    }
}

/// When each buffer's contents matter. Ports and constants matter always, outputs from their first write to the end.
///
/// # Panics
/// If a launch binds a buffer that the program doesn't have.
pub fn lives(program: &Program) -> Vec<Life> {
    let end = program.launches.len();
    let life = |(buffer, used): (&kernel::Buffer, Option<(usize, usize)>)| match (&buffer.kind, used) {
        (BufferKind::Temp | BufferKind::Next { .. }, Some((first, last))) => Life { first, last },
        (BufferKind::Output { .. }, Some((first, _))) => Life { first, last: end },
        _ => Life { first: 0, last: end },
    };
    program.buffers.iter().zip(program.uses()).map(life).collect()
}

/// Lets a result take the memory of an operand that dies in the kernel that computes it.
fn share_dying_operands(program: &Program, roots: &mut [usize], lives: &[Life]) {
    let mut proofs = InPlaceProofs::new(program);
    for (t, launch) in program.launches.iter().enumerate() {
        let kernel = &program.kernels[launch.kernel as usize];
        let mut taken: Vec<usize> = vec![];
        for (to, arg) in launch.args.iter().enumerate() {
            let new = arg.0 as usize;
            let fresh = lives[new].first == t && roots[new] == new && kernel.params[to].access == Access::Write;
            let shares = matches!(program.buffers[new].kind, BufferKind::Temp | BufferKind::Output { .. });
            if !fresh || !shares {
                continue;
            }
            let dying = launch.args.iter().enumerate().find(|&(from, old)| {
                let old = old.0 as usize;
                matches!(program.buffers[old].kind, BufferKind::Temp)
                    && lives[old].first < t
                    && lives[old].last == t
                    && !taken.contains(&old)
                    && program.buffers[old].size_bytes() == program.buffers[new].size_bytes()
                    && proofs.safe(launch.kernel, from as u32, to as u32).is_ok()
            });
            if let Some((_, old)) = dying {
                roots[new] = old.0 as usize;
                taken.push(old.0 as usize);
            }
        }
    }
    for buffer in 0..roots.len() {
        while roots[roots[buffer]] != roots[buffer] {
            roots[buffer] = roots[roots[buffer]];
        }
    }
}
