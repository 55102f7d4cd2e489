//! REST: the Open Inference Protocol (version 2) with its extensions for binary tensors and the repository, and TensorFlow Serving's form.
//!
//! A request's body is read no further than the settings allow, and no memory is taken for what its shapes say before they are those of the model's elements.

mod answer;
mod body;
mod connections;
mod elements;
mod http2;
mod repository;
mod tensorflow;
mod v2;

pub use answer::failed;
pub use body::{Budget, HttpOptions};
pub use connections::{HttpServer, HttpVersion, TimedIo, serve_connection};

pub(crate) use answer::json;

use crate::engine::{Engine, Failure};
use axum::Router;
use axum::routing::{get, post};
use std::sync::Arc;

/// What all addresses share.
#[derive(Clone)]
struct Shared {
    engine: Arc<Engine>,
    options: HttpOptions,
    budget: Budget,
}

/// All addresses of the REST interface, whose bodies take memory of that budget.
pub fn router(engine: Arc<Engine>, options: &HttpOptions, budget: Budget) -> Router {
    let shared = Shared { engine, options: options.clone(), budget };
    Router::new()
        .route("/v2", get(v2::server))
        .route("/v2/health/live", get(v2::live))
        .route("/v2/health/ready", get(v2::ready))
        .route("/v2/models/{model}", get(v2::metadata))
        .route("/v2/models/{model}/ready", get(v2::model_ready))
        .route("/v2/models/{model}/infer", post(v2::infer))
        .route("/v2/models/{model}/versions/{version}", get(v2::metadata))
        .route("/v2/models/{model}/versions/{version}/ready", get(v2::model_ready))
        .route("/v2/models/{model}/versions/{version}/infer", post(v2::infer))
        .route("/v2/repository/index", post(repository::index))
        .route("/v2/repository/models/{model}/load", post(repository::load))
        .route("/v2/repository/models/{model}/unload", post(repository::unload))
        .route("/v1/models/{model}", get(tensorflow::status).post(tensorflow::call))
        .route("/v1/models/{model}/metadata", get(tensorflow::metadata))
        .route("/v1/models/{model}/versions/{version}", get(tensorflow::status).post(tensorflow::call))
        .route("/v1/models/{model}/versions/{version}/metadata", get(tensorflow::metadata))
        .fallback(|| async { failed(&Failure::NotFound("there is nothing at this address".into())) })
        .with_state(shared)
}

/// A model and perhaps a version, as an address has them.
#[derive(serde::Deserialize)]
struct Addressed {
    model: String,
    version: Option<String>,
}
