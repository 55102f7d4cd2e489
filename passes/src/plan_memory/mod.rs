//! Gives every buffer its place in the arena.
//!
//! # Does
//! Binds the next value of a state to the state's own memory where no kernel reads the old value afterwards, else appends a copy;
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

mod place;
mod report;
mod stream;

pub use report::{MemoryReport, report};

use crate::{PassContext, PassError};
use kernel::{
    Access, Affine, BufRef, BufferId, BufferKind, Expr, InPlaceProofs, IndexVar, Kernel, Launch, Param, Program, Stmt,
};

/// When a buffer's contents matter: from the launch that first writes it to the last that reads it; launches are numbered from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Life {
    first: usize,
    last: usize,
}

impl Life {
    fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    fn union(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

/// Runs the pass.
///
/// # Errors
/// If the arena would be larger than an address space.
pub fn run(program: &mut Program, context: &PassContext) -> Result<(), PassError> {
    let mut roots: Vec<usize> = (0..program.buffers.len()).collect();
    share_states(program, &mut roots);
    copy_unshared_states(program, &roots);
    let lives = lives(program);
    share_dying_operands(program, &mut roots, &lives);
    place::assign(program, &roots, &lives)?;
    stream::mark(program, context.target.l3_bytes);
    Ok(())
}

/// How a launch uses a buffer; `None` if it doesn't.
fn access(program: &Program, launch: &Launch, buffer: usize) -> Option<Access> {
    let params = &program.kernels[launch.kernel as usize].params;
    let mut found: Option<Access> = None;
    for (arg, param) in launch.args.iter().zip(params) {
        if arg.0 as usize == buffer {
            found = Some(match found {
                Some(other) if other != param.access => Access::ReadWrite,
                _ => param.access,
            });
        }
    }
    found
}

/// The position of a buffer among a launch's arguments.
fn position(launch: &Launch, buffer: usize) -> Option<usize> {
    launch.args.iter().position(|a| a.0 as usize == buffer)
}

/// Binds `Next` buffers to their states' memory where that is safe.
fn share_states(program: &Program, roots: &mut [usize]) {
    let mut proofs = InPlaceProofs::new(program);
    for (next, buffer) in program.buffers.iter().enumerate() {
        let BufferKind::Next { name } = &buffer.kind else { continue };
        let state = program.buffers.iter().position(|b| b.kind == BufferKind::State { name: name.clone() });
        if let Some(state) = state.filter(|&s| overwrites_safely(program, s, next, &mut proofs)) {
            roots[next] = state;
        }
    }
}

/// True if no launch needs the state's old value once one has begun to write the next.
fn overwrites_safely(program: &Program, state: usize, next: usize, proofs: &mut InPlaceProofs<'_>) -> bool {
    let writes = |l: &Launch| access(program, l, next).is_some_and(Access::stores);
    let Some(first) = program.launches.iter().position(writes) else { return false };
    program.launches.iter().enumerate().skip(first).all(|(t, launch)| match position(launch, state) {
        None => true,
        Some(from) if t == first => {
            position(launch, next).is_some_and(|to| proofs.safe(launch.kernel, from as u32, to as u32).is_ok())
        }
        Some(_) => false,
    })
}

/// Appends copies from the next values that have memory of their own.
fn copy_unshared_states(program: &mut Program, roots: &[usize]) {
    for (next, &root) in roots.iter().enumerate() {
        let BufferKind::Next { name } = program.buffers[next].kind.clone() else { continue };
        if root != next {
            continue;
        }
        let Some(state) = program.buffers.iter().position(|b| b.kind == BufferKind::State { name: name.clone() })
        else {
            continue;
        };
        let (dtype, len) = (program.buffers[next].dtype, program.buffers[next].len);
        let (var, at) = (IndexVar(0), Affine::term(IndexVar(0), 1));
        let value = Expr::load(BufRef::Param(0), at.clone());
        let body = vec![Stmt::serial(var, len, vec![Stmt::Store { buf: BufRef::Param(1), index: at, value }])];
        let param = |access| Param { dtype, len, access };
        program.kernels.push(Kernel {
            name: format!("update_{}", program.kernels.len()),
            params: vec![param(Access::Read), param(Access::Write)],
            locals: vec![],
            body,
        });
        let kernel = program.kernels.len() as u32 - 1;
        program.launches.push(Launch { kernel, args: vec![BufferId(next as u32), BufferId(state as u32)] });
    }
}

/// When each buffer's contents matter. Ports and constants matter always, outputs from their first write to the end.
fn lives(program: &Program) -> Vec<Life> {
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
