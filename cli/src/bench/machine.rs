//! The limits of the machine, measured, and what they mean for a piece of work.

use super::BenchError;
use gradc::compile::CompileOptions;
use kernel::{Target, Work};
use runtime::{ForkJoin, PeakLoop, fork_join, peak};
use serde_json::{Value as Json, json};
use std::fmt;
use std::time::Duration;

/// How long each loop is timed.
const LOOP: Duration = Duration::from_millis(40);

/// Billions of bytes in a second that loops reach on arrays in one part of the memory.
#[derive(Clone, PartialEq, Debug)]
pub struct MemoryLevel {
    /// `L1`, `L2`, `L3`, `memory`.
    pub name: &'static str,
    /// Up to how many bytes stay there, all threads together.
    pub capacity: f64,
    /// Bytes of arrays, all of a thread's together, that were used to measure it.
    pub measured: usize,
    /// Reading one array.
    pub read: f64,
    /// Reading one, writing another; both counted. Memory is written past the caches where that is faster.
    pub copy: f64,
    /// Reading two, writing a third; all counted.
    pub triad: f64,
}

/// What the machine can do at most, with a number of threads.
#[derive(Clone, PartialEq, Debug)]
pub struct MachineLimits {
    /// Threads that ran the loops.
    pub threads: usize,
    /// Billions of floating-point operations in a second, all threads together: fused multiply-adds of `f32` in the widest vectors allowed.
    pub gflops: f64,
    /// The parts of the memory, from the fastest to the slowest.
    pub levels: Vec<MemoryLevel>,
    /// Handing a loop to all threads and waiting for them; `None` with one thread.
    pub fork_join: Option<ForkJoin>,
}

/// The least time that a piece of work can take.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Limit {
    /// In milliseconds.
    pub ms: f64,
    /// What takes that time: `FMA`, or a part of the memory.
    pub by: &'static str,
}

impl MachineLimits {
    /// Measures it: about a second.
    ///
    /// # Errors
    /// If the processor is none that the loops can be made for, or memory or threads are not to be had.
    pub fn measure(threads: usize) -> Result<Self, BenchError> {
        let threads = threads.max(1);
        let target = CompileOptions::default().target_or_host()?;
        let gflops = peak(PeakLoop::MultiplyAdd, 0, &target, threads, LOOP)?.gflops;
        let levels = sizes(&target, threads).into_iter().map(|(name, capacity, measured)| {
            let rate = |what: PeakLoop| -> Result<f64, BenchError> {
                Ok(peak(what, measured / what.arrays(), &target, threads, LOOP)?.gbytes_s)
            };
            let (mut copy, mut triad) = (rate(PeakLoop::Copy)?, rate(PeakLoop::Triad)?);
            if capacity.is_infinite() {
                copy = copy.max(rate(PeakLoop::StreamCopy)?);
                triad = triad.max(rate(PeakLoop::StreamTriad)?);
            }
            Ok(MemoryLevel { name, capacity, measured, read: rate(PeakLoop::Read)?, copy, triad })
        });
        let levels = levels.collect::<Result<Vec<_>, BenchError>>()?;
        let fork_join = if threads > 1 { Some(fork_join(threads, Duration::ZERO, 10 * LOOP)?) } else { None };
        Ok(Self { threads, gflops, levels, fork_join })
    }

    /// The least time that work on data of that many bytes in all can take: what arithmetic or traffic needs, whichever is longer.
    pub fn limit(&self, work: &Work, footprint: f64) -> Limit {
        let arithmetic = Limit { ms: work.operations / (self.gflops * 1e6), by: "FMA" };
        let level = self.levels.iter().find(|level| footprint <= level.capacity).or(self.levels.last());
        let Some(level) = level else { return arithmetic };
        let bytes = work.read_bytes + work.written_bytes;
        let traffic = Limit { ms: bytes / (level.rate(work) * 1e6), by: level.name };
        if traffic.ms > arithmetic.ms { traffic } else { arithmetic }
    }

    /// One JSON line for each figure.
    pub fn to_json(&self) -> Vec<Json> {
        let line = |workload: String, field: &str, value: f64| {
            let mut json = json!({"peer": "gradc", "kind": "machine", "workload": workload, "threads": self.threads});
            json[field] = json!(value);
            json
        };
        let mut lines = vec![line("peak_fma_f32".into(), "gflops", self.gflops)];
        for level in &self.levels {
            for (what, rate) in [("read", level.read), ("copy", level.copy), ("triad", level.triad)] {
                lines.push(line(format!("peak_{}_{what}", level.name), "gbytes_s", rate));
            }
        }
        if let Some(ForkJoin { best, median }) = self.fork_join {
            lines.push(line("fork_join_min".into(), "us", best.as_secs_f64() * 1e6));
            lines.push(line("fork_join_median".into(), "us", median.as_secs_f64() * 1e6));
        }
        lines
    }
}

impl MemoryLevel {
    /// The rate of the loop whose share of writes is nearest.
    fn rate(&self, work: &Work) -> f64 {
        let written = work.written_bytes / (work.read_bytes + work.written_bytes).max(1.0);
        match written {
            w if w < 1.0 / 6.0 => self.read,
            w if w < 5.0 / 12.0 => self.triad,
            _ => self.copy,
        }
    }
}

/// For each part of the memory its name, how much stays there with that many threads, and how much of it a thread's arrays take.
fn sizes(target: &Target, threads: usize) -> [(&'static str, f64, usize); 4] {
    let (l1, l2, l3) = (target.caches().l1_bytes, target.caches().l2_bytes, target.caches().l3_bytes);
    // No cache keeps an array of just its size.
    let stays = |bytes: usize| 0.75 * bytes as f64;
    [
        ("L1", stays(l1 * threads), l1 * 3 / 4),
        ("L2", stays(l2 * threads), l2 * 5 / 8),
        ("L3", stays(l3), (l3 / 3 / threads).max(2 * l2)),
        ("memory", f64::INFINITY, (4 * l3).clamp(64 << 20, 512 << 20)),
    ]
}

impl fmt::Display for MachineLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "threads: {}", self.threads)?;
        writeln!(f, "fused multiply-adds of f32: {:.1} GFLOP/s", self.gflops)?;
        writeln!(f, "{:<8} {:>12} {:>12} {:>12} {:>12}", "GB/s", "KiB/thread", "read", "copy", "triad")?;
        for MemoryLevel { name, measured, read, copy, triad, .. } in &self.levels {
            writeln!(f, "{name:<8} {:>12} {read:>12.1} {copy:>12.1} {triad:>12.1}", measured >> 10)?;
        }
        if let Some(ForkJoin { best, median }) = self.fork_join {
            let us = |time: Duration| time.as_secs_f64() * 1e6;
            writeln!(f, "fork and join: {:.2} us median, {:.2} us at best", us(median), us(best))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> MachineLimits {
        let level = |name, capacity, rate| MemoryLevel {
            name,
            capacity,
            measured: 1,
            read: rate,
            copy: 2.0 * rate,
            triad: 3.0 * rate,
        };
        let levels = vec![level("L1", 1e4, 100.0), level("memory", f64::INFINITY, 10.0)];
        MachineLimits { threads: 1, gflops: 100.0, levels, fork_join: None }
    }

    #[test]
    fn the_nearer_limit_counts() {
        let machine = machine();
        let work = Work { operations: 1e8, read_bytes: 1e6, written_bytes: 0.0 };
        assert_eq!(machine.limit(&work, 1e6), Limit { ms: 1.0, by: "FMA" });
        let work = Work { operations: 1e3, ..work };
        assert_eq!(machine.limit(&work, 1e6), Limit { ms: 0.1, by: "memory" });
        assert_eq!(machine.limit(&work, 1e4), Limit { ms: 0.01, by: "L1" });
    }

    #[test]
    fn traffic_is_measured_against_the_loop_that_writes_alike() {
        let limit = |read_bytes: f64, written_bytes: f64| {
            machine().limit(&Work { operations: 0.0, read_bytes, written_bytes }, 1e9).ms
        };
        assert_eq!((limit(1e6, 0.0), limit(5e5, 5e5), limit(5e5, 2.5e5)), (0.1, 0.05, 0.025));
    }
}
