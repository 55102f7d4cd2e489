//! From a data set into a program's inputs.

use super::TrainError;
use crate::compile::{CompiledProgram, Elements};
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
