//! Where the time of a workload goes: passes, code generation, memory, kernels.

use super::profile::{LaunchProfile, profile};
use super::{BenchError, MachineLimits, Settings, Workload};
use gradc::compile::{CompileOptions, CompileReport, KernelReport};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Of how many runs a launch's fastest counts.
const RUNS: usize = 50;

/// Times of all passes, of compiling each kernel, and of each launch.
#[derive(Clone, PartialEq, Debug)]
pub struct Explanation {
    workload: &'static str,
    threads: usize,
    report: CompileReport,
    launches: Vec<LaunchProfile>,
    machine: MachineLimits,
}

/// Compiles a workload, times its parts and lays them beside the machine's limits.
///
/// # Errors
/// If it doesn't compile or run, or the machine can't be measured.
pub fn explain(workload: &Workload, settings: &Settings, machine: &MachineLimits) -> Result<Explanation, BenchError> {
    let step = workload.step()?;
    let mut options = CompileOptions::threads(settings.threads);
    if let Some(limit) = settings.memory_limit {
        options = limit.apply(&step.graph, options)?;
    }
    let mut program = step.compile(&options)?;
    workload.fill(&step, &mut program)?;
    let profile = profile(&step, &mut program, &options, RUNS, None)?;
    Ok(Explanation {
        workload: workload.name,
        threads: settings.threads,
        report: program.report().clone(),
        launches: profile.launches,
        machine: machine.clone(),
    })
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &self.report;
        let [total, passes, code] = [report.total_time, report.passes_time, report.codegen_time].map(ms);
        writeln!(f, "{}: compiled in {total:.2} ms: passes {passes:.2} ms, code {code:.2} ms", self.workload)?;
        let memory = &report.memory;
        let over = memory.arena as f64 / memory.lower_bound.max(1) as f64;
        writeln!(f, "{memory}: {over:.3} times as much; scratch {} bytes a thread", report.scratch_bytes)?;
        writeln!(f, "{:>10}  {:<16} {:>7} {:>7}", "ms", "pass", "before", "after")?;
        for pass in &report.passes {
            writeln!(f, "{:>10.3}  {:<16} {:>7} {:>7}", pass.seconds * 1e3, pass.name, pass.before, pass.after)?;
        }
        self.launches(f)
    }
}

impl Explanation {
    fn launches(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step: f64 = self.launches.iter().map(|l| ms(l.best)).sum();
        writeln!(
            f,
            "launches of a step, the fastest of {RUNS} each, {} threads: {:.1} us in all",
            self.threads,
            step * 1e3
        )?;
        writeln!(
            f,
            "{:>10} {:>6} {:>8} {:>8} {:>12}  {:>10} {:>8}  kernel",
            "us", "share", "GFLOP/s", "GB/s", "of limit", "compile ms", "bytes"
        )?;
        let kernels: BTreeMap<&str, &KernelReport> = self.report.kernels.iter().map(|k| (k.name.as_str(), k)).collect();
        for launch in &self.launches {
            let us = ms(launch.best) * 1e3;
            let share = 100.0 * us / (step * 1e3).max(f64::MIN_POSITIVE);
            let [gflops, gbytes_s] = launch.rates(launch.best);
            let limit = launch.share_of_limit(&self.machine);
            let kernel = kernels.get(launch.facts.kernel.as_str());
            let compile = kernel.map_or(0.0, |k| ms(k.compile_time));
            let bytes = kernel.map_or(0, |k| k.code_bytes);
            let emitter = kernel.map_or_else(String::new, |k| k.emitter.to_string());
            writeln!(
                f,
                "{us:>10.2} {share:>5.1}% {gflops:>8.1} {gbytes_s:>8.1} {limit:>12}  {compile:>10.3} {bytes:>8}  {} ({emitter})",
                launch.facts.kernel
            )?;
        }
        Ok(())
    }
}
