//! Connections: accepted up to a limit, served while requests come in time, closed when the server ends.

use super::{HttpOptions, http2};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, Sleep, sleep};

/// How a connection is spoken on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HttpVersion {
    /// HTTP/1.1: a request after the other.
    One,
    /// HTTP/2: many at once, as gRPC has them.
    Two,
}

impl HttpVersion {
    /// What it is called while a connection becomes an encrypted one (ALPN).
    #[cfg(feature = "tls")]
    pub fn alpn(self) -> &'static str {
        match self {
            Self::One => "http/1.1",
            Self::Two => "h2",
        }
    }
}

/// Listens for connections.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
    speaker: Speaker,
}

impl HttpServer {
    /// Listens at an address; port 0 is any that is free.
    ///
    /// # Errors
    /// What the system says.
    pub async fn bind(address: SocketAddr, version: HttpVersion, options: HttpOptions) -> io::Result<Self> {
        let speaker = Speaker {
            options,
            version,
            #[cfg(feature = "tls")]
            tls: None,
        };
        Ok(Self { listener: TcpListener::bind(address).await?, speaker })
    }

    /// Encrypts all connections.
    #[cfg(feature = "tls")]
    pub fn encrypted(mut self, config: Arc<tokio_rustls::rustls::ServerConfig>) -> Self {
        self.speaker.tls = Some(config);
        self
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves connections until `end` is true; then takes no more, and waits until those that have a request are answered.
    pub async fn serve(self, router: Router, mut end: watch::Receiver<bool>) {
        let places = Arc::new(Semaphore::new(self.speaker.options.max_connections.clamp(1, Semaphore::MAX_PERMITS)));
        let all = places.available_permits();
        loop {
            // With all places taken the system keeps who comes waiting: idle connections are closed soon.
            let place = tokio::select! {
                place = Arc::clone(&places).acquire_owned() => place,
                () = ended(&mut end) => break,
            };
            let Ok(place) = place else { break };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = ended(&mut end) => break,
            };
            let Ok((stream, _)) = accepted else {
                // Out of descriptors, or the client is gone already: neither ends the server.
                sleep(Duration::from_millis(20)).await;
                continue;
            };
            // Answers are written whole.
            let _ = stream.set_nodelay(true);
            let (speaker, router, end) = (self.speaker.clone(), router.clone(), end.clone());
            tokio::spawn(async move {
                speaker.serve(stream, router, end).await;
                drop(place);
            });
        }
        // Each connection gives its place back when it is done.
        let _ = places.acquire_many(u32::try_from(all).unwrap_or(u32::MAX)).await;
    }
}

/// What there is to know about a connection before the first byte comes.
#[derive(Clone, Debug)]
struct Speaker {
    options: HttpOptions,
    version: HttpVersion,
    #[cfg(feature = "tls")]
    tls: Option<Arc<tokio_rustls::rustls::ServerConfig>>,
}

impl Speaker {
    async fn serve(&self, stream: TcpStream, router: Router, end: watch::Receiver<bool>) {
        #[cfg(feature = "tls")]
        if let Some(config) = &self.tls {
            let accepted = tokio_rustls::TlsAcceptor::from(Arc::clone(config)).accept(stream);
            if let Ok(Ok(stream)) = tokio::time::timeout(self.options.head_timeout, accepted).await {
                self.speak(stream, router, end).await;
            }
            return;
        }
        self.speak(stream, router, end).await;
    }

    async fn speak(&self, stream: impl AsyncRead + AsyncWrite + Unpin, router: Router, end: watch::Receiver<bool>) {
        match self.version {
            HttpVersion::One => serve_connection(stream, router, &self.options, end).await,
            HttpVersion::Two => http2::serve_connection(stream, router, &self.options, end).await,
        }
    }
}

/// Until the sender says that it is over, or is gone.
pub(super) async fn ended(end: &mut watch::Receiver<bool>) {
    let _ = end.wait_for(|end| *end).await;
}

/// Serves one connection of HTTP/1.1, encrypted or not, until it is closed, is idle for too long, or the server ends and the request under way is answered.
pub async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    router: Router,
    options: &HttpOptions,
    mut end: watch::Receiver<bool>,
) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(options.head_timeout).max_buf_size(MAX_HEAD);
    let stream = TokioIo::new(TimedIo::new(stream, options.body_timeout));
    let mut connection = pin!(builder.serve_connection(stream, TowerToHyperService::new(router)));
    // What goes wrong on a connection is the client's matter.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = ended(&mut end) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

/// Bytes of a request's head at most.
const MAX_HEAD: usize = 64 << 10;

/// A stream whose client must take what is written in time.
#[derive(Debug)]
pub struct TimedIo<S> {
    stream: S,
    limit: Duration,
    /// While the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> TimedIo<S> {
    /// A stream on which no write may take longer than `limit`.
    pub fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, stalled: None }
    }

    /// What a write gave, or an error if there has been nothing for too long.
    fn timed<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let limit = self.limit;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + limit)));
        match stalled.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedIo<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedIo<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.timed(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.timed(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.timed(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.timed(cx, polled)
    }
}
