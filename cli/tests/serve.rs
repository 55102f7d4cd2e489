//! `gradc serve` as a process: it answers, ends when it is asked to, and starts again after it was killed.

#![allow(clippy::unwrap_used)]

use gradc::prelude::*;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

/// A server under way, which ends with this.
struct Served {
    child: Child,
    told: BufReader<ChildStderr>,
    address: String,
}

impl Served {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradc"));
        command.arg("serve").args(arguments).args(["--port", "0", "--log", "off"]).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        told.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("REST at http://").unwrap_or_else(|| panic!("{line}")).to_string();
        Self { child, told, address }
    }

    /// What it says when models are loaded.
    fn loaded(&mut self) -> String {
        let mut line = String::new();
        self.told.read_line(&mut line).unwrap();
        line
    }

    /// The status and the body of an answer.
    fn asked(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.into())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn model(path: &Path) -> Trainer {
    let model = Sequential::new([2]).dense(3).tanh().dense(1);
    let mut trainer = model.compile(Sgd::new(0.1), MeanSquaredError, []).unwrap();
    trainer.save_model(path, 4).unwrap();
    trainer
}

#[test]
fn it_answers_and_starts_again_after_it_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let (path, cache) = (dir.path().join("m.safetensors"), dir.path().join("cache"));
    let mut trainer = model(&path);
    let named = format!("m={}", path.display());
    let x = array([2, 2], vec![0.5f32, -1.0, 2.0, 0.25]).unwrap();
    let want = trainer.predict(&Dataset::unlabelled(x).unwrap()).unwrap();
    let want: Vec<String> =
        want.as_f32().unwrap().iter().map(|y| format!("[{}]", serde_json::to_string(y).unwrap())).collect();
    let want = format!("{{\"predictions\":[{}]}}", want.join(","));
    for _ in 0..2 {
        let mut served = Served::start(&[&named, "--cache", cache.to_str().unwrap()]);
        assert_eq!(served.loaded(), "all models are ready\n");
        assert_eq!(served.asked("GET", "/v2/health/ready", "").0, 200);
        let answer = served.asked("POST", "/v1/models/m:predict", "{\"instances\": [[0.5, -1.0], [2, 0.25]]}");
        assert_eq!(answer, (200, want.clone()));
        // Without a word: as `kill -9` does.
        served.child.kill().unwrap();
        assert!(!served.child.wait().unwrap().success());
    }
    assert!(std::fs::read_dir(cache).unwrap().count() > 0);
}

/// Builds a saved model's library for batches of these sizes beside it; false without a C compiler.
#[cfg(target_os = "linux")]
fn built(saved: &Path, batches: &str) -> bool {
    if !Command::new("cc").arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: there is no `cc`");
        return false;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradc"));
    command.arg("build").arg(saved).args(["--batch", batches, "--shared", "-o"]).arg(saved.parent().unwrap());
    let output = command.env_remove("CC").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("libm.so"));
    true
}

#[cfg(target_os = "linux")]
#[test]
fn a_library_is_served_and_loaded_anew() {
    let dir = tempfile::tempdir().unwrap();
    let saved = dir.path().join("m.safetensors");
    let one = model(&saved).predictor().unwrap();
    if !built(&saved, "1,4") {
        return;
    }
    let library = dir.path().join("libm.so");
    let mut served = Served::start(&[&format!("m={}", library.display())]);
    assert_eq!(served.loaded(), "all models are ready\n");
    assert!(served.asked("GET", "/v2/models/m", "").1.contains("\"platform\":\"gradc_built\""));
    let x = array([1, 2], vec![0.5f32, -1.0]).unwrap();
    let told = |predictor: &Predictor| {
        let y = predictor.predict(&[("x", (&x).into())]).unwrap();
        (200, format!("{{\"predictions\":[[{}]]}}", serde_json::to_string(&y.as_f32().unwrap()[0]).unwrap()))
    };
    let ask = |served: &Served| served.asked("POST", "/v1/models/m:predict", "{\"instances\": [[0.5, -1.0]]}");
    assert_eq!(ask(&served), told(&one));
    let other = Sequential::new([2]).dense(5).tanh().dense(1).compile(Sgd::new(0.1), MeanSquaredError, []).unwrap();
    let mut other = other.with_seed(9).unwrap();
    other.save_model(&saved, 4).unwrap();
    assert!(built(&saved, "1,4"));
    assert_eq!(ask(&served), told(&one));
    assert_eq!(served.asked("POST", "/v2/repository/models/m/load", "").0, 200);
    let other = other.predictor().unwrap();
    assert_ne!(told(&one), told(&other));
    assert_eq!(ask(&served), told(&other));
    // What isn't trusted doesn't take over.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(&library, open).unwrap();
    let (status, why) = served.asked("POST", "/v2/repository/models/m/load", "");
    assert!(status == 400 && why.contains("isn't trusted") && why.contains("chmod"), "{status} {why}");
    assert_eq!(ask(&served), told(&other));
}

#[cfg(target_os = "linux")]
#[test]
fn a_request_of_a_library_that_is_out_of_range_does_not_spoil_the_batch() {
    let dir = tempfile::tempdir().unwrap();
    let saved = dir.path().join("m.safetensors");
    let model = Functional::new(i32([2]), |x| Embedding::new(5, 3).apply(x));
    model.compile(Sgd::new(0.1), MeanSquaredError, []).unwrap().save_model(&saved, 4).unwrap();
    if !built(&saved, "4") {
        return;
    }
    let named = format!("m={}", dir.path().join("libm.so").display());
    // A batch waits until it is full.
    let mut served = Served::start(&[&named, "--max-delay", "3600000000", "--timeout", "3600"]);
    assert_eq!(served.loaded(), "all models are ready\n");
    let served = &served;
    let answers: Vec<(u16, String)> = std::thread::scope(|scope| {
        let ask =
            |token: i32| served.asked("POST", "/v1/models/m:predict", &format!("{{\"instances\": [[1, {token}]]}}"));
        let threads = [3, 9, 0, 4].map(|token| scope.spawn(move || ask(token)));
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [200, 400, 200, 200], "{answers:?}");
    assert!(answers[1].1.contains("index"), "{}", answers[1].1);
}

#[test]
fn it_ends_when_it_is_asked_to_and_lives_without_a_model() {
    let mut served = Served::start(&["m=/nowhere/model.safetensors"]);
    assert!(served.loaded().starts_with("m: /nowhere/model.safetensors: "));
    assert_eq!(served.asked("GET", "/v2/health/live", "").0, 200);
    assert_eq!(served.asked("GET", "/v2/health/ready", "").0, 503);
    assert_eq!(served.asked("GET", "/v2/models/m", "").0, 503);
    assert_eq!(served.asked("GET", "/v2/models/n", "").0, 404);
    let asked = Command::new("kill").arg(served.child.id().to_string()).status().unwrap();
    assert!(asked.success());
    assert!(served.child.wait().unwrap().success());
}
