//! Decides which kernels are shared among threads.
//!
//! # Does
//! A kernel that is one loop, but for values bound before it, becomes parallel along it if its iterations provably write different places
//! and sharing them pays on the target. Whatever is parallel after this pass is shared among threads wherever there are some.
//! # Requires
//! Stage `decomposed`, after vectorization.
//! # Ensures
//! The same stage. What is computed doesn't depend on the number of threads: iterations are whole and independent.
//! # Example
//! `for i0 in 0..16 { vector i1 in 0..1024 { .. } }` becomes `parallel i0 in 0..16 { .. }`.

mod cost;

use crate::{PassContext, PassError};
use kernel::verify::iterations_are_independent;
use kernel::{Code, Kernel, LoopKind, Program, Stmt, Target};

/// Runs the pass.
///
/// # Errors
/// None.
pub fn run(program: &mut Program, context: &PassContext) -> Result<(), PassError> {
    program.change_kernels(|kernel| {
        // What the verifier can't prove to be independent stays serial.
        if let Some(parallel) = in_parallel(kernel, &context.target)
            && iterations_are_independent(&parallel)
        {
            *kernel = parallel;
        }
        Ok(())
    })
}

/// The kernel with its one loop in parallel, if that is worth it; what is bound before the loop is bound in each iteration.
fn in_parallel(kernel: &Kernel, target: &Target) -> Option<Kernel> {
    let (last, before) = kernel.body.split_last()?;
    let Stmt::For { var, extent, kind: LoopKind::Serial, body } = last else { return None };
    let binds = before.iter().all(|stmt| matches!(stmt, Stmt::Let { .. }));
    if !binds || *extent < 2 || !cost::worth_a_fork(kernel, target) {
        return None;
    }
    let body = before.iter().chain(body).cloned().collect();
    let parallel = Stmt::For { var: *var, extent: *extent, kind: LoopKind::Parallel, body };
    let Code { params, locals, .. } = &**kernel;
    let code = Code { params: params.clone(), locals: locals.clone(), body: vec![parallel] };
    Some(Kernel::new(kernel.name.clone(), code))
}
