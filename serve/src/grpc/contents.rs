//! Elements in the message (`InferTensorContents`), and as bytes in memory.

use super::messages::InferTensorContents;
use crate::tensor::{Datatype, InferTensor};
use std::fmt::Display;

/// The elements as bytes, little endian.
///
/// # Errors
/// Elements in another list than the datatype's, or that the datatype doesn't have.
pub(super) fn to_bytes(contents: &InferTensorContents, datatype: Datatype) -> Result<Vec<u8>, String> {
    only(contents, datatype)?;
    let (ints, uints) = (&contents.int_contents, &contents.uint_contents);
    match datatype {
        Datatype::Bool => Ok(contents.bool_contents.iter().map(|truth| u8::from(*truth)).collect()),
        Datatype::Int8 => narrow(ints, datatype, i8::to_le_bytes),
        Datatype::Int16 => narrow(ints, datatype, i16::to_le_bytes),
        Datatype::Int32 => narrow(ints, datatype, i32::to_le_bytes),
        Datatype::Int64 => narrow(&contents.int64_contents, datatype, i64::to_le_bytes),
        Datatype::Uint8 => narrow(uints, datatype, u8::to_le_bytes),
        Datatype::Uint16 => narrow(uints, datatype, u16::to_le_bytes),
        Datatype::Uint32 => narrow(uints, datatype, u32::to_le_bytes),
        Datatype::Uint64 => narrow(&contents.uint64_contents, datatype, u64::to_le_bytes),
        Datatype::Fp32 => narrow(&contents.fp32_contents, datatype, f32::to_le_bytes),
        Datatype::Fp64 => narrow(&contents.fp64_contents, datatype, f64::to_le_bytes),
        Datatype::Fp16 | Datatype::Bf16 => {
            Err(format!("{datatype} has no list of its own: send it in raw_input_contents"))
        }
        Datatype::Bytes => Err("no model here takes BYTES".into()),
    }
}

/// The elements of a tensor in the list of its datatype; `None` for datatypes that have none.
pub(super) fn from_tensor(tensor: &InferTensor) -> Option<InferTensorContents> {
    let (mut contents, data) = (InferTensorContents::default(), tensor.data());
    match tensor.datatype() {
        Datatype::Bool => contents.bool_contents = data.iter().map(|byte| *byte != 0).collect(),
        Datatype::Int8 => contents.int_contents = read(data, |b| i8::from_le_bytes(b).into()),
        Datatype::Int16 => contents.int_contents = read(data, |b| i16::from_le_bytes(b).into()),
        Datatype::Int32 => contents.int_contents = read(data, i32::from_le_bytes),
        Datatype::Int64 => contents.int64_contents = read(data, i64::from_le_bytes),
        Datatype::Uint8 => contents.uint_contents = read(data, |b| u8::from_le_bytes(b).into()),
        Datatype::Uint16 => contents.uint_contents = read(data, |b| u16::from_le_bytes(b).into()),
        Datatype::Uint32 => contents.uint_contents = read(data, u32::from_le_bytes),
        Datatype::Uint64 => contents.uint64_contents = read(data, u64::from_le_bytes),
        Datatype::Fp32 => contents.fp32_contents = read(data, f32::from_le_bytes),
        Datatype::Fp64 => contents.fp64_contents = read(data, f64::from_le_bytes),
        Datatype::Fp16 | Datatype::Bf16 | Datatype::Bytes => return None,
    }
    Some(contents)
}

/// Refuses elements in a list that isn't the datatype's.
fn only(contents: &InferTensorContents, datatype: Datatype) -> Result<(), String> {
    use Datatype as D;
    let lists = [
        ("bool_contents", contents.bool_contents.len(), matches!(datatype, D::Bool)),
        ("int_contents", contents.int_contents.len(), matches!(datatype, D::Int8 | D::Int16 | D::Int32)),
        ("int64_contents", contents.int64_contents.len(), matches!(datatype, D::Int64)),
        ("uint_contents", contents.uint_contents.len(), matches!(datatype, D::Uint8 | D::Uint16 | D::Uint32)),
        ("uint64_contents", contents.uint64_contents.len(), matches!(datatype, D::Uint64)),
        ("fp32_contents", contents.fp32_contents.len(), matches!(datatype, D::Fp32)),
        ("fp64_contents", contents.fp64_contents.len(), matches!(datatype, D::Fp64)),
        ("bytes_contents", contents.bytes_contents.len(), matches!(datatype, D::Bytes)),
    ];
    match lists.iter().find(|(_, count, its)| *count > 0 && !its) {
        Some((name, count, _)) => Err(format!("{count} elements of {datatype} stand in {name}")),
        None => Ok(()),
    }
}

/// Elements as bytes, in the width of their datatype.
fn narrow<W: Copy + Display, N: TryFrom<W>, const SIZE: usize>(
    elements: &[W],
    datatype: Datatype,
    bytes: fn(N) -> [u8; SIZE],
) -> Result<Vec<u8>, String> {
    let mut all = Vec::with_capacity(elements.len() * SIZE);
    for element in elements {
        let narrow = N::try_from(*element).map_err(|_| format!("{datatype} has no {element}"))?;
        all.extend(bytes(narrow));
    }
    Ok(all)
}

fn read<T, const SIZE: usize>(data: &[u8], element: impl Fn([u8; SIZE]) -> T) -> Vec<T> {
    data.as_chunks().0.iter().map(|chunk| element(*chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of all kinds come back as they were, by the list of each datatype.
    #[test]
    fn elements_go_both_ways() {
        let all = [
            Datatype::Bool,
            Datatype::Int8,
            Datatype::Int16,
            Datatype::Int32,
            Datatype::Int64,
            Datatype::Uint8,
            Datatype::Uint16,
            Datatype::Uint32,
            Datatype::Uint64,
            Datatype::Fp32,
            Datatype::Fp64,
        ];
        for datatype in all {
            let size = datatype.size().unwrap();
            let bytes: Vec<u8> = (0..6 * size)
                .map(|i| if size == 1 && datatype == Datatype::Bool { i % 2 } else { 37 * i % 251 } as u8)
                .collect();
            let tensor = InferTensor::new("x", datatype, &[2, 3], bytes.clone()).unwrap();
            let contents = from_tensor(&tensor).unwrap();
            assert_eq!(to_bytes(&contents, datatype).unwrap(), bytes, "{datatype}");
        }
    }

    #[test]
    fn elements_that_a_datatype_lacks_are_refused() {
        let ints = |elements: &[i32]| InferTensorContents { int_contents: elements.to_vec(), ..Default::default() };
        assert_eq!(to_bytes(&ints(&[-128, 127]), Datatype::Int8).unwrap(), [0x80, 0x7f]);
        assert_eq!(to_bytes(&ints(&[128]), Datatype::Int8).unwrap_err(), "INT8 has no 128");
        assert_eq!(to_bytes(&ints(&[1, 2]), Datatype::Fp32).unwrap_err(), "2 elements of FP32 stand in int_contents");
        assert!(to_bytes(&ints(&[]), Datatype::Fp16).unwrap_err().contains("raw_input_contents"));
    }
}
