//! Answers: JSON, and failures as both protocols have them.

use crate::engine::Failure;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

/// The answer that says why there is none: `{"error": ...}`.
pub fn failed(failure: &Failure) -> Response<Body> {
    let status = match failure {
        Failure::NotFound(_) => StatusCode::NOT_FOUND,
        Failure::Invalid(_) => StatusCode::BAD_REQUEST,
        Failure::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Failure::Busy { .. } => StatusCode::TOO_MANY_REQUESTS,
        Failure::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
        Failure::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Failure::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut response = json(status, &serde_json::json!({ "error": failure.to_string() }));
    if let Some(after) = failure.retry_after() {
        let seconds = after.as_secs_f64().ceil().max(1.0) as u64;
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// An answer of JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(text) => bytes(status, "application/json", text.into()),
        Err(_) => bytes(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "the answer can't be written".into()),
    }
}

/// An answer of bytes of a kind.
pub(super) fn bytes(status: StatusCode, kind: &'static str, body: bytes::Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// What came of a request as an answer.
pub(super) fn told(result: Result<Response<Body>, Failure>) -> Response<Body> {
    result.unwrap_or_else(|failure| failed(&failure))
}
