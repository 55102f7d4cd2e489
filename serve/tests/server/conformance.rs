//! Clients that nobody here wrote get what the library predicts: `tritonclient` by REST and gRPC, to the bit, and `curl`. What is answered as JSON is checked against the schema that the protocol's authors publish, and against a stricter one.

use crate::support::{TestServer, predicted, samples, small};
use gradc_serve::server::ServerOptions;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Samples that are asked for at once.
const SAMPLES: usize = 5;

/// A Python with the clients, if there is one.
fn python() -> Option<String> {
    let python = std::env::var("GRADC_PYTHON").unwrap_or_else(|_| "python3".into());
    let clients = "import numpy, tritonclient.http, tritonclient.grpc, jsonschema";
    let found = Command::new(&python).args(["-c", clients]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    println!("SKIPPED: `{python}` (GRADC_PYTHON names another) has no tritonclient[http,grpc] and jsonschema");
    None
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/conformance").join(name)
}

/// Writes the elements of a tensor, and tells the clients where they are.
fn tensor(dir: &Path, name: &str, width: usize, elements: &[f32]) -> serde_json::Value {
    let path = dir.join(name);
    std::fs::write(&path, elements.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    json!({ "name": name, "datatype": "FP32", "shape": [elements.len() / width, width], "file": path })
}

#[test]
fn public_clients_get_what_the_library_predicts() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    let mut trainer = small(&path, 1);
    let x = samples(0, SAMPLES);
    let y = predicted(&mut trainer, &x);
    let case = json!({
        "model": "m",
        "version": "1",
        "inputs": [tensor(dir.path(), "x", 2, &x)],
        "outputs": [tensor(dir.path(), "output", 3, &y)],
    });
    std::fs::write(dir.path().join("case.json"), case.to_string()).unwrap();
    let options = ServerOptions { grpc_port: Some(0), ..ServerOptions::default() };
    let server = TestServer::start(&[("m", &path)], options);
    let grpc = server.grpc.unwrap().to_string();
    let run = Command::new(python)
        .arg(file("clients.py"))
        .args([server.address.to_string(), grpc])
        .args([dir.path().join("case.json"), file("schema.json")])
        .output()
        .unwrap();
    let (told, failed) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    print!("{told}");
    assert!(run.status.success() && told.contains("all clients agree"), "{told}{failed}");
}

#[test]
fn curl_gets_predictions_in_tensorflow_s_form() {
    if !Command::new("curl").arg("--version").output().is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: there is no curl");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    let mut trainer = small(&path, 1);
    let x = samples(0, SAMPLES);
    let want: Vec<Vec<f32>> = predicted(&mut trainer, &x).chunks(3).map(<[f32]>::to_vec).collect();
    let server = TestServer::start(&[("m", &path)], ServerOptions::default());
    let body = json!({ "instances": x.chunks(2).collect::<Vec<_>>() }).to_string();
    let url = format!("http://{}/v1/models/m:predict", server.address);
    let run = Command::new("curl").args(["--silent", "--fail", "--data", &body, &url]).output().unwrap();
    assert!(run.status.success());
    let answer: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    let found: Vec<Vec<f32>> = serde_json::from_value(answer["predictions"].clone()).unwrap();
    assert_eq!(found, want);
}
