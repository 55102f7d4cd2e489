//! A prediction: what a message asks for, and a message of what is answered.

use super::contents::{from_tensor, to_bytes};
use super::messages::{InferInputTensor, InferOutputTensor, InferParameter, ModelInferRequest, ModelInferResponse};
use crate::engine::{Failure, InferRequest, InferResponse};
use crate::tensor::{Datatype, InferTensor};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Instant;

/// How the elements of an answer are sent: as those of the request came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ContentsForm {
    /// As bytes, beside the tensors.
    Raw,
    /// In the tensors, in the lists of their datatypes.
    Typed,
}

/// What the engine is asked for, and how it is answered.
///
/// # Errors
/// Tensors that break a rule by themselves, elements at both places or at neither, extensions that there aren't.
pub(super) fn request(
    message: ModelInferRequest,
    deadline: Option<Instant>,
) -> Result<(InferRequest, ContentsForm), Failure> {
    let ModelInferRequest { model_name, model_version, id, inputs, outputs, raw_input_contents: raw, .. } = message;
    let form = if raw.is_empty() && !inputs.is_empty() { ContentsForm::Typed } else { ContentsForm::Raw };
    if form == ContentsForm::Raw && raw.len() != inputs.len() {
        let why = format!(
            "{} inputs, but {} entries of raw_input_contents: there must be one for each",
            inputs.len(),
            raw.len()
        );
        return Err(Failure::Invalid(why));
    }
    for (name, parameters) in outputs.iter().map(|output| (&output.name, &output.parameters)) {
        provided(name, parameters)?;
    }
    let mut raw = raw.into_iter();
    let inputs = inputs.into_iter().map(|tensor| input(tensor, raw.next())).collect::<Result<_, _>>()?;
    let request = InferRequest {
        model: model_name,
        version: given(model_version),
        id: given(id),
        inputs,
        outputs: outputs.into_iter().map(|output| output.name).collect(),
        deadline,
    };
    Ok((request, form))
}

/// An empty string is none.
pub(super) fn given(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn input(tensor: InferInputTensor, raw: Option<Bytes>) -> Result<InferTensor, Failure> {
    let InferInputTensor { name, datatype, shape, parameters, contents } = tensor;
    provided(&name, &parameters)?;
    let refused = |why: String| Failure::Invalid(format!("the input {:?}: {why}", short(&name)));
    let datatype: Datatype = datatype.parse()?;
    let data = match (raw, contents) {
        (Some(raw), None) => raw,
        (None, Some(contents)) => to_bytes(&contents, datatype).map_err(refused)?.into(),
        (Some(_), Some(_)) => return Err(refused("it has both raw_input_contents and contents".into())),
        (None, None) => return Err(refused("it has no elements".into())),
    };
    Ok(InferTensor::new(name, datatype, &shape, data)?)
}

/// Refuses what would change the meaning of a tensor, if it were passed over.
fn provided(name: &str, parameters: &BTreeMap<String, InferParameter>) -> Result<(), Failure> {
    match ["shared_memory_region", "classification"].iter().find(|known| parameters.contains_key(**known)) {
        Some(what) => {
            Err(Failure::Invalid(format!("the tensor {:?} asks for {what}, which isn't provided", short(name))))
        }
        None => Ok(()),
    }
}

/// What a stranger sent isn't repeated at any length.
fn short(name: &str) -> String {
    name.chars().take(64).collect()
}

/// The message of an answer. Floats of 16 bits have no list: an answer with any is sent as bytes.
pub(super) fn response(response: InferResponse, form: ContentsForm) -> ModelInferResponse {
    let InferResponse { model, version, id, outputs } = response;
    let typed = || outputs.iter().map(from_tensor).collect::<Option<Vec<_>>>();
    let contents = if form == ContentsForm::Typed { typed() } else { None };
    let raw = if contents.is_some() { vec![] } else { outputs.iter().map(|tensor| tensor.data().clone()).collect() };
    let mut contents = contents.unwrap_or_default().into_iter();
    let output = |tensor: &InferTensor| InferOutputTensor {
        name: tensor.name().into(),
        datatype: tensor.datatype().name().into(),
        shape: tensor.shape().iter().map(|extent| *extent as i64).collect(),
        parameters: BTreeMap::new(),
        contents: contents.next(),
    };
    ModelInferResponse {
        model_name: model,
        model_version: version,
        id: id.unwrap_or_default(),
        parameters: BTreeMap::new(),
        outputs: outputs.iter().map(output).collect(),
        raw_output_contents: raw,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.
mod tests {
    use super::super::messages::{InferRequestedOutputTensor, InferTensorContents, ParameterChoice};
    use super::*;

    fn tensor(contents: Option<InferTensorContents>) -> InferInputTensor {
        let (name, datatype, shape) = ("x".into(), "FP32".into(), vec![1, 2]);
        InferInputTensor { name, datatype, shape, contents, ..Default::default() }
    }

    fn message(contents: Option<InferTensorContents>, raw: &[&'static [u8]]) -> ModelInferRequest {
        ModelInferRequest {
            model_name: "m".into(),
            inputs: vec![tensor(contents)],
            raw_input_contents: raw.iter().map(|raw| Bytes::from_static(raw)).collect(),
            ..Default::default()
        }
    }

    fn list() -> Option<InferTensorContents> {
        Some(InferTensorContents { fp32_contents: vec![1.0, -2.0], ..Default::default() })
    }

    fn refusal(message: ModelInferRequest) -> String {
        request(message, None).unwrap_err().to_string()
    }

    const BYTES: &[u8] = &[0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0];

    #[test]
    fn elements_come_in_both_forms() {
        let (raw, form) = request(message(None, &[BYTES]), None).unwrap();
        assert_eq!((form, &raw.inputs[0].data()[..], raw.id, raw.version), (ContentsForm::Raw, BYTES, None, None));
        let (typed, form) = request(message(list(), &[]), None).unwrap();
        assert_eq!((form, &typed.inputs), (ContentsForm::Typed, &raw.inputs));
    }

    #[test]
    fn requests_that_can_t_be_meant_are_refused() {
        assert!(refusal(message(list(), &[BYTES])).contains("both raw_input_contents and contents"));
        assert!(refusal(message(None, &[])).contains("no elements"));
        assert!(refusal(message(None, &[BYTES, BYTES])).contains("1 inputs, but 2 entries"));
        assert!(refusal(message(None, &[&BYTES[1..]])).contains("has 7 bytes, not 8"));
        let mut shared = message(None, &[BYTES]);
        let choice = Some(ParameterChoice::String("region".into()));
        let parameters: BTreeMap<_, _> = [("shared_memory_region".into(), InferParameter { choice })].into();
        shared.inputs[0].parameters = parameters.clone();
        assert!(refusal(shared).contains("shared_memory_region"));
        let mut shared = message(None, &[BYTES]);
        shared.outputs = vec![InferRequestedOutputTensor { name: "y".into(), parameters }];
        assert!(refusal(shared).contains("shared_memory_region"));
    }

    #[test]
    fn answers_have_the_form_of_requests() {
        let output = |datatype, bytes| InferTensor::new("y", datatype, &[1, 2], bytes).unwrap();
        let (fp32, fp16) = (output(Datatype::Fp32, BYTES), output(Datatype::Fp16, &BYTES[..4]));
        let answer = |outputs: &[InferTensor], form| {
            let (model, version) = ("m".into(), "3".into());
            response(InferResponse { model, version, id: Some("7".into()), outputs: outputs.to_vec() }, form)
        };
        let raw = answer(std::slice::from_ref(&fp32), ContentsForm::Raw);
        assert_eq!((&raw.raw_output_contents[..], &raw.outputs[0].contents), (&[Bytes::from_static(BYTES)][..], &None));
        assert_eq!((&*raw.model_version, &*raw.id, &*raw.outputs[0].datatype), ("3", "7", "FP32"));
        let typed = answer(std::slice::from_ref(&fp32), ContentsForm::Typed);
        assert_eq!((typed.raw_output_contents.len(), &typed.outputs[0].contents), (0, &list()));
        let mixed = answer(&[fp32, fp16], ContentsForm::Typed);
        assert_eq!((mixed.raw_output_contents.len(), &mixed.outputs[0].contents), (2, &None));
    }
}
