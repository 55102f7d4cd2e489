//! Between host tensors and a program's memory.

use super::RunError;
use crate::dsl::StateSpec;
use ir::{DType, Data, Scalar, TensorType, Value, try_map_of};
use runtime::{Element, PortError, PortKind, PortMemory, ProgramInputs, States};
use std::collections::BTreeMap;

/// The elements of an input, to write in place.
pub(crate) enum Elements<'a> {
    F32(&'a mut [f32]),
    F64(&'a mut [f64]),
    I64(&'a mut [i64]),
    I32(&'a mut [i32]),
    I16(&'a mut [i16]),
    SignedByte(&'a mut [i8]),
    U64(&'a mut [u64]),
    U32(&'a mut [u32]),
    /// `u8`, and truth values as 0 and 1.
    Byte(&'a mut [u8]),
    /// `u16`, and the bits of `bf16` or `f16`.
    Bits16(&'a mut [u16]),
}

/// Runs `$body` on the elements, whatever they are.
macro_rules! each {
    ($elements:expr, $out:ident => $body:expr) => {
        match $elements {
            Elements::F32($out) => $body,
            Elements::F64($out) => $body,
            Elements::I64($out) => $body,
            Elements::I32($out) => $body,
            Elements::I16($out) => $body,
            Elements::SignedByte($out) => $body,
            Elements::U64($out) => $body,
            Elements::U32($out) => $body,
            Elements::Byte($out) => $body,
            Elements::Bits16($out) => $body,
        }
    };
}

impl Elements<'_> {
    /// Writes little-endian elements from place `at` on. False if they aren't whole, or there is no room for all.
    pub(super) fn write_le(self, at: usize, bytes: &[u8]) -> bool {
        each!(self, out => LittleEndian::write(out, at, bytes))
    }

    /// Copies row `row` of so many elements to all behind it.
    pub(super) fn repeat(self, row: usize, elements: usize) {
        let (start, end) = (row * elements, (row + 1) * elements);
        each!(self, out => (end..out.len()).step_by(elements.max(1)).for_each(|to| out.copy_within(start..end, to)));
    }
}

/// Elements as files and the network have them.
trait LittleEndian: Copy {
    fn write(out: &mut [Self], at: usize, bytes: &[u8]) -> bool;
    fn append(elements: &[Self], bytes: &mut Vec<u8>);
}

macro_rules! little_endian {
    ($($ty:ty),*) => {$(
        impl LittleEndian for $ty {
            fn write(out: &mut [Self], at: usize, bytes: &[u8]) -> bool {
                let (elements, rest) = bytes.as_chunks::<{ size_of::<$ty>() }>();
                let room = out.get_mut(at..).and_then(|out| out.get_mut(..elements.len()));
                let Some(room) = room.filter(|_| rest.is_empty()) else { return false };
                room.iter_mut().zip(elements).for_each(|(to, from)| *to = <$ty>::from_le_bytes(*from));
                true
            }

            fn append(elements: &[Self], bytes: &mut Vec<u8>) {
                let start = bytes.len();
                bytes.resize(start + size_of_val(elements), 0);
                let (room, _) = bytes[start..].as_chunks_mut::<{ size_of::<$ty>() }>();
                room.iter_mut().zip(elements).for_each(|(to, from)| *to = from.to_le_bytes());
            }
        }
    )*};
}
little_endian!(f32, f64, i64, i32, i16, i8, u64, u32, u16, u8);

/// Appends elements of an output, little-endian.
pub(super) fn append_le(
    memory: &impl TensorSource,
    (name, ty): (&str, &TensorType),
    range: std::ops::Range<usize>,
    bytes: &mut Vec<u8>,
) -> Result<(), PortError> {
    fn append<T: Element + LittleEndian>(elements: &[T], range: std::ops::Range<usize>, bytes: &mut Vec<u8>) -> bool {
        elements.get(range).is_some_and(|part| {
            T::append(part, bytes);
            true
        })
    }
    let (expected, found) = (ty.shape.numel(), range.end);
    let done = match ty.dtype {
        DType::F32 => append(memory.get::<f32>(name)?, range, bytes),
        DType::F64 => append(memory.get::<f64>(name)?, range, bytes),
        DType::I64 => append(memory.get::<i64>(name)?, range, bytes),
        DType::I32 => append(memory.get::<i32>(name)?, range, bytes),
        DType::I16 => append(memory.get::<i16>(name)?, range, bytes),
        DType::I8 => append(memory.get::<i8>(name)?, range, bytes),
        DType::U64 => append(memory.get::<u64>(name)?, range, bytes),
        DType::U32 => append(memory.get::<u32>(name)?, range, bytes),
        DType::U8 | DType::Bool => append(memory.get::<u8>(name)?, range, bytes),
        DType::U16 | DType::Bf16 | DType::F16 => append(memory.get::<u16>(name)?, range, bytes),
    };
    match done {
        true => Ok(()),
        false => Err(PortError::WrongLength { kind: PortKind::Output, name: name.into(), expected, found }),
    }
}

/// Shows `f` the elements of an input.
pub(super) fn with_input<E: From<PortError>>(
    inputs: &mut ProgramInputs<'_>,
    name: &str,
    ty: &TensorType,
    f: impl FnOnce(Elements<'_>) -> Result<(), E>,
) -> Result<(), E> {
    match ty.dtype {
        DType::F32 => f(Elements::F32(inputs.input_mut(name)?)),
        DType::F64 => f(Elements::F64(inputs.input_mut(name)?)),
        DType::I64 => f(Elements::I64(inputs.input_mut(name)?)),
        DType::I32 => f(Elements::I32(inputs.input_mut(name)?)),
        DType::I16 => f(Elements::I16(inputs.input_mut(name)?)),
        DType::I8 => f(Elements::SignedByte(inputs.input_mut(name)?)),
        DType::U64 => f(Elements::U64(inputs.input_mut(name)?)),
        DType::U32 => f(Elements::U32(inputs.input_mut(name)?)),
        DType::U8 => f(Elements::Byte(inputs.input_mut(name)?)),
        DType::U16 | DType::Bf16 | DType::F16 => f(Elements::Bits16(inputs.input_mut(name)?)),
        DType::Bool => inputs.fill_truth(name, |bytes| f(Elements::Byte(bytes))),
    }
}

/// Memory that tensors are copied into by name: a program's inputs, a block of states.
pub(crate) trait Sink {
    fn put<T: Element>(&mut self, name: &str, elements: &[T]) -> Result<(), PortError>;
}

/// Memory that tensors are copied from by name: a program's outputs, a block of states.
pub(crate) trait TensorSource {
    fn get<T: Element>(&self, name: &str) -> Result<&[T], PortError>;
}

impl Sink for ProgramInputs<'_> {
    fn put<T: Element>(&mut self, name: &str, elements: &[T]) -> Result<(), PortError> {
        self.write_input(name, elements)
    }
}

impl TensorSource for PortMemory {
    fn get<T: Element>(&self, name: &str) -> Result<&[T], PortError> {
        self.output(name)
    }
}

impl Sink for States {
    fn put<T: Element>(&mut self, name: &str, elements: &[T]) -> Result<(), PortError> {
        self.write(name, elements)
    }
}

impl TensorSource for States {
    fn get<T: Element>(&self, name: &str) -> Result<&[T], PortError> {
        States::get(self, name)
    }
}

/// Copies a tensor into an input or a state.
pub(crate) fn write(memory: &mut impl Sink, name: &str, expected: &TensorType, value: &Value) -> Result<(), RunError> {
    if value.ty() != expected {
        let (name, expected, found) = (name.into(), expected.clone(), value.ty().clone());
        return Err(RunError::Type { name, expected, found });
    }
    match value.data() {
        Data::F32(v) => memory.put(name, v),
        Data::F64(v) => memory.put(name, v),
        Data::I64(v) => memory.put(name, v),
        Data::I32(v) => memory.put(name, v),
        Data::I16(v) => memory.put(name, v),
        Data::I8(v) => memory.put(name, v),
        Data::U64(v) => memory.put(name, v),
        Data::U32(v) => memory.put(name, v),
        Data::U16(v) => memory.put(name, v),
        Data::U8(v) => memory.put(name, v),
        data @ Data::Bool(_) => memory.put(name, &data.to_bytes()),
        data @ (Data::Bf16(_) | Data::F16(_)) => {
            let bytes = data.to_bytes();
            let bits: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b)).collect();
            memory.put(name, &bits)
        }
    }?;
    Ok(())
}

/// Gives a state the value that it has before the first run.
pub(crate) fn write_initial(states: &mut States, state: &StateSpec, seed: u64) -> Result<(), RunError> {
    if state.ty.dtype == DType::F32 && state.init.write(&state.ty, (seed, &state.name), states.get_mut(&state.name)?) {
        return Ok(());
    }
    write(states, &state.name, &state.ty, &state.initial(seed))
}

/// The first element of an output or a state, widened.
pub(crate) fn first(memory: &impl TensorSource, name: &str, dtype: DType) -> Result<f64, PortError> {
    Ok(match dtype {
        DType::F32 => memory.get::<f32>(name)?[0].into(),
        DType::F64 => memory.get(name)?[0],
        DType::I64 => memory.get::<i64>(name)?[0] as f64,
        DType::I32 => memory.get::<i32>(name)?[0].into(),
        DType::I16 => memory.get::<i16>(name)?[0].into(),
        DType::I8 => memory.get::<i8>(name)?[0].into(),
        DType::U64 => memory.get::<u64>(name)?[0] as f64,
        DType::U32 => memory.get::<u32>(name)?[0].into(),
        DType::U16 => memory.get::<u16>(name)?[0].into(),
        DType::U8 | DType::Bool => memory.get::<u8>(name)?[0].into(),
        DType::Bf16 | DType::F16 => Scalar::from_bits(memory.get::<u16>(name)?[0].into(), dtype).as_f64(),
    })
}

/// Whether no element of an output or a state is infinite or NaN.
pub(crate) fn is_finite(memory: &impl TensorSource, name: &str, dtype: DType) -> Result<bool, PortError> {
    Ok(match dtype {
        DType::F32 => memory.get::<f32>(name)?.iter().all(|x| x.is_finite()),
        DType::F64 => memory.get::<f64>(name)?.iter().all(|x| x.is_finite()),
        DType::Bf16 | DType::F16 => {
            memory.get::<u16>(name)?.iter().all(|bits| Scalar::from_bits((*bits).into(), dtype).as_f64().is_finite())
        }
        DType::I64 | DType::I32 | DType::I16 | DType::I8 => true,
        DType::U64 | DType::U32 | DType::U16 | DType::U8 | DType::Bool => true,
    })
}

/// Writes an output or a state of one float.
pub(super) fn write_float(memory: &mut impl Sink, name: &str, dtype: DType, number: f64) -> Result<(), PortError> {
    match dtype {
        DType::F64 => memory.put(name, &[number]),
        DType::Bf16 | DType::F16 => memory.put(name, &[Scalar::from_f64(number, dtype).to_bits() as u16]),
        _ => memory.put(name, &[number as f32]),
    }
}

/// The elements of states of these types, by name.
pub(crate) fn read_all<'t>(
    memory: &impl TensorSource,
    types: impl IntoIterator<Item = (&'t String, &'t TensorType)>,
) -> Result<BTreeMap<String, Value>, RunError> {
    try_map_of(types.into_iter().map(|(name, ty)| Ok((name.clone(), read(memory, name, ty)?))))
}

/// The elements of an output or a state as a tensor.
pub(crate) fn read(memory: &impl TensorSource, name: &str, ty: &TensorType) -> Result<Value, RunError> {
    let data = match ty.dtype {
        DType::F32 => Data::F32(memory.get(name)?.to_vec()),
        DType::F64 => Data::F64(memory.get(name)?.to_vec()),
        DType::I64 => Data::I64(memory.get(name)?.to_vec()),
        DType::I32 => Data::I32(memory.get(name)?.to_vec()),
        DType::I16 => Data::I16(memory.get(name)?.to_vec()),
        DType::I8 => Data::I8(memory.get(name)?.to_vec()),
        DType::U64 => Data::U64(memory.get(name)?.to_vec()),
        DType::U32 => Data::U32(memory.get(name)?.to_vec()),
        DType::U16 => Data::U16(memory.get(name)?.to_vec()),
        DType::U8 | DType::Bool => Data::from_bytes(ty.dtype, memory.get(name)?),
        DType::Bf16 | DType::F16 => {
            let bits: &[u16] = memory.get(name)?;
            let bytes: Vec<u8> = bits.iter().flat_map(|b| b.to_le_bytes()).collect();
            Data::from_bytes(ty.dtype, &bytes)
        }
    };
    let found = TensorType::new(data.dtype(), ty.shape.clone());
    Value::new(ty.clone(), data).map_err(|_| RunError::Type { name: name.into(), expected: ty.clone(), found })
}
