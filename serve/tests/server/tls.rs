//! Encrypted connections, by `curl` and a certificate that `openssl` makes.

use crate::support::{TestServer, small};
use gradc_serve::server::ServerOptions;
use gradc_serve::tls::{TlsError, TlsFiles, config};
use std::path::Path;
use std::process::Command;

/// A certificate of `localhost`, signed by itself.
fn certificate(dir: &Path) -> Option<TlsFiles> {
    let files = TlsFiles { certificate: dir.join("certificate.pem"), key: dir.join("key.pem") };
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
    openssl.arg("-out").arg(&files.certificate).arg("-keyout").arg(&files.key);
    if openssl.output().is_ok_and(|output| output.status.success()) {
        return Some(files);
    }
    println!("SKIPPED: there is no openssl");
    None
}

#[test]
fn both_ports_are_encrypted() {
    let dir = tempfile::tempdir().unwrap();
    let Some(files) = certificate(dir.path()) else { return };
    let path = dir.path().join("m.safetensors");
    small(&path, 1);
    let tls = Some(files.clone());
    let server =
        TestServer::start(&[("m", &path)], ServerOptions { grpc_port: Some(0), tls, ..ServerOptions::default() });
    let curl = |port: u16, scheme: &str, path: &str| {
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--max-time",
            "60",
            "--write-out",
            "%{http_version} %{http_code}",
            "--output",
            "/dev/null",
        ]);
        curl.arg("--cacert").arg(&files.certificate);
        let url = format!("{scheme}://localhost:{port}{path}");
        let output = curl.args(["--resolve", &format!("localhost:{port}:127.0.0.1"), &url]).output();
        output.ok().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (rest, grpc) = (server.address.port(), server.grpc.unwrap().port());
    let Some(answer) = curl(rest, "https", "/v2/models/m/ready") else {
        println!("SKIPPED: there is no curl");
        return;
    };
    assert_eq!(answer, "1.1 200");
    // No call, but what an address without a method says, by the protocol that was agreed upon.
    assert_eq!(curl(grpc, "https", "/none").unwrap(), "2 404");
    assert!(curl(rest, "http", "/v2/models/m/ready").unwrap().ends_with(" 000"));
}

#[test]
fn files_that_are_none_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let Some(files) = certificate(dir.path()) else { return };
    assert!(config(&files, "h2").is_ok());
    let missing = TlsFiles { key: dir.path().join("none"), ..files.clone() };
    assert!(matches!(config(&missing, "h2"), Err(TlsError::File { .. })));
    let swapped = TlsFiles { key: files.certificate.clone(), ..files.clone() };
    assert!(matches!(config(&swapped, "h2"), Err(TlsError::File { .. })));
    let other = dir.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let Some(others) = certificate(&other) else { return };
    let mixed = TlsFiles { key: others.key, ..files };
    assert!(matches!(config(&mixed, "h2"), Err(TlsError::Pair { .. })));
}
