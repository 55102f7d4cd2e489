//! Settings of the engine.

use gradc::compile::{Cache, CompileOptions};
use std::time::Duration;

/// Settings of an engine; each model gets the same.
#[derive(Clone, PartialEq, Debug)]
pub struct EngineOptions {
    /// Samples in a batch at most: a request may have so many, and requests that wait are computed together up to it.
    pub max_batch: usize,
    /// How long the first request of a batch waits for others at most.
    pub max_delay: Duration,
    /// Requests of a model that may wait.
    pub queue: usize,
    /// After how long a request is given up, unless it says so sooner itself.
    pub timeout: Duration,
    /// Batches of a model that are computed at once, each by a thread.
    pub instances: usize,
    /// Threads that compute a batch.
    pub threads: usize,
    /// Where compiled code is kept: with a directory, a server that starts again compiles nothing.
    pub cache: Cache,
    /// Extents that ONNX models leave open, by their names there, but for the number of samples.
    pub dims: Vec<(String, usize)>,
}

impl Default for EngineOptions {
    /// Batches of up to 32, of what waits when a thread is free, without a delay, 256 requests that wait, 30 s, one batch at a time, by as many threads as
    /// [`CompileOptions`] has.
    fn default() -> Self {
        let compile = CompileOptions::default();
        Self {
            max_batch: 32,
            max_delay: Duration::ZERO,
            queue: 256,
            timeout: Duration::from_secs(30),
            instances: 1,
            threads: compile.threads,
            cache: compile.cache,
            dims: vec![],
        }
    }
}
