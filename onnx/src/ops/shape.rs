//! Shapes as tensors, constants, and tensors under other shapes.

use crate::call::{Call, Results, broadcast, one};
use crate::error::{Refusal, dtype};
use crate::item::{ImportItem, KnownTensor};
use crate::stored;
use crate::table::{OpEntry, op};
use gradc::dsl::{DType, Tensor, TypeSpec};
use ir::{Data, Scalar};

/// The operators.
pub(super) const OPS: &[OpEntry] = &[
    op("Constant", &[1, 9, 11, 12, 13, 19, 21, 23, 24, 25], constant),
    op("ConstantOfShape", &[9, 20, 21, 23, 24, 25], constant_of_shape),
    op("Expand", &[8, 13], expand),
    op("EyeLike", &[9, 22], eye_like),
    op("Flatten", &[1, 9, 11, 13, 21, 23, 24, 25], |c| {
        let dims = c.dims(0)?;
        let axis = c.split_attribute(1, dims.len())?;
        let before: usize = dims[..axis].iter().product();
        let after: usize = dims[axis..].iter().product();
        reshaped(c, &[before, after])
    }),
    op("Range", &[11, 27], range),
    op("Reshape", &[1, 5, 13, 14, 19, 21, 23, 24, 25], reshape),
    op("Shape", &[1, 13, 15, 19, 21, 23, 24, 25], |c| {
        let dims = c.dims(0)?;
        let rank = dims.len() as i64;
        let place = |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
        let (start, end) = (place(c.int("start", 0)), place(c.int("end", rank)));
        let part: Vec<i64> = dims[start.min(end)..end].iter().map(|&d| d as i64).collect();
        one(KnownTensor::ints(&part))
    }),
    op("Size", &[1, 13, 19, 21, 23, 24, 25], |c| {
        let numel = c.dims(0)?.iter().product::<usize>();
        one(KnownTensor::scalar(Scalar::I64(numel as i64)))
    }),
    op("Squeeze", &[1, 11, 13, 21, 23, 24, 25], squeeze),
    op("Unsqueeze", &[1, 11, 13, 21, 23, 24, 25], unsqueeze),
];

/// The first operand under other extents.
fn reshaped(c: &Call<'_, '_>, dims: &[usize]) -> Results {
    Ok(vec![reshaped_item(c, c.item(0)?, dims)?])
}

/// An item under other extents.
pub(super) fn reshaped_item(c: &Call<'_, '_>, item: &ImportItem, dims: &[usize]) -> Result<ImportItem, Refusal> {
    if let ImportItem::Known(KnownTensor::Empty { dtype, .. }) = item {
        return match dims.contains(&0) {
            true => Ok(KnownTensor::Empty { dtype: *dtype, dims: dims.to_vec() }.into()),
            false => Err(Refusal::broken(format!("no elements are to be {dims:?}"))),
        };
    }
    Ok(c.tensor_of(item, c.name(0))?.reshape(signed(dims)).into())
}

/// Extents as the graph's front end takes them.
pub(super) fn signed(dims: &[usize]) -> Vec<isize> {
    dims.iter().map(|&d| d as isize).collect()
}

/// Extents from a known tensor.
pub(super) fn extents(c: &Call<'_, '_>, operand: usize) -> Result<Vec<usize>, Refusal> {
    stored::extents(&c.ints(operand)?).map(|(dims, _)| dims)
}

fn constant(c: &mut Call<'_, '_>) -> Results {
    if let Some(tensor) = c.tensor_attribute("value") {
        return one(stored::read(tensor, c.importer.folder.as_deref())?);
    }
    if let Some(sparse) = c.attribute("sparse_value") {
        return Err(Refusal::case(format!("attribute {:?} of constants", sparse.name)));
    }
    if let Some(a) = c.attribute("value_float") {
        return one(KnownTensor::scalar(Scalar::F32(a.f)));
    }
    if let Some(a) = c.attribute("value_int") {
        return one(KnownTensor::scalar(Scalar::I64(a.i)));
    }
    if let Some(a) = c.attribute("value_floats") {
        return one(KnownTensor::new(&[a.floats.len()], Data::F32(a.floats.clone()))?);
    }
    match c.attribute("value_ints") {
        Some(a) => one(KnownTensor::ints(&a.ints)),
        None => Err(Refusal::case("a constant of texts")),
    }
}

fn constant_of_shape(c: &mut Call<'_, '_>) -> Results {
    let dims = extents(c, 0)?;
    let value = match c.tensor_attribute("value") {
        Some(tensor) => stored::read(tensor, c.importer.folder.as_deref())?,
        None => KnownTensor::scalar(Scalar::F32(0.0)),
    };
    let first = value.scalars().first().copied().ok_or_else(|| Refusal::broken("a value without an element"))?;
    if dims.contains(&0) {
        return one(KnownTensor::Empty { dtype: first.dtype(), dims });
    }
    one(KnownTensor::scalar(first).in_graph(&c.g, "value")?.broadcast_to(dims))
}

fn expand(c: &mut Call<'_, '_>) -> Results {
    let (from, to) = (c.dims(0)?, extents(c, 1)?);
    let common = broadcast(&from, &to)?;
    if common.contains(&0) {
        return one(KnownTensor::Empty { dtype: c.dtype(0)?, dims: common });
    }
    one(c.tensor(0)?.broadcast_to(common))
}

fn eye_like(c: &mut Call<'_, '_>) -> Results {
    let (own, dims) = c.ty(0)?;
    let to = match c.attribute("dtype") {
        Some(a) => dtype(i32::try_from(a.i).unwrap_or(-1))?,
        None => own,
    };
    if dims.len() != 2 {
        return Err(Refusal::broken("it is of matrices"));
    }
    let places = |axis| c.g.iota(TypeSpec::new(DType::I64, &dims), axis);
    one((places(1) - places(0)).eq(c.g.scalar(c.int("k", 0) as f64, DType::I64)).cast(to))
}

fn range(c: &mut Call<'_, '_>) -> Results {
    let dtype = c.dtype(0)?;
    let number = |i: usize| -> Result<f64, Refusal> {
        let missing = || Refusal::broken(format!("operand {i} must have one element"));
        c.known(i)?.to_floats().first().copied().ok_or_else(missing)
    };
    let (start, limit, delta) = (number(0)?, number(1)?, number(2)?);
    let count = ((limit - start) / delta).ceil();
    if !count.is_finite() || count > (1u64 << 40) as f64 {
        return Err(Refusal::Limit(format!("a range has {count} elements")));
    }
    if count < 1.0 {
        return one(KnownTensor::Empty { dtype, dims: vec![0] });
    }
    // 16-bit floats are summed in the type they are computed in, and rounded once.
    let wide = if dtype.is_short_float() { DType::F32 } else { dtype };
    let steps = c.g.iota(TypeSpec::new(wide, [count as usize]), 0);
    let (start, delta) = (c.tensor(0)?, c.tensor(2)?);
    let scalar = |x: &Tensor| x.reshape([]).cast(wide);
    one((steps * scalar(&delta) + scalar(&start)).cast(dtype))
}

fn reshape(c: &mut Call<'_, '_>) -> Results {
    let from = c.dims(0)?;
    let asked = match c.int_list("shape") {
        Some(shape) => shape,
        None => c.ints(1)?,
    };
    let allow_zero = c.flag("allowzero", false);
    let mut dims = Vec::with_capacity(asked.len());
    for (i, &d) in asked.iter().enumerate() {
        dims.push(match d {
            0 if !allow_zero => {
                let copied = from.get(i).copied();
                copied.ok_or_else(|| Refusal::broken(format!("axis {i} is to be copied, and there is none")))? as i64
            }
            -1 | 0.. => d,
            _ => return Err(Refusal::broken(format!("an extent is {d}"))),
        });
    }
    let numel: usize = from.iter().product();
    let unknown = dims.iter().filter(|&&d| d == -1).count();
    let known = dims.iter().filter(|&&d| d >= 0).try_fold(1usize, |n, &d| n.checked_mul(d as usize));
    let known = known.ok_or_else(|| Refusal::broken(format!("{dims:?} has more elements than memory can hold")))?;
    if unknown > 1 || unknown == 1 && (known == 0 || !numel.is_multiple_of(known)) {
        return Err(Refusal::broken(format!("{numel} elements are to be {dims:?}")));
    }
    let full: Vec<usize> = dims.iter().map(|&d| if d == -1 { numel / known } else { d as usize }).collect();
    reshaped(c, &full)
}

/// Axes of an operand, or before version 13 of an attribute.
pub(super) fn axes_of(c: &Call<'_, '_>, operand: usize) -> Result<Option<Vec<i64>>, Refusal> {
    match c.int_list("axes") {
        Some(axes) => Ok(Some(axes)),
        None => c.optional_ints(operand),
    }
}

fn squeeze(c: &mut Call<'_, '_>) -> Results {
    let dims = c.dims(0)?;
    let gone = match axes_of(c, 1)? {
        Some(axes) => Call::axes(&axes, dims.len())?,
        None => (0..dims.len()).filter(|&i| dims[i] == 1).collect(),
    };
    if let Some(axis) = gone.iter().find(|&&axis| dims[axis] != 1) {
        return Err(Refusal::broken(format!("axis {axis} of {dims:?} is to go, and has more than one place")));
    }
    let kept: Vec<usize> = (0..dims.len()).filter(|i| !gone.contains(i)).map(|i| dims[i]).collect();
    reshaped(c, &kept)
}

fn unsqueeze(c: &mut Call<'_, '_>) -> Results {
    let mut dims = c.dims(0)?;
    let axes = axes_of(c, 1)?.ok_or_else(|| Refusal::broken("it has no axes"))?;
    for axis in Call::axes(&axes, dims.len() + axes.len())? {
        if axis > dims.len() {
            return Err(Refusal::broken(format!("axis {axis} of {} axes", dims.len())));
        }
        dims.insert(axis, 1);
    }
    reshaped(c, &dims)
}
