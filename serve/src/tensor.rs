//! Tensors as requests and answers carry them: the Open Inference Protocol's element types, a shape, and elements as bytes.

use bytes::Bytes;
use ir::DType;
use std::fmt;
use std::str::FromStr;

/// An element type of the Open Inference Protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Datatype {
    /// Truth values, a byte each.
    Bool,
    /// Unsigned, 8 bits.
    Uint8,
    /// Unsigned, 16 bits.
    Uint16,
    /// Unsigned, 32 bits.
    Uint32,
    /// Unsigned, 64 bits.
    Uint64,
    /// Signed, 8 bits.
    Int8,
    /// Signed, 16 bits.
    Int16,
    /// Signed, 32 bits.
    Int32,
    /// Signed, 64 bits.
    Int64,
    /// IEEE 754 in 16 bits.
    Fp16,
    /// IEEE 754 in 32 bits.
    Fp32,
    /// IEEE 754 in 64 bits.
    Fp64,
    /// The upper half of [`Self::Fp32`].
    Bf16,
    /// Strings of bytes: no model here has any.
    Bytes,
}

impl Datatype {
    /// All of them with the names that requests have them by.
    const NAMES: [(Self, &'static str); 14] = [
        (Self::Bool, "BOOL"),
        (Self::Uint8, "UINT8"),
        (Self::Uint16, "UINT16"),
        (Self::Uint32, "UINT32"),
        (Self::Uint64, "UINT64"),
        (Self::Int8, "INT8"),
        (Self::Int16, "INT16"),
        (Self::Int32, "INT32"),
        (Self::Int64, "INT64"),
        (Self::Fp16, "FP16"),
        (Self::Fp32, "FP32"),
        (Self::Fp64, "FP64"),
        (Self::Bf16, "BF16"),
        (Self::Bytes, "BYTES"),
    ];

    /// The name that requests have it by: `FP32`.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(datatype, _)| *datatype == self).map_or("", |(_, name)| name)
    }

    /// The element type that graphs have for it; `None` for strings.
    pub fn dtype(self) -> Option<DType> {
        Some(match self {
            Self::Bool => DType::Bool,
            Self::Uint8 => DType::U8,
            Self::Uint16 => DType::U16,
            Self::Uint32 => DType::U32,
            Self::Uint64 => DType::U64,
            Self::Int8 => DType::I8,
            Self::Int16 => DType::I16,
            Self::Int32 => DType::I32,
            Self::Int64 => DType::I64,
            Self::Fp16 => DType::F16,
            Self::Fp32 => DType::F32,
            Self::Fp64 => DType::F64,
            Self::Bf16 => DType::Bf16,
            Self::Bytes => return None,
        })
    }

    /// Bytes of an element; `None` for strings.
    pub fn size(self) -> Option<usize> {
        self.dtype().map(DType::size_bytes)
    }
}

impl From<DType> for Datatype {
    fn from(dtype: DType) -> Self {
        match dtype {
            DType::Bool => Self::Bool,
            DType::U8 => Self::Uint8,
            DType::U16 => Self::Uint16,
            DType::U32 => Self::Uint32,
            DType::U64 => Self::Uint64,
            DType::I8 => Self::Int8,
            DType::I16 => Self::Int16,
            DType::I32 => Self::Int32,
            DType::I64 => Self::Int64,
            DType::F16 => Self::Fp16,
            DType::F32 => Self::Fp32,
            DType::F64 => Self::Fp64,
            DType::Bf16 => Self::Bf16,
        }
    }
}

impl fmt::Display for Datatype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Datatype {
    type Err = TensorError;

    fn from_str(name: &str) -> Result<Self, TensorError> {
        let found = Self::NAMES.iter().find(|(_, known)| *known == name);
        // However long it is: what a stranger sent isn't repeated at any length.
        found.map(|(datatype, _)| *datatype).ok_or_else(|| TensorError::Datatype(name.chars().take(16).collect()))
    }
}

/// What is wrong with a tensor by itself, whatever the model.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TensorError {
    /// No element type.
    #[error(
        "there is no datatype {0:?}; there are BOOL, UINT8 to UINT64, INT8 to INT64, FP16, FP32, FP64, BF16, BYTES"
    )]
    Datatype(String),
    /// More elements than memory has addresses, or an extent that is none.
    #[error("the tensor {name:?} of shape {shape:?}: {why}")]
    Shape {
        /// The tensor's name.
        name: String,
        /// The extents as they were given.
        shape: Vec<i64>,
        /// The rule.
        why: &'static str,
    },
    /// Elements that don't fill the shape.
    #[error("the tensor {name:?} of {datatype}{shape:?} has {found} bytes, not {expected}")]
    Length {
        /// The tensor's name.
        name: String,
        /// Its element type.
        datatype: Datatype,
        /// Its extents.
        shape: Vec<usize>,
        /// Bytes that elements of that shape have.
        expected: usize,
        /// Bytes that there are.
        found: usize,
    },
    /// Strings, which no model has.
    #[error("the tensor {0:?} has elements of BYTES: no model here takes strings")]
    Strings(String),
    /// A truth value that is neither 0 nor 1.
    #[error("the tensor {name:?} of BOOL has the byte {byte} at element {at}, which is neither 0 nor 1")]
    Truth {
        /// The tensor's name.
        name: String,
        /// The element.
        at: usize,
        /// The byte.
        byte: u8,
    },
}

/// A tensor of a request or an answer. Its bytes fill its shape: the constructor has seen to that.
#[derive(Clone, PartialEq, Debug)]
pub struct InferTensor {
    name: String,
    datatype: Datatype,
    shape: Vec<usize>,
    data: Bytes,
}

impl InferTensor {
    /// A tensor of little-endian elements, the last axis the fastest.
    ///
    /// # Errors
    /// Extents below 1, or whose product is more than memory has addresses; bytes that don't fill them; strings; truth values that are neither 0 nor 1.
    pub fn new(
        name: impl Into<String>,
        datatype: Datatype,
        shape: &[i64],
        data: impl Into<Bytes>,
    ) -> Result<Self, TensorError> {
        let (name, data) = (name.into(), data.into());
        let (shape, expected) = Self::layout(&name, datatype, shape)?;
        if data.len() != expected {
            return Err(TensorError::Length { name, datatype, shape, expected, found: data.len() });
        }
        if datatype == Datatype::Bool
            && let Some(at) = data.iter().position(|byte| *byte > 1)
        {
            return Err(TensorError::Truth { name, at, byte: data[at] });
        }
        Ok(Self { name, datatype, shape, data })
    }

    /// The extents of a shape that was given, and the bytes that it takes: asked for before there is memory for them.
    ///
    /// # Errors
    /// As [`Self::new`], but for the bytes.
    pub fn layout(name: &str, datatype: Datatype, shape: &[i64]) -> Result<(Vec<usize>, usize), TensorError> {
        let refused =
            |why| TensorError::Shape { name: name.into(), shape: shape.iter().take(16).copied().collect(), why };
        let size = datatype.size().ok_or_else(|| TensorError::Strings(name.into()))?;
        if shape.len() > MAX_RANK {
            return Err(refused("it has more than 16 axes"));
        }
        let extent = |extent: &i64| usize::try_from(*extent).ok().filter(|extent| *extent > 0);
        let extents: Option<Vec<usize>> = shape.iter().map(extent).collect();
        let extents = extents.ok_or_else(|| refused("each extent must be at least 1"))?;
        let bytes = extents.iter().try_fold(size, |bytes, extent| bytes.checked_mul(*extent));
        let bytes = bytes.filter(|bytes| isize::try_from(*bytes).is_ok());
        Ok((extents, bytes.ok_or_else(|| refused("it is larger than memory can be"))?))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its element type.
    pub fn datatype(&self) -> Datatype {
        self.datatype
    }

    /// Its extents.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// One row along the first axis, which shares the elements' memory; `None` if there is no such row.
    pub fn row(&self, row: usize) -> Option<Self> {
        let (rows, dims) = self.shape.split_first()?;
        let bytes = self.data.len() / (*rows).max(1);
        let data = (row < *rows).then(|| self.data.slice(row * bytes..(row + 1) * bytes))?;
        Some(Self { name: self.name.clone(), datatype: self.datatype, shape: dims.to_vec(), data })
    }

    /// Its elements, little-endian, the last axis the fastest.
    pub fn data(&self) -> &Bytes {
        &self.data
    }
}

/// Axes of a tensor at most.
const MAX_RANK: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_element_types_go_both_ways() {
        for (datatype, name) in Datatype::NAMES {
            assert_eq!(name.parse(), Ok(datatype));
            assert_eq!(datatype.to_string(), name);
            if let Some(dtype) = datatype.dtype() {
                assert_eq!(Datatype::from(dtype), datatype);
            }
        }
        assert!("fp32".parse::<Datatype>().is_err());
    }

    #[test]
    fn bytes_must_fill_the_shape() {
        let tensor = |datatype, shape: &[i64], bytes: usize| InferTensor::new("x", datatype, shape, vec![1; bytes]);
        assert_eq!(tensor(Datatype::Fp32, &[2, 3], 24).unwrap().shape(), [2, 3]);
        assert_eq!(tensor(Datatype::Fp64, &[], 8).unwrap().data().len(), 8);
        let wrong = |datatype, shape: &[i64], bytes| tensor(datatype, shape, bytes).unwrap_err().to_string();
        assert!(wrong(Datatype::Fp32, &[2, 3], 23).contains("has 23 bytes, not 24"));
        assert!(wrong(Datatype::Fp32, &[2, -3], 24).contains("at least 1"));
        assert!(wrong(Datatype::Fp32, &[0], 0).contains("at least 1"));
        assert!(wrong(Datatype::Uint8, &[i64::MAX, 2], 1).contains("larger than memory"));
        assert!(wrong(Datatype::Uint8, &[1; 17], 1).contains("16 axes"));
        assert!(wrong(Datatype::Bytes, &[1], 1).contains("strings"));
        let truth = InferTensor::new("x", Datatype::Bool, &[3], vec![0, 1, 2]).unwrap_err();
        assert!(truth.to_string().contains("the byte 2 at element 2"), "{truth}");
    }
}
