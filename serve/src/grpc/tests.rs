//! The service as clients see it, by tonic's own client, without a network.
#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

use super::messages::*;
use super::*;
use crate::engine::{EngineOptions, Silent};
use axum::http::uri::PathAndQuery;
use std::sync::atomic::{AtomicBool, Ordering};
use tonic::Code;
use tonic::client::Grpc as Client;
use tonic_prost::ProstCodec;

/// Asks a method of a server.
async fn ask<I: Message + 'static, O: Message + Default + 'static>(
    router: &Router,
    method: &str,
    request: tonic::Request<I>,
) -> Result<O, Status> {
    let mut client = Client::new(router.clone());
    client.ready().await.map_err(|e| Status::internal(e.to_string()))?;
    let path: PathAndQuery = format!("{SERVICE}/{method}").parse().unwrap();
    client.unary(request, path, ProstCodec::<I, O>::default()).await.map(tonic::Response::into_inner)
}

/// Opens a stream of messages, which goes on when they are sent.
async fn open(router: &Router, messages: Vec<ModelInferRequest>) -> Streaming<ModelStreamInferResponse> {
    let mut client = Client::new(router.clone());
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/inference.GRPCInferenceService/ModelStreamInfer");
    let messages = tonic::Request::new(tokio_stream::iter(messages).chain(tokio_stream::pending()));
    client.streaming(messages, path, ProstCodec::default()).await.unwrap().into_inner()
}

/// Of a model that there isn't.
fn message(bytes: usize) -> ModelInferRequest {
    let (datatype, shape) = ("UINT8".into(), vec![bytes as i64]);
    ModelInferRequest {
        model_name: "none".into(),
        raw_input_contents: vec![vec![0; bytes].into()],
        inputs: vec![InferInputTensor { datatype, shape, ..Default::default() }],
        ..Default::default()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Without models.
fn empty() -> Arc<Engine> {
    Arc::new(Engine::new([], EngineOptions::default(), Arc::new(Silent)))
}

fn options(max_request: usize) -> HttpOptions {
    HttpOptions { max_request, ..HttpOptions::default() }
}

fn serving(options: &HttpOptions) -> Router {
    router(empty(), options, Budget::new(options))
}

fn service(max_request: usize) -> Router {
    serving(&options(max_request))
}

#[test]
fn health_and_metadata_are_answered() {
    runtime().block_on(async {
        let server = service(1 << 20);
        let live: ServerLiveResponse =
            ask(&server, "ServerLive", tonic::Request::new(ServerLiveRequest {})).await.unwrap();
        assert!(live.live);
        let metadata: ServerMetadataResponse =
            ask(&server, "ServerMetadata", tonic::Request::new(ServerMetadataRequest {})).await.unwrap();
        assert_eq!((&*metadata.name, &*metadata.version), ("gradc", env!("CARGO_PKG_VERSION")));
        let index: RepositoryIndexResponse =
            ask(&server, "RepositoryIndex", tonic::Request::new(RepositoryIndexRequest::default())).await.unwrap();
        assert_eq!(index.models, []);
    });
}

#[test]
fn what_there_isn_t_has_its_status() {
    runtime().block_on(async {
        let server = service(1 << 20);
        let model = || ModelMetadataRequest { name: "none".into(), version: String::new() };
        let failed = ask::<_, ModelMetadataResponse>(&server, "ModelMetadata", tonic::Request::new(model())).await;
        let status = failed.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::NotFound, "there is no model \"none\""));
        let failed = ask::<_, ModelMetadataResponse>(&server, "ModelConfig", tonic::Request::new(model())).await;
        assert_eq!(failed.unwrap_err().code(), Code::Unimplemented);
        let unload = RepositoryModelUnloadRequest { model_name: "none".into(), ..Default::default() };
        let failed: Result<RepositoryModelUnloadResponse, _> =
            ask(&server, "RepositoryModelUnload", tonic::Request::new(unload)).await;
        assert_eq!(failed.unwrap_err().code(), Code::NotFound);
        let plain = Request::post(format!("{SERVICE}/ServerLive")).body(Body::empty()).unwrap();
        let answer = tower::ServiceExt::oneshot(server, plain).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    });
}

#[test]
fn messages_above_the_limit_are_refused() {
    runtime().block_on(async {
        let server = service(1 << 10);
        let asked = |bytes: usize| tonic::Request::new(message(bytes));
        let failed = ask::<_, ModelInferResponse>(&server, "ModelInfer", asked(512)).await.unwrap_err();
        assert_eq!(failed.code(), Code::NotFound);
        let failed = ask::<_, ModelInferResponse>(&server, "ModelInfer", asked(1024)).await.unwrap_err();
        assert_eq!(failed.code(), Code::OutOfRange);
    });
}

/// Sets its flag when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// For each call of `never`, whether it has ended.
static ASKED: std::sync::Mutex<Vec<Arc<AtomicBool>>> = std::sync::Mutex::new(vec![]);

/// Never answers.
async fn never(_: RemoteCall, _: ServerLiveRequest) -> Result<ServerLiveResponse, Failure> {
    let flag = Arc::<AtomicBool>::default();
    ASKED.lock().unwrap().push(Arc::clone(&flag));
    let _dropped = Dropped(flag);
    std::future::pending().await
}

/// A call that is given up, by its own deadline or by its client, is no longer worked at.
#[test]
fn calls_that_are_given_up_end() {
    runtime().block_on(async {
        let calls = Methods { engine: empty(), budget: Budget::new(&options(1 << 10)), options: options(1 << 10) };
        let server = Router::new().route(&format!("{SERVICE}/Never"), calls.unary(never));
        let mut request = tonic::Request::new(ServerLiveRequest {});
        request.metadata_mut().insert("grpc-timeout", "20m".parse().unwrap());
        let failed = ask::<_, ServerLiveResponse>(&server, "Never", request).await.unwrap_err();
        assert_eq!(failed.code(), Code::DeadlineExceeded);
        let flags = || ASKED.lock().unwrap().iter().map(|flag| flag.load(Ordering::SeqCst)).collect::<Vec<_>>();
        assert_eq!(flags(), [true]);
        let asked = ask::<_, ServerLiveResponse>(&server, "Never", tonic::Request::new(ServerLiveRequest {}));
        let waited = tokio::time::timeout(std::time::Duration::from_millis(20), asked).await;
        assert!(waited.is_err());
        assert_eq!(flags(), [true, true]);
        let mut request = tonic::Request::new(ServerLiveRequest {});
        request.metadata_mut().insert("grpc-timeout", "soon".parse().unwrap());
        let failed = ask::<_, ServerLiveResponse>(&server, "Never", request).await.unwrap_err();
        assert_eq!(failed.code(), Code::InvalidArgument);
    });
}

#[test]
fn a_stream_whose_client_sends_nothing_is_closed() {
    runtime().block_on(async {
        let limit = std::time::Duration::from_millis(20);
        let server = serving(&HttpOptions { body_timeout: limit, ..HttpOptions::default() });
        let mut answers = open(&server, vec![message(1), message(1)]).await;
        for _ in 0..2 {
            assert_eq!(answers.message().await.unwrap().unwrap().error_message, "there is no model \"none\"");
        }
        assert_eq!(answers.message().await.unwrap_err().code(), Code::DeadlineExceeded);
    });
}

#[test]
fn streams_and_bodies_share_one_budget() {
    runtime().block_on(async {
        let server = serving(&HttpOptions { max_requests: 12 << 10, ..HttpOptions::default() });
        // It was answered, and is as large as its message for as long as it is open.
        let mut held = open(&server, vec![message(9 << 10), message(1)]).await;
        for _ in 0..2 {
            assert!(held.message().await.unwrap().is_some());
        }
        let mut refused = open(&server, vec![message(5 << 10)]).await;
        assert_eq!(refused.message().await.unwrap_err().code(), Code::ResourceExhausted);
        let asked = || tonic::Request::new(message(5 << 10));
        let failed = ask::<_, ModelInferResponse>(&server, "ModelInfer", asked()).await.unwrap_err();
        assert_eq!(failed.code(), Code::ResourceExhausted);
        drop(held);
        let failed = ask::<_, ModelInferResponse>(&server, "ModelInfer", asked()).await.unwrap_err();
        assert_eq!(failed.code(), Code::NotFound);
        assert!(open(&server, vec![message(9 << 10)]).await.message().await.unwrap().is_some());
    });
}
