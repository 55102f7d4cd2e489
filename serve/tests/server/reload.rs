//! Models that are replaced while requests come.

use crate::support::{SAMPLES, TestServer, near, predicted, samples, small};
use gradc_serve::server::ServerOptions;
use serde_json::json;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The one row that was asked for.
fn row(answer: &serde_json::Value) -> Vec<f32> {
    answer["predictions"][0].as_array().unwrap().iter().map(|y| y.as_f64().unwrap() as f32).collect()
}

#[test]
fn no_request_fails_while_a_model_is_loaded_anew_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    let (mut one, mut two) = (small(&path, 1), small(&dir.path().join("other.safetensors"), 2));
    let server = TestServer::start(&[("m", &path)], ServerOptions::default());
    let x = samples(0, 1);
    let known = [predicted(&mut one, &x), predicted(&mut two, &x)];
    let body = json!({ "instances": [x] }).to_string();
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let answer = server.post("/v1/models/m:predict", &body);
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    let found = row(&answer.json());
                    assert!(known.iter().any(|known| near(&found, known)), "{found:?}");
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for turn in 0..100 {
            if turn % 2 == 0 { &mut two } else { &mut one }.save_model(&path, SAMPLES).unwrap();
            let answer = server.post("/v2/repository/models/m/load", "");
            assert_eq!(answer.status, 200, "{}", answer.text());
            let found = row(&server.post("/v1/models/m:predict", &body).json());
            assert!(near(&found, &known[1 - turn % 2]), "{found:?}");
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(asked.load(Ordering::Relaxed) >= 100, "{asked:?}");
}

#[test]
fn the_newest_good_version_stays_when_a_new_one_fails() {
    let dir = tempfile::tempdir().unwrap();
    let file = |version: u64| dir.path().join(format!("{version}.safetensors"));
    let mut one = small(&file(1), 1);
    let server = TestServer::start(&[("m", dir.path())], ServerOptions::default());
    let x = samples(0, 1);
    let body = json!({ "inputs": [{ "name": "x", "shape": [1, 2], "datatype": "FP32", "data": x }] }).to_string();
    let asked = |path: &str| {
        let answer = server.post(path, &body).json();
        let first = answer["outputs"][0]["data"][0].as_f64().unwrap() as f32;
        (answer["model_version"].as_str().unwrap().to_string(), first)
    };
    let by_one = ("1".to_string(), predicted(&mut one, &x)[0]);
    assert_eq!(asked("/v2/models/m/infer"), by_one);
    std::fs::write(file(2), "no model").unwrap();
    assert_eq!(server.post("/v2/repository/models/m/load", "").status, 400);
    assert_eq!(asked("/v2/models/m/infer"), by_one);
    let states = || -> Vec<(String, String)> {
        let index = server.post("/v2/repository/index", "").json();
        let text = |entry: &serde_json::Value, key: &str| entry[key].as_str().unwrap().to_string();
        index.as_array().unwrap().iter().map(|entry| (text(entry, "version"), text(entry, "state"))).collect()
    };
    let of = |version: &str, state: &str| (version.to_string(), state.to_string());
    assert_eq!(states(), [of("1", "READY"), of("2", "UNAVAILABLE")]);
    assert_eq!(server.post("/v2/models/m/versions/2/infer", &body).status, 503);
    let mut two = small(&file(2), 2);
    assert_eq!(server.post("/v2/repository/models/m/load", "").status, 200);
    let by_two = ("2".to_string(), predicted(&mut two, &x)[0]);
    assert_eq!(asked("/v2/models/m/infer"), by_two);
    assert_eq!(asked("/v2/models/m/versions/1/infer"), by_one);
    // What has gone from the folder goes from the server.
    std::fs::remove_file(file(1)).unwrap();
    assert_eq!(server.post("/v2/repository/models/m/load", "").status, 200);
    assert_eq!(states(), [of("1", "UNAVAILABLE"), of("2", "READY")]);
    assert_eq!(server.get("/v2/models/m").json()["versions"], json!(["2"]));
}
