//! From a data set into a program's inputs, and through a step.

use super::TrainError;
use crate::compile::{CompiledProgram, Elements, RunError};
use crate::data::Batches;

/// Copies the samples stored at `rows` into all of the program's inputs.
pub(super) fn feed(program: &mut CompiledProgram, batches: &Batches<'_>, rows: &[usize]) -> Result<(), TrainError> {
    program.feed(|name, ty, elements| {
        let (column, dtype) = (batches.column(name, ty)?, ty.dtype);
        match elements {
            Elements::F32(out) => column.gather(name, rows, dtype, out),
            Elements::F64(out) => column.gather(name, rows, dtype, out),
            Elements::I64(out) => column.gather(name, rows, dtype, out),
            Elements::I32(out) => column.gather(name, rows, dtype, out),
            Elements::Byte(out) => column.gather(name, rows, dtype, out),
            Elements::Bits16(out) => column.gather(name, rows, dtype, out),
        }?;
        Ok(())
    })
}

/// Runs a step on the samples stored at `rows`, which have been fed. An element that is out of range is named by its sample.
pub(super) fn step(program: &mut CompiledProgram, rows: &[usize]) -> Result<(), TrainError> {
    program.step().map_err(|error| match error {
        RunError::Index { input: name, place, value, error } if !place.is_empty() && place[0] < rows.len() => {
            TrainError::Index { name, sample: rows[place[0]], place: place[1..].to_vec(), value, error }
        }
        other => other.into(),
    })
}
