//! What compiling did and took.

use passes::plan_memory::MemoryReport;
use passes::{PassRecord, Snapshot};
use runtime::Executable;
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
}

/// What compiling a step did and took. Prints as one line; [`CompileReport::table`] has all passes and kernels.
#[derive(Clone, PartialEq, Debug)]
pub struct CompileReport {
    /// The passes in the order they ran.
    pub passes: Vec<PassRecord>,
    /// What [`super::CompileOptions::snapshots`] asked for.
    pub snapshots: Vec<Snapshot>,
    /// From the graph to planned loops, with verification.
    pub passes_time: Duration,
    /// From loops to runnable code.
    pub codegen_time: Duration,
    /// From the graph to the runnable program.
    pub total_time: Duration,
    /// The kernels, in the program's order.
    pub kernels: Vec<KernelReport>,
    /// The arena's bytes, and the least that any plan would need.
    pub memory: MemoryReport,
    /// Scratch memory of each thread, in bytes.
    pub scratch_bytes: usize,
}

impl CompileReport {
    pub(super) fn new(
        passes: passes::Report,
        passes_time: Duration,
        total_time: Duration,
        memory: MemoryReport,
        executable: &Executable,
    ) -> Self {
        let code = executable.loaded();
        let kernel = |k: &codegen::KernelCode| KernelReport {
            name: k.name.clone(),
            compile_time: k.compile_time,
            code_bytes: k.code_bytes,
        };
        Self {
            passes: passes.passes,
            snapshots: passes.snapshots,
            passes_time,
            codegen_time: code.compile_time(),
            total_time,
            kernels: code.kernels().iter().map(kernel).collect(),
            memory,
            scratch_bytes: code.scratch_bytes(),
        }
    }

    /// All passes and kernels with their times, a line each.
    pub fn table(&self) -> String {
        let pass = |p: &PassRecord| {
            format!("{:>10.3} ms  pass {:<14} {:>5} -> {:<5}\n", p.seconds * 1e3, p.name, p.before, p.after)
        };
        let kernel =
            |k: &KernelReport| format!("{:>10.3} ms  kernel {} ({} bytes)\n", ms(k.compile_time), k.name, k.code_bytes);
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
        write!(
            f,
            "compiled in {total:.1} ms (passes {passes:.1} ms, code {code:.1} ms), {kernels} kernels, {}",
            self.memory
        )
    }
}
