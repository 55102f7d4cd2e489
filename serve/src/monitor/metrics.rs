//! Counts for Prometheus, in the OpenMetrics text format.

use crate::engine::{Answered, BatchRun, Changed, Engine, Events, ModelState, UNLOADED};
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::sync::Arc;

/// What begins all names but the process's.
const PREFIX: &str = "gradc";
/// Where metrics of the process itself are looked for.
const PROCESS: &str = "process";

/// A version of a model, as far as there is one, and what became of a request or of loading it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct OutcomeLabels {
    model: String,
    version: String,
    /// `ok`, or the failure's kind.
    status: &'static str,
}

/// A version of a model.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct VersionLabels {
    model: String,
    version: String,
}

impl VersionLabels {
    fn new(model: &str, version: &str) -> Self {
        Self { model: model.into(), version: version.into() }
    }
}

/// How a request came, and the status of the protocol that it was answered with.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ResponseLabels {
    protocol: &'static str,
    code: u32,
}

type Histograms = Family<VersionLabels, Histogram, fn() -> Histogram>;

/// Counts what happens in an engine, and what is answered. It writes changes of models to the log, too.
pub struct Metrics {
    /// Who is told, too.
    next: Arc<dyn Events>,
    registry: Registry,
    requests: Family<OutcomeLabels, Counter>,
    latency: Histograms,
    batch_requests: Histograms,
    batch_samples: Histograms,
    batch_time: Histograms,
    padding: Family<VersionLabels, Counter>,
    loads: Family<OutcomeLabels, Counter>,
    responses: Family<ResponseLabels, Counter>,
}

/// From 0.1 ms to 26 s.
fn times() -> Histogram {
    Histogram::new(exponential_buckets(1e-4, 2.0, 19))
}

/// From 1 to 1024.
fn sizes() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 2.0, 11))
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Nothing is counted yet. What happens is passed on to `next`.
    pub fn new(next: Arc<dyn Events>) -> Self {
        let mut metrics = Self {
            next,
            registry: Registry::with_prefix(PREFIX),
            requests: Family::default(),
            latency: Family::new_with_constructor(times),
            batch_requests: Family::new_with_constructor(sizes),
            batch_samples: Family::new_with_constructor(sizes),
            batch_time: Family::new_with_constructor(times),
            padding: Family::default(),
            loads: Family::default(),
            responses: Family::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let Self { registry, .. } = self;
        registry.register("requests", "Predictions that were asked for, by what became of them", self.requests.clone());
        let help = "Time from a request's arrival in the engine to its answer";
        registry.register_with_unit("request_duration", help, Unit::Seconds, self.latency.clone());
        registry.register("batch_requests", "Requests that were computed together", self.batch_requests.clone());
        registry.register("batch_samples", "Samples that were computed together", self.batch_samples.clone());
        let help = "Time that a batch was computed";
        registry.register_with_unit("batch_duration", help, Unit::Seconds, self.batch_time.clone());
        registry.register("padding_samples", "Places of batches that held no sample", self.padding.clone());
        registry.register("loads", "Versions of models that were loaded, or failed to", self.loads.clone());
        registry.register("responses", "Answers of any kind, by protocol and its status", self.responses.clone());
    }

    /// Counts an answer.
    pub(super) fn responded(&self, protocol: &'static str, code: u32) {
        self.responses.get_or_create(&ResponseLabels { protocol, code }).inc();
    }

    /// All numbers as text: those counted, and those that the engine has at the moment.
    ///
    /// # Errors
    /// None that isn't the text's own.
    pub fn text(&self, engine: &Engine) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &momentary(engine))?;
        let mut process = Registry::with_prefix(PROCESS);
        if let Some(bytes) = resident() {
            let help = "Memory of the process that is in use";
            let gauge: Gauge = Gauge::default();
            gauge.set(bytes);
            process.register_with_unit("resident_memory", help, Unit::Bytes, gauge);
        }
        encode_registry(&mut text, &process)?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

/// The address of the numbers.
pub fn router(engine: Arc<Engine>, metrics: Arc<Metrics>) -> Router {
    let text = move || async move {
        let kind = [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
        match metrics.text(&engine) {
            Ok(text) => (kind, text).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    };
    Router::new().route("/metrics", get(text))
}

/// Queues and memory of the versions that are ready.
fn momentary(engine: &Engine) -> Registry {
    let (waiting, bytes) = (Family::<VersionLabels, Gauge>::default(), Family::<VersionLabels, Gauge>::default());
    for usage in engine.usage() {
        let labels = VersionLabels::new(&usage.name, &usage.version);
        let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        waiting.get_or_create(&labels).set(signed(usage.waiting));
        bytes.get_or_create(&labels).set(signed(usage.bytes));
    }
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register("queue_requests", "Requests that wait", waiting);
    registry.register_with_unit("model_memory", "Weights, and memory of programs", Unit::Bytes, bytes);
    registry
}

/// Bytes of the process in memory, where Linux says so.
fn resident() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<i64>().ok()?.checked_mul(1024)
}

impl Events for Metrics {
    fn answered(&self, answered: &Answered<'_>) {
        let model = answered.model.unwrap_or_default();
        let version = answered.version.unwrap_or_default();
        let status = answered.failure.unwrap_or("ok");
        let labels = OutcomeLabels { model: model.into(), version: version.into(), status };
        self.requests.get_or_create(&labels).inc();
        if answered.failure.is_none() {
            self.latency.get_or_create(&VersionLabels::new(model, version)).observe(answered.took.as_secs_f64());
        }
        self.next.answered(answered);
    }

    fn batch(&self, batch: &BatchRun<'_>) {
        let labels = VersionLabels::new(batch.model, batch.version);
        self.batch_requests.get_or_create(&labels).observe(batch.requests as f64);
        self.batch_samples.get_or_create(&labels).observe(batch.samples as f64);
        self.batch_time.get_or_create(&labels).observe(batch.took.as_secs_f64());
        self.padding.get_or_create(&labels).inc_by(batch.room.saturating_sub(batch.samples) as u64);
        self.next.batch(batch);
    }

    fn changed(&self, changed: &Changed<'_>) {
        let Changed { model, version, state, reason } = changed;
        let status = match state {
            ModelState::Ready => Some("ok"),
            ModelState::Unavailable if *reason != UNLOADED => Some("failed"),
            _ => None,
        };
        if let Some(status) = status {
            let labels = OutcomeLabels { model: (*model).into(), version: (*version).into(), status };
            self.loads.get_or_create(&labels).inc();
        }
        if status == Some("failed") {
            tracing::error!(model, version, %state, reason, "model");
        } else {
            tracing::info!(model, version, %state, reason, "model");
        }
        self.next.changed(changed);
    }
}
