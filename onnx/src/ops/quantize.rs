//! Bytes in the place of floats: quantization, and products of what is quantized.

use super::elementwise::converted;
use crate::call::{Call, Results, one};
use crate::error::{Refusal, dtype};
use crate::table::{OpEntry, op};
use gradc::dsl::{DType, Tensor};

/// The operators.
pub(super) const OPS: &[OpEntry] = &[
    op("DequantizeLinear", &[10, 13, 19, 21, 23, 24, 25], dequantize),
    op("DynamicQuantizeLinear", &[11], dynamic),
    op("QLinearMatMul", &[10, 21], |c| {
        let (a, b) = (centred(c, 0, 2, -2)?, centred(c, 3, 5, -1)?);
        let scale = along(&c.tensor(1)?, -2) * along(&c.tensor(4)?, -1);
        let sum = a.matmul(&b).cast(DType::F32) * scale.cast(DType::F32);
        quantized(&sum, &c.tensor(6)?.cast(DType::F32), &c.tensor(7)?)
    }),
    op("QuantizeLinear", &[10, 13, 19, 21, 23, 24, 25], quantize),
];

/// The numbers of a vector along an axis of a matrix counted from the end; a scalar as it is.
fn along(x: &Tensor, axis: isize) -> Tensor {
    let rank = x.shape().map_or(0, |shape| shape.rank());
    if rank == 1 && axis == -2 { x.unsqueeze(-1) } else { x.clone() }
}

/// An operand of bytes as `i32` around its zero point, which is one or a vector along an axis counted from the end.
pub(super) fn centred(c: &Call<'_, '_>, operand: usize, zero: usize, axis: isize) -> Result<Tensor, Refusal> {
    let x = c.tensor(operand)?.cast(DType::I32);
    Ok(match c.optional(zero)? {
        Some(zero) => x - along(&zero, axis).cast(DType::I32),
        None => x,
    })
}

/// The range of an integer type that numbers are quantized to.
fn range(dtype: DType) -> Result<(f64, f64), Refusal> {
    match dtype {
        DType::U8 => Ok((0.0, 255.0)),
        DType::I8 => Ok((-128.0, 127.0)),
        DType::U16 => Ok((0.0, 65535.0)),
        DType::I16 => Ok((-32768.0, 32767.0)),
        DType::I32 => Ok((f64::from(i32::MIN), f64::from(i32::MAX))),
        other => Err(Refusal::ElementType(other.to_string())),
    }
}

/// Rounded to the nearest multiple of the scale (ties to even), in the zero point's type.
pub(super) fn quantized(x: &Tensor, scale: &Tensor, zero: &Tensor) -> Results {
    let Some(to) = zero.dtype() else { return one(zero.clone()) };
    let (low, high) = range(to)?;
    let places = (x / scale).round() + zero.cast(DType::F32);
    one(places.clamp(low, high).cast(to))
}

/// A scale or zero point as it stands along an axis, or in blocks of it.
fn spread(x: &Tensor, axis: usize, block: usize, dims: &[usize]) -> Result<Tensor, Refusal> {
    let rank = x.shape().map_or(0, |shape| shape.rank());
    if rank == 1 && block == 0 {
        let mut x = x.clone();
        for _ in axis + 1..dims.len() {
            x = x.unsqueeze(-1);
        }
        return Ok(x);
    }
    if block == 0 || rank == 0 {
        return Ok(x.clone());
    }
    let Some(shape) = x.shape() else { return Ok(x.clone()) };
    if rank != dims.len() {
        return Err(Refusal::broken("scales of blocks must have the rank of the tensor"));
    }
    let mut wide = shape.dims().to_vec();
    wide.insert(axis + 1, block);
    let mut flat: Vec<isize> = shape.iter().map(|&d| d as isize).collect();
    flat[axis] = -1;
    let blocks = x.unsqueeze(axis as isize + 1).broadcast_to(wide).reshape(flat);
    Ok(blocks.slice_axis(axis as isize, 0..dims[axis]))
}

/// Attributes of scales: the axis and the block's extent.
fn places(c: &Call<'_, '_>, rank: usize) -> Result<(usize, usize), Refusal> {
    let scale = c.dims(1)?;
    let axis = if scale.is_empty() || rank == 0 { 0 } else { c.axis_attribute(1.min(rank as i64 - 1), rank)? };
    let block = usize::try_from(c.int("block_size", 0)).map_err(|_| Refusal::broken("a negative block size"))?;
    Ok((axis, block))
}

fn quantize(c: &mut Call<'_, '_>) -> Results {
    let (x, dims) = (c.tensor(0)?, c.dims(0)?);
    let (axis, block) = places(c, dims.len())?;
    let to = match (c.has(2), c.int("output_dtype", 0)) {
        (true, _) => c.dtype(2)?,
        (false, 0) => DType::U8,
        (false, number) => dtype(i32::try_from(number).unwrap_or(-1))?,
    };
    let scale = spread(&c.tensor(1)?, axis, block, &dims)?.cast(DType::F32);
    let zero = match c.optional(2)? {
        Some(zero) => spread(&zero, axis, block, &dims)?,
        None => c.g.zeros(gradc::dsl::TypeSpec::new(to, [])),
    };
    quantized(&x.cast(DType::F32), &scale, &zero)
}

fn dequantize(c: &mut Call<'_, '_>) -> Results {
    let (x, dims) = (c.tensor(0)?, c.dims(0)?);
    let (axis, block) = places(c, dims.len())?;
    let scale = spread(&c.tensor(1)?, axis, block, &dims)?;
    let to = scale.dtype().unwrap_or(DType::F32);
    let mut places = x.cast(DType::I32);
    if let Some(zero) = c.optional(2)? {
        places = places - spread(&zero, axis, block, &dims)?.cast(DType::I32);
    }
    one(converted(&(places.cast(DType::F32) * scale.cast(DType::F32)), to))
}

fn dynamic(c: &mut Call<'_, '_>) -> Results {
    let x = c.tensor(0)?;
    let (low, high) = (x.min().minimum(0.0), x.max().maximum(0.0));
    let scale = (high - &low) / 255.0;
    let zero = ((-low) / &scale).round().clamp(0.0, 255.0);
    let bytes = ((&x / &scale).round() + &zero).clamp(0.0, 255.0).cast(DType::U8);
    Ok(vec![bytes.into(), scale.into(), zero.cast(DType::U8).into()])
}
