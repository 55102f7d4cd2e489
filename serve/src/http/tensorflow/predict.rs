//! `:predict`: instances row by row, or inputs column by column.

use super::SIGNATURE;
use crate::engine::{Failure, InferRequest, InferResponse, ModelMetadata, TensorMetadata};
use crate::http::answer::bytes;
use crate::http::elements::{ElementReader, append};
use crate::http::{Addressed, Shared};
use crate::tensor::InferTensor;
use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// What a request says beside the elements.
#[derive(Deserialize)]
struct PredictHead {
    signature_name: Option<String>,
    instances: Option<IgnoredAny>,
    inputs: Option<IgnoredAny>,
}

pub(super) async fn answer(
    shared: &Shared,
    at: Addressed,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failure> {
    let metadata = shared.engine.metadata(&at.model, at.version.as_deref())?;
    let body = shared.budget.read(headers, body, &shared.options).await?;
    let (inputs, form) = parse(&body.bytes, &metadata)?;
    drop(body);
    let request = InferRequest { model: at.model, version: at.version, inputs, ..InferRequest::default() };
    write(&shared.engine.infer(request).await?, form)
}

/// How a request has its inputs, and gets its outputs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PredictForm {
    /// `instances` and `predictions`: a row for each sample.
    Row,
    /// `inputs` and `outputs`: a tensor for each name.
    Column,
}

/// The inputs of a request to a model.
fn parse(text: &[u8], model: &ModelMetadata) -> Result<(Vec<InferTensor>, PredictForm), Failure> {
    let malformed = |e: serde_json::Error| Failure::Invalid(format!("the request isn't what the form says: {e}"));
    let head: PredictHead = serde_json::from_slice(text).map_err(malformed)?;
    if head.signature_name.is_some_and(|name| name != SIGNATURE) {
        return Err(Failure::Invalid(format!("there is no other signature than {SIGNATURE:?}")));
    }
    let form = match (head.instances, head.inputs) {
        (Some(_), None) => PredictForm::Row,
        (None, Some(_)) => PredictForm::Column,
        _ => return Err(Failure::Invalid("a request has either `instances` or `inputs`".into())),
    };
    let reader = |port: &TensorMetadata| {
        let sample = port.shape.iter().filter(|extent| **extent > 0).product::<i64>();
        let limit = usize::try_from(sample).unwrap_or(usize::MAX).saturating_mul(model.max_batch);
        (port.name.clone(), ElementReader::new(port.datatype, limit))
    };
    let mut body = PredictBody { form, readers: model.inputs.iter().map(reader).collect() };
    let mut json = serde_json::Deserializer::from_slice(text);
    (&mut body).deserialize(&mut json).map_err(malformed)?;
    let tensor = |((name, reader), port): ((String, ElementReader), &TensorMetadata)| {
        if reader.len() == 0 {
            return Err(Failure::Invalid(format!("the input {name:?} is missing")));
        }
        let shape: Vec<i64> = reader.shape().into_iter().map(|extent| extent as i64).collect();
        Ok(InferTensor::new(name, port.datatype, &shape, reader.bytes)?)
    };
    let inputs = body.readers.into_iter().zip(&model.inputs).map(tensor).collect::<Result<_, _>>()?;
    Ok((inputs, form))
}

/// Reads the elements of all inputs.
struct PredictBody {
    form: PredictForm,
    readers: Vec<(String, ElementReader)>,
}

/// `instances`, or `inputs`: a list of rows, or columns by name.
struct PredictData<'b>(&'b mut PredictBody);

/// One row of `instances`, of which `rows` came before.
struct PredictRow<'b> {
    body: &'b mut PredictBody,
    rows: usize,
}

impl PredictBody {
    fn reader<E: Error>(&mut self, name: &str) -> Result<&mut ElementReader, E> {
        let found = self.readers.iter_mut().find(|(known, _)| known == name).map(|(_, reader)| reader);
        found
            .ok_or_else(|| E::custom(format!("the model has no input {:?}", name.chars().take(64).collect::<String>())))
    }

    /// The reader of a model with one input.
    fn only<E: Error>(&mut self) -> Result<&mut ElementReader, E> {
        match &mut self.readers[..] {
            [(_, reader)] => Ok(reader),
            _ => Err(E::custom("the model has several inputs: name each")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for &mut PredictBody {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut PredictBody {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match &*key {
                "instances" | "inputs" => map.next_value_seed(PredictData(self))?,
                _ => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for PredictData<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.0.form {
            PredictForm::Row => deserializer.deserialize_seq(self),
            PredictForm::Column => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for PredictData<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of instances, or inputs by name")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let body = self.0;
        if body.form == PredictForm::Column {
            let reader = body.only()?;
            return serde::de::value::SeqAccessDeserializer::new(list).deserialize_any(reader);
        }
        body.readers.iter_mut().for_each(|(_, reader)| reader.begin_rows());
        let mut rows = 0;
        while list.next_element_seed(PredictRow { body: &mut *body, rows })?.is_some() {
            rows += 1;
        }
        body.readers.iter_mut().for_each(|(_, reader)| reader.end_rows(rows));
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if self.0.form == PredictForm::Row {
            return Err(A::Error::custom("`instances` is a list"));
        }
        while let Some(name) = map.next_key::<Cow<'_, str>>()? {
            let reader = self.0.reader(&name)?;
            if reader.len() > 0 {
                return Err(A::Error::custom("an input is given twice"));
            }
            map.next_value_seed(reader)?;
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for PredictRow<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PredictRow<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an instance: elements, or elements by the inputs' names")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.body.only()?.visit_bool(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.body.only()?.visit_i64(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.body.only()?.visit_u64(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.body.only()?.visit_f64(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<(), A::Error> {
        self.body.only()?.visit_seq(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'_, str>>()? {
            map.next_value_seed(self.body.reader(&name)?)?;
        }
        let most = self.body.readers.iter().map(|(_, reader)| reader.rows()).max();
        let least = self.body.readers.iter().map(|(_, reader)| reader.rows()).min();
        match most == least && least == Some(self.rows + 1) {
            true => Ok(()),
            false => Err(A::Error::custom("an instance has each of the model's inputs once")),
        }
    }
}

/// Writes an answer in the form of the request.
fn write(response: &InferResponse, form: PredictForm) -> Result<Response<Body>, Failure> {
    let mut text = vec![];
    let done = match form {
        PredictForm::Row => rows(&response.outputs, &mut text),
        PredictForm::Column => columns(&response.outputs, &mut text),
    };
    match done {
        true => Ok(bytes(StatusCode::OK, "application/json", text.into())),
        false => Err(Failure::Invalid("an output has NaN or infinite elements, which JSON has not".into())),
    }
}

fn columns(outputs: &[InferTensor], text: &mut Vec<u8>) -> bool {
    text.extend_from_slice(b"{\"outputs\":");
    if let [output] = outputs {
        let done = append_shaped(output, text);
        text.push(b'}');
        return done;
    }
    for (number, output) in outputs.iter().enumerate() {
        text.push(if number == 0 { b'{' } else { b',' });
        if !key(output.name(), text) || !append_shaped(output, text) {
            return false;
        }
    }
    text.extend_from_slice(b"}}");
    true
}

fn rows(outputs: &[InferTensor], text: &mut Vec<u8>) -> bool {
    text.extend_from_slice(b"{\"predictions\":");
    if let [output] = outputs {
        let done = append_shaped(output, text);
        text.push(b'}');
        return done;
    }
    let rows = outputs.first().and_then(|output| output.shape().first().copied()).unwrap_or(0);
    text.push(b'[');
    for row in 0..rows {
        if row > 0 {
            text.push(b',');
        }
        for (number, output) in outputs.iter().enumerate() {
            text.push(if number == 0 { b'{' } else { b',' });
            let part = output.row(row);
            if !key(output.name(), text) || !part.is_some_and(|part| append_shaped(&part, text)) {
                return false;
            }
        }
        text.push(b'}');
    }
    text.extend_from_slice(b"]}");
    true
}

fn key(name: &str, text: &mut Vec<u8>) -> bool {
    let written = serde_json::to_writer(&mut *text, name).is_ok();
    text.push(b':');
    written
}

/// A tensor as lists in lists; without axes, as its one element.
fn append_shaped(tensor: &InferTensor, text: &mut Vec<u8>) -> bool {
    if tensor.shape().is_empty() {
        let start = text.len();
        if !append(tensor, &[1], text) {
            return false;
        }
        text.pop();
        text.remove(start);
        return true;
    }
    append(tensor, tensor.shape(), text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tensor::Datatype;

    #[test]
    fn single_elements_have_no_lists_and_what_is_no_number_is_refused() {
        let scalar = |x: f32| [InferTensor::new("y", Datatype::Fp32, &[], x.to_le_bytes().to_vec()).unwrap()];
        let mut text = vec![];
        assert!(columns(&scalar(0.5), &mut text));
        assert_eq!(text, b"{\"outputs\":0.5}");
        assert!(!columns(&scalar(f32::NAN), &mut vec![]));
        let rows_of = |x: f32| {
            ["y", "z"].map(|name| InferTensor::new(name, Datatype::Fp32, &[1], x.to_le_bytes().to_vec()).unwrap())
        };
        text.clear();
        assert!(rows(&rows_of(2.0), &mut text));
        assert_eq!(String::from_utf8(text).unwrap(), r#"{"predictions":[{"y":2.0,"z":2.0}]}"#);
        assert!(!rows(&rows_of(f32::INFINITY), &mut vec![]));
    }
}
