//! Which kernels hardly count in a step's time, and so aren't worth the time that better code for them takes to make.

use kernel::Program;
use std::collections::{BTreeMap, BTreeSet};

/// All cold kernels of a program together take at most this part of its step, by what they compute and move.
const SHARE: f64 = 1.0 / 100.0;

/// The numbers of the kernels whose launches take the least, as many as together take no more than a small part of the step. `firsts` says for each kernel
/// which one's code it runs; those are meant.
pub(crate) fn kernels(program: &Program, firsts: &[usize]) -> BTreeSet<usize> {
    let mut time: BTreeMap<usize, f64> = BTreeMap::new();
    for launch in &program.launches {
        let number = launch.kernel as usize;
        if let (Some(kernel), Some(&first)) = (program.kernels.get(number), firsts.get(number)) {
            let work = kernel.work();
            // An operation takes about as long as a byte on its way through the caches.
            *time.entry(first).or_default() += work.operations + work.read_bytes + work.written_bytes;
        }
    }
    let mut left = time.values().sum::<f64>() * SHARE;
    let mut coldest: Vec<(usize, f64)> = time.into_iter().collect();
    coldest.sort_by(|a, b| a.1.total_cmp(&b.1));
    let fits = |&&(_, time): &&(usize, f64)| {
        left -= time;
        left >= 0.0
    };
    coldest.iter().take_while(fits).map(|&(kernel, _)| kernel).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program of copies of so many elements each.
    fn copies(lengths: &[usize]) -> Program {
        let mut text = String::from("program \"p\"\n");
        for (at, len) in lengths.iter().enumerate() {
            let (x, y) = (2 * at, 2 * at + 1);
            text += &format!("b{x}: f32[{len}] input \"x{at}\"\nb{y}: f32[{len}] output \"y{at}\"\n");
        }
        for (at, len) in lengths.iter().enumerate() {
            text += &format!(
                "kernel k{at}(p0: read f32[{len}], p1: write f32[{len}]) {{\nfor i0 in 0..{len} {{ store p1[i0] = load p0[i0] }}\n}}\n"
            );
        }
        for at in 0..lengths.len() {
            text += &format!("launch k{at}(b{}, b{})\n", 2 * at, 2 * at + 1);
        }
        text.parse().unwrap()
    }

    #[test]
    fn the_coldest_kernels_together_take_a_hundredth() {
        let program = copies(&[10_000, 40, 50, 30]);
        assert_eq!(kernels(&program, &[0, 1, 2, 3]), BTreeSet::from([1, 3]));
        // Launches of one code count together.
        assert_eq!(kernels(&program, &[0, 1, 1, 3]), BTreeSet::from([3]));
        assert_eq!(kernels(&copies(&[8, 8]), &[0, 1]), BTreeSet::new());
    }
}
