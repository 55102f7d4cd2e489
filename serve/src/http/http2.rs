//! Connections of HTTP/2, which gRPC has: many requests at once on one.

use super::HttpOptions;
use super::connections::{TimedIo, ended};
use axum::Router;
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
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
    let limit = options.body_timeout;
    let answer = service_fn(move |asked: Request<Incoming>| {
        let (router, under_way) = (router.clone(), UnderWay::new(&requests));
        async move {
            let response = router.oneshot(asked).await?;
            Ok::<_, Infallible>(response.map(|body| Body::new(AnswerBody::new(body, under_way, limit))))
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

/// The body of an answer. Its request is under way until all of it is sent, but no longer if the client doesn't take the next part in time: it holds the connection no more than one that is idle.
struct AnswerBody {
    body: Body,
    limit: Duration,
    /// By when the client must take what it has been given; none while the next part isn't there yet.
    due: Arc<Mutex<Option<Instant>>>,
    watch: AbortHandle,
}

impl AnswerBody {
    fn new(body: Body, under_way: UnderWay, limit: Duration) -> Self {
        let due = Arc::new(Mutex::new(Instant::now().checked_add(limit)));
        let watch = tokio::spawn(until_late(under_way, Arc::clone(&due), limit)).abort_handle();
        Self { body, limit, due, watch }
    }

    fn set_due(&self, due: Option<Instant>) {
        *self.due.lock().unwrap_or_else(PoisonError::into_inner) = due;
    }
}

/// Holds a request under way until a part of its answer is late. Looks when the part that it knows of would be, so that parts which are taken in time cost nothing here.
async fn until_late(under_way: UnderWay, due: Arc<Mutex<Option<Instant>>>, limit: Duration) {
    loop {
        let known = *due.lock().unwrap_or_else(PoisonError::into_inner);
        match known {
            Some(due) if due <= Instant::now() => return drop(under_way),
            Some(due) => sleep_until(due).await,
            None => sleep(limit).await,
        }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    /// Is asked for the next part when the client has room for it.
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let is_part = matches!(polled, Poll::Ready(Some(Ok(_))));
        self.set_due(is_part.then(|| Instant::now().checked_add(self.limit)).flatten());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.watch.abort();
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use axum::routing::get;

    /// A client that gives no room for the answer, or for no more of it, is left.
    #[test]
    fn a_connection_whose_client_takes_no_answer_is_closed() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for window in [0, 3] {
                let limit = Duration::from_millis(20);
                let options = HttpOptions { head_timeout: limit, body_timeout: limit, ..HttpOptions::default() };
                let (near, far) = tokio::io::duplex(1 << 16);
                let (_over, end) = watch::channel(false);
                let router = Router::new().route("/", get(async || "an answer"));
                let serving = tokio::spawn(async move { serve_connection(far, router, &options, end).await });
                let (mut client, connection) =
                    h2::client::Builder::new().initial_window_size(window).handshake::<_, Bytes>(near).await.unwrap();
                let connection = tokio::spawn(connection);
                let (response, _) = client.send_request(Request::get("http://x/").body(()).unwrap(), true).unwrap();
                let response = response.await.unwrap();
                assert_eq!(response.status(), 200);
                // It keeps the connection, and reads what comes.
                serving.await.unwrap();
                drop((response, client));
                let _ = connection.await;
            }
        });
    }
}
