//! The repository extension of the Open Inference Protocol: which models there are, and loading and unloading them.

use super::answer::{json, told};
use super::{Addressed, Shared};
use crate::engine::{Failure, ModelState, ModelStatus};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use std::collections::BTreeMap;

/// What a request for the index may say.
#[derive(Deserialize, Default)]
struct IndexRequest {
    /// Only what is ready.
    #[serde(default)]
    ready: bool,
}

/// What a request to load or to unload may say.
#[derive(Deserialize, Default)]
struct LoadRequest {
    #[serde(default)]
    parameters: BTreeMap<String, IgnoredAny>,
}

pub(super) async fn index(State(shared): State<Shared>, headers: HeaderMap, body: Body) -> Response<Body> {
    let request = read::<IndexRequest>(&shared, &headers, body).await;
    told(request.map(|request| {
        let models = shared.engine.models();
        let listed = models.iter().filter(|model| !request.ready || model.state == ModelState::Ready);
        let entry = |model: &ModelStatus| {
            json!({
                "name": model.name,
                "version": model.version,
                "state": model.state.to_string(),
                "reason": model.reason,
            })
        };
        json(StatusCode::OK, &listed.map(entry).collect::<Vec<_>>())
    }))
}

pub(super) async fn load(
    State(shared): State<Shared>,
    Path(at): Path<Addressed>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    told(match parameters(&shared, &headers, body).await {
        Ok(()) => shared.engine.load(&at.model).await.map(|()| done()),
        Err(failure) => Err(failure),
    })
}

pub(super) async fn unload(
    State(shared): State<Shared>,
    Path(at): Path<Addressed>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    told(match read::<IgnoredAny>(&shared, &headers, body).await {
        Ok(_) => shared.engine.unload(&at.model).await.map(|()| done()),
        Err(failure) => Err(failure),
    })
}

fn done() -> Response<Body> {
    json(StatusCode::OK, &json!({}))
}

/// Refuses to load what a request brings along: models come from the server's own files.
async fn parameters(shared: &Shared, headers: &HeaderMap, body: Body) -> Result<(), Failure> {
    let request = read::<LoadRequest>(shared, headers, body).await?;
    match request.parameters.keys().next() {
        None => Ok(()),
        Some(name) => {
            let name: String = name.chars().take(64).collect();
            Err(Failure::Invalid(format!("the parameter {name:?} isn't provided: models are loaded from their files")))
        }
    }
}

/// A body of JSON, or none.
async fn read<T: for<'de> Deserialize<'de> + Default>(
    shared: &Shared,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Failure> {
    let body = shared.budget.read(headers, body, &shared.options).await?;
    if body.bytes.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(&body.bytes).map_err(|e| Failure::Invalid(format!("the request: {e}")))
}
