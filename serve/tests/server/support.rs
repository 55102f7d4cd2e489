//! A server in this process, a model for it, and a client that says exactly what a test wants it to.

use gradc::prelude::*;
use gradc_serve::Engine;
use gradc_serve::engine::{EngineOptions, ModelSource, Silent};
use gradc_serve::server::{Server, ServerOptions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Samples of a batch of the models here.
pub(crate) const SAMPLES: usize = 8;

/// A server under way, which ends with this.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    /// Where gRPC is, if the settings have a port for it.
    pub(crate) grpc: Option<SocketAddr>,
    pub(crate) engine: Arc<Engine>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    /// Serves models by name, each loaded if it can be.
    pub(crate) fn start(models: &[(&str, &Path)], options: ServerOptions) -> Self {
        let source = |(name, path): &(&str, &Path)| ModelSource { name: (*name).into(), path: path.into() };
        let models: Vec<ModelSource> = models.iter().map(source).collect();
        let (end, over) = oneshot::channel::<()>();
        let ((told, listens), (failed, loaded)) = (mpsc::channel(), mpsc::channel());
        let options = ServerOptions { port: 0, ..options };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let server = Server::bind(models, options, Arc::new(Silent)).await.unwrap();
                let addresses = (server.address().unwrap(), server.grpc_address().unwrap());
                told.send((addresses, Arc::clone(server.engine()))).unwrap();
                let over = async { over.await.unwrap_or(()) };
                server.run(over, move |failures| failed.send(failures).unwrap_or(())).await;
            });
        });
        let ((address, grpc), engine) = listens.recv().unwrap();
        loaded.recv().unwrap();
        // A batch of another size may give other last bits.
        while engine.usage().iter().any(|usage| usage.room < SAMPLES) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Self { address, grpc, engine, end: Some(end), thread: Some(thread) }
    }

    /// Asks it to end, without waiting for that.
    pub(crate) fn begin_end(&mut self) {
        drop(self.end.take());
    }

    pub(crate) fn get(&self, path: &str) -> ClientAnswer {
        ask(self.address, "GET", path, &[], b"")
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> ClientAnswer {
        ask(self.address, "POST", path, &[], body.as_bytes())
    }

    /// Requests of a model that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.engine.usage().iter().map(|usage| usage.waiting).sum()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.begin_end();
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(ended.is_some_and(|ended| ended.is_ok()));
        }
    }
}

/// What a client gets.
#[derive(Debug)]
pub(crate) struct ClientAnswer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl ClientAnswer {
    /// Of the bytes of a connection that is closed behind it.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Self { status, head, body: bytes[end + 4..].to_vec() })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let of_name = |line: &&str| line.split(':').next().is_some_and(|found| found.eq_ignore_ascii_case(name));
        self.head.lines().find(of_name).and_then(|line| line.split_once(": ")).map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

/// A request's bytes, for a connection that is closed behind the answer.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

pub(crate) fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> ClientAnswer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&request(method, path, headers, body)).unwrap();
    let mut bytes = vec![];
    stream.read_to_end(&mut bytes).unwrap();
    ClientAnswer::parse(&bytes).unwrap_or_else(|| panic!("{:?}", String::from_utf8_lossy(&bytes)))
}

/// Two outputs of two inputs: numbers and truth values, and indices that may be out of range.
pub(crate) fn two_by_two(path: &Path) -> Trainer {
    let inputs = [("x", f32([2])), ("token", i32([]))];
    let model = Functional::with_inputs(inputs, |x| {
        let table = Embedding::new(5, 2).apply(&x[1]);
        Dense::new(3).apply(&(&x[0] + &table))
    });
    let mut trainer = model.compile(Sgd::new(0.1), MeanSquaredError, []).unwrap();
    trainer.save_model(path, SAMPLES).unwrap();
    trainer
}

/// One input and one output.
pub(crate) fn small(path: &Path, seed: u64) -> Trainer {
    let model = Sequential::new([2]).dense(4).tanh().dense(3);
    let trainer = model.compile(Sgd::new(0.1), MeanSquaredError, []).unwrap();
    let mut trainer = trainer.with_seed(seed).unwrap();
    trainer.save_model(path, SAMPLES).unwrap();
    trainer
}

/// Samples for [`small`], all different.
pub(crate) fn samples(first: usize, count: usize) -> Vec<f32> {
    (first * 2..(first + count) * 2).map(|i| (i as f32 * 0.37).sin()).collect()
}

/// What a trainer predicts for samples of [`small`].
pub(crate) fn predicted(trainer: &mut Trainer, x: &[f32]) -> Vec<f32> {
    let x = array([x.len() / 2, 2], x.to_vec()).unwrap();
    trainer.predict(&Dataset::unlabelled(x).unwrap()).unwrap().as_f32().unwrap().to_vec()
}

/// Whether these are the same numbers, but for the last bits.
pub(crate) fn near(found: &[f32], want: &[f32]) -> bool {
    found.len() == want.len() && found.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-5)
}

/// Settings under which requests wait for others until their batch is full.
pub(crate) fn patient() -> EngineOptions {
    let max_delay = Duration::from_secs(3600);
    EngineOptions { max_delay, timeout: max_delay, ..EngineOptions::default() }
}
