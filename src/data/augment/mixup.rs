//! Mixup: each sample a mixture of two, and so its target.

use crate::data::column::copy_sample;
use crate::data::{BatchMut, DataError, Field, Rng, SampleMut, Schema, Source, Stream};
use crate::model::TARGET;
use ir::{DType, Shape, TensorType};

/// The column that is mixed.
const MIXED: &str = "x";

impl Stream {
    /// Mixes each sample with another one of its batch, `share * a + (1 - share) * b`, its input `x` and its target, by a share that is drawn for each batch from
    /// Beta(alpha, alpha) (Zhang, Cissé, Dauphin and Lopez-Paz, arXiv 1710.09412). `x` becomes `f32`, and the label `y` of `classes` classes `f32[classes]`: the loss is
    /// [`CategoricalCrossEntropy`](crate::nn::CategoricalCrossEntropy) then.
    ///
    /// # Errors
    /// If `x` holds neither bytes nor `f32`, `y` isn't one integer, or `alpha` isn't above 0.
    pub fn mixup(self, alpha: f64, classes: usize) -> Result<Self, DataError> {
        if !(alpha.is_finite() && alpha > 0.0) {
            return Err(DataError::Dataset(format!("mixup with alpha {alpha}: it must be finite and above 0")));
        }
        let unit = self.schema().field(MIXED).is_some_and(|field| field.unit);
        let schema = mixed(&self.schema(), classes)?;
        let one_hot = self.map_to(schema, move |from, to, _| soften(from, to, unit));
        Ok(one_hot.map_batch(move |batch, rng| mix(batch, rng, alpha)))
    }
}

/// The columns of mixed samples.
fn mixed(schema: &Schema, classes: usize) -> Result<Schema, DataError> {
    let hot = Shape::new([classes]).map_err(|e| DataError::Dataset(format!("mixup of {classes} classes: {e}")))?;
    for name in [MIXED, TARGET] {
        if schema.field(name).is_none() {
            return Err(DataError::Dataset(format!("mixup: the stream has no column `{name}`")));
        }
    }
    let field = |field: &Field| {
        let name = field.name.clone();
        let ty = &field.ty;
        match name.as_str() {
            MIXED if matches!(ty.dtype, DType::U8 | DType::F32) => {
                Ok(Field { name, ty: TensorType::new(DType::F32, ty.shape.clone()), unit: false })
            }
            TARGET if matches!(ty.dtype, DType::U8 | DType::I32 | DType::I64) && ty.shape.rank() == 0 => {
                Ok(Field { name, ty: TensorType::new(DType::F32, hot.clone()), unit: false })
            }
            MIXED | TARGET => {
                Err(DataError::Dataset(format!("mixup of `{name}`, {ty}: inputs are u8 or f32, labels one integer")))
            }
            _ => Ok(field.clone()),
        }
    };
    schema.fields().iter().map(field).collect()
}

/// Floats of a sample's input, and its label one-hot.
fn soften(from: &SampleMut<'_>, to: &mut SampleMut<'_>, unit: bool) -> Result<(), DataError> {
    from.copy_others(to, &[MIXED, TARGET])?;
    match from.ty(MIXED)?.dtype {
        DType::U8 => {
            let scale = if unit { 255.0 } else { 1.0 };
            let bytes = from.get::<u8>(MIXED)?.iter();
            to.get_mut::<f32>(MIXED)?.iter_mut().zip(bytes).for_each(|(to, byte)| *to = f32::from(*byte) / scale);
        }
        _ => to.put(MIXED, from.get::<f32>(MIXED)?)?,
    }
    let label = match from.ty(TARGET)?.dtype {
        DType::U8 => i64::from(from.get::<u8>(TARGET)?[0]),
        DType::I32 => i64::from(from.get::<i32>(TARGET)?[0]),
        _ => from.get::<i64>(TARGET)?[0],
    };
    let hot = to.get_mut::<f32>(TARGET)?;
    let classes = hot.len();
    hot.fill(0.0);
    match usize::try_from(label).ok().and_then(|label| hot.get_mut(label)) {
        Some(one) => *one = 1.0,
        None => return Err(DataError::Dataset(format!("the label {label} is none of {classes} classes"))),
    }
    Ok(())
}

/// Mixes each sample with the one a random number of places further.
fn mix(batch: &mut BatchMut<'_>, rng: &mut Rng, alpha: f64) -> Result<(), DataError> {
    let samples = batch.len();
    let (share, distance) = (rng.beta(alpha) as f32, 1 + rng.below(samples.saturating_sub(1)));
    for name in [MIXED, TARGET] {
        let elements = batch.get_mut::<f32>(name)?;
        let old = elements.to_vec();
        let distance = distance % samples * (old.len() / samples);
        let others = old[distance..].iter().chain(&old[..distance]);
        elements.iter_mut().zip(others).for_each(|(to, other)| *to = share * *to + (1.0 - share) * other);
    }
    Ok(())
}

impl SampleMut<'_> {
    /// Copies the columns that both samples have, except some.
    fn copy_others(&self, to: &mut SampleMut<'_>, except: &[&str]) -> Result<(), DataError> {
        let (own, row) = self.parts_ref();
        let (columns, at) = to.parts();
        for (name, to) in columns.iter_mut().filter(|(name, _)| !except.contains(&name.as_str())) {
            if let Some((_, from)) = own.iter().find(|(known, _)| known == name) {
                copy_sample(to.data_mut(), at, from.value().data(), row, from.sample().shape.numel());
            }
        }
        Ok(())
    }
}
