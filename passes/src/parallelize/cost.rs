//! How much work a kernel is, roughly: decides whether sharing its loop among threads pays.
//!
//! The unit is half a cycle: processors do about two such things a cycle. A vector of up to the machine's width is one thing to add,
//! load or store. A kernel whose arrays don't fit into the first-level cache takes at least as long as the next one needs to deliver them.

use kernel::{Expr, Kernel, Stmt, Target};

/// A loop of less work than this is run by the calling thread alone: some 4 µs at 4 GHz, where two threads save 2. Sharing it costs a few tenths of
/// one while the workers are awake (`runtime::fork_join` measures it).
const WORTH_A_FORK: u64 = 32_000;

/// Arrays of so many bytes together stay in the first-level cache.
const FIRST_CACHE: u64 = 32 << 10;
/// Bytes that come from the second-level cache, or go there, in half a cycle: about 100 GB/s at 4 GHz.
const BYTES: u64 = 13;
/// Half cycles that one load or store of a whole vector waits at most, by that rate. A kernel may look at a small part of its arrays.
const MOST_WAITING: u64 = 5;

/// Whether a kernel's loop is worth running on several threads, on that machine.
pub(super) fn worth_a_fork(kernel: &Kernel, target: &Target) -> bool {
    let work = CostModel { kernel, target }.body(&kernel.body);
    work.max(moving(kernel).min(work.saturating_mul(MOST_WAITING))) >= WORTH_A_FORK
}

/// What it takes to move all of a kernel's arrays.
fn moving(kernel: &Kernel) -> u64 {
    let bytes = kernel.params.iter().map(|p| (p.len * p.dtype.size_bytes()) as u64).fold(0, u64::saturating_add);
    if bytes > FIRST_CACHE { bytes / BYTES } else { 0 }
}

struct CostModel<'k> {
    kernel: &'k Kernel,
    target: &'k Target,
}

impl CostModel<'_> {
    fn body(&self, stmts: &[Stmt]) -> u64 {
        stmts.iter().map(|stmt| self.stmt(stmt)).fold(0, u64::saturating_add)
    }

    fn stmt(&self, stmt: &Stmt) -> u64 {
        match stmt {
            Stmt::For { extent, body, .. } => self.body(body).saturating_mul(*extent as u64),
            Stmt::LetIndex { .. } => 2,
            Stmt::Let { value, .. } | Stmt::Decl { init: value, .. } | Stmt::Assign { value, .. } => expr(value),
            Stmt::Accumulate { value, .. } | Stmt::Store { value, .. } => 1 + expr(value),
            Stmt::If { condition, then, otherwise } => expr(condition) + self.body(then).max(self.body(otherwise)),
            Stmt::Micro(micro) => self.tile(micro),
        }
    }

    /// A fused multiply-add of a vector is one thing; of 512 bits, two: processors have one unit for them where they have two for 256.
    fn tile(&self, micro: &kernel::Micro) -> u64 {
        let element = self.kernel.dtype_of(micro.c.buf).map_or(4, kernel::DType::size_bytes);
        let lanes = self.target.vector_bytes() / element;
        let weight = if self.target.vector_bytes() == 64 { 2 } else { 1 };
        let steps: u64 = micro.reduce.iter().map(|d| d.extent as u64).fold(1, u64::saturating_mul);
        let vectors = (micro.m * micro.n.div_ceil(lanes)) as u64;
        let sums = if micro.c.accumulate { 3 } else { 1 };
        steps.saturating_mul(weight).saturating_add(sums).saturating_mul(vectors)
    }
}

fn expr(expression: &Expr) -> u64 {
    match expression {
        Expr::Const(_) | Expr::Reg(_) => 0,
        Expr::Index { .. } | Expr::Load { .. } => 1,
        Expr::Apply(_, operands) => 1 + operands.iter().map(expr).sum::<u64>(),
        Expr::Cast(_, value) | Expr::Bitcast(_, value) | Expr::Splat(_, value) => 1 + expr(value),
        Expr::Fold(_, value) => 4 + expr(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(body: &str, target: &Target) -> u64 {
        let text = format!("kernel k(p0: read f32[65536], p1: write f32[65536]) {{ {body} }}");
        let kernel: Kernel = text.parse().unwrap();
        CostModel { kernel: &kernel, target }.body(&kernel.body)
    }

    #[test]
    fn loops_multiply_and_branches_take_the_longer_way() {
        let one = work("store p1[0] = load p0[0]", &Target::baseline());
        assert_eq!(work("for i0 in 0..100 { store p1[i0] = load p0[i0] }", &Target::baseline()), 100 * one);
        let branch = "if lt(load p0[0], 1.0f32) { store p1[0] = 0.0f32 store p1[1] = 0.0f32 } else { }";
        assert_eq!(work(branch, &Target::baseline()), 2 + 2);
    }

    #[test]
    fn copies_of_large_arrays_are_shared() {
        let copy = |len: usize| -> Kernel {
            let body = format!("parallel i0 in 0..{} {{ store p1[i0*16] = load.x16 p0[i0*16] }}", len / 16);
            format!("kernel k(p0: read f32[{len}], p1: write f32[{len}]) {{ {body} }}").parse().unwrap()
        };
        assert!(!worth_a_fork(&copy(1 << 12), &Target::avx512()));
        assert!(worth_a_fork(&copy(1 << 16), &Target::avx512()));
        let mut part = copy(1 << 12);
        part.params[0].len = 1 << 24;
        assert!(!worth_a_fork(&part, &Target::avx512()), "little of the array is read");
    }

    #[test]
    fn wider_vectors_make_a_tile_less_work() {
        let tile = "micro 4x64 a=p0[0] stride 256, b=p0[0], reduce=[(256, 1, 64)], c=p1[0] stride 64";
        let widths = [Target::baseline(), Target::avx2(), Target::avx512()].map(|target| work(tile, &target));
        assert_eq!(widths, [64 * 257, 32 * 257, 16 * 513]);
    }
}
