//! TensorFlow Serving's REST form: `/v1/models/NAME`, `:predict`, `/metadata`.

mod predict;

use super::answer::{json, told};
use super::{Addressed, Shared};
use crate::engine::{Failure, ModelState, ModelStatus, TensorMetadata, UNLOADED};
use crate::tensor::Datatype;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, StatusCode};
use serde_json::{Map, Value, json};

/// The only signature that models have.
const SIGNATURE: &str = "serving_default";

pub(super) async fn status(State(shared): State<Shared>, Path(at): Path<Addressed>) -> Response<Body> {
    let named = |model: &ModelStatus| {
        model.name == at.model && at.version.as_ref().is_none_or(|version| model.version == *version)
    };
    let models: Vec<ModelStatus> = shared.engine.models().into_iter().filter(named).collect();
    if models.is_empty() {
        let known = shared.engine.model_ready(&at.model, at.version.as_deref());
        let none = || Failure::NotFound("there is no such version".into());
        return told(Err(known.err().unwrap_or_else(none)));
    }
    let status: Vec<Value> = models.iter().rev().map(version_status).collect();
    json(StatusCode::OK, &json!({ "model_version_status": status }))
}

fn version_status(model: &ModelStatus) -> Value {
    let failed = model.state == ModelState::Unavailable && model.reason != UNLOADED;
    let state = match model.state {
        ModelState::Loading => "LOADING",
        ModelState::Ready => "AVAILABLE",
        ModelState::Unloading => "UNLOADING",
        ModelState::Unavailable => "END",
    };
    let code = if failed { "INTERNAL" } else { "OK" };
    let status = json!({ "error_code": code, "error_message": if failed { &model.reason } else { "" } });
    json!({ "version": model.version, "state": state, "status": status })
}

pub(super) async fn metadata(State(shared): State<Shared>, Path(at): Path<Addressed>) -> Response<Body> {
    told(shared.engine.metadata(&at.model, at.version.as_deref()).map(|metadata| {
        let ports = |ports: &[TensorMetadata]| -> Map<String, Value> {
            ports.iter().map(|port| (port.name.clone(), tensor(port))).collect()
        };
        let signature = json!({
            "inputs": ports(&metadata.inputs),
            "outputs": ports(&metadata.outputs),
            "method_name": "tensorflow/serving/predict",
        });
        let version = at.version.or(metadata.versions.last().cloned()).unwrap_or_default();
        let body = json!({
            "model_spec": { "name": metadata.name, "signature_name": "", "version": version },
            "metadata": { "signature_def": { "signature_def": { SIGNATURE: signature } } },
        });
        json(StatusCode::OK, &body)
    }))
}

fn tensor(port: &TensorMetadata) -> Value {
    let dim = |extent: &i64| json!({ "size": extent.to_string(), "name": "" });
    let dims: Vec<Value> = port.shape.iter().map(dim).collect();
    json!({
        "name": port.name,
        "dtype": dtype(port.datatype),
        "tensor_shape": { "dim": dims, "unknown_rank": false },
    })
}

/// TensorFlow's name of an element type.
fn dtype(datatype: Datatype) -> &'static str {
    match datatype {
        Datatype::Bool => "DT_BOOL",
        Datatype::Uint8 => "DT_UINT8",
        Datatype::Uint16 => "DT_UINT16",
        Datatype::Uint32 => "DT_UINT32",
        Datatype::Uint64 => "DT_UINT64",
        Datatype::Int8 => "DT_INT8",
        Datatype::Int16 => "DT_INT16",
        Datatype::Int32 => "DT_INT32",
        Datatype::Int64 => "DT_INT64",
        Datatype::Fp16 => "DT_HALF",
        Datatype::Fp32 => "DT_FLOAT",
        Datatype::Fp64 => "DT_DOUBLE",
        Datatype::Bf16 => "DT_BFLOAT16",
        Datatype::Bytes => "DT_STRING",
    }
}

/// `POST NAME:predict`: the verb stands in the last part of the address.
pub(super) async fn call(
    State(shared): State<Shared>,
    Path(at): Path<Addressed>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let (last, versioned) = match &at.version {
        Some(version) => (version, true),
        None => (&at.model, false),
    };
    let Some((name, verb)) = last.rsplit_once(':') else {
        return told(Err(Failure::Invalid("the address has no verb: `NAME:predict`".into())));
    };
    if verb != "predict" {
        return told(Err(Failure::Invalid("there is no other verb than `predict`".into())));
    }
    let at = match versioned {
        true => Addressed { version: Some(name.into()), model: at.model },
        false => Addressed { version: None, model: name.into() },
    };
    told(predict::answer(&shared, at, &headers, body).await)
}
