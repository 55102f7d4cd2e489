//! The Open Inference Protocol.

use crate::support::{ClientAnswer, TestServer, ask, predicted, samples, small, two_by_two};
use gradc::data::Column;
use gradc::prelude::*;
use gradc_serve::server::ServerOptions;
use serde_json::json;

#[test]
fn it_says_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    two_by_two(&path);
    let server = TestServer::start(&[("m", &path), ("gone", &dir.path().join("none"))], ServerOptions::default());
    assert_eq!(server.get("/v2/health/live").json(), json!({ "live": true }));
    // One of the models can't be loaded.
    assert_eq!(server.get("/v2/health/ready").status, 503);
    assert_eq!(server.get("/v2").json()["name"], "gradc");
    assert_eq!(server.get("/v2/models/m/ready").json(), json!({ "name": "m", "ready": true }));
    assert_eq!(server.get("/v2/models/m/versions/1/ready").status, 200);
    assert_eq!(server.get("/v2/models/m/versions/2/ready").status, 404);
    assert_eq!(server.get("/v2/models/gone/ready").status, 503);
    assert_eq!(server.get("/v2/models/other").status, 404);
    assert_eq!(server.get("/v3").status, 404);
    let metadata = json!({
        "name": "m",
        "versions": ["1"],
        "platform": "gradc",
        "inputs": [
            { "name": "x", "datatype": "FP32", "shape": [-1, 2] },
            { "name": "token", "datatype": "INT32", "shape": [-1] },
        ],
        "outputs": [{ "name": "output", "datatype": "FP32", "shape": [-1, 3] }],
    });
    assert_eq!(server.get("/v2/models/m").json(), metadata);
    assert_eq!(server.get("/v2/models/m/versions/1").json(), metadata);
}

/// The bytes of an input of [`two_by_two`], and what it gives.
fn two_samples() -> (Vec<u8>, Vec<u8>, Vec<f32>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut trainer = two_by_two(&dir.path().join("m.safetensors"));
    let (x, token) = ([0.5f32, -1.0, 2.0, 0.1], [4i32, 1]);
    let data = Dataset::unlabelled(array([2, 2], x.to_vec()).unwrap()).unwrap();
    let data = data.with("token", Column::new(array([2], token.to_vec()).unwrap()).unwrap()).unwrap();
    let want = trainer.predict(&data).unwrap().as_f32().unwrap().to_vec();
    let bytes = |parts: Vec<[u8; 4]>| parts.concat();
    let x = bytes(x.iter().map(|x| x.to_le_bytes()).collect());
    (x, bytes(token.iter().map(|t| t.to_le_bytes()).collect()), want, dir)
}

#[test]
fn tensors_as_bytes_are_predicted_to_the_bit() {
    let (x, token, want, dir) = two_samples();
    let server = TestServer::start(&[("m", &dir.path().join("m.safetensors"))], ServerOptions::default());
    let head = json!({
        "id": "seven",
        "inputs": [
            // The order is the client's.
            { "name": "token", "datatype": "INT32", "shape": [2], "parameters": { "binary_data_size": 8 } },
            { "name": "x", "datatype": "FP32", "shape": [2, 2], "parameters": { "binary_data_size": 16 } },
        ],
        "outputs": [{ "name": "output", "parameters": { "binary_data": true } }],
    });
    let head = head.to_string();
    let length = head.len().to_string();
    let headers = [("Inference-Header-Content-Length", &*length)];
    let body = [head.as_bytes(), &token, &x].concat();
    let answer = ask(server.address, "POST", "/v2/models/m/versions/1/infer", &headers, &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let length: usize = answer.header("Inference-Header-Content-Length").unwrap().parse().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&answer.body[..length]).unwrap();
    let output = json!({
        "name": "output", "datatype": "FP32", "shape": [2, 3], "parameters": { "binary_data_size": 24 },
    });
    assert_eq!(json, json!({ "model_name": "m", "model_version": "1", "id": "seven", "outputs": [output] }));
    let found: Vec<f32> = answer.body[length..].as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    assert_eq!(found, want);
}

#[test]
fn numbers_of_json_are_predicted_to_the_bit() {
    let (_, _, want, dir) = two_samples();
    let server = TestServer::start(&[("m", &dir.path().join("m.safetensors"))], ServerOptions::default());
    let with = |x: &str| {
        format!(
            r#"{{"inputs": [{{"data": {x}, "name": "x", "shape": [2, 2], "datatype": "FP32"}},
                {{"name": "token", "datatype": "INT32", "shape": [2], "data": [4, 1]}}]}}"#
        )
    };
    for x in ["[0.5, -1, 2.0, 0.1]", "[[0.5, -1.0], [2, 1e-1]]"] {
        let answer = server.post("/v2/models/m/infer", &with(x));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let json = answer.json();
        assert_eq!(json["outputs"][0]["shape"], json!([2, 3]));
        let found: Vec<f32> =
            json["outputs"][0]["data"].as_array().unwrap().iter().map(|y| y.as_f64().unwrap() as f32).collect();
        assert_eq!(found, want);
    }
}

fn refused(answer: &ClientAnswer, status: u16, what: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let why = answer.json()["error"].as_str().unwrap().to_string();
    assert!(why.contains(what), "{why}");
}

#[test]
fn what_does_not_fit_the_model_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    two_by_two(&path);
    let server = TestServer::start(&[("m", &path)], ServerOptions::default());
    let ask = |inputs: serde_json::Value| server.post("/v2/models/m/infer", &json!({ "inputs": inputs }).to_string());
    let x = |shape: &[i64], datatype: &str, data: serde_json::Value| json!({ "name": "x", "shape": shape, "datatype": datatype, "data": data });
    let token = |data: &[i64]| json!({ "name": "token", "shape": [data.len()], "datatype": "INT32", "data": data });
    refused(&ask(json!([x(&[1, 2], "FP32", json!([1, 2]))])), 400, "\"token\" is missing");
    refused(&ask(json!([x(&[1, 3], "FP32", json!([1, 2, 3])), token(&[1])])), 400, "the model takes FP32[-1, 2]");
    refused(&ask(json!([x(&[1, 2], "FP64", json!([1, 2])), token(&[1])])), 400, "FP64[1, 2]");
    refused(&ask(json!([x(&[1, 2], "FP32", json!([1, 2])), token(&[1, 2])])), 400, "2 samples");
    refused(&ask(json!([x(&[1, 2], "FP32", json!([1])), token(&[1])])), 400, "has 4 bytes, not 8");
    refused(&ask(json!([x(&[1, 2], "FP32", json!(["a"])), token(&[1])])), 400, "string");
    refused(&ask(json!([x(&[1 << 40, 1 << 40], "FP32", json!([1]))])), 400, "larger than memory");
    refused(&ask(json!([x(&[1 << 40, 2], "FP32", json!([1])), token(&[1])])), 400, "has 4 bytes");
    refused(&ask(json!([x(&[1, 2], "BYTES", json!(["a", "b"]))])), 400, "strings");
    refused(&ask(json!([x(&[1, 2], "FP32", json!([1, 2])), token(&[5])])), 400, "sample 0 of \"token\" holds 5");
    let nine = vec![0; 9];
    refused(&ask(json!([x(&[9, 2], "FP32", json!([0; 18].to_vec())), token(&nine)])), 413, "at most 8");
    refused(&ask(json!([x(&[1, 2], "FP32", json!([1, 2])), token(&[1]), token(&[1])])), 400, "given twice");
    refused(&server.post("/v2/models/m/infer", "{\"inputs\": [}"), 400, "isn't what the protocol says");
    refused(&server.post("/v2/models/n/infer", "{}"), 404, "no model \"n\"");
    refused(&server.post("/v2/models/m/versions/9/infer", "{}"), 404, "no version 9");
}

#[test]
fn models_are_unloaded_and_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    let mut trainer = small(&path, 1);
    let server = TestServer::start(&[("m", &path)], ServerOptions::default());
    let index = |body: &str| server.post("/v2/repository/index", body).json();
    let ready = json!([{ "name": "m", "version": "1", "state": "READY", "reason": "" }]);
    assert_eq!(index(""), ready);
    assert_eq!(server.post("/v2/repository/models/m/unload", "").status, 200);
    assert_eq!(index("{}")[0]["state"], "UNAVAILABLE");
    assert_eq!(index("{\"ready\": true}"), json!([]));
    let x = samples(0, 1);
    let body = json!({ "inputs": [{ "name": "x", "shape": [1, 2], "datatype": "FP32", "data": x }] }).to_string();
    assert_eq!(server.post("/v2/models/m/infer", &body).status, 503);
    assert_eq!(server.post("/v2/repository/models/m/load", "").status, 200);
    assert_eq!(index(""), ready);
    let answer = server.post("/v2/models/m/infer", &body).json();
    let found = answer["outputs"][0]["data"][0].as_f64().unwrap() as f32;
    assert_eq!(found, predicted(&mut trainer, &x)[0]);
    let with_config = server.post("/v2/repository/models/m/load", "{\"parameters\": {\"config\": \"{}\"}}");
    refused(&with_config, 400, "\"config\" isn't provided");
    refused(&server.post("/v2/repository/models/n/load", ""), 404, "no model");
}
