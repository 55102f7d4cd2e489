//! Decides which kernels are shared among threads.
//!
//! # Does
//! A kernel whose only statement is a loop becomes parallel along it if its iterations provably write different places and there is
//! enough to do.
//! # Requires
//! Stage `decomposed`, after vectorization.
//! # Ensures
//! The same stage. What is computed doesn't depend on the number of threads: iterations are whole and independent.
//! # Example
//! `for i0 in 0..16 { vector i1 in 0..1024 { .. } }` becomes `parallel i0 in 0..16 { .. }`.

use crate::{PassContext, PassError};
use kernel::{Kernel, LoopKind, Program, Spec, Stmt};

/// Less work than this, in statements executed, is never worth waking a thread; whether more is, the emitter weighs.
const MIN_WORK: usize = 1 << 13;

/// Runs the pass.
///
/// # Errors
/// None.
pub fn run(program: &mut Program, _: &PassContext) -> Result<(), PassError> {
    for kernel in program.kernels.iter_mut().filter(|k| is_worth_it(k)) {
        set_kind(kernel, LoopKind::Parallel);
        // What the verifier can't prove to be independent stays serial.
        if kernel::verify_kernel(kernel, &program.checks, Spec::LOWERED).is_err() {
            set_kind(kernel, LoopKind::Serial);
        }
    }
    Ok(())
}

fn set_kind(kernel: &mut Kernel, new: LoopKind) {
    if let [Stmt::For { kind, .. }] = kernel.body.as_mut_slice() {
        *kind = new;
    }
}

fn is_worth_it(kernel: &Kernel) -> bool {
    match kernel.body.as_slice() {
        [Stmt::For { extent, kind: LoopKind::Serial, body, .. }] => *extent > 1 && extent * work(body) >= MIN_WORK,
        _ => false,
    }
}

/// How many statements a body executes; a step of a tile counts as one per vector.
fn work(body: &[Stmt]) -> usize {
    body.iter()
        .map(|stmt| match stmt {
            Stmt::For { extent, body, .. } => extent * work(body),
            Stmt::If { then, otherwise, .. } => work(then).max(work(otherwise)),
            Stmt::Micro(m) => {
                let steps: usize = m.reduce.iter().map(|d| d.extent).product();
                steps * (m.m * m.n).div_ceil(4)
            }
            _ => 1,
        })
        .sum()
}
