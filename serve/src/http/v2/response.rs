//! An answer of the Open Inference Protocol.

use super::JSON_LENGTH;
use super::request::OutputForm;
use crate::engine::{Failure, InferResponse};
use crate::http::answer::bytes;
use crate::http::elements::append;
use crate::tensor::InferTensor;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode};
use serde_json::json;

/// Writes an answer: JSON, and behind it the outputs that are wanted as bytes.
///
/// # Errors
/// An output that isn't finite and is wanted as JSON, which has no number for that.
pub(super) fn write(response: &InferResponse, form: &OutputForm) -> Result<Response<Body>, Failure> {
    let mut head = json!({ "model_name": response.model, "model_version": response.version });
    if let (Some(id), Some(head)) = (&response.id, head.as_object_mut()) {
        head.insert("id".into(), id.as_str().into());
    }
    let mut text = head.to_string().into_bytes();
    // The outputs are appended before the brace that ends it.
    text.pop();
    text.extend_from_slice(b",\"outputs\":[");
    let mut binary: Vec<&InferTensor> = vec![];
    for (number, output) in response.outputs.iter().enumerate() {
        if number > 0 {
            text.push(b',');
        }
        let is_binary = form.is_binary(output.name());
        append_output(output, is_binary, &mut text)?;
        binary.extend(is_binary.then_some(output));
    }
    text.extend_from_slice(b"]}");
    if binary.is_empty() {
        return Ok(bytes(StatusCode::OK, "application/json", text.into()));
    }
    let length = text.len();
    text.reserve_exact(binary.iter().map(|output| output.data().len()).sum());
    binary.iter().for_each(|output| text.extend_from_slice(output.data()));
    let mut response = bytes(StatusCode::OK, "application/octet-stream", text.into());
    response.headers_mut().insert(JSON_LENGTH, HeaderValue::from(length));
    Ok(response)
}

fn append_output(output: &InferTensor, is_binary: bool, text: &mut Vec<u8>) -> Result<(), Failure> {
    let (name, datatype, shape) = (output.name(), output.datatype().name(), output.shape());
    let mut head = json!({ "name": name, "datatype": datatype, "shape": shape });
    if is_binary {
        head["parameters"] = json!({ "binary_data_size": output.data().len() });
        text.extend_from_slice(head.to_string().as_bytes());
        return Ok(());
    }
    text.extend_from_slice(head.to_string().as_bytes());
    text.pop();
    text.extend_from_slice(b",\"data\":");
    if !append(output, &[], text) {
        let why = format!("the output {name:?} has NaN or infinite elements, which JSON has not: ask for binary_data");
        return Err(Failure::Invalid(why));
    }
    text.push(b'}');
    Ok(())
}
