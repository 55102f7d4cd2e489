//! The whole server: an engine, its models and its addresses, from start to end.

use crate::engine::{Engine, EngineOptions, Events, Failure, ModelSource};
use crate::grpc;
use crate::http::{self, Budget, HttpOptions, HttpServer, HttpVersion};
use crate::keys::ApiKeys;
use crate::monitor::{self, Metrics, Protocol, observed};
use crate::page;
#[cfg(feature = "tls")]
use crate::tls::{self, TlsFiles};
use axum::Router;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Settings of a server.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The address it listens at: that of this machine alone, unless somebody chose another.
    pub host: IpAddr,
    /// The port for REST; 0 is any that is free.
    pub port: u16,
    /// The port for gRPC, if that is spoken; 0 is any that is free.
    pub grpc_port: Option<u16>,
    /// Of which requests must show one; without them everybody is let in.
    pub keys: Option<ApiKeys>,
    /// What connections are encrypted by; without it they aren't.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsFiles>,
    /// Of the models.
    pub engine: EngineOptions,
    /// Of each port.
    pub http: HttpOptions,
    /// How long it says that it isn't ready before it takes no more connections: what spreads requests over servers needs that long to see it.
    pub drain: Duration,
}

impl Default for ServerOptions {
    /// REST alone, at port 8000 of the loopback address, for everybody there; and no time to drain.
    fn default() -> Self {
        Self {
            host: Ipv4Addr::LOCALHOST.into(),
            port: 8000,
            grpc_port: None,
            keys: None,
            #[cfg(feature = "tls")]
            tls: None,
            engine: EngineOptions::default(),
            http: HttpOptions::default(),
            drain: Duration::ZERO,
        }
    }
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    engine: Arc<Engine>,
    metrics: Arc<Metrics>,
    http: HttpServer,
    grpc: Option<HttpServer>,
    options: ServerOptions,
}

impl Server {
    /// Listens for requests to these models, of which `events` is told, too. They are loaded by [`Self::run`], so that a model that takes long to compile doesn't keep the server from saying that it lives.
    ///
    /// # Errors
    /// What the system says about the addresses; a certificate or a key that isn't one.
    pub async fn bind(
        models: impl IntoIterator<Item = ModelSource>,
        options: ServerOptions,
        events: Arc<dyn Events>,
    ) -> io::Result<Self> {
        let metrics = Arc::new(Metrics::new(events));
        let told: Arc<dyn Events> = metrics.clone();
        let engine = Arc::new(Engine::new(models, options.engine.clone(), told));
        let http = listen(&options, options.port, HttpVersion::One).await?;
        let grpc = match options.grpc_port {
            Some(port) => Some(listen(&options, port, HttpVersion::Two).await?),
            None => None,
        };
        Ok(Self { engine, metrics, http, grpc, options })
    }

    /// The engine.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Where REST is.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.http.address()
    }

    /// Where gRPC is, if it is spoken.
    ///
    /// # Errors
    /// What the system says.
    pub fn grpc_address(&self) -> io::Result<Option<SocketAddr>> {
        self.grpc.as_ref().map(HttpServer::address).transpose()
    }

    /// What is asked for at the port of REST, and at that of gRPC.
    fn routers(&self) -> (Router, Router) {
        let Self { engine, metrics, options, .. } = self;
        let budget = Budget::new(&options.http);
        let rest = http::router(Arc::clone(engine), &options.http, budget.clone())
            .merge(page::router())
            .merge(monitor::router(Arc::clone(engine), Arc::clone(metrics)));
        let rest = observed(rest, Protocol::Http, Arc::clone(metrics), options.keys.clone());
        let grpc = grpc::router(Arc::clone(engine), &options.http, budget);
        (rest, observed(grpc, Protocol::Grpc, Arc::clone(metrics), options.keys.clone()))
    }

    /// Loads the models and serves until `end` is done; then takes no more requests, answers those that it has, and comes back. `failed` is told which models couldn't be loaded.
    pub async fn run(
        self,
        end: impl Future<Output = ()>,
        failed: impl FnOnce(Vec<(String, Failure)>) + Send + 'static,
    ) {
        let (rest, calls) = self.routers();
        let Self { engine, http, grpc, options, .. } = self;
        let loading = Arc::clone(&engine);
        tokio::task::spawn_blocking(move || failed(loading.load_all()));
        let (over, watched) = watch::channel(false);
        let grpc = grpc.map(|grpc| tokio::spawn(grpc.serve(calls, watched.clone())));
        let serving = tokio::spawn(http.serve(rest, watched));
        end.await;
        engine.begin_end();
        tokio::time::sleep(options.drain).await;
        // Who serves is gone only if there is nothing left to end.
        let _ = over.send(true);
        let _ = serving.await;
        if let Some(serving) = grpc {
            let _ = serving.await;
        }
        engine.end().await;
    }
}

/// Listens at a port, encrypted if that is asked for.
async fn listen(options: &ServerOptions, port: u16, version: HttpVersion) -> io::Result<HttpServer> {
    let server = HttpServer::bind(SocketAddr::new(options.host, port), version, options.http.clone()).await?;
    #[cfg(feature = "tls")]
    if let Some(files) = &options.tls {
        return Ok(server.encrypted(tls::config(files, version.alpn()).map_err(io::Error::other)?));
    }
    Ok(server)
}

/// A server of this process, from its start until it is asked to end: `started` gets the server that listens, `failed` is told which models couldn't be loaded. Blocks.
///
/// # Errors
/// If there is no thread, or no listening at the address.
pub fn serve(
    models: impl IntoIterator<Item = ModelSource>,
    options: ServerOptions,
    events: Arc<dyn Events>,
    started: impl FnOnce(&Server) -> io::Result<()>,
    failed: impl FnOnce(Vec<(String, Failure)>) + Send + 'static,
) -> io::Result<()> {
    raise_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("serve").build()?;
    runtime.block_on(async {
        let server = Server::bind(models, options, events).await?;
        started(&server)?;
        let end = async {
            // A process that can't be told to end goes on.
            if asked_to_end().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        server.run(end, failed).await;
        Ok(())
    })
}

/// As many descriptors as the system allows this process: each connection takes one.
#[cfg(unix)]
fn raise_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Without it there are fewer connections at once.
    let _ = setrlimit(Resource::Nofile, limit);
}

#[cfg(not(unix))]
fn raise_descriptors() {}

/// Until the process is asked to end: by `SIGTERM`, or the interrupt of a terminal.
///
/// # Errors
/// What the system says.
#[cfg(unix)]
pub async fn asked_to_end() -> io::Result<()> {
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = term.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}

/// Until the process is asked to end: by the interrupt of a terminal.
///
/// # Errors
/// What the system says.
#[cfg(not(unix))]
pub async fn asked_to_end() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
