//! Who may ask, what is counted, and the id of each request.

use crate::support::{TestServer, ask, small};
use gradc_serve::keys::ApiKeys;
use gradc_serve::server::ServerOptions;
use std::path::Path;
use std::process::Command;

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn locked(dir: &Path) -> TestServer {
    let (model, keys) = (dir.join("m.safetensors"), dir.join("keys"));
    small(&model, 1);
    std::fs::write(&keys, KEY).unwrap();
    let options =
        ServerOptions { keys: Some(ApiKeys::read(&keys).unwrap()), grpc_port: Some(0), ..ServerOptions::default() };
    TestServer::start(&[("m", &model)], options)
}

#[test]
fn only_health_and_the_page_are_open_to_all() {
    let dir = tempfile::tempdir().unwrap();
    let server = locked(dir.path());
    let (good, wrong) = (format!("Bearer {KEY}"), format!("Bearer {}", KEY.replace('f', "e")));
    for path in ["/", "/v2/health/live", "/v2/health/ready"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    for path in ["/v2", "/v2/models/m", "/v2/models/none", "/metrics", "/v1/models/m", "/none"] {
        let status = |value: &str| ask(server.address, "GET", path, &[("Authorization", value)], b"").status;
        assert_eq!((server.get(path).status, status(&wrong)), (401, 401), "{path}");
        assert_ne!(status(&good), 401, "{path}");
    }
    let refused = server.get("/v2");
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    assert!(refused.json()["error"].as_str().unwrap().contains("Authorization: Bearer"));
    assert_eq!(ask(server.address, "GET", "/v2", &[("x-api-key", KEY)], b"").status, 200);
}

/// By HTTP/2, which only the other port speaks, and behind the same key.
#[test]
fn calls_need_the_key_too() {
    if !Command::new("curl")
        .arg("--version")
        .output()
        .is_ok_and(|o| String::from_utf8_lossy(&o.stdout).contains("HTTP2"))
    {
        println!("SKIPPED: there is no curl that speaks HTTP/2");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = locked(dir.path());
    let call = |method: &str, headers: &[&str], admitted: bool| {
        let message = dir.path().join("message");
        std::fs::write(&message, [0; 5]).unwrap();
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--http2-prior-knowledge",
            "--dump-header",
            "-",
            "--header",
            "content-type: application/grpc",
        ]);
        for header in headers {
            curl.args(["--header", header]);
        }
        // Some versions of curl call it a failure if they are answered before they have sent all: who is refused sends nothing.
        match admitted {
            true => curl.arg("--data-binary").arg(format!("@{}", message.display())),
            false => curl.args(["--request", "POST"]),
        };
        curl.arg(format!("http://{}/inference.GRPCInferenceService/{method}", server.grpc.unwrap()));
        let output = curl.output().unwrap();
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{method}: {}: {answer}", output.status);
        answer
    };
    let good = format!("authorization: Bearer {KEY}");
    assert!(call("ServerLive", &[], true).contains("\0\0\0\0\u{2}\u{8}\u{1}"));
    for headers in [&[][..], &["authorization: Bearer 0123456789abcdef"]] {
        assert!(call("ServerMetadata", headers, false).contains("grpc-status: 16"), "{headers:?}");
    }
    let answer = call("ServerMetadata", &[&good, "x-request-id: mine-7"], true);
    assert!(answer.contains("model_repository") && answer.contains("x-request-id: mine-7"), "{answer}");
}

#[test]
fn pages_of_other_sites_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("m.safetensors");
    small(&model, 1);
    let server = TestServer::start(&[("m", &model)], ServerOptions::default());
    let unload =
        |headers: &[(&str, &str)]| ask(server.address, "POST", "/v2/repository/models/m/unload", headers, b"").status;
    assert_eq!(unload(&[("Sec-Fetch-Site", "cross-site")]), 403);
    assert_eq!(unload(&[("Origin", "http://elsewhere.example")]), 403);
    assert_eq!(server.get("/v2/models/m/ready").status, 200);
    assert_eq!(unload(&[("Sec-Fetch-Site", "same-origin")]), 200);
}

#[test]
fn requests_are_counted_and_have_ids() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("m.safetensors");
    small(&model, 1);
    let server = TestServer::start(&[("m", &model)], ServerOptions::default());
    let body = r#"{"instances": [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]}"#;
    assert_eq!(server.post("/v1/models/m:predict", body).status, 200);
    assert_eq!(server.post("/v1/models/m:predict", r#"{"instances": [[0.1]]}"#).status, 400);
    assert_eq!(server.post("/v1/models/none:predict", body).status, 404);
    let metrics = server.get("/metrics");
    assert!(metrics.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let text = metrics.text();
    let has = |line: &str| assert!(text.lines().any(|found| found.starts_with(line)), "no {line:?} in {text}");
    has(r#"gradc_requests_total{model="m",version="1",status="ok"} 1"#);
    has(r#"gradc_request_duration_seconds_count{model="m",version="1"} 1"#);
    has(r#"gradc_batch_samples_sum{model="m",version="1"} 3"#);
    has(r#"gradc_padding_samples_total{model="m",version="1"} 1"#);
    has(r#"gradc_queue_requests{model="m",version="1"} 0"#);
    has(r#"gradc_model_memory_bytes{model="m",version="1"} "#);
    has(r#"gradc_loads_total{model="m",version="1",status="ok"} 1"#);
    has(r#"gradc_responses_total{protocol="http",code="404"} 1"#);
    has("process_resident_memory_bytes ");
    assert!(text.ends_with("# EOF\n"));
    let (one, two) = (server.get("/v2"), server.get("/none"));
    let id = |answer: &crate::support::ClientAnswer| answer.header("x-request-id").unwrap().to_string();
    assert!(!id(&one).is_empty() && id(&one) != id(&two));
    assert_eq!(id(&ask(server.address, "GET", "/v2", &[("X-Request-Id", "mine-7")], b"")), "mine-7");
    // What was unloaded hasn't failed.
    assert_eq!(server.post("/v2/repository/models/m/unload", "").status, 200);
    let metrics = server.get("/metrics");
    assert!(!metrics.text().contains(r#"status="failed""#) && metrics.text().contains("gradc_loads_total"));
}
