//! Where the time of a workload goes: passes, code generation, kernels.

use super::subject::Subject;
use super::{BenchError, Settings, Workload};
use std::fmt;
use std::time::Duration;

/// Of how many runs a kernel's fastest counts.
const RUNS: usize = 50;

/// A kernel: what compiling it took and what one of its launches takes.
#[derive(Clone, PartialEq, Debug)]
struct Launch {
    kernel: String,
    compile_ms: f64,
    code_bytes: usize,
    best_us: f64,
}

/// Times of all passes, of compiling each kernel, and of each launch on one thread.
#[derive(Clone, PartialEq, Debug)]
pub struct Explanation {
    workload: &'static str,
    compile_ms: f64,
    passes_ms: f64,
    codegen_ms: f64,
    memory: String,
    passes: Vec<passes::PassRecord>,
    launches: Vec<Launch>,
}

/// Compiles a workload and times its parts.
///
/// # Errors
/// If it doesn't compile or run.
pub fn explain(workload: &Workload, settings: &Settings) -> Result<Explanation, BenchError> {
    let mut subject = Subject::new(workload, settings.threads)?;
    let times = subject.executable().profile(RUNS)?;
    let report = subject.report();
    let launch = |time: &runtime::LaunchTime| {
        let kernel = report.kernels.iter().find(|k| k.name == time.kernel);
        Launch {
            kernel: time.kernel.clone(),
            compile_ms: kernel.map_or(0.0, |k| ms(k.compile_time)),
            code_bytes: kernel.map_or(0, |k| k.code_bytes),
            best_us: ms(time.best) * 1e3,
        }
    };
    Ok(Explanation {
        workload: workload.name,
        compile_ms: ms(report.total_time),
        passes_ms: ms(report.passes_time),
        codegen_ms: ms(report.codegen_time),
        memory: report.memory.to_string(),
        passes: report.passes.clone(),
        launches: times.iter().map(launch).collect(),
    })
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (total, passes, code) = (self.compile_ms, self.passes_ms, self.codegen_ms);
        writeln!(
            f,
            "{}: compiled in {total:.2} ms: passes with verification {passes:.2} ms, code {code:.2} ms",
            self.workload
        )?;
        writeln!(f, "{}", self.memory)?;
        writeln!(f, "{:>10}  {:<16} {:>7} {:>7}", "ms", "pass", "before", "after")?;
        for pass in &self.passes {
            writeln!(f, "{:>10.3}  {:<16} {:>7} {:>7}", pass.seconds * 1e3, pass.name, pass.before, pass.after)?;
        }
        let step: f64 = self.launches.iter().map(|l| l.best_us).sum();
        writeln!(f, "launches of a step, the fastest of {RUNS} each, on one thread: {step:.1} us in all")?;
        writeln!(f, "{:>10} {:>6}  {:>10} {:>8}  kernel", "us", "share", "compile ms", "bytes")?;
        for launch in &self.launches {
            let share = 100.0 * launch.best_us / step.max(f64::MIN_POSITIVE);
            let Launch { kernel, compile_ms, code_bytes, best_us } = launch;
            writeln!(f, "{best_us:>10.2} {share:>5.1}%  {compile_ms:>10.3} {code_bytes:>8}  {kernel}")?;
        }
        Ok(())
    }
}
