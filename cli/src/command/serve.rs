//! `gradc serve`: models over HTTP and gRPC.

use clap::Args;
use gradc::compile::Cache;
use gradc_serve::engine::{EngineOptions, ModelSource, Silent};
use gradc_serve::http::HttpOptions;
use gradc_serve::keys::{ApiKeys, KeyError};
use gradc_serve::monitor::{self, LogFormat, say};
use gradc_serve::server::{Server, ServerOptions, serve};
#[cfg(feature = "tls")]
use gradc_serve::tls::TlsFiles;
use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What to serve, and where.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Serve {
    /// Models: a .safetensors file that `save_model` wrote, an .onnx file, a shared library that `gradc build --shared` made (.so), whose code runs in this process, or a folder with a numbered folder or file for each version
    #[arg(required = true, value_name = "NAME=FILE")]
    models: Vec<ModelSource>,
    /// The address to listen at; without it, this machine alone
    #[arg(long, value_name = "ADDRESS", default_value_t = Ipv4Addr::LOCALHOST.into())]
    host: IpAddr,
    /// The port for REST; 0 is any that is free
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// The port for gRPC, which is spoken only with it; 0 is any that is free
    #[arg(long, value_name = "PORT")]
    grpc_port: Option<u16>,
    /// A file with a key on each line, of which requests must show one: `Authorization: Bearer KEY`
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// A chain of certificates in PEM: connections are encrypted
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key in PEM
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// How requests and changes of models are logged on standard error: text, json (an object on each line) or off
    #[arg(long, default_value = "off")]
    log: LogFormat,
    /// Samples in a batch at most
    #[arg(long, value_name = "N", default_value_t = EngineOptions::default().max_batch)]
    max_batch: usize,
    /// How long the first request of a batch waits for others, in microseconds
    #[arg(long, value_name = "US", default_value_t = EngineOptions::default().max_delay.as_micros() as u64)]
    max_delay: u64,
    /// Requests of a model that may wait; more are told to come again
    #[arg(long, value_name = "N", default_value_t = EngineOptions::default().queue)]
    queue: usize,
    /// After how many seconds a request is given up
    #[arg(long, value_name = "S", default_value_t = EngineOptions::default().timeout.as_secs())]
    timeout: u64,
    /// Batches of a model that are computed at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    instances: u16,
    /// Threads that compute a batch; without it, as many as `GRADC_THREADS` says, else all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Bytes of a request at most
    #[arg(long, value_name = "BYTES", default_value_t = HttpOptions::default().max_request)]
    max_request: usize,
    /// Connections at once
    #[arg(long, value_name = "N", default_value_t = HttpOptions::default().max_connections)]
    max_connections: usize,
    /// How many seconds it says that it isn't ready before it ends
    #[arg(long, value_name = "S", default_value_t = 0)]
    drain: u64,
    /// Where to keep compiled code, so that the next start compiles nothing; without it, as GRADC_CACHE says
    #[arg(long, value_name = "DIRECTORY")]
    cache: Option<PathBuf>,
    /// An extent that ONNX models leave open, but for the samples: `sequence=128`
    #[arg(long, value_name = "NAME=N", value_parser = named_extent)]
    dim: Vec<(String, usize)>,
}

const EXAMPLES: &str = "Examples:
  A model that `Trainer::save_model` wrote, and what it predicts:
      gradc serve digits=model.safetensors
      curl -d '{\"instances\": [[0.1, 0.2]]}' http://127.0.0.1:8000/v1/models/digits:predict
  All versions in a folder, of which the newest that can be loaded answers, with code kept for the next start:
      gradc serve digits=models/digits --cache /var/cache/gradc
  Code that was compiled ahead of time, on another machine perhaps:
      gradc build model.safetensors --cpu baseline,avx2,avx512 --shared -o build
      gradc serve digits=build/libmodel.so";

fn named_extent(text: &str) -> Result<(String, usize), String> {
    let (name, extent) = text.rsplit_once('=').ok_or_else(|| format!("{text:?} isn't NAME=N"))?;
    Ok((name.into(), extent.parse().map_err(|_| format!("{extent:?} is no extent"))?))
}

impl Serve {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        monitor::start(self.log)?;
        let log = self.log;
        let failed = move |failures: Vec<(String, gradc_serve::Failure)>| {
            // A log has them already.
            let told = failures.iter().filter(|_| log == LogFormat::Off);
            told.for_each(|(name, failure)| say(log, &format!("{name}: {failure}")));
            if failures.is_empty() {
                say(log, "all models are ready");
            }
        };
        Ok(serve(self.models.clone(), self.options()?, Arc::new(Silent), |server| self.started(server), failed)?)
    }

    /// Tells where the server is.
    fn started(&self, server: &Server) -> io::Result<()> {
        #[cfg(feature = "tls")]
        let scheme = if self.tls_cert.is_some() { "https" } else { "http" };
        #[cfg(not(feature = "tls"))]
        let scheme = "http";
        say(self.log, &format!("REST at {scheme}://{}", server.address()?));
        if let Some(address) = server.grpc_address()? {
            say(self.log, &format!("gRPC at {address}"));
        }
        Ok(())
    }

    fn options(&self) -> Result<ServerOptions, KeyError> {
        let engine = EngineOptions::default();
        Ok(ServerOptions {
            host: self.host,
            port: self.port,
            grpc_port: self.grpc_port,
            keys: self.api_key_file.as_deref().map(ApiKeys::read).transpose()?,
            #[cfg(feature = "tls")]
            tls: self
                .tls_cert
                .clone()
                .zip(self.tls_key.clone())
                .map(|(certificate, key)| TlsFiles { certificate, key }),
            engine: EngineOptions {
                max_batch: self.max_batch.max(1),
                max_delay: Duration::from_micros(self.max_delay),
                queue: self.queue.max(1),
                timeout: Duration::from_secs(self.timeout.max(1)),
                instances: self.instances.into(),
                threads: self.threads.map_or(engine.threads, usize::from),
                cache: self.cache.clone().map_or(engine.cache, Cache::Directory),
                dims: self.dim.clone(),
            },
            http: HttpOptions {
                max_request: self.max_request,
                max_connections: self.max_connections,
                ..HttpOptions::default()
            },
            drain: Duration::from_secs(self.drain),
        })
    }
}
