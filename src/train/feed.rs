//! From a batch into a program's inputs, and through a step.

use super::TrainError;
use super::weights::SampleWeights;
use crate::compile::{CompiledProgram, Elements, RunError};
use crate::data::BatchView;
use crate::model::SAMPLE_WEIGHT;

/// Copies the samples of a batch into all of the program's inputs.
pub(super) fn feed(
    program: &mut CompiledProgram,
    batch: &BatchView<'_>,
    weights: &SampleWeights,
) -> Result<(), TrainError> {
    program.feed(|name, ty, mut elements| {
        if name == SAMPLE_WEIGHT && !weights.classes.is_empty() {
            return Ok(weights.write(batch, ty.dtype, &mut elements)?);
        }
        let (column, dtype) = (batch.column(name, ty)?, ty.dtype);
        match elements {
            Elements::F32(out) => column.gather(name, batch.rows(), dtype, out),
            Elements::F64(out) => column.gather(name, batch.rows(), dtype, out),
            Elements::I64(out) => column.gather(name, batch.rows(), dtype, out),
            Elements::I32(out) => column.gather(name, batch.rows(), dtype, out),
            Elements::Byte(out) => column.gather(name, batch.rows(), dtype, out),
            Elements::Bits16(out) => column.gather(name, batch.rows(), dtype, out),
        }?;
        Ok(())
    })
}

/// Runs a step on a batch, which has been fed. An element that is out of range is named by its sample.
pub(super) fn step(program: &mut CompiledProgram, batch: &BatchView<'_>) -> Result<(), TrainError> {
    program.step().map_err(|error| match error {
        RunError::Index { input: name, place, value, error } if !place.is_empty() && place[0] < batch.len() => {
            TrainError::Index { name, sample: batch.sample(place[0]), place: place[1..].to_vec(), value, error }
        }
        other => other.into(),
    })
}
