//! TensorFlow Serving's form.

use crate::support::{TestServer, predicted, samples, small, two_by_two};
use gradc_serve::server::ServerOptions;
use serde_json::json;

#[test]
fn rows_and_columns_are_predicted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    let mut trainer = small(&path, 1);
    let server = TestServer::start(&[("m", &path)], ServerOptions::default());
    let x = samples(0, 3);
    let want = predicted(&mut trainer, &x);
    let rows: Vec<&[f32]> = x.chunks(2).collect();
    // Not as `Value`, whose numbers are of 64 bits.
    let wanted = serde_json::to_string(&want.chunks(3).collect::<Vec<_>>()).unwrap();
    let named: Vec<_> = rows.iter().map(|row| json!({ "x": row })).collect();
    for instances in [json!(rows), json!(named)] {
        let body = json!({ "signature_name": "serving_default", "instances": instances }).to_string();
        for path in ["/v1/models/m:predict", "/v1/models/m/versions/1:predict"] {
            let answer = server.post(path, &body);
            assert_eq!(answer.text(), format!("{{\"predictions\":{wanted}}}"));
        }
    }
    for inputs in [json!(rows), json!({ "x": rows })] {
        let answer = server.post("/v1/models/m:predict", &json!({ "inputs": inputs }).to_string());
        assert_eq!(answer.text(), format!("{{\"outputs\":{wanted}}}"));
    }
}

#[test]
fn rows_of_several_inputs_have_each() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    two_by_two(&path);
    let server = TestServer::start(&[("m", &path)], ServerOptions::default());
    let predict = |body: &str| server.post("/v1/models/m:predict", body);
    let rows = predict(r#"{"instances": [{"x": [1, 2], "token": 3}, {"token": 0, "x": [0.5, 4]}]}"#);
    let columns = predict(r#"{"inputs": {"x": [[1, 2], [0.5, 4]], "token": [3, 0]}}"#);
    assert_eq!((rows.status, columns.status), (200, 200), "{} {}", rows.text(), columns.text());
    assert_eq!(rows.json()["predictions"], columns.json()["outputs"]);
    let refused = |body: &str, what: &str| {
        let answer = predict(body);
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.text().contains(what), "{}", answer.text());
    };
    refused(r#"{"instances": [{"x": [1, 2]}]}"#, "each of the model's inputs once");
    refused(r#"{"instances": [{"x": [1, 2], "token": 1, "token": 2}]}"#, "each of the model's inputs once");
    refused(r#"{"instances": [[1, 2]]}"#, "several inputs");
    refused(r#"{"instances": [{"x": [1, 2], "tokens": 3}]}"#, "no input");
    refused(r#"{"instances": {"x": [1, 2]}}"#, "a list");
    refused(r#"{"instances": []}"#, "is missing");
    refused(r#"{"inputs": {"x": [[1, 2], [3]], "token": [0, 1]}}"#, "2 and 1");
    refused(r#"{"instances": [1], "inputs": [1]}"#, "either");
    refused(r#"{"signature_name": "other", "instances": [1]}"#, "no other signature");
    refused(r#"{"inputs": {"x": [[1, 2]], "token": [7]}}"#, "holds 7");
}

#[test]
fn models_and_their_signature_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    small(&path, 1);
    let server = TestServer::start(&[("m", &path)], ServerOptions::default());
    let version =
        json!({ "version": "1", "state": "AVAILABLE", "status": { "error_code": "OK", "error_message": "" } });
    let status = json!({ "model_version_status": [version] });
    assert_eq!(server.get("/v1/models/m").json(), status);
    assert_eq!(server.get("/v1/models/m/versions/1").json(), status);
    assert_eq!(server.get("/v1/models/m/versions/2").status, 404);
    assert_eq!(server.get("/v1/models/n").status, 404);
    let metadata = server.get("/v1/models/m/metadata").json();
    let signature = &metadata["metadata"]["signature_def"]["signature_def"]["serving_default"];
    assert_eq!(metadata["model_spec"], json!({ "name": "m", "signature_name": "", "version": "1" }));
    assert_eq!(signature["inputs"]["x"]["dtype"], "DT_FLOAT");
    assert_eq!(signature["inputs"]["x"]["tensor_shape"]["dim"][0]["size"], "-1");
    assert_eq!(signature["outputs"]["output"]["tensor_shape"]["dim"][1]["size"], "3");
    assert_eq!(server.post("/v1/models/m:classify", "{}").status, 400);
    assert_eq!(server.post("/v1/models/m", "{}").status, 400);
}
