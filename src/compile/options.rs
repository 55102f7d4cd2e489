//! How to compile.

use super::{Cache, CompileError};
use kernel::Target;
use passes::{PassOptions, Snapshots};
use std::env::VarError;

/// How to compile a step. `CompileOptions::default()` is what most programs want.
#[derive(Clone, PartialEq, Debug)]
pub struct CompileOptions {
    /// Threads that run parallel loops, the caller's included. The results are the same, bit by bit, whatever the number.
    pub threads: usize,
    /// Verify the program after each pass too, for tests of passes: it takes a quarter of the time. What the user declared is always verified before the
    /// first pass, and so are the loops before there is code of them.
    pub verify: bool,
    /// Have the code generator verify its own intermediate code: for tests of the emitter.
    pub verify_code: bool,
    /// The machine that code is for; `None` for the one this process runs on, held to what the environment allows. The variable `GRADC_TARGET` names
    /// the most of its instructions that may be used: `x86-64`, `baseline` (or `fma`: what every x86-64 machine with fused multiply-add has), `avx2`, `avx512`,
    /// `avx512-vnni`, `avx512-bf16`. `GRADC_CACHES` gives the sizes of three levels of cache, as `32K,512K,32M`, where the system doesn't tell the right ones.
    pub target: Option<Target>,
    /// Choices of single passes.
    pub passes: PassOptions,
    /// Which intermediate programs the report keeps as text.
    pub snapshots: Snapshots,
    /// Where compiled code is kept and looked for.
    pub cache: Cache,
    /// The seed of the values that states start with; the key of random ops is one of them. Code doesn't depend on it.
    pub seed: u64,
}

impl Default for CompileOptions {
    /// As many threads as the environment variable `GRADC_THREADS` says, else as the machine runs at once; verification after each pass in builds with
    /// debug assertions; code is kept where `GRADC_CACHE` says (see [`Cache::from_environment`]); seed 0.
    fn default() -> Self {
        Self {
            threads: default_threads(),
            verify: cfg!(debug_assertions),
            verify_code: false,
            target: None,
            passes: PassOptions::default(),
            snapshots: Snapshots::None,
            cache: Cache::from_environment(),
            seed: 0,
        }
    }
}

impl CompileOptions {
    /// The default options with another number of threads.
    pub fn threads(threads: usize) -> Self {
        Self { threads, ..Self::default() }
    }

    /// With another place to keep compiled code.
    pub fn cache(self, cache: Cache) -> Self {
        Self { cache, ..self }
    }

    /// The machine that code is for: [`Self::target`], or what the environment leaves of the one this process runs on.
    ///
    /// # Errors
    /// If this machine is none that code is generated for, or an environment variable can't be read.
    pub fn target_or_host(&self) -> Result<Target, CompileError> {
        self.target.clone().map_or_else(host_as_allowed, Ok)
    }

    /// With a limit of memory: the program's arena has at most that many bytes. Activations that wait for the backward pass are computed again there, as
    /// little as the limit needs, and what is cheap to compute first; the results are the same, bit by bit. Compiling takes longer: the last passes run up
    /// to seven times, all of which [`CompileReport::passes`](super::CompileReport::passes) lists.
    ///
    /// What counts is the arena: inputs, constants, outputs and all that lies between, [`arena`](passes::plan_memory::MemoryReport::arena) of
    /// [`CompileReport::memory`](super::CompileReport::memory). States (parameters, an optimizer's moments) have memory of their own, which no limit
    /// changes, and so has each thread's scratch. What recurrent layers leave for the way back is kept.
    ///
    /// A limit that can't be kept is an error, [`PassError::MemoryLimit`](passes::PassError::MemoryLimit), which says by how many bytes, and what the largest tensors are.
    ///
    /// ```
    /// use gradc::compile::CompileOptions;
    /// use gradc::prelude::*;
    /// let mut model = Sequential::new([64]);
    /// for _ in 0..8 {
    ///     model = model.dense(64).tanh();
    /// }
    /// let step = model.training_graph(256, &MeanSquaredError, &[], &Sgd::new(0.1))?;
    /// let arena = step.compile(&CompileOptions::default())?.report().memory.arena;
    /// let less = step.compile(&CompileOptions::default().memory_limit(arena * 3 / 4))?;
    /// assert!(less.report().memory.arena <= arena * 3 / 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn memory_limit(mut self, bytes: usize) -> Self {
        self.passes.memory_limit = Some(bytes);
        self
    }

    /// Has programs look for NaN and infinite numbers in what they compute, as `torch.autograd.set_detect_anomaly` and `tf.debugging.enable_check_numerics` do. A step that finds
    /// any fails with [`RunError::NotFinite`](super::RunError::NotFinite), which names the op that made the first one, its line, its layer, and the ranges of its operands; the states are those
    /// from before the step then. What counts, what it costs, and what else to know is said in `docs/debugging.md`.
    ///
    /// ```
    /// use gradc::compile::{CompileOptions, RunError};
    /// use gradc::data::array;
    /// use gradc::dsl::{GraphBuilder, f32};
    /// let g = GraphBuilder::new("logarithm");
    /// g.output("y", &(g.input("x", f32([2])) - 1.0).log());
    /// let mut program = g.finish()?.compile(&CompileOptions::default().check_numerics())?;
    /// program.run([("x", &array([2], vec![2.0f32, 3.0])?)])?;
    /// let error = program.run([("x", &array([2], vec![2.0f32, 0.5])?)]).unwrap_err();
    /// let RunError::NotFinite(found) = error else { panic!("{error}") };
    /// assert_eq!((found.op.as_str(), found.result.nans, found.operands[0].range.min), ("log", 1, -0.5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check_numerics(mut self) -> Self {
        self.passes.check_numerics = true;
        self
    }

    /// With another seed.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}

/// The machine this process runs on, held to what the environment allows.
fn host_as_allowed() -> Result<Target, CompileError> {
    let host = runtime::host_target()?;
    let limited = match variable(TARGET)? {
        Some(name) => {
            let set = host.set_named(&name).map_err(|e| environment(TARGET, e))?;
            host.limited_to(set)
        }
        None => host,
    };
    match variable(CACHES)? {
        Some(sizes) => Ok(limited.with_caches(sizes.parse().map_err(|e| environment(CACHES, e))?)),
        None => Ok(limited),
    }
}

/// The environment variables that describe the machine.
const TARGET: &str = "GRADC_TARGET";
const CACHES: &str = "GRADC_CACHES";

/// The text of an environment variable, if it is set.
fn variable(name: &'static str) -> Result<Option<String>, CompileError> {
    match std::env::var(name) {
        Ok(text) => Ok(Some(text)),
        Err(VarError::NotPresent) => Ok(None),
        Err(e) => Err(environment(name, e)),
    }
}

fn environment(variable: &'static str, why: impl std::fmt::Display) -> CompileError {
    CompileError::Environment { variable, why: why.to_string() }
}

fn default_threads() -> usize {
    let asked = std::env::var("GRADC_THREADS").ok().and_then(|text| text.parse().ok()).filter(|n| *n > 0);
    asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}
