//! Elements of tensors in JSON: lists of numbers, nested or not, straight into bytes and back.

use crate::tensor::{Datatype, InferTensor};
use ir::{DType, Scalar};
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use std::fmt;

/// Reads a number, or lists of them, of one element type.
pub(super) struct ElementReader {
    datatype: Datatype,
    /// Elements at most.
    limit: usize,
    /// Little-endian.
    pub(super) bytes: Vec<u8>,
    /// The lengths of lists by depth, once the first one of each has ended.
    lengths: Vec<Option<usize>>,
    depth: usize,
    /// Rows that were read one by one.
    rows: usize,
}

/// Lists in lists at most.
const MAX_DEPTH: usize = 16;

impl ElementReader {
    /// Of at most `limit` elements.
    pub(super) fn new(datatype: Datatype, limit: usize) -> Self {
        Self { datatype, limit, bytes: vec![], lengths: vec![], depth: 0, rows: 0 }
    }

    /// The extents, if lists of one depth were of one length.
    pub(super) fn shape(&self) -> Vec<usize> {
        self.lengths.iter().map(|length| length.unwrap_or(0)).collect()
    }

    /// What is read from now on are the rows of one list, each by itself.
    pub(super) fn begin_rows(&mut self) {
        (self.lengths, self.depth) = (vec![None], 1);
    }

    /// That were so many.
    pub(super) fn end_rows(&mut self, rows: usize) {
        (self.lengths[0], self.depth) = (Some(rows), 0);
    }

    /// Rows so far.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// How many elements there are.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() / self.datatype.size().unwrap_or(1)
    }

    fn push<E: Error>(&mut self, element: Option<Scalar>, what: impl fmt::Display) -> Result<(), E> {
        if self.depth < self.lengths.len() {
            return Err(E::custom("a number stands beside a list"));
        }
        let element = element.ok_or_else(|| E::custom(format!("{what} is no element of {}", self.datatype)))?;
        if self.len() >= self.limit {
            return Err(E::custom(format!("there are more elements than {}", self.limit)));
        }
        let bits = element.to_bits().to_le_bytes();
        self.bytes.extend_from_slice(&bits[..self.datatype.size().unwrap_or(0)]);
        Ok(())
    }

    /// An integer as an element of the type: in range, or not at all.
    fn integer(&self, value: i128) -> Option<Scalar> {
        let dtype = self.datatype.dtype()?;
        Some(match dtype {
            DType::Bool => Scalar::Bool(match value {
                0 => false,
                1 => true,
                _ => return None,
            }),
            DType::U8 => Scalar::U8(value.try_into().ok()?),
            DType::U16 => Scalar::U16(value.try_into().ok()?),
            DType::U32 => Scalar::U32(value.try_into().ok()?),
            DType::U64 => Scalar::U64(value.try_into().ok()?),
            DType::I8 => Scalar::I8(value.try_into().ok()?),
            DType::I16 => Scalar::I16(value.try_into().ok()?),
            DType::I32 => Scalar::I32(value.try_into().ok()?),
            DType::I64 => Scalar::I64(value.try_into().ok()?),
            DType::F32 | DType::F64 | DType::F16 | DType::Bf16 => return self.float(value as f64),
        })
    }

    /// A float as an element of the type; whole ones are integers, too.
    fn float(&self, value: f64) -> Option<Scalar> {
        match self.datatype.dtype()? {
            DType::F32 => Some(Scalar::F32(value as f32)),
            DType::F64 => Some(Scalar::F64(value)),
            dtype @ (DType::F16 | DType::Bf16) => Some(Scalar::from_f64(value, dtype)),
            // Beyond that not all integers are floats.
            _ if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 => self.integer(value as i128),
            _ => None,
        }
        .filter(|element| element.as_f64().is_finite())
    }
}

impl<'de> DeserializeSeed<'de> for &mut ElementReader {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(&mut *self)?;
        self.rows += usize::from(self.depth == 1);
        Ok(())
    }
}

impl<'de> Visitor<'de> for &mut ElementReader {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "elements of {}, or lists of them", self.datatype)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        let element = (self.datatype == Datatype::Bool).then_some(Scalar::Bool(value));
        self.push(element, value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.push(self.integer(value.into()), value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.push(self.integer(value.into()), value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.push(self.float(value), value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let depth = self.depth;
        if depth >= MAX_DEPTH {
            return Err(A::Error::custom("lists are nested deeper than 16"));
        }
        if depth == self.lengths.len() {
            if !self.bytes.is_empty() {
                return Err(A::Error::custom("a list stands beside a number"));
            }
            self.lengths.push(None);
        }
        self.depth += 1;
        let mut length = 0;
        while list.next_element_seed(&mut *self)?.is_some() {
            length += 1;
        }
        self.depth = depth;
        match self.lengths[depth] {
            Some(expected) if expected != length => {
                Err(A::Error::custom(format!("lists of one depth have {expected} and {length} elements")))
            }
            _ => {
                self.lengths[depth] = Some(length);
                Ok(())
            }
        }
    }
}

/// Appends a tensor's elements as JSON: lists within lists as `shape` says, or one list for all if it is empty. False if one of them is infinite or no number, for which JSON has nothing.
pub(super) fn append(tensor: &InferTensor, shape: &[usize], text: &mut Vec<u8>) -> bool {
    let Some(dtype) = tensor.datatype().dtype() else { return false };
    let mut elements = tensor.data().chunks_exact(dtype.size_bytes());
    let numel = tensor.shape().iter().product();
    let flat = [numel];
    let mut next = |text: &mut Vec<u8>| elements.next().is_some_and(|bytes| element(bytes, dtype, text));
    nested(if shape.is_empty() { &flat } else { shape }, &mut next, text)
}

/// Appends an element.
fn element(bytes: &[u8], dtype: DType, text: &mut Vec<u8>) -> bool {
    let mut bits = [0; 8];
    let Some(room) = bits.get_mut(..bytes.len()) else { return false };
    room.copy_from_slice(bytes);
    let written = match Scalar::from_bits(u64::from_le_bytes(bits), dtype) {
        Scalar::Bool(value) => serde_json::to_writer(text, &value),
        Scalar::U64(value) => serde_json::to_writer(text, &value),
        Scalar::I64(value) => serde_json::to_writer(text, &value),
        // With as few digits as bring the same bits back.
        Scalar::F32(value) if value.is_finite() => serde_json::to_writer(text, &value),
        other if !dtype.is_float() => serde_json::to_writer(text, &(other.as_f64() as i64)),
        other if other.as_f64().is_finite() => serde_json::to_writer(text, &other.as_f64()),
        _ => return false,
    };
    written.is_ok()
}

fn nested(shape: &[usize], next: &mut impl FnMut(&mut Vec<u8>) -> bool, text: &mut Vec<u8>) -> bool {
    let Some((extent, rest)) = shape.split_first() else { return next(text) };
    text.push(b'[');
    for i in 0..*extent {
        if i > 0 {
            text.push(b',');
        }
        if !nested(rest, next, text) {
            return false;
        }
    }
    text.push(b']');
    true
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(text: &str, datatype: Datatype, limit: usize) -> Result<(Vec<usize>, Vec<u8>), String> {
        let mut reader = ElementReader::new(datatype, limit);
        let mut json = serde_json::Deserializer::from_str(text);
        (&mut reader).deserialize(&mut json).map_err(|e| e.to_string())?;
        json.end().map_err(|e| e.to_string())?;
        Ok((reader.shape(), reader.bytes))
    }

    #[test]
    fn lists_are_bytes_with_a_shape() {
        assert_eq!(read("[[1,2],[3,4],[5,255]]", Datatype::Uint8, 6).unwrap(), (vec![3, 2], vec![1, 2, 3, 4, 5, 255]));
        assert_eq!(read("7", Datatype::Int16, 1).unwrap(), (vec![], vec![7, 0]));
        assert_eq!(read("[true,false,1]", Datatype::Bool, 9).unwrap(), (vec![3], vec![1, 0, 1]));
        let (_, floats) = read("[0.1,-2,3e38]", Datatype::Fp32, 3).unwrap();
        assert_eq!(floats, [0.1f32, -2.0, 3e38].iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
        let (_, half) = read("[1.5]", Datatype::Fp16, 3).unwrap();
        assert_eq!(half, [0x00, 0x3e]);
        let (_, wide) = read("[18446744073709551615]", Datatype::Uint64, 1).unwrap();
        assert_eq!(wide, [255; 8]);
        assert_eq!(read("[2.0]", Datatype::Int32, 1).unwrap().1, [2, 0, 0, 0]);
    }

    #[test]
    fn what_is_no_tensor_is_refused() {
        let wrong = |text: &str, datatype| read(text, datatype, 4).unwrap_err();
        assert!(wrong("[[1,2],[3]]", Datatype::Fp32).contains("2 and 1"));
        assert!(wrong("[1,[2]]", Datatype::Fp32).contains("a list stands beside a number"));
        assert!(wrong("[[1],2]", Datatype::Fp32).contains("a number stands beside a list"));
        assert!(wrong("[1,2,3,4,5]", Datatype::Fp32).contains("more elements than 4"));
        assert!(wrong("[256]", Datatype::Uint8).contains("256 is no element of UINT8"));
        assert!(wrong("[1e39]", Datatype::Fp32).contains("no element of FP32"));
        assert!(wrong("[1.5]", Datatype::Int64).contains("1.5 is no element of INT64"));
        assert!(wrong("[true]", Datatype::Fp32).contains("true is no element"));
        assert!(wrong("[\"x\"]", Datatype::Fp32).contains("string"));
        assert!(wrong("[null]", Datatype::Fp32).contains("null"));
        assert!(wrong(&"[".repeat(17), Datatype::Fp32).contains("nested deeper"));
    }

    #[test]
    fn elements_come_back_to_the_bit() {
        let values = [0.1f32, -0.0, 1e-45, 3.4028235e38, 16777217.0];
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let tensor = InferTensor::new("y", Datatype::Fp32, &[5], bytes.clone()).unwrap();
        let mut text = vec![];
        assert!(append(&tensor, &[], &mut text));
        assert_eq!(read(std::str::from_utf8(&text).unwrap(), Datatype::Fp32, 5).unwrap().1, bytes);
        let tensor = InferTensor::new("y", Datatype::Int8, &[2, 2], vec![1, 2, 255, 4]).unwrap();
        let mut text = vec![];
        assert!(append(&tensor, tensor.shape(), &mut text));
        assert_eq!(text, b"[[1,2],[-1,4]]");
        let nan = InferTensor::new("y", Datatype::Fp32, &[1], f32::NAN.to_le_bytes().to_vec()).unwrap();
        assert!(!append(&nan, &[], &mut vec![]));
    }
}
