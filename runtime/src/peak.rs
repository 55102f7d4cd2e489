//! What the machine can do at most: loops of fused multiply-adds and of memory traffic, timed on any number of threads; and what sharing a loop
//! costs.

use crate::LoadError;
use crate::code::LinkedCode;
use crate::host::check_runs_here;
use crate::team::Team;
use codegen::{KernelFn, PeakCode, PeakLoop};
use kernel::Target;
use std::time::{Duration, Instant};

/// How long a timed run is at least: long enough for the clock and the fork, short enough that some run is not disturbed.
const RUN: Duration = Duration::from_micros(500);

/// What a loop reaches on all threads together.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rate {
    /// Billions of floating-point operations in a second; 0 for loops that move memory.
    pub gflops: f64,
    /// Billions of bytes read and written in a second, as the loop names them; 0 for arithmetic.
    pub gbytes_s: f64,
}

/// Runs a loop in a target's vectors on that many threads for about as long as `time` says and gives the best rate that any run reached. Each thread has arrays of
/// its own, of `array_bytes` each, in the order in which [`PeakLoop`] names them.
///
/// # Errors
/// If the processor is none that the loop can be made for, or memory or threads are not to be had.
pub fn peak(
    what: PeakLoop,
    array_bytes: usize,
    target: &Target,
    threads: usize,
    time: Duration,
) -> Result<Rate, LoadError> {
    let threads = threads.max(1);
    check_runs_here(target)?;
    let PeakCode { object, flops, bytes } = codegen::peak(what, array_bytes, target)?;
    // SAFETY: the code generator made the loop, a kernel; it has no step, and none is called.
    let code = unsafe { LinkedCode::new(&object) }?;
    // What has not been written yet is no memory of its own, but one page of zeros for all.
    let fill = codegen::peak(PeakLoop::Fill, object.scratch_bytes(), target)?.object;
    let team = Team::new(threads, object.scratch_bytes().max(fill.scratch_bytes()))?;
    let _guard = team.lock();
    // SAFETY: as above.
    let fill_code = unsafe { LinkedCode::new(&fill) }?;
    let fill = fill_code.kernel(0);
    for number in 0..team.threads() {
        // SAFETY: the loop has no parameters; it works on the scratch memory, which no thread uses yet.
        unsafe { fill(std::ptr::null(), team.scratch(number), 0, 1) };
    }
    let seconds = fastest_pass(&team, code.kernel(0), time);
    let per_second = threads as f64 / seconds / 1e9;
    Ok(Rate { gflops: flops as f64 * per_second, gbytes_s: bytes as f64 * per_second })
}

/// Seconds of a pass in the fastest of many runs.
fn fastest_pass(team: &Team, function: KernelFn, time: Duration) -> f64 {
    let mut passes = 1;
    let begun = Instant::now();
    let mut best = f64::INFINITY;
    loop {
        let start = Instant::now();
        run(team, function, std::ptr::null(), passes);
        best = best.min(start.elapsed().as_secs_f64() / passes as f64);
        // By the fastest pass so far: a run that something else interrupted says nothing about how many passes make a long one.
        if best * (passes as f64) < RUN.as_secs_f64() {
            passes *= 2;
            continue;
        }
        if begun.elapsed() >= time {
            return best;
        }
    }
}

/// Makes `passes` passes on each thread.
fn run(team: &Team, function: KernelFn, args: *const *mut u8, passes: usize) {
    let extent = (passes * team.threads()) as i64;
    // SAFETY: the callers give the loop the parameters it has; it works on the thread's scratch memory, which the team was given as much of as its
    // object asks for; the pool is locked.
    unsafe { team.run(function, args, extent) };
}

/// What it takes to hand a parallel loop to all threads and to wait until they are done, the loop's own time included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ForkJoin {
    /// The fastest.
    pub best: Duration,
    /// The median.
    pub median: Duration,
}

/// How many forks follow one another before their time is taken: the clock is no better than that.
const FORKS: u32 = 20;

/// Forks and joins for about as long as `time` says, one after the other, as the launches of a step do. The loop has an iteration for each thread, which
/// keeps it busy for as long as `work` says. A loop without work says little of how soon other threads begin: the caller may have done it all by
/// then. With a few microseconds of work the whole takes that long, and what the fork and the join cost.
///
/// # Errors
/// If threads are not to be had.
pub fn fork_join(threads: usize, work: Duration, time: Duration) -> Result<ForkJoin, LoadError> {
    let team = Team::new(threads, 0)?;
    let _guard = team.lock();
    let begun = Instant::now();
    let mut times = vec![];
    while times.is_empty() || begun.elapsed() < time {
        let start = Instant::now();
        for _ in 0..FORKS {
            run(&team, busy, (&raw const work).cast(), 1);
        }
        times.push(start.elapsed() / FORKS);
    }
    times.sort_unstable();
    Ok(ForkJoin { best: times[0], median: times[times.len() / 2] })
}

/// A kernel whose iterations last as long as the duration says that its arguments are.
unsafe extern "C" fn busy(args: *const *mut u8, _: *mut u8, lo: i64, hi: i64) -> i32 {
    // SAFETY: `fork_join` gives the address of a duration, which it keeps until all threads are done.
    let work = unsafe { *args.cast::<Duration>() };
    for _ in lo..hi {
        spin(work);
    }
    0
}

/// Keeps the processor busy for so long.
pub fn spin(work: Duration) {
    if work.is_zero() {
        return;
    }
    let start = Instant::now();
    while start.elapsed() < work {
        std::hint::spin_loop();
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn every_loop_runs_on_one_thread_and_on_two() {
        use PeakLoop::*;
        let target = crate::host_target().unwrap();
        for what in [MultiplyAdd, Fill, Read, Copy, Triad, StreamCopy, StreamTriad] {
            for threads in [1, 2] {
                let rate = match peak(what, 10_000, &target, threads, Duration::from_millis(1)) {
                    Ok(rate) => rate,
                    Err(LoadError::Codegen(_)) => return,
                    Err(e) => panic!("{what:?}: {e}"),
                };
                assert_eq!(rate.gflops > 0.0, what == MultiplyAdd, "{what:?}");
                assert_eq!(rate.gbytes_s > 0.0, what != MultiplyAdd, "{what:?}");
            }
        }
    }
    #[test]
    fn forks_come_back() {
        for threads in [1, 2, 3] {
            let ForkJoin { best, median } = fork_join(threads, Duration::ZERO, Duration::from_millis(2)).unwrap();
            assert!(best <= median);
            let work = Duration::from_micros(5);
            assert!(fork_join(threads, work, Duration::from_millis(2)).unwrap().best >= work);
        }
    }
}
