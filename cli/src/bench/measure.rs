//! Times a workload.

use super::process::{age_s, peak_rss_mb};
use super::subject::LoadedWorkload;
use super::{ArenaLimit, BenchError, MachineLimits, StepWork, Workload, WorkloadKind};
use serde_json::{Value as Json, json};
use std::time::Instant;

/// After how many steps the second loss is taken.
const LOSS_STEPS: usize = 20;
/// Steps of anything but training before the warm-up.
const FIRST_STEPS: usize = 5;
/// Fewer samples are no distribution, however long they take.
const FEWEST_SAMPLES: usize = 7;
/// Samples that are kept at most: a few MiB, which count as memory of the process.
const MOST_SAMPLES: usize = 500_000;

/// How to measure.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Settings {
    /// Threads that run a step, the caller's included.
    pub threads: usize,
    /// How long samples are taken, in seconds. A tenth of it goes before them as warm-up.
    pub seconds: f64,
    /// How large the arena may be.
    pub memory_limit: Option<ArenaLimit>,
}

/// What shows that a step computes what it should.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Proof {
    /// Losses of training, each that before its step's update.
    Losses {
        /// That of the first step.
        first: f32,
        /// That of step `steps`.
        last: f32,
        /// Which step `last` is from.
        steps: usize,
    },
    /// The mean magnitude of all results of the first step.
    Mean(f64),
}

/// What was measured. Times of a step are from its call until its result is in memory, each step for itself.
#[derive(Clone, PartialEq, Debug)]
pub struct Measurement {
    /// The workload.
    pub workload: &'static str,
    /// What it is a case of.
    pub kind: WorkloadKind,
    /// Samples in a batch; 1 for kernels.
    pub batch: usize,
    /// Trainable numbers.
    pub params: usize,
    /// Threads that ran it.
    pub threads: usize,
    /// The times of the samples in milliseconds, ascending.
    pub samples_ms: Vec<f64>,
    /// From the model to the finished graph, in seconds.
    pub build_s: f64,
    /// From the finished graph to the runnable step, in seconds.
    pub compile_s: f64,
    /// From the start of the process to the first result, in seconds; `None` where the operating system doesn't say.
    pub start_to_step1_s: Option<f64>,
    /// The first step, in seconds.
    pub first_step_s: f64,
    /// The most memory that the process has held, in MiB; `None` where the operating system doesn't say.
    pub peak_rss_mb: Option<f64>,
    /// The arena: inputs, states, outputs, constants and everything between, in MiB.
    pub arena_mb: f64,
    /// What it computed.
    pub proof: Proof,
    /// What a step has to do.
    pub work: StepWork,
}

/// Declares, compiles, checks and times a workload.
///
/// # Errors
/// If it doesn't compile or run, or a result is not finite.
pub fn measure(workload: &Workload, settings: &Settings) -> Result<Measurement, BenchError> {
    check(settings)?;
    let mut subject = LoadedWorkload::within(workload, settings.threads, settings.memory_limit)?;
    let start = Instant::now();
    let first = subject.step()?;
    let (first_step_s, start_to_step1_s) = (start.elapsed().as_secs_f64(), age_s());
    let proof = prove(&mut subject, workload.kind(), first)?;
    let samples_ms = sample(&mut subject, settings.seconds)?;
    Ok(Measurement {
        workload: workload.name,
        kind: workload.kind(),
        batch: workload.batch,
        params: subject.parameters,
        threads: settings.threads,
        samples_ms,
        build_s: subject.build_s,
        compile_s: subject.compile_s,
        start_to_step1_s,
        first_step_s,
        peak_rss_mb: peak_rss_mb(),
        arena_mb: subject.executable().arena_bytes() as f64 / f64::from(1 << 20),
        proof,
        work: subject.work,
    })
}

/// What the first steps computed; `first` is what the first one gave.
fn prove(subject: &mut LoadedWorkload, kind: WorkloadKind, first: f32) -> Result<Proof, BenchError> {
    let finite =
        |step: usize, loss: f32| if loss.is_finite() { Ok(()) } else { Err(BenchError::Diverged { step, loss }) };
    finite(1, first)?;
    if kind != WorkloadKind::Training {
        let mean = subject.check()?;
        finite(1, mean as f32)?;
        for _ in 1..FIRST_STEPS {
            subject.step()?;
        }
        return Ok(Proof::Mean(mean));
    }
    let mut last = first;
    for step in 2..=LOSS_STEPS {
        last = subject.step()?;
        finite(step, last)?;
    }
    Ok(Proof::Losses { first, last, steps: LOSS_STEPS })
}

fn check(settings: &Settings) -> Result<(), BenchError> {
    if settings.threads == 0 {
        return Err(BenchError::Setting("a step needs at least 1 thread".into()));
    }
    if !(settings.seconds.is_finite() && settings.seconds >= 0.0) {
        return Err(BenchError::Setting(format!("no samples can be taken for {} seconds", settings.seconds)));
    }
    Ok(())
}

/// The times of steps in milliseconds, ascending.
fn sample(subject: &mut LoadedWorkload, seconds: f64) -> Result<Vec<f64>, BenchError> {
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < 0.1 * seconds {
        subject.step()?;
    }
    // Reserved before, so that no sample pays for a growing list.
    let mut samples = Vec::with_capacity(MOST_SAMPLES);
    let start = Instant::now();
    while samples.len() < FEWEST_SAMPLES || samples.len() < MOST_SAMPLES && start.elapsed().as_secs_f64() < seconds {
        let begun = Instant::now();
        std::hint::black_box(subject.step()?);
        samples.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    samples.sort_by(f64::total_cmp);
    Ok(samples)
}

impl Measurement {
    /// The sample below which the share `q` of them lies, in milliseconds.
    pub fn percentile_ms(&self, q: f64) -> f64 {
        let last = self.samples_ms.len().saturating_sub(1);
        let at = (q * last as f64).round() as usize;
        self.samples_ms.get(at.min(last)).copied().unwrap_or(f64::NAN)
    }

    /// The median step, in milliseconds.
    pub fn step_ms(&self) -> f64 {
        self.percentile_ms(0.5)
    }

    /// Billions of floating-point operations of contractions in a second of median steps; `None` where there are none.
    pub fn gflops(&self) -> Option<f64> {
        self.work.flops.map(|flops| flops / (self.step_ms() * 1e6))
    }

    /// Billions of bytes that have to move in a second of median steps; `None` where arithmetic is what takes time.
    pub fn gbytes_s(&self) -> Option<f64> {
        self.work.bytes().map(|bytes| bytes / (self.step_ms() * 1e6))
    }

    /// Samples in a second of median steps; for kernels, calls.
    pub fn items_per_s(&self) -> f64 {
        self.batch as f64 / (self.step_ms() * 1e-3)
    }

    /// The measurement as one JSON object, with the field names that the benchmarks of other frameworks use.
    pub fn to_json(&self) -> Json {
        let mut json = json!({
            "peer": "gradc",
            "version": env!("CARGO_PKG_VERSION"),
            "mode": "jit",
            "workload": self.workload,
            "kind": self.kind.name(),
            "threads": self.threads,
            "params": self.params,
            "batch": self.batch,
            "step_ms": digits(self.step_ms()),
            "p10_ms": digits(self.percentile_ms(0.1)),
            "p90_ms": digits(self.percentile_ms(0.9)),
            "min_ms": digits(self.percentile_ms(0.0)),
            "n": self.samples_ms.len(),
            "build_s": digits(self.build_s),
            "compile_s": digits(self.compile_s),
            "start_to_step1_s": self.start_to_step1_s.map(digits),
            "first_step_s": digits(self.first_step_s),
            "peak_rss_mb": self.peak_rss_mb.map(digits),
            "arena_mb": digits(self.arena_mb),
            "items_per_s": digits(self.items_per_s()),
        });
        match self.proof {
            Proof::Losses { first, last, steps } => {
                (json["loss_1"], json["loss_n"], json["loss_steps"]) = (json!(first), json!(last), json!(steps));
            }
            Proof::Mean(mean) => json["check"] = json!(digits(mean)),
        }
        for (name, rate) in [("gflops", self.gflops()), ("gbytes_s", self.gbytes_s())] {
            if let Some(rate) = rate {
                json[name] = json!(digits(rate));
            }
        }
        json
    }
}

/// Adds to a workload's JSON line the least time that its step can take on a machine (`limit_ms`), what sets it (`limit`), and what share of
/// its fastest step that is (`share`).
pub fn add_limit(json: &mut Json, workload: &Workload, machine: &MachineLimits) {
    let field = |name: &str| json[name].as_f64().unwrap_or(f64::NAN);
    let of_graph = || StepWork { flops: Some(field("gflops") * field("step_ms") * 1e6), ..StepWork::default() };
    let StepWork { flops, read_bytes, written_bytes } = workload.work().unwrap_or_else(of_graph);
    let work = kernel::Work { operations: flops.unwrap_or(0.0), read_bytes, written_bytes };
    let limit = machine.limit(&work, field("arena_mb") * f64::from(1 << 20));
    let share = limit.ms / field("min_ms");
    (json["limit_ms"], json["limit"], json["share"]) = (json!(digits(limit.ms)), json!(limit.by), json!(digits(share)));
}

/// Five significant digits: more are noise.
fn digits(x: f64) -> f64 {
    format!("{x:.4e}").parse().unwrap_or(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measurement() -> Measurement {
        Measurement {
            workload: "mlp_tiny",
            kind: WorkloadKind::Training,
            batch: 8,
            params: 386,
            threads: 1,
            samples_ms: (1..=11).map(f64::from).collect(),
            build_s: 0.001,
            compile_s: 0.012_345_678,
            start_to_step1_s: None,
            first_step_s: 0.1,
            peak_rss_mb: Some(12.0),
            arena_mb: 0.5,
            proof: Proof::Losses { first: 1.5, last: 1.25, steps: 20 },
            work: StepWork { flops: Some(12e6), ..StepWork::default() },
        }
    }

    #[test]
    fn figures_come_from_the_samples() {
        let m = measurement();
        assert_eq!((m.step_ms(), m.percentile_ms(0.1), m.percentile_ms(0.9)), (6.0, 2.0, 10.0));
        assert_eq!((m.gflops(), m.gbytes_s()), (Some(2.0), None));
        assert!((m.items_per_s() - 8.0 / 0.006).abs() < 1e-9);
    }

    #[test]
    fn the_json_line_has_the_fields() {
        let json = measurement().to_json();
        assert_eq!(json["step_ms"], 6.0);
        assert_eq!(json["compile_s"], 0.012346);
        assert_eq!(json["loss_n"], 1.25);
        assert!(json["start_to_step1_s"].is_null());
        assert_eq!((json["peer"].as_str(), json["n"].as_u64()), (Some("gradc"), Some(11)));
        assert_eq!((json["gflops"].as_f64(), json.get("gbytes_s"), json.get("check")), (Some(2.0), None, None));
        assert!(!json.to_string().contains('\n'));
    }

    #[test]
    fn a_kernel_has_a_check_and_bytes() {
        let work = StepWork { read_bytes: 6e6, written_bytes: 6e6, ..StepWork::default() };
        let kernel = Measurement { kind: WorkloadKind::Kernel, proof: Proof::Mean(0.5), work, ..measurement() };
        let json = kernel.to_json();
        assert_eq!((json["check"].as_f64(), json["gbytes_s"].as_f64()), (Some(0.5), Some(2.0)));
        assert_eq!((json["kind"].as_str(), json.get("loss_1"), json.get("gflops")), (Some("kernel"), None, None));
    }

    #[test]
    fn impossible_settings_are_refused() {
        for (threads, seconds) in [(0, 1.0), (1, f64::NAN)] {
            let settings = Settings { threads, seconds, memory_limit: None };
            assert!(matches!(check(&settings), Err(BenchError::Setting(_))));
        }
    }
}
