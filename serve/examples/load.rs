//! Loads a server with clients that each ask again as soon as they are answered, and says how many answers came and how long they took. `tools/compare_serve.py` runs it.
//!
//! ```sh
//! cargo run --release -p gradc-serve --example load -- 127.0.0.1:8000 /v2/models/m/infer body.bin 16 10 "Inference-Header-Content-Length: 120"
//! ```
//!
//! The arguments: address, path, file of the request's body, clients, seconds, headers. In the place of a file a folder may stand, whose files clients take in turn, so that answers
//! that are mixed up are seen. What comes back is read as `f32`, behind the JSON if there is any, and compared with what the body alone was answered before: a batch with other requests may
//! change the last bits. It prints one line of JSON.

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How far answers may be from the first one, by its largest element.
const NEAR: f32 = 1e-3;

/// One client's answers.
#[derive(Default)]
struct Answers {
    statuses: BTreeMap<u16, usize>,
    /// Of those that were right, in seconds.
    times: Vec<f64>,
    /// Answers that weren't what the body's first one was.
    wrong: usize,
}

/// A connection that stays.
struct Client {
    stream: BufReader<TcpStream>,
    request: Vec<u8>,
    line: String,
    body: Vec<u8>,
}

impl Client {
    fn open(address: &str, request: &[u8]) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), request: request.into(), line: String::new(), body: vec![] })
    }

    /// The status, and the elements behind the JSON.
    fn ask(&mut self) -> Result<(u16, Vec<f32>), Box<dyn Error + Send + Sync>> {
        self.stream.get_mut().write_all(&self.request)?;
        let (mut status, mut length, mut json) = (0, 0, 0);
        for number in 0.. {
            self.line.clear();
            self.stream.read_line(&mut self.line)?;
            let line = self.line.trim_end();
            if line.is_empty() {
                break;
            }
            if number == 0 {
                status = line.split(' ').nth(1).ok_or("no answer")?.parse()?;
            }
            let (name, value) = line.split_once(": ").unwrap_or_default();
            match &*name.to_ascii_lowercase() {
                "content-length" => length = value.parse()?,
                "inference-header-content-length" => json = value.parse()?,
                _ => {}
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body)?;
        let elements = self.body.get(json..).unwrap_or_default().as_chunks().0;
        Ok((status, elements.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()))
    }
}

fn is_near(found: &[f32], first: &[f32]) -> bool {
    let most = first.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    found.len() == first.len() && found.iter().zip(first).all(|(a, b)| (a - b).abs() <= NEAR * most)
}

/// Asks until the time is over.
fn load(mut client: Client, first: &[f32], end: Instant) -> Result<Answers, Box<dyn Error + Send + Sync>> {
    let mut answers = Answers::default();
    while Instant::now() < end {
        let start = Instant::now();
        let (status, elements) = client.ask()?;
        *answers.statuses.entry(status).or_default() += 1;
        match status {
            200 if is_near(&elements, first) => answers.times.push(start.elapsed().as_secs_f64()),
            200 => answers.wrong += 1,
            // It was asked to.
            429 | 503 => std::thread::sleep(Duration::from_millis(10)),
            _ => {}
        }
    }
    Ok(answers)
}

/// A file's content, or that of all files in a folder.
fn bodies(path: &Path) -> std::io::Result<Vec<Vec<u8>>> {
    if !path.is_dir() {
        return Ok(vec![std::fs::read(path)?]);
    }
    let mut files = std::fs::read_dir(path)?.map(|file| Ok(file?.path())).collect::<std::io::Result<Vec<_>>>()?;
    files.sort();
    files.iter().map(std::fs::read).collect()
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, path, body, clients, seconds, headers @ ..] = &arguments[..] else {
        return Err("ADDRESS PATH FILE CLIENTS SECONDS [HEADER..]".into());
    };
    let (clients, seconds): (usize, f64) = (clients.parse()?, seconds.parse()?);
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let mut asked: Vec<(Vec<u8>, Vec<f32>)> = vec![];
    for body in bodies(Path::new(body))? {
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\n{headers}Content-Length: {length}\r\n\r\n");
        let request = [head.as_bytes(), &body].concat();
        let (status, first) = Client::open(address, &request)?.ask()?;
        if status != 200 {
            return Err(format!("the first answer has the status {status}").into());
        }
        if asked.iter().any(|(_, other)| is_near(&first, other)) {
            return Err("two bodies have one answer".into());
        }
        asked.push((request, first));
    }
    let open = |(request, first): &(Vec<u8>, Vec<f32>)| Ok((Client::open(address, request)?, first.clone()));
    let clients: Result<Vec<_>, Box<dyn Error + Send + Sync>> = asked.iter().cycle().take(clients).map(open).collect();
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(seconds);
    let spawn = |(client, first): (Client, Vec<f32>)| std::thread::spawn(move || load(client, &first, end));
    let threads: Vec<_> = clients?.into_iter().map(spawn).collect();
    let mut all = Answers::default();
    for thread in threads {
        let answers = thread.join().map_err(|_| "a client panicked")??;
        all.times.extend(answers.times);
        all.wrong += answers.wrong;
        answers.statuses.iter().for_each(|(status, count)| *all.statuses.entry(*status).or_default() += count);
    }
    all.times.sort_by(f64::total_cmp);
    let at = |share: f64| all.times.get((all.times.len() as f64 * share) as usize).map_or(0.0, |time| time * 1e3);
    let told = serde_json::json!({
        "per_second": all.times.len() as f64 / start.elapsed().as_secs_f64(),
        "p50_ms": at(0.5),
        "p99_ms": at(0.99),
        "wrong": all.wrong,
        "statuses": all.statuses,
    });
    println!("{told}");
    Ok(())
}
