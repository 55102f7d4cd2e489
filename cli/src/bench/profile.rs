//! Where the time of a step goes: its launches, what they compute and move, the user's lines they come from, and which thread ran what
//! when.

use super::{BenchError, MachineLimits};
use gradc::compile::{CompileOptions, CompiledProgram, run_passes};
use gradc::dsl::Step;
use gradc::io::write_atomically;
use kernel::{Launch, Program, Work};
use passes::Stop;
use runtime::{LaunchSpan, Loaded};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// What is known of a launch besides its time.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct LaunchFacts {
    /// The kernel.
    pub kernel: String,
    /// Arithmetic and traffic.
    pub work: Work,
    /// The names of the graph's ops in it, without movement and constants.
    pub ops: Vec<String>,
    /// The places in the user's source that these ops come from.
    pub places: Vec<String>,
}

/// The facts of all launches of a step, in the order they run.
///
/// # Errors
/// What a pass can't do.
pub fn launch_facts(step: &Step, options: &CompileOptions) -> Result<Vec<LaunchFacts>, BenchError> {
    let outcome = run_passes(step.graph.clone(), options, Stop::End)?;
    Ok(outcome.module.program().map(facts_of_program).unwrap_or_default())
}

/// The facts of each launch of a loaded program: of the step, compiled with these options, which it has to be.
fn facts_of_loaded(step: &Step, loaded: &Loaded, options: &CompileOptions) -> Result<Vec<LaunchFacts>, BenchError> {
    let outcome = run_passes(step.graph.clone(), options, Stop::End)?;
    let program = outcome.module.program().filter(|program| is_program(loaded, program));
    program.map(facts_of_program).ok_or_else(|| BenchError::OtherProgram { step: step.graph.name().into() })
}

/// True if that is what was loaded: the same launches, launch by launch, of kernels of the same names on the same buffers.
fn is_program(loaded: &Loaded, program: &Program) -> bool {
    let names = program.kernels.iter().map(|kernel| &kernel.name);
    let launches = program.launches.iter().map(|launch| (launch.kernel, &launch.args));
    names.eq(loaded.kernels().iter().map(|kernel| &kernel.name))
        && launches.eq(loaded.launches().iter().map(|launch| (launch.kernel, &launch.args)))
        && program.buffers == loaded.object().buffers()
}

fn facts_of_program(program: &Program) -> Vec<LaunchFacts> {
    let works: Vec<Work> = program.kernels.iter().map(kernel::Kernel::work).collect();
    let facts = |launch: &Launch| {
        let origins = || launch.origins.iter().map(|at| &program.origins[*at as usize]);
        let ops = each_once(origins().map(|origin| origin.op.as_str()));
        let places = each_once(origins().filter_map(|origin| origin.loc.as_deref()));
        let at = launch.kernel as usize;
        LaunchFacts { kernel: program.kernels[at].name.clone(), work: works[at], ops, places }
    };
    program.launches.iter().map(facts).collect()
}

fn each_once<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    texts.filter(|text| seen.insert(*text)).map(str::to_string).collect()
}

/// One launch of a step.
#[derive(Clone, PartialEq, Debug)]
pub struct LaunchProfile {
    /// Its median time, from the fork to the join.
    pub median: Duration,
    /// Its fastest.
    pub best: Duration,
    /// How many threads shared it.
    pub threads: usize,
    /// What it does.
    pub facts: LaunchFacts,
}

/// The launches of a step, and when they ran.
#[derive(Clone, PartialEq, Debug)]
pub struct Profile {
    /// The graph's name.
    pub name: String,
    /// The launches in the order they run.
    pub launches: Vec<LaunchProfile>,
    /// The limits that launches are compared with, if they were measured.
    pub machine: Option<MachineLimits>,
    /// Bytes of the arena.
    arena_bytes: usize,
    spans: Vec<Vec<LaunchSpan>>,
}

/// Runs some steps of a compiled program launch by launch; its inputs hold what they are to run on. They change its states as other steps do.
///
/// # Errors
/// If the program isn't the step's with these options, or a step fails.
pub fn profile(
    step: &Step,
    program: &mut CompiledProgram,
    options: &CompileOptions,
    steps: usize,
    machine: Option<MachineLimits>,
) -> Result<Profile, BenchError> {
    let executable = program.executable_mut();
    let facts = facts_of_loaded(step, executable.loaded(), options)?;
    // Caches and branch predictors get used to it.
    executable.trace(steps.div_ceil(10))?;
    let spans = executable.trace(steps.max(1))?;
    let launch = |(at, facts): (usize, LaunchFacts)| {
        let mut times: Vec<Duration> = spans.iter().map(|step| step[at].end - step[at].start).collect();
        times.sort_unstable();
        let threads = spans.iter().map(|step| step[at].parts.len()).max().unwrap_or(1);
        LaunchProfile { median: times[times.len() / 2], best: times[0], threads, facts }
    };
    let launches = facts.into_iter().enumerate().map(launch).collect();
    let arena_bytes = executable.arena_bytes();
    Ok(Profile { name: step.graph.name().into(), launches, machine, arena_bytes, spans })
}

impl LaunchProfile {
    fn bytes(&self) -> f64 {
        self.facts.work.read_bytes + self.facts.work.written_bytes
    }

    /// Billions of operations and of bytes in a second, if the launch takes that time.
    pub fn rates(&self, time: Duration) -> [f64; 2] {
        [self.facts.work.operations, self.bytes()].map(|work| work / time.as_secs_f64().max(1e-9) / 1e9)
    }

    /// What share of the fastest run the machine's nearer limit would need, and which that is: `86% FMA`. A launch on one thread is compared
    /// with one thread's share of the limits.
    pub fn share_of_limit(&self, machine: &MachineLimits) -> String {
        // What a launch touches is what decides where its data can stay.
        let limit = machine.limit(&self.facts.work, self.bytes());
        let alone = if self.threads < machine.threads { machine.threads as f64 } else { 1.0 };
        let share = 100.0 * alone * limit.ms / (self.best.as_secs_f64() * 1e3).max(1e-6);
        format!("{share:.0}% {}", limit.by)
    }
}

impl Profile {
    /// The sum of the launches' median times.
    pub fn total(&self) -> Duration {
        self.launches.iter().map(|l| l.median).sum()
    }

    /// The last steps, at most that many, as a trace in the format that chrome://tracing and Perfetto read: a row for each thread.
    pub fn chrome_trace(&self, steps: usize) -> Json {
        let first = self.spans.len().saturating_sub(steps.max(1));
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        let mut events = vec![];
        let threads: BTreeSet<usize> =
            self.spans[first..].iter().flatten().flat_map(|s| &s.parts).map(|p| p.thread).collect();
        for &thread in &threads {
            let name = if thread == 0 { "caller".to_owned() } else { format!("worker {thread}") };
            events.push(json!({"ph": "M", "pid": 1, "tid": thread, "name": "thread_name", "args": {"name": name}}));
        }
        for (number, step) in self.spans.iter().enumerate().skip(first) {
            for span in step {
                let launch = &self.launches[span.launch];
                for part in &span.parts {
                    events.push(json!({
                        "ph": "X", "pid": 1, "tid": part.thread, "name": launch.facts.kernel, "cat": "kernel",
                        "ts": us(part.start), "dur": us(part.end - part.start),
                        "args": {"step": number, "launch": span.launch, "ops": launch.facts.ops, "places": launch.facts.places},
                    }));
                }
            }
        }
        json!({"displayTimeUnit": "ns", "traceEvents": events})
    }

    /// Writes [`Profile::chrome_trace`] to a file, which is whole or as it was before.
    ///
    /// # Errors
    /// What the system says.
    pub fn write_trace(&self, path: &Path, steps: usize) -> Result<(), BenchError> {
        Ok(write_atomically(path, self.chrome_trace(steps).to_string().as_bytes())?)
    }
}

/// How many places of a kernel are printed.
const PLACES: usize = 3;

/// The launches, the longest first.
impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total().as_secs_f64();
        let threads = self.launches.iter().map(|l| l.threads).max().unwrap_or(1);
        let (launches, steps) = (self.launches.len(), self.spans.len());
        writeln!(
            f,
            "{}: {:.4} ms in {launches} launches, medians of {steps} steps, up to {threads} threads, arena {:.2} MiB",
            self.name,
            total * 1e3,
            self.arena_bytes as f64 / f64::from(1 << 20)
        )?;
        let titles = ["ms", "share", "threads", "GFLOP/s", "GB/s", "KiB", "of limit"];
        let [ms, share, used, flops, bytes, size, limit] = titles;
        writeln!(f, "{ms:>10} {share:>6} {used:>7} {flops:>8} {bytes:>8} {size:>9} {limit:>12}  kernel: where from")?;
        let mut order: Vec<&LaunchProfile> = self.launches.iter().collect();
        order.sort_by_key(|launch| std::cmp::Reverse(launch.median));
        order.iter().try_for_each(|launch| self.line(f, launch, total))
    }
}

impl Profile {
    fn line(&self, f: &mut fmt::Formatter<'_>, launch: &LaunchProfile, total: f64) -> fmt::Result {
        let LaunchProfile { median, threads, facts, .. } = launch;
        let kernel = &facts.kernel;
        let ms = median.as_secs_f64() * 1e3;
        let share = 0.1 * ms / total.max(1e-9);
        let [gflops, gbytes_s] = launch.rates(*median);
        let limit = self.machine.as_ref().map_or("-".into(), |machine| launch.share_of_limit(machine));
        let kib = launch.bytes() / 1024.0;
        write!(
            f,
            "{ms:>10.4} {share:>5.1}% {threads:>7} {gflops:>8.1} {gbytes_s:>8.1} {kib:>9.1} {limit:>12}  {kernel}"
        )?;
        let places = &facts.places;
        if !places.is_empty() {
            write!(f, ": {}", places[..places.len().min(PLACES)].join(", "))?;
        }
        if places.len() > PLACES {
            write!(f, " and {} more", places.len() - PLACES)?;
        }
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradc::dsl::{GraphBuilder, f32};

    /// Sums of rows, each times a number of the step's own.
    fn sums(rows: usize, factor: f64) -> Step {
        let g = GraphBuilder::new("sums");
        let x = g.input("x", f32([rows, 40]));
        g.output("y", &(&x * factor).sum_axes([1]));
        g.finish().unwrap()
    }

    #[test]
    fn a_program_that_is_not_the_steps_is_refused() {
        let options = CompileOptions::threads(1);
        let mut program = sums(30, 2.0).compile(&options).unwrap();
        assert!(profile(&sums(30, 2.0), &mut program, &options, 2, None).is_ok());
        // Its kernels have the same names.
        let error = profile(&sums(31, 2.0), &mut program, &options, 2, None).unwrap_err().to_string();
        assert!(error.contains("`sums`"), "{error}");
        let g = GraphBuilder::new("two");
        let x = g.input("x", f32([30, 40]));
        g.output("y", &x.sum_axes([1]));
        g.output("z", &x.sum_axes([0]));
        let error = profile(&g.finish().unwrap(), &mut program, &options, 2, None).unwrap_err().to_string();
        assert!(error.contains("`two`"), "{error}");
    }
}
