//! The whole server: an engine, its models and its addresses, from start to end.

use crate::engine::{Engine, EngineOptions, Events, Failure, ModelSource};
use crate::http::{HttpOptions, HttpServer, router};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Settings of a server.
#[derive(Clone, PartialEq, Debug)]
pub struct ServerOptions {
    /// The address it listens at: that of this machine alone, unless somebody chose another.
    pub host: IpAddr,
    /// The port for REST; 0 is any that is free.
    pub port: u16,
    /// Of the models.
    pub engine: EngineOptions,
    /// Of the REST interface.
    pub http: HttpOptions,
    /// How long it says that it isn't ready before it takes no more connections: what spreads requests over servers needs that long to see it.
    pub drain: Duration,
}

impl Default for ServerOptions {
    /// Port 8000 of the loopback address, and no time to drain.
    fn default() -> Self {
        Self {
            host: Ipv4Addr::LOCALHOST.into(),
            port: 8000,
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
    http: HttpServer,
    options: ServerOptions,
}

impl Server {
    /// Listens for requests to these models. They are loaded by [`Self::run`], so that a model that takes long to compile doesn't keep the server from saying that it lives.
    ///
    /// # Errors
    /// What the system says about the address.
    pub async fn bind(
        models: impl IntoIterator<Item = ModelSource>,
        options: ServerOptions,
        events: Arc<dyn Events>,
    ) -> io::Result<Self> {
        let engine = Arc::new(Engine::new(models, options.engine.clone(), events));
        let http = HttpServer::bind(SocketAddr::new(options.host, options.port), options.http.clone()).await?;
        Ok(Self { engine, http, options })
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

    /// Loads the models and serves until `end` is done; then takes no more requests, answers those that it has, and comes back. `failed` is told which models couldn't be loaded.
    pub async fn run(
        self,
        end: impl Future<Output = ()>,
        failed: impl FnOnce(Vec<(String, Failure)>) + Send + 'static,
    ) {
        let Self { engine, http, options } = self;
        let loading = Arc::clone(&engine);
        tokio::task::spawn_blocking(move || failed(loading.load_all()));
        let (over, watched) = watch::channel(false);
        let serving = tokio::spawn(http.serve(router(Arc::clone(&engine), &options.http), watched));
        end.await;
        engine.begin_end();
        tokio::time::sleep(options.drain).await;
        // Who serves is gone only if there is nothing left to end.
        let _ = over.send(true);
        let _ = serving.await;
        engine.end().await;
    }
}

/// A server of this process, from its start until it is asked to end: `started` is told where REST is, `failed` which models couldn't be loaded. Blocks.
///
/// # Errors
/// If there is no thread, or no listening at the address.
pub fn serve(
    models: impl IntoIterator<Item = ModelSource>,
    options: ServerOptions,
    events: Arc<dyn Events>,
    started: impl FnOnce(SocketAddr),
    failed: impl FnOnce(Vec<(String, Failure)>) + Send + 'static,
) -> io::Result<()> {
    raise_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("serve").build()?;
    runtime.block_on(async {
        let server = Server::bind(models, options, events).await?;
        started(server.address()?);
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
