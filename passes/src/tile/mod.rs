//! Cuts long loops into chunks for threads.
//!
//! # Does
//! A long reduction to few elements becomes two kernels: one folds chunks into scratch memory, the other folds what they give. A kernel that is one long innermost loop becomes a loop over chunks of equal length around a loop over a chunk. What the kernel binds
//! before the loop is bound in each chunk.
//! # Requires
//! Stage `decomposed`, before vectorization.
//! # Ensures
//! The outer loop has iterations to share among threads; chunks are multiples of a cache line where the extent allows it.
//! # Example
//! `for i0 in 0..65536 { .. }` becomes `for i1 in 0..16 { for i2 in 0..4096 { .. } }`.

mod params;
mod partial;

use crate::{PassContext, PassError};
use kernel::walk::substitute;
use kernel::{Affine, Fresh, LoopKind, Program, Stmt};

/// Loops shorter than this stay whole: a thread takes longer to wake.
const MIN_EXTENT: usize = 8192;
/// Chunks are at least and at most that long.
const CHUNK: std::ops::RangeInclusive<usize> = 1024..=8192;

/// Runs the pass.
///
/// # Errors
/// None.
pub fn run(program: &mut Program, _: &PassContext) -> Result<(), PassError> {
    partial::cut(program);
    for kernel in &mut program.kernels {
        let mut fresh = Fresh::above(&kernel.body);
        if let Some((Stmt::For { var, extent, kind: LoopKind::Serial, body }, before)) = kernel.body.split_last_mut()
            && before.iter().all(|s| matches!(s, Stmt::Let { .. }))
            && !body.iter().any(|s| matches!(s, Stmt::For { .. } | Stmt::Micro(_)))
            && let Some(chunk) = chunk_of(*extent)
        {
            let (outer, inner) = (fresh.index(), fresh.index());
            let mut chunk_body = std::mem::take(body);
            substitute(&mut chunk_body, *var, &Affine::term(outer, chunk as i64).plus_term(inner, 1));
            let mut in_chunk = before.to_vec();
            in_chunk.push(Stmt::serial(inner, chunk, chunk_body));
            kernel.body = vec![Stmt::serial(outer, *extent / chunk, in_chunk)];
        }
    }
    Ok(())
}

/// The longest chunk that divides the extent; multiples of 16 elements before others, and an even number of chunks before an odd one:
/// three chunks leave one of two threads idle half of the time.
fn chunk_of(extent: usize) -> Option<usize> {
    if extent < MIN_EXTENT {
        return None;
    }
    let divisors = || CHUNK.rev().filter(|c| extent.is_multiple_of(*c) && extent / c > 1);
    let lines = || divisors().filter(|c| c % 16 == 0);
    lines().find(|c| (extent / c).is_multiple_of(2)).or_else(|| lines().next()).or_else(|| divisors().next())
}
