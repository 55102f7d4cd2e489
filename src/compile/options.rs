//! How to compile.

use super::Cache;
use kernel::Target;
use passes::{PassOptions, Snapshots};

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
    /// The machine that loops are shaped for; `None` for the one this process runs on.
    pub target: Option<Target>,
    /// Choices of single passes.
    pub passes: PassOptions,
    /// Which intermediate programs the report keeps as text.
    pub snapshots: Snapshots,
    /// Where compiled code is kept and looked for.
    pub cache: Cache,
    /// The seed of initial values and random ops.
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

    /// The machine that loops are shaped for.
    pub(super) fn target(&self) -> Target {
        self.target.clone().unwrap_or_else(codegen::host_target)
    }

    /// With another seed.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}

fn default_threads() -> usize {
    let asked = std::env::var("GRADC_THREADS").ok().and_then(|text| text.parse().ok()).filter(|n| *n > 0);
    asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}
