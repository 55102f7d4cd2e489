//! Connections of HTTP/2, which gRPC has: many requests at once on one.

use super::HttpOptions;
use super::connections::{TimedIo, ended};
use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::timeout;
use tower::ServiceExt;

/// Requests at once on a connection.
const MAX_STREAMS: u32 = 128;
/// Bytes of a request that a client may send before the server has taken them: enough for tensors not to wait for each round trip.
const STREAM_WINDOW: u32 = 1 << 20;
/// As [`STREAM_WINDOW`], for all requests of a connection.
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Bytes of a request's head at most.
const MAX_HEAD: u32 = 16 << 10;
/// After how long without a word from the client it is asked whether it is still there, and how long it has for an answer.
const PING: Duration = Duration::from_secs(20);

/// Serves one connection until it is closed, has had no request for too long, or the server ends.
pub(super) async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    router: Router,
    options: &HttpOptions,
    mut end: watch::Receiver<bool>,
) {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEAD)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    let requests = Arc::new(watch::Sender::new(0));
    let mut count = requests.subscribe();
    let answer = service_fn(move |asked: Request<Incoming>| {
        let (router, under_way) = (router.clone(), UnderWay::new(&requests));
        async move {
            let response = router.oneshot(asked).await?;
            // The request lasts until all of its answer is sent.
            Ok::<_, Infallible>(response.map(|body| Body::new(body.map_frame(move |frame| (frame, &under_way).0))))
        }
    });
    let stream = TokioIo::new(TimedIo::new(stream, options.body_timeout));
    let mut connection = pin!(builder.serve_connection(stream, answer));
    // What goes wrong on a connection is the client's matter.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = ended(&mut end) => {}
        () = idle(&mut count, options.head_timeout) => {}
    }
    connection.as_mut().graceful_shutdown();
    // A stream of requests may have no end of its own.
    let _ = timeout(options.body_timeout, connection).await;
}

/// A request that is counted as long as this lives.
struct UnderWay(Arc<watch::Sender<usize>>);

impl UnderWay {
    fn new(requests: &Arc<watch::Sender<usize>>) -> Self {
        requests.send_modify(|count| *count += 1);
        Self(Arc::clone(requests))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Until there has been no request for so long.
async fn idle(count: &mut watch::Receiver<usize>, limit: Duration) {
    loop {
        let limit = if *count.borrow_and_update() == 0 { limit } else { Duration::MAX };
        if !matches!(timeout(limit, count.changed()).await, Ok(Ok(()))) {
            return;
        }
    }
}
