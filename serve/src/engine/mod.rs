//! Models, their versions, and the batches that requests become. Whatever the protocol, a request is an [`InferRequest`], and what it can't have is a [`Failure`].

mod batches;
mod events;
mod failure;
mod metadata;
mod options;
mod pace;
mod queue;
mod repository;
mod request;
mod slot;
mod version;

pub use events::{Answered, BatchRun, Changed, Events, Silent};
pub use failure::Failure;
pub use metadata::{ModelMetadata, ModelState, ModelStatus, ModelUsage, TensorMetadata, UNLOADED};
pub use options::EngineOptions;
pub use repository::{ModelSource, SourceError};
pub use request::{InferRequest, InferResponse};

use batches::unanswered;
use queue::{NoPlace, Waiting};
use slot::ModelSlot;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use version::Version;

/// Loads models and answers requests. Shared by all connections.
pub struct Engine {
    options: EngineOptions,
    events: Arc<dyn Events>,
    models: BTreeMap<String, Arc<ModelSlot>>,
    ending: AtomicBool,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&String> = self.models.keys().collect();
        f.debug_struct("Engine").field("models", &names).field("options", &self.options).finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine of these models, none of which is loaded yet: [`Self::load_all`] does that. Of two with one name, the last one counts.
    pub fn new(models: impl IntoIterator<Item = ModelSource>, options: EngineOptions, events: Arc<dyn Events>) -> Self {
        let slot = |source: ModelSource| {
            (source.name.clone(), Arc::new(ModelSlot::new(source, options.clone(), Arc::clone(&events))))
        };
        Self { models: models.into_iter().map(slot).collect(), options, events, ending: AtomicBool::new(false) }
    }

    /// The settings.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Whether the process answers at all.
    pub fn live(&self) -> bool {
        true
    }

    /// Whether all models have a version that is ready, and the server isn't about to end.
    pub fn ready(&self) -> bool {
        !self.ending.load(Ordering::Acquire) && self.models.values().all(|slot| slot.ready())
    }

    /// Whether a version of a model is ready; without a version, any.
    ///
    /// # Errors
    /// If there is no such model or version.
    pub fn model_ready(&self, name: &str, version: Option<&str>) -> Result<bool, Failure> {
        match self.expect_ready(name, version) {
            Ok(()) => Ok(true),
            Err(Failure::Unavailable { .. }) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Whether there is what a request would be answered by; without a version, any of the model's.
    ///
    /// # Errors
    /// If there is no such model or version, or it isn't ready.
    pub fn expect_ready(&self, name: &str, version: Option<&str>) -> Result<(), Failure> {
        self.slot(name)?.version(version).map(drop)
    }

    /// All versions of all models.
    pub fn models(&self) -> Vec<ModelStatus> {
        self.models.values().flat_map(|slot| slot.statuses()).collect()
    }

    /// Numbers of all versions that are ready.
    pub fn usage(&self) -> Vec<ModelUsage> {
        self.models.values().flat_map(|slot| slot.usage()).collect()
    }

    /// What a model takes and gives; without a version, the newest that is ready.
    ///
    /// # Errors
    /// If there is no such model or version, or it isn't ready.
    pub fn metadata(&self, name: &str, version: Option<&str>) -> Result<ModelMetadata, Failure> {
        self.slot(name)?.metadata(version)
    }

    /// Computes a request, with others that wait. Who drops the future gives the request's place back.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn infer(&self, request: InferRequest) -> Result<InferResponse, Failure> {
        let start = Instant::now();
        let result = self.answer(&request, start).await;
        self.events.answered(&Answered {
            model: self.models.get_key_value(&request.model).map(|(name, _)| name.as_str()),
            version: result.as_ref().ok().map(|response| response.version.as_str()),
            failure: result.as_ref().err().map(Failure::kind),
            took: start.elapsed(),
        });
        result
    }

    async fn answer(&self, request: &InferRequest, since: Instant) -> Result<InferResponse, Failure> {
        let slot = self.slot(&request.model)?;
        let limit = after(since, self.options.timeout);
        let deadline = request.deadline.map_or(limit, |deadline| deadline.min(limit));
        let mut version = slot.version(request.version.as_deref())?;
        let fitting = version.core.fit(request)?;
        let (reply, mut answer) = oneshot::channel();
        let (mut rows, mut outputs) = (fitting.rows, fitting.outputs.clone());
        let mut waiting = Waiting { rows, inputs: fitting.inputs, outputs: fitting.outputs, reply, since, deadline };
        loop {
            waiting = match self.wait(&version, waiting, &mut answer, deadline).await? {
                Waited::Answered(buffers) => {
                    let outputs = outputs.iter().zip(buffers);
                    let outputs = outputs.map(|(number, data)| version.core.output(*number, rows, data));
                    return Ok(InferResponse {
                        model: request.model.clone(),
                        version: version.core.number.to_string(),
                        id: request.id.clone(),
                        outputs: outputs.collect::<Result<_, _>>()?,
                    });
                }
                Waited::Gone(waiting) => waiting,
            };
            // Between the look and the place a newer one has taken over, whose inputs and outputs may stand in another order.
            version = slot.version(request.version.as_deref())?;
            let fitting = version.core.fit(request)?;
            (rows, outputs) = (fitting.rows, fitting.outputs.clone());
            waiting = Waiting { rows, inputs: fitting.inputs, outputs: fitting.outputs, ..waiting };
        }
    }

    /// Waits for a version's answer.
    async fn wait(
        &self,
        version: &Version,
        waiting: Waiting,
        answer: &mut oneshot::Receiver<queue::Answer>,
        deadline: Instant,
    ) -> Result<Waited, Failure> {
        let _place = match version.core.enqueue(waiting) {
            Ok(place) => place,
            Err(NoPlace::Closed(waiting)) => return Ok(Waited::Gone(waiting)),
            Err(NoPlace::Full) => {
                let (name, most) = (&version.core.model, self.options.queue);
                let why = format!("{most} requests wait for the model {name:?} already");
                return Err(Failure::Busy { why, retry_after: RETRY_AFTER });
            }
        };
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(answer)) => answer.map(Waited::Answered),
            Ok(Err(_)) => unanswered().map(Waited::Answered),
            Err(_) => Err(Failure::Timeout("there was no answer in time".into())),
        }
    }

    /// Loads all models, one after the other: what it says of each that couldn't be. Blocks, for programs' own threads.
    /// When the engine ends meanwhile, the rest isn't loaded.
    pub fn load_all(&self) -> Vec<(String, Failure)> {
        let load = |(name, slot): (&String, &Arc<ModelSlot>)| slot.load().err().map(|failure| (name.clone(), failure));
        self.models.iter().take_while(|_| !self.ending.load(Ordering::Acquire)).filter_map(load).collect()
    }

    /// Loads a model's file anew, or what is new of its folder of versions. Requests go to the versions before until the new one is ready.
    ///
    /// # Errors
    /// If there is no such model, or its newest version can't be loaded: the versions before stay.
    pub async fn load(&self, name: &str) -> Result<(), Failure> {
        let slot = Arc::clone(self.slot(name)?);
        blocking(move || slot.load()).await?
    }

    /// Unloads all versions of a model, once they have answered what they have taken.
    ///
    /// # Errors
    /// If there is no such model.
    pub async fn unload(&self, name: &str) -> Result<(), Failure> {
        let slot = Arc::clone(self.slot(name)?);
        blocking(move || slot.unload()).await
    }

    /// Is ready no more from now on: what spreads requests over servers sends no more, while those that come are still answered.
    pub fn begin_end(&self) {
        self.ending.store(true, Ordering::Release);
        self.models.values().for_each(|slot| slot.hurry());
    }

    /// Answers what waits, and ends all threads that compute.
    pub async fn end(&self) {
        self.begin_end();
        for slot in self.models.values() {
            let slot = Arc::clone(slot);
            // A thread that panicked has ended, too.
            let _ = blocking(move || slot.end()).await;
        }
    }

    fn slot(&self, name: &str) -> Result<&Arc<ModelSlot>, Failure> {
        // However long it is: what a stranger sent isn't repeated at any length.
        let unknown =
            || Failure::NotFound(format!("there is no model {:?}", name.chars().take(64).collect::<String>()));
        self.models.get(name).ok_or_else(unknown)
    }
}

/// What became of a request in a queue.
enum Waited {
    Answered(Vec<bytes::Bytes>),
    /// The version takes no more; it wasn't taken.
    Gone(Waiting),
}

/// So long after a moment; a time that no clock has is one that nobody lives to see.
fn after(since: Instant, time: Duration) -> Instant {
    since.checked_add(time).unwrap_or(since + Duration::from_secs(100 * 365 * 86_400))
}

/// When to ask again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Work that blocks, on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Failure::Internal(format!("the work ended early: {e}")))
}
