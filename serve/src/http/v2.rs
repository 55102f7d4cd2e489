//! The Open Inference Protocol's addresses: health, metadata, inference.

mod request;
mod response;

use super::answer::{json, told};
use super::{Addressed, Shared};
use crate::engine::{Failure, TensorMetadata};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

/// The header that says how long the JSON before binary tensors is.
const JSON_LENGTH: &str = "inference-header-content-length";

pub(super) async fn live(State(shared): State<Shared>) -> Response<Body> {
    health("live", shared.engine.live())
}

pub(super) async fn ready(State(shared): State<Shared>) -> Response<Body> {
    health("ready", shared.engine.ready())
}

pub(super) async fn model_ready(State(shared): State<Shared>, Path(at): Path<Addressed>) -> Response<Body> {
    let ready = shared.engine.model_ready(&at.model, at.version.as_deref());
    told(ready.map(|ready| {
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        json(status, &json!({ "name": at.model, "ready": ready }))
    }))
}

fn health(what: &str, fine: bool) -> Response<Body> {
    let status = if fine { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &json!({ what: fine }))
}

pub(super) async fn server() -> Response<Body> {
    let metadata = json!({ "name": crate::NAME, "version": crate::VERSION, "extensions": crate::EXTENSIONS });
    json(StatusCode::OK, &metadata)
}

pub(super) async fn metadata(State(shared): State<Shared>, Path(at): Path<Addressed>) -> Response<Body> {
    let metadata = shared.engine.metadata(&at.model, at.version.as_deref());
    told(metadata.map(|metadata| {
        let body = json!({
            "name": metadata.name,
            "versions": metadata.versions,
            "platform": metadata.platform,
            "inputs": metadata.inputs.iter().map(tensor).collect::<Vec<_>>(),
            "outputs": metadata.outputs.iter().map(tensor).collect::<Vec<_>>(),
        });
        json(StatusCode::OK, &body)
    }))
}

fn tensor(port: &TensorMetadata) -> Value {
    json!({ "name": port.name, "datatype": port.datatype.name(), "shape": port.shape })
}

pub(super) async fn infer(
    State(shared): State<Shared>,
    Path(at): Path<Addressed>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    told(answered(&shared, at, &headers, body).await)
}

async fn answered(shared: &Shared, at: Addressed, headers: &HeaderMap, body: Body) -> Result<Response<Body>, Failure> {
    // Who asks for a model that isn't there sends nothing.
    shared.engine.expect_ready(&at.model, at.version.as_deref())?;
    let body = shared.budget.read(headers, body, &shared.options).await?;
    let (request, form) = request::parse(at, headers, &body.bytes)?;
    let response = shared.engine.infer(request).await?;
    response::write(&response, &form)
}
