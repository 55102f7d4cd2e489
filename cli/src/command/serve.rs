//! `gradc serve`: models over HTTP.

use clap::Args;
use gradc::compile::Cache;
use gradc_serve::engine::{EngineOptions, ModelSource, Silent};
use gradc_serve::http::HttpOptions;
use gradc_serve::server::{ServerOptions, serve};
use std::error::Error;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What to serve, and where.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Serve {
    /// Models: a .safetensors file that `save_model` wrote, an .onnx file, or a folder with a numbered folder or file for each version
    #[arg(required = true, value_name = "NAME=FILE")]
    models: Vec<ModelSource>,
    /// The address to listen at; without it, this machine alone
    #[arg(long, value_name = "ADDRESS", default_value_t = Ipv4Addr::LOCALHOST.into())]
    host: IpAddr,
    /// The port for REST; 0 is any that is free
    #[arg(long, default_value_t = 8000)]
    port: u16,
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
    /// Threads that compute a batch; without it, all
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
      gradc serve digits=models/digits --cache /var/cache/gradc";

fn named_extent(text: &str) -> Result<(String, usize), String> {
    let (name, extent) = text.rsplit_once('=').ok_or_else(|| format!("{text:?} isn't NAME=N"))?;
    Ok((name.into(), extent.parse().map_err(|_| format!("{extent:?} is no extent"))?))
}

impl Serve {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        let started = |address| say(&format!("REST at http://{address}"));
        let failed = |failures: Vec<(String, gradc_serve::Failure)>| {
            failures.iter().for_each(|(name, failure)| say(&format!("{name}: {failure}")));
            if failures.is_empty() {
                say("all models are ready");
            }
        };
        Ok(serve(self.models.clone(), self.options(), Arc::new(Silent), started, failed)?)
    }

    fn options(&self) -> ServerOptions {
        let engine = EngineOptions::default();
        ServerOptions {
            host: self.host,
            port: self.port,
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
        }
    }
}

/// Tells who watches; what is computed goes over the network.
fn say(text: &str) {
    // Who doesn't watch misses nothing.
    let _ = writeln!(io::stderr(), "{text}");
}
