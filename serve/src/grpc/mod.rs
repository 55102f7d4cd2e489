//! gRPC: the service `inference.GRPCInferenceService` of the Open Inference Protocol (version 2), with its extension for repositories of models.

mod contents;
mod deadline;
mod fields;
mod infer;
mod messages;
mod methods;
mod status;
mod stream;
#[cfg(test)]
mod tests;

use crate::engine::{Engine, Failure};
use crate::http::{Budget, HttpOptions};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{self, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use fields::FewFieldsCodec;
use prost::Message;
use status::status;
use std::sync::Arc;
use std::time::Instant;
use stream::MessageBody;
use tokio_stream::StreamExt;
use tonic::server::Grpc;
use tonic::{Status, Streaming};
use tower::service_fn;

/// The service's name, which addresses begin with.
const SERVICE: &str = "/inference.GRPCInferenceService";

/// All methods of the service, whose messages take memory of that budget.
pub fn router(engine: Arc<Engine>, options: &HttpOptions, budget: Budget) -> Router {
    let calls = Methods { engine, budget, options: options.clone() };
    let routes = [
        ("ServerLive", calls.unary(methods::server_live)),
        ("ServerReady", calls.unary(methods::server_ready)),
        ("ModelReady", calls.unary(methods::model_ready)),
        ("ServerMetadata", calls.unary(methods::server_metadata)),
        ("ModelMetadata", calls.unary(methods::model_metadata)),
        ("ModelInfer", calls.unary(methods::model_infer)),
        ("ModelStreamInfer", calls.streaming(methods::model_stream_infer)),
        ("RepositoryIndex", calls.unary(methods::repository_index)),
        ("RepositoryModelLoad", calls.unary(methods::repository_model_load)),
        ("RepositoryModelUnload", calls.unary(methods::repository_model_unload)),
    ];
    let add = |router: Router, (name, method): (_, MethodRouter)| router.route(&format!("{SERVICE}/{name}"), method);
    routes.into_iter().fold(Router::new(), add).fallback(unimplemented)
}

/// What a method is called with, besides its message.
#[derive(Clone)]
struct RemoteCall {
    engine: Arc<Engine>,
    /// When the client gives up.
    deadline: Option<Instant>,
}

impl RemoteCall {
    fn new(engine: Arc<Engine>, request: &Request) -> Result<Self, Status> {
        let timeout = deadline::timeout(request.headers()).map_err(Status::invalid_argument)?;
        // A deadline that no clock reaches is none.
        Ok(Self { engine, deadline: timeout.and_then(|timeout| Instant::now().checked_add(timeout)) })
    }
}

/// How methods become routes.
#[derive(Clone)]
struct Methods {
    engine: Arc<Engine>,
    budget: Budget,
    options: HttpOptions,
}

impl Methods {
    /// A method of one message that answers one.
    fn unary<I, O, F, A>(&self, method: F) -> MethodRouter
    where
        I: Message + Default + 'static,
        O: Message + 'static,
        F: Fn(RemoteCall, I) -> A + Copy + Send + Sync + 'static,
        A: Future<Output = Result<O, Failure>> + Send + 'static,
    {
        let Self { budget, options, .. } = self.clone();
        self.route(move |mut grpc: Grpc<FewFieldsCodec<O, I>>, call, request| {
            let (budget, options) = (budget.clone(), options.clone());
            async move {
                let (head, body) = request.into_parts();
                let read = match budget.read(&head.headers, body, &options).await {
                    Ok(read) => read,
                    Err(failure) => return status(&failure).into_http(),
                };
                let service = service_fn(move |message: tonic::Request<I>| {
                    let answer = method(call.clone(), message.into_inner());
                    async move { answer.await.map(tonic::Response::new).map_err(|failure| status(&failure)) }
                });
                grpc.unary(service, Request::from_parts(head, Body::from(read.bytes.clone()))).await
            }
        })
    }

    /// A method that answers message after message of a stream, in their order. The client's deadline is that of the whole stream; the next message must come in the time for a body, or the stream is closed.
    fn streaming<I, O, F, A>(&self, method: F) -> MethodRouter
    where
        I: Message + Default + 'static,
        O: Message + 'static,
        F: Fn(RemoteCall, I) -> A + Copy + Send + Sync + 'static,
        A: Future<Output = O> + Send + 'static,
    {
        let Self { budget, options, .. } = self.clone();
        self.route(move |mut grpc: Grpc<FewFieldsCodec<O, I>>, call, request| {
            let (head, body) = request.into_parts();
            let (body, next) = MessageBody::new(body, budget.clone(), &options);
            async move {
                let service = service_fn(move |messages: tonic::Request<Streaming<I>>| {
                    let (call, next) = (call.clone(), next.clone());
                    let answers = messages.into_inner().then(move |message| {
                        next.came();
                        let call = call.clone();
                        async move { Ok(method(call, message?).await) }
                    });
                    std::future::ready(Ok::<_, Status>(tonic::Response::new(answers)))
                });
                grpc.streaming(service, Request::from_parts(head, Body::new(body))).await
            }
        })
    }

    /// What both have in common: gRPC's content type, the client's deadline, the limit of messages.
    fn route<I, O, F, A>(&self, answer: F) -> MethodRouter
    where
        I: Message + Default + 'static,
        O: Message + 'static,
        F: Fn(Grpc<FewFieldsCodec<O, I>>, RemoteCall, Request) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = http::Response<tonic::body::Body>> + Send + 'static,
    {
        let (engine, limit) = (Arc::clone(&self.engine), self.options.max_request);
        post(move |request: Request| async move {
            if !is_grpc(&request) {
                return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
            }
            let call = match RemoteCall::new(engine, &request) {
                Ok(call) => call,
                Err(status) => return status.into_http::<Body>(),
            };
            let grpc = Grpc::new(FewFieldsCodec::default()).max_decoding_message_size(limit);
            within(call.deadline, answer(grpc, call, request)).await.into_response()
        })
    }
}

fn is_grpc(request: &Request) -> bool {
    let content = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content.is_some_and(|content| content.starts_with("application/grpc"))
}

/// An answer, if it comes in time.
async fn within(
    deadline: Option<Instant>,
    answer: impl Future<Output = http::Response<tonic::body::Body>>,
) -> http::Response<tonic::body::Body> {
    match deadline {
        None => answer.await,
        Some(deadline) => tokio::time::timeout_at(deadline.into(), answer)
            .await
            .unwrap_or_else(|_| Status::deadline_exceeded("the request's own deadline has passed").into_http()),
    }
}

async fn unimplemented(request: Request) -> Response {
    if is_grpc(&request) {
        Status::unimplemented("the service has no such method").into_http::<Body>()
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
}
