//! A model against numbers that another framework has computed.

use super::{TestingError, Tolerance};
use crate::data::{Column, Dataset};
use crate::io::TensorFile;
use crate::train::{TrainError, Trainer};
use ir::{DType, TensorType, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// Compares what a model gives with what another framework did, whose numbers are in an `.npz` or `.safetensors` file: inputs under the names of the model's inputs (`x`), results under
/// those of its outputs (`output`), and weights, if they are there, under the names that they have here; they become the trainer's. (Weights under another framework's names are read by
/// [`Trainer::load_pretrained`] before.) Floats of other types are converted.
///
/// ```
/// use gradc::data::array;
/// use gradc::io::save_tensors;
/// use gradc::prelude::*;
/// use gradc::testing::{Tolerance, compare_with_file};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("numbers.safetensors");
/// // In Python: `np.savez("numbers.npz", **{"x": x, "dense/kernel": w.T, "dense/bias": b, "output": y})`
/// let tensors = [
///     ("x", array([1, 2], vec![1.0f64, 2.0])?),
///     ("dense/kernel", array([2, 1], vec![3.0f64, 4.0])?),
///     ("dense/bias", array([1], vec![0.5f64])?),
///     ("output", array([1, 1], vec![11.5f64])?),
/// ];
/// save_tensors(&path, &tensors.map(|(name, value)| (name.to_string(), value)).into())?;
/// let mut trainer = Sequential::new([2]).dense(1).compile(Sgd::new(0.1), MeanSquaredError, [])?;
/// compare_with_file(&mut trainer, &path, Tolerance::default())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The first number that differs; a file that can't be read, lacks an input or all outputs, or has a tensor that is nothing of the model's.
pub fn compare_with_file(
    trainer: &mut Trainer,
    path: impl AsRef<Path>,
    tolerance: Tolerance,
) -> Result<(), TestingError> {
    let path = path.as_ref();
    let file = TensorFile::open(path)?;
    let mut tensors = file.tensors(file.names())?;
    let missing = |what: String| TestingError::File { path: path.into(), what };
    let mut weights = BTreeMap::new();
    for (name, own) in trainer.weights()? {
        if let Some(value) = tensors.remove(&name) {
            weights.insert(name, as_floats_of(value, own.ty().dtype));
        }
    }
    trainer.set_weights(weights)?;
    let mut data: Option<Dataset> = None;
    for (name, dtype) in trainer.input_types() {
        let value = tensors
            .remove(&name)
            .ok_or_else(|| missing(format!("there is no tensor `{name}`, an input of the model")))?;
        let column = Column::new(as_floats_of(value, dtype)).map_err(TrainError::from)?;
        data = Some(match data {
            None => Dataset::of(&name, column),
            Some(data) => data.with(&name, column).map_err(TrainError::from)?,
        });
    }
    let data = data.ok_or_else(|| missing("the model has no input".into()))?;
    let outputs = trainer.predict_outputs(&data)?;
    if !tensors.keys().any(|name| outputs.contains_key(name)) {
        let names: Vec<&str> = outputs.keys().map(String::as_str).collect();
        return Err(missing(format!("there is no output of the model, which are {}", names.join(", "))));
    }
    tensors.into_iter().try_for_each(|(name, wanted)| match outputs.get(&name) {
        Some(found) => compare(path, &name, (found, &wanted), tolerance),
        None => Err(missing(format!("`{name}` is no input, no weight and no output of the model"))),
    })
}

/// The first element that isn't near enough.
fn compare(
    path: &Path,
    name: &str,
    (found, wanted): (&Value, &Value),
    tolerance: Tolerance,
) -> Result<(), TestingError> {
    let shape = &wanted.ty().shape;
    if found.ty().shape != *shape {
        let what = format!("`{name}` is {}, and the model gives {}", wanted.ty(), found.ty());
        return Err(TestingError::File { path: path.into(), what });
    }
    let pairs = found.to_f64_vec().into_iter().zip(wanted.to_f64_vec());
    match pairs.enumerate().find(|(_, (found, wanted))| !tolerance.holds(*found, *wanted)) {
        None => Ok(()),
        Some((at, (found, wanted))) => {
            let place = shape.strides().iter().zip(shape.iter()).map(|(s, d)| at / s % d).collect();
            Err(TestingError::Value { path: path.into(), name: name.into(), place, found, wanted })
        }
    }
}

/// The elements in the type that the model asks for, where both are floats; else as they are, which an error then says.
fn as_floats_of(value: Value, to: DType) -> Value {
    let from = value.ty().dtype;
    if from == to || !from.is_float() || !to.is_float() {
        return value;
    }
    let shape = value.ty().shape.clone();
    Value::from_fn(TensorType::new(to, shape), |i| value.get(i).cast(to))
}
