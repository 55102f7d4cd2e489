//! How many fields a message may have: two bytes of one, an input without anything, would become hundreds in memory, and the limit of a message's bytes wouldn't be one of memory.

use bytes::Buf;
use prost::Message;
use std::marker::PhantomData;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::ProstCodec;

/// Fields of one kind in a message, or in an input or an output of a request, at most: so many inputs, outputs, parameters.
const MOST: u16 = 256;
/// The fields of a request that are messages with fields of their own: inputs and outputs.
const NESTED: [u64; 2] = [5, 6];
/// That of an input: its elements, among them texts.
const CONTENTS: u64 = 5;

/// Prost's codec, for messages of few fields.
pub(super) struct FewFieldsCodec<O, I>(PhantomData<(O, I)>);

impl<O, I> Default for FewFieldsCodec<O, I> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<O: Message + Send + 'static, I: Message + Default + Send + 'static> Codec for FewFieldsCodec<O, I> {
    type Encode = O;
    type Decode = I;
    type Encoder = <ProstCodec<O, I> as Codec>::Encoder;
    type Decoder = FewFieldsDecoder<<ProstCodec<O, I> as Codec>::Decoder>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<O, I>::default().encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        FewFieldsDecoder(ProstCodec::<O, I>::default().decoder())
    }
}

/// Prost's decoder behind a look at the fields.
pub(super) struct FewFieldsDecoder<D>(D);

impl<D: Decoder<Error = Status>> Decoder for FewFieldsDecoder<D> {
    type Item = D::Item;
    type Error = Status;

    fn decode(&mut self, src: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        if !has_few_fields(src.chunk()) {
            let what = format!("a message has more than {MOST} inputs, outputs, parameters or texts of a kind");
            return Err(Status::invalid_argument(what));
        }
        self.0.decode(src)
    }
}

/// Whether no part of a message has too many fields of one kind. One that is no message has few: reading it fails soon enough.
fn has_few_fields(message: &[u8]) -> bool {
    let of_input = |tag, field: &[u8]| tag != CONTENTS || are_few(field, |_, _| true);
    are_few(message, |tag, field| !NESTED.contains(&tag) || are_few(field, of_input))
}

/// Whether a message has few fields of each kind that have a length, and all those pass.
fn are_few(mut message: &[u8], passes: impl Fn(u64, &[u8]) -> bool) -> bool {
    let mut counts = [0u16; 16];
    while let Some((tag, field)) = next_field(&mut message) {
        let Some(field) = field else { continue };
        // What has another number is none of the protocol's, and isn't kept.
        if let Some(count) = counts.get_mut(usize::try_from(tag).unwrap_or(usize::MAX)) {
            *count += 1;
            if *count > MOST || !passes(tag, field) {
                return false;
            }
        }
    }
    true
}

/// The number of the next field, and its bytes if it has a length; nothing at the end, or where there is no field.
fn next_field<'m>(message: &mut &'m [u8]) -> Option<(u64, Option<&'m [u8]>)> {
    let key = varint(message)?;
    let (tag, length) = (
        key >> 3,
        match key & 7 {
            0 => varint(message).map(|_| 0)?,
            1 => 8,
            2 => usize::try_from(varint(message)?).ok()?,
            5 => 4,
            _ => return None,
        },
    );
    let (field, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some((tag, (key & 7 == 2).then_some(field)))
}

/// A number of at most ten bytes, seven bits in each, the lowest first.
fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for at in 0..10 {
        let (&byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::messages::{
        InferInputTensor, InferParameter, InferRequestedOutputTensor, InferTensorContents, ModelInferRequest,
    };
    use bytes::Bytes;

    fn is_taken(change: impl Fn(&mut ModelInferRequest, usize)) -> [bool; 2] {
        [256, 257].map(|count| {
            let mut request = ModelInferRequest { model_name: "m".into(), ..Default::default() };
            request.inputs = vec![InferInputTensor { shape: vec![1; 1000], ..Default::default() }];
            request.inputs[0].contents =
                Some(InferTensorContents { fp32_contents: vec![0.5; 1000], ..Default::default() });
            change(&mut request, count);
            has_few_fields(&request.encode_to_vec())
        })
    }

    #[test]
    fn messages_have_few_fields_of_a_kind() {
        let input = InferInputTensor::default;
        assert_eq!(is_taken(|request, count| request.inputs.resize_with(count, input)), [true, false]);
        let output = InferRequestedOutputTensor::default;
        assert_eq!(is_taken(|request, count| request.outputs.resize_with(count, output)), [true, false]);
        assert_eq!(is_taken(|request, count| request.raw_input_contents.resize(count, Bytes::new())), [true, false]);
        let parameters = |count: usize| (0..count).map(|n| (n.to_string(), InferParameter::default())).collect();
        assert_eq!(is_taken(|request, count| request.parameters = parameters(count)), [true, false]);
        assert_eq!(is_taken(|request, count| request.inputs[0].parameters = parameters(count)), [true, false]);
        let texts = |count| InferTensorContents { bytes_contents: vec![Bytes::new(); count], ..Default::default() };
        assert_eq!(is_taken(|request, count| request.inputs[0].contents = Some(texts(count))), [true, false]);
    }

    /// Elements that aren't packed, as old clients write them, are as many as there are; what is no message isn't looked at further.
    #[test]
    fn numbers_are_not_counted_and_damage_is_no_matter() {
        let shape: Vec<u8> = [0x18, 1].repeat(1000);
        let request = [&[0x2a, 0xd0, 0x0f][..], &shape].concat();
        assert_eq!(ModelInferRequest::decode(&request[..]).unwrap().inputs[0].shape.len(), 1000);
        assert!(has_few_fields(&request));
        for end in 0..4 {
            assert!(has_few_fields(&request[..end]));
        }
        assert!(has_few_fields(&[0xff; 64]));
    }
}
