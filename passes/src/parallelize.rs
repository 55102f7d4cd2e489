//! Decides which kernels are shared among threads.
//!
//! # Does
//! A kernel that is one loop, but for values bound before it, becomes parallel along it if its iterations provably write different places
//! and there is enough to do.
//! # Requires
//! Stage `decomposed`, after vectorization.
//! # Ensures
//! The same stage. What is computed doesn't depend on the number of threads: iterations are whole and independent.
//! # Example
//! `for i0 in 0..16 { vector i1 in 0..1024 { .. } }` becomes `parallel i0 in 0..16 { .. }`.

use crate::{PassContext, PassError};
use kernel::verify::iterations_are_independent;
use kernel::{Code, Kernel, LoopKind, Program, Stmt};

/// Less work than this, in statements executed, is never worth waking a thread; whether more is, the emitter weighs.
const MIN_WORK: usize = 1 << 13;

/// Runs the pass.
///
/// # Errors
/// None.
pub fn run(program: &mut Program, _: &PassContext) -> Result<(), PassError> {
    program.change_kernels(|kernel| {
        // What the verifier can't prove to be independent stays serial.
        if let Some(parallel) = in_parallel(kernel)
            && iterations_are_independent(&parallel)
        {
            *kernel = parallel;
        }
        Ok(())
    })
}

/// The kernel with its one loop in parallel, if that is worth it; what is bound before the loop is bound in each iteration.
fn in_parallel(kernel: &Kernel) -> Option<Kernel> {
    let (last, before) = kernel.body.split_last()?;
    let Stmt::For { var, extent, kind: LoopKind::Serial, body } = last else { return None };
    let binds = before.iter().all(|stmt| matches!(stmt, Stmt::Let { .. }));
    if !binds || *extent < 2 || extent.saturating_mul(work(body)) < MIN_WORK {
        return None;
    }
    let body = before.iter().chain(body).cloned().collect();
    let parallel = Stmt::For { var: *var, extent: *extent, kind: LoopKind::Parallel, body };
    let Code { params, locals, .. } = &**kernel;
    let code = Code { params: params.clone(), locals: locals.clone(), body: vec![parallel] };
    Some(Kernel::new(kernel.name.clone(), code))
}

/// How many statements a body executes; a step of a tile counts as one per vector.
fn work(body: &[Stmt]) -> usize {
    body.iter()
        .map(|stmt| match stmt {
            Stmt::For { extent, body, .. } => extent.saturating_mul(work(body)),
            Stmt::If { then, otherwise, .. } => work(then).max(work(otherwise)),
            Stmt::Micro(m) => {
                let steps = m.reduce.iter().fold(1usize, |steps, d| steps.saturating_mul(d.extent));
                steps.saturating_mul((m.m * m.n).div_ceil(4))
            }
            _ => 1,
        })
        .fold(0, usize::saturating_add)
}
