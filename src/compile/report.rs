//! What compiling did and took.

use super::cache::{CacheReport, CodeSource, FoundCode};
use passes::plan_memory::MemoryReport;
use passes::{PassRecord, Snapshot};
use std::fmt;
use std::time::Duration;

/// A kernel's share of a compilation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelReport {
    /// Its name.
    pub name: String,
    /// What compiling it took.
    pub compile_time: Duration,
    /// Bytes of machine code.
    pub code_bytes: usize,
    /// Which emitter made it.
    pub emitter: codegen::Backend,
}

/// What compiling a step did and took. Prints as one line; [`CompileReport::table`] has all passes and kernels.
#[derive(Clone, PartialEq, Debug)]
pub struct CompileReport {
    /// The passes in the order they ran; none where the code came from the cache.
    pub passes: Vec<PassRecord>,
    /// What [`super::CompileOptions::snapshots`] asked for.
    pub snapshots: Vec<Snapshot>,
    /// From the graph to planned loops, with the verification that was asked for.
    pub passes_time: Duration,
    /// From loops to runnable code.
    pub codegen_time: Duration,
    /// From the graph to the runnable program.
    pub total_time: Duration,
    /// The kernels, in the program's order.
    pub kernels: Vec<KernelReport>,
    /// The bytes of states and of the arena, and the least that any plan would need for the latter.
    pub memory: MemoryReport,
    /// Scratch memory of each thread, in bytes.
    pub scratch_bytes: usize,
    /// Where the code came from.
    pub cache: CacheReport,
}

impl CompileReport {
    pub(super) fn new(found: FoundCode, total_time: Duration) -> Self {
        let FoundCode { loaded, memory, passes: (passes, passes_time), report: cache, .. } = found;
        let kernel = |k: &codegen::KernelCode| KernelReport {
            name: k.name.clone(),
            compile_time: k.compile_time,
            code_bytes: k.code_bytes,
            emitter: k.emitter.clone(),
        };
        Self {
            passes: passes.passes,
            snapshots: passes.snapshots,
            passes_time,
            // What was compiled for another program isn't this one's time.
            codegen_time: if cache.is_hit() { Duration::ZERO } else { loaded.compile_time() },
            total_time,
            kernels: loaded.kernels().iter().map(kernel).collect(),
            memory,
            scratch_bytes: loaded.scratch_bytes(),
            cache,
        }
    }

    /// All passes and kernels with their times, a line each.
    pub fn table(&self) -> String {
        let pass = |p: &PassRecord| {
            format!("{:>10.3} ms  pass {:<14} {:>5} -> {:<5}\n", p.seconds * 1e3, p.name, p.before, p.after)
        };
        let kernel = |k: &KernelReport| {
            format!("{:>10.3} ms  kernel {} ({} bytes, {})\n", ms(k.compile_time), k.name, k.code_bytes, k.emitter)
        };
        let lines: String = self.passes.iter().map(pass).chain(self.kernels.iter().map(kernel)).collect();
        format!("{lines}{self}\n")
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

impl fmt::Display for CompileReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (passes, code, total) = (ms(self.passes_time), ms(self.codegen_time), ms(self.total_time));
        let kernels = self.kernels.len();
        match self.cache.source {
            CodeSource::Compiled | CodeSource::Missed => {
                write!(f, "compiled in {total:.1} ms (passes {passes:.1} ms, code {code:.1} ms)")?;
            }
            CodeSource::Process => write!(f, "found in {total:.1} ms, compiled before in this process")?,
            CodeSource::File => write!(f, "read from a file in {total:.1} ms")?,
        }
        write!(f, ", {kernels} kernels, {}", self.memory)?;
        self.cache.warnings.iter().try_for_each(|warning| write!(f, "; {warning}"))
    }
}
