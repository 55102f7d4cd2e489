//! A request of the Open Inference Protocol: JSON, perhaps with tensors as bytes behind it.

use super::JSON_LENGTH;
use crate::engine::{Failure, InferRequest};
use crate::http::Addressed;
use crate::http::elements::ElementReader;
use crate::tensor::{Datatype, InferTensor, TensorError};
use axum::http::HeaderMap;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

/// In which form a client wants the outputs.
#[derive(Default)]
pub(super) struct OutputForm {
    /// Those as bytes that aren't named.
    all_binary: bool,
    named: Vec<(String, bool)>,
}

impl OutputForm {
    /// Whether an output is sent as bytes.
    pub(super) fn is_binary(&self, output: &str) -> bool {
        let named = self.named.iter().find(|(name, _)| name == output);
        named.map_or(self.all_binary, |(_, binary)| *binary)
    }
}

/// What a request says beside the elements.
#[derive(Deserialize)]
struct RequestHead {
    id: Option<String>,
    #[serde(default)]
    parameters: Parameters,
    #[serde(deserialize_with = "list")]
    inputs: Vec<InputHead>,
    #[serde(default, deserialize_with = "list")]
    outputs: Vec<OutputHead>,
}

#[derive(Deserialize)]
struct InputHead {
    name: String,
    #[serde(deserialize_with = "list")]
    shape: Vec<i64>,
    datatype: String,
    #[serde(default)]
    parameters: Parameters,
    data: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct OutputHead {
    name: String,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Deserialize, Default)]
struct Parameters {
    binary_data_size: Option<usize>,
    binary_data: Option<bool>,
    binary_data_output: Option<bool>,
    classification: Option<IgnoredAny>,
    /// Microseconds.
    timeout: Option<u64>,
}

/// Entries of a list at most: of inputs, outputs, extents.
const MOST: usize = 256;

/// A list that isn't longer than a model's can be, so that a small text takes little memory.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct ListOf<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for ListOf<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut entries = vec![];
            while let Some(entry) = list.next_element()? {
                if entries.len() == MOST {
                    return Err(A::Error::custom("a list has more than 256 entries"));
                }
                entries.push(entry);
            }
            Ok(entries)
        }
    }
    deserializer.deserialize_seq(ListOf(PhantomData))
}

/// Reads a request.
///
/// # Errors
/// What is wrong with it, whatever the model.
pub(super) fn parse(at: Addressed, headers: &HeaderMap, body: &Bytes) -> Result<(InferRequest, OutputForm), Failure> {
    let json = json_length(headers, body.len())?;
    let (text, mut binary) = (&body[..json], body.slice(json..));
    let head: RequestHead = serde_json::from_slice(text).map_err(malformed)?;
    let mut readers = vec![];
    let mut layouts = vec![];
    for input in &head.inputs {
        let datatype: Datatype = input.datatype.parse()?;
        let (shape, bytes) = InferTensor::layout(&input.name, datatype, &input.shape)?;
        readers.push(ElementReader::new(datatype, bytes / datatype.size().unwrap_or(1)));
        layouts.push((datatype, shape, bytes));
    }
    if head.inputs.iter().any(|input| input.data.is_some()) {
        let mut json = serde_json::Deserializer::from_slice(text);
        RequestData(&mut readers).deserialize(&mut json).map_err(malformed)?;
    }
    let mut inputs = vec![];
    for ((input, reader), (datatype, shape, bytes)) in head.inputs.iter().zip(readers).zip(layouts) {
        let data = match (input.parameters.binary_data_size, &input.data) {
            (Some(size), None) => take(&mut binary, size, &input.name)?,
            (None, Some(_)) => reader.bytes.into(),
            (None, None) => return Err(invalid(format!("the input {:?} has no data", input.name))),
            (Some(_), Some(_)) => {
                return Err(invalid(format!("the input {:?} has data, and bytes behind the JSON, too", input.name)));
            }
        };
        if data.len() != bytes {
            let (name, expected, found) = (input.name.clone(), bytes, data.len());
            return Err(TensorError::Length { name, datatype, shape, expected, found }.into());
        }
        inputs.push(InferTensor::new(&input.name, datatype, &input.shape, data)?);
    }
    if !binary.is_empty() {
        return Err(invalid(format!("{} bytes stand behind the last tensor", binary.len())));
    }
    request(at, head, inputs)
}

fn request(at: Addressed, head: RequestHead, inputs: Vec<InferTensor>) -> Result<(InferRequest, OutputForm), Failure> {
    if head.outputs.iter().any(|output| output.parameters.classification.is_some()) {
        return Err(invalid("the classification extension isn't provided: ask for the output itself".into()));
    }
    let all_binary = head.parameters.binary_data_output.unwrap_or(false);
    let named = |output: &OutputHead| (output.name.clone(), output.parameters.binary_data.unwrap_or(all_binary));
    let form = OutputForm { all_binary, named: head.outputs.iter().map(named).collect() };
    let deadline = head.parameters.timeout.filter(|timeout| *timeout > 0);
    let deadline = deadline.and_then(|timeout| Instant::now().checked_add(Duration::from_micros(timeout)));
    let outputs = head.outputs.into_iter().map(|output| output.name).collect();
    Ok((InferRequest { model: at.model, version: at.version, id: head.id, inputs, outputs, deadline }, form))
}

/// How many bytes of a body are JSON.
fn json_length(headers: &HeaderMap, body: usize) -> Result<usize, Failure> {
    let Some(length) = headers.get(JSON_LENGTH) else { return Ok(body) };
    let length = length.to_str().ok().and_then(|length| length.parse().ok()).filter(|length| *length <= body);
    length.ok_or_else(|| invalid("Inference-Header-Content-Length is no length of JSON within the body".into()))
}

/// The next bytes behind the JSON.
fn take(binary: &mut Bytes, size: usize, name: &str) -> Result<Bytes, Failure> {
    if size > binary.len() {
        let left = binary.len();
        return Err(invalid(format!("the input {name:?} has {size} bytes behind the JSON, where {left} are left")));
    }
    Ok(binary.split_to(size))
}

fn malformed(error: serde_json::Error) -> Failure {
    invalid(format!("the request isn't what the protocol says: {error}"))
}

fn invalid(what: String) -> Failure {
    Failure::Invalid(what)
}

/// Goes through a request once more, for the elements of its inputs: their types may stand behind them.
struct RequestData<'r>(&'r mut [ElementReader]);

/// Their list.
struct InputsData<'r>(&'r mut [ElementReader]);

/// One of them.
struct InputData<'r>(&'r mut ElementReader);

macro_rules! visits_map {
    ($seed:ident, $field:literal, $what:literal, |$this:ident| $value:expr) => {
        impl<'de> DeserializeSeed<'de> for $seed<'_> {
            type Value = ();

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
                deserializer.deserialize_map(self)
            }
        }

        impl<'de> Visitor<'de> for $seed<'_> {
            type Value = ();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($what)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
                let $this = self;
                while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
                    match &*key {
                        $field => map.next_value_seed($value)?,
                        _ => map.next_value::<IgnoredAny>().map(drop)?,
                    }
                }
                Ok(())
            }
        }
    };
}

visits_map!(RequestData, "inputs", "a request", |this| InputsData(&mut *this.0));
visits_map!(InputData, "data", "an input", |this| &mut *this.0);

impl<'de> DeserializeSeed<'de> for InputsData<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for InputsData<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of inputs")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        for reader in self.0 {
            if list.next_element_seed(InputData(reader))?.is_none() {
                break;
            }
        }
        Ok(())
    }
}
