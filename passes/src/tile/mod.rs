//! Cuts long loops into chunks for threads.
//!
//! # Does
//! A long reduction to few elements becomes two kernels: one folds chunks into scratch memory, the other folds what they give. A kernel
//! that is one long innermost loop becomes a loop over chunks around a loop over a chunk; where the extent has no divisor that
//! would do, the last chunk is shorter than the others. What the kernel binds before the loop is bound in each chunk. A chain of many additions
//! becomes sums of blocks. What is read across the order of memory is read in blocks, through scratch memory. Loops over rows whose second half waits for a number of
//! the first take some rows at a time.
//! # Requires
//! Stage `decomposed`, before vectorization.
//! # Ensures
//! The outer loop has iterations to share among threads; chunks are whole cache lines. No accumulator of a loop over floats takes more than 8192 terms that lie
//! side by side, 1024 others.
//! # Example
//! `for i0 in 0..65536 { .. }` becomes `for i1 in 0..16 { for i2 in 0..4096 { .. } }`.

mod blocks;
mod params;
mod partial;
mod rows;
mod transpose;

use crate::{PassContext, PassError};
use kernel::walk::{refresh, substitute};
use kernel::{Affine, Expr, Fresh, IndexVar, Kernel, LoopKind, Program, Stmt, Types};

/// Loops shorter than this stay whole: a thread takes longer to wake.
const MIN_EXTENT: usize = 8192;
/// Chunks are at least and at most that long.
const CHUNK: std::ops::RangeInclusive<usize> = 1024..=8192;
/// Chunks are multiples of so many elements: the cache line of four-byte ones.
const LINE: usize = 16;

/// Runs the pass.
///
/// # Errors
/// None.
pub fn run(program: &mut Program, context: &PassContext) -> Result<(), PassError> {
    partial::cut(program);
    program.change_kernels(|kernel| {
        transpose::cut(kernel);
        cut_in_chunks(kernel);
        let types_of =
            |kernel: &Kernel| Types::of_kernel(kernel).map_err(|e| PassError::Invalid(format!("{}: {e}", kernel.name)));
        let (mut types, mut fresh) = (types_of(kernel)?, Fresh::above(&kernel.body));
        if rows::split(kernel, &types, &context.target, &mut fresh) {
            types = types_of(kernel)?;
        }
        blocks::cut(&mut kernel.body, &mut types, &mut fresh);
        Ok(())
    })
}

/// Cuts a loop over many elements into chunks that threads can share.
fn cut_in_chunks(kernel: &mut Kernel) {
    let Some((Stmt::For { var, extent, kind: LoopKind::Serial, body }, before)) = kernel.body.split_last() else {
        return;
    };
    let straight = !body.iter().any(|s| matches!(s, Stmt::For { .. } | Stmt::Micro(_)));
    if !straight || *extent < MIN_EXTENT || !before.iter().all(|s| matches!(s, Stmt::Let { .. })) {
        return;
    }
    let mut fresh = Fresh::above(&kernel.body);
    let mut chunks = before.to_vec();
    let (outer, chunk) = (fresh.index(), chunk_of(*extent));
    let one = |length: usize, fresh: &mut Fresh| one_chunk((*var, body), (outer, chunk), length, fresh);
    let whole = one(chunk, &mut fresh);
    chunks.push(match extent % chunk {
        0 => whole,
        rest => Stmt::If {
            condition: Expr::is_below(outer, extent / chunk),
            then: vec![whole],
            otherwise: vec![one(rest, &mut fresh)],
        },
    });
    kernel.body = vec![Stmt::serial(outer, extent.div_ceil(chunk), chunks)];
}

/// The loop over `length` elements of a chunk.
fn one_chunk(
    (var, body): (IndexVar, &[Stmt]),
    (outer, chunk): (IndexVar, usize),
    length: usize,
    fresh: &mut Fresh,
) -> Stmt {
    let mut body = refresh(body, fresh);
    let inner = fresh.index();
    substitute(&mut body, var, &Affine::term(outer, chunk as i64).plus_term(inner, 1));
    Stmt::serial(inner, length, body)
}

/// The longest chunk that divides the extent and is whole cache lines; an even number of chunks before an odd one: three chunks leave one
/// of two threads idle half of the time. Without such a divisor, an even number of chunks, the last one shorter.
fn chunk_of(extent: usize) -> usize {
    let divisors = || CHUNK.rev().filter(|c| c % LINE == 0 && extent.is_multiple_of(*c) && extent / c > 1);
    let even = || divisors().find(|c| (extent / c).is_multiple_of(2));
    even().or_else(|| divisors().next()).unwrap_or_else(|| {
        let chunks = extent.div_ceil(*CHUNK.end()).next_multiple_of(2);
        extent.div_ceil(chunks).next_multiple_of(LINE)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_whole_lines_and_the_last_one_is_not_empty() {
        for extent in (MIN_EXTENT..MIN_EXTENT + 500).chain([10_007, 65_537, 99_991, 100_352, 1_000_003]) {
            let chunk = chunk_of(extent);
            assert!(
                chunk.is_multiple_of(LINE) && chunk <= *CHUNK.end() && extent.div_ceil(chunk) > 1,
                "{chunk} of {extent}"
            );
            let even = extent.div_ceil(chunk).is_multiple_of(2);
            assert!(even || extent.is_multiple_of(chunk), "{chunk} of {extent}");
        }
        assert_eq!(chunk_of(65_536), 8192);
        assert_eq!(chunk_of(10_007), 5008);
    }
}
