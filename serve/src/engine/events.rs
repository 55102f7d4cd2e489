//! What happens in the engine, for who counts and logs it.

use std::time::Duration;

/// A request that was answered or refused.
#[derive(Clone, Debug)]
pub struct Answered<'a> {
    /// The model's name, as far as there is such a model.
    pub model: Option<&'a str>,
    /// The version that answered.
    pub version: Option<&'a str>,
    /// [`Failure::kind`](super::Failure::kind), or `None` if it was answered.
    pub failure: Option<&'static str>,
    /// From its arrival in the engine to its answer.
    pub took: Duration,
}

/// A batch that was computed.
#[derive(Clone, Debug)]
pub struct BatchRun<'a> {
    /// The model's name.
    pub model: &'a str,
    /// The version.
    pub version: &'a str,
    /// Requests in it.
    pub requests: usize,
    /// Samples in it.
    pub samples: usize,
    /// Samples that the program has room for.
    pub room: usize,
    /// How long it was computed.
    pub took: Duration,
}

/// A version that was loaded, unloaded, or couldn't be.
#[derive(Clone, Debug)]
pub struct Changed<'a> {
    /// The model's name.
    pub model: &'a str,
    /// The version.
    pub version: &'a str,
    /// What it is now.
    pub state: super::ModelState,
    /// Why, if something failed.
    pub reason: &'a str,
}

/// Who is told what happens. Calls come from any thread and must be short.
pub trait Events: Send + Sync {
    /// A request was answered or refused.
    fn answered(&self, answered: &Answered<'_>);
    /// A batch was computed.
    fn batch(&self, batch: &BatchRun<'_>);
    /// A version's state is another.
    fn changed(&self, changed: &Changed<'_>);
}

/// Nobody is told.
#[derive(Clone, Copy, Default, Debug)]
pub struct Silent;

impl Events for Silent {
    fn answered(&self, _: &Answered<'_>) {}
    fn batch(&self, _: &BatchRun<'_>) {}
    fn changed(&self, _: &Changed<'_>) {}
}
