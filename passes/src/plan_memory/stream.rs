//! Which results are stored past the caches.
//!
//! A store of a line that isn't in the cache reads it first, and evicts another one. Where so much is computed that the caches don't hold the result
//! until it is read, both are for nothing: storing past them leaves a third of the traffic of a copy.

use kernel::{Access, Program};
use std::ops::Range;

/// A launch that touches less than this part of the largest cache leaves what others have there.
const LARGE_PART: usize = 2;

/// Marks parameters that every launch of their kernel binds to memory which nothing else in the launch uses, and nothing soon afterwards reads.
pub(super) fn mark(program: &mut Program, cache_bytes: usize) {
    let mut launches: Vec<Vec<usize>> = vec![vec![]; program.kernels.len()];
    for (at, launch) in program.launches.iter().enumerate() {
        launches[launch.kernel as usize].push(at);
    }
    let streams: Vec<(usize, usize)> = (0..program.kernels.len())
        .flat_map(|kernel| (0..program.kernels[kernel].params.len()).map(move |param| (kernel, param)))
        .filter(|&(kernel, param)| {
            let writes = program.kernels[kernel].params[param].access == Access::Write;
            let launches = &launches[kernel];
            let all = || launches.iter().all(|&t| is_streamed(program, (t, param), cache_bytes));
            writes && !launches.is_empty() && all()
        })
        .collect();
    for (kernel, param) in streams {
        program.kernels[kernel].params[param].access = Access::Stream;
    }
}

/// Whether a launch may store an argument past caches of that size.
fn is_streamed(program: &Program, (launch, param): (usize, usize), cache_bytes: usize) -> bool {
    let args = &program.launches[launch].args;
    let Some(own) = program.buffer(args[param]).span() else { return false };
    let others = args.iter().enumerate().filter(|&(at, _)| at != param);
    let alone = others.filter_map(|(_, arg)| program.buffer(*arg).span()).all(|other| !overlap(&own, &other));
    alone && touched(program, launch) * LARGE_PART >= cache_bytes && !is_read_soon(program, launch, &own, cache_bytes)
}

/// Whether memory is read before twice of what the cache holds has gone through it; each launch touches its arguments once. The next run follows this
/// one.
fn is_read_soon(program: &Program, launch: usize, memory: &Range<usize>, cache_bytes: usize) -> bool {
    let count = program.launches.len();
    let mut between = touched(program, launch);
    for t in (launch + 1..count).chain(0..launch) {
        if between > 2 * cache_bytes {
            return false;
        }
        if reads(program, t, memory) {
            return true;
        }
        between += touched(program, t);
    }
    false
}

fn reads(program: &Program, launch: usize, memory: &Range<usize>) -> bool {
    let launch = &program.launches[launch];
    let params = &program.kernels[launch.kernel as usize].params;
    launch.args.iter().zip(params).any(|(arg, param)| {
        param.access.loads() && program.buffer(*arg).span().is_some_and(|other| overlap(memory, &other))
    })
}

/// The bytes of a launch's arguments.
fn touched(program: &Program, launch: usize) -> usize {
    program.launches[launch].args.iter().map(|arg| program.buffer(*arg).size_bytes()).sum()
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two launches over a buffer each, the second one reading what the first stores.
    const TEXT: &str = "program \"two\" arena 12288
b0: f32[1024] input \"x\" @ 0
b1: f32[1024] temp @ 4096
b2: f32[1024] output \"y\" @ 8192
kernel first(p0: read f32[1024], p1: write f32[1024]) {
  for i0 in 0..1024 {
    store p1[i0] = neg(load p0[i0])
  }
}
kernel second(p0: read f32[1024], p1: write f32[1024]) {
  for i0 in 0..1024 {
    store p1[i0] = abs(load p0[i0])
  }
}
launch first(b0, b1)
launch second(b1, b2)
";

    fn accesses(cache_bytes: usize) -> [Access; 2] {
        let mut program: Program = TEXT.parse().unwrap();
        mark(&mut program, cache_bytes);
        [0, 1].map(|kernel| program.kernels[kernel].params[1].access)
    }

    #[test]
    fn a_result_that_nothing_reads_is_a_stream_where_the_launch_is_large() {
        assert_eq!(accesses(16384), [Access::Write, Access::Stream]);
        assert_eq!(accesses(16385), [Access::Write, Access::Write]);
    }

    #[test]
    fn what_is_read_after_more_than_the_caches_hold_is_a_stream() {
        assert_eq!(accesses(4095), [Access::Stream, Access::Stream]);
        assert_eq!(accesses(4096), [Access::Write, Access::Stream]);
    }

    #[test]
    fn what_is_written_in_place_is_none() {
        let mut program: Program = TEXT.replace("@ 8192", "@ 4096").parse().unwrap();
        mark(&mut program, 4096);
        assert_eq!(program.kernels[1].params[1].access, Access::Write);
    }
}
