//! What a step gave, where it lies.

use super::{CompiledProgram, RunError};
use runtime::{Element, PortError, PortKind};

/// The outputs of a program, as the last step left them.
#[derive(Clone, Copy, Debug)]
pub struct StepOutputs<'a>(&'a CompiledProgram);

impl<'a> StepOutputs<'a> {
    pub(crate) fn of(program: &'a CompiledProgram) -> Self {
        Self(program)
    }

    /// The elements of an output, of a model's sample after sample: `output`, of a model that has one.
    ///
    /// # Errors
    /// If there is no such output, or its elements are no `T`.
    pub fn get<T: Element>(&self, name: &str) -> Result<&'a [T], RunError> {
        Ok(self.0.output(name)?)
    }

    /// Copies an output into room for exactly its elements.
    ///
    /// # Errors
    /// As [`Self::get`], and room for another number of elements.
    pub fn copy_to<T: Element>(&self, name: &str, room: &mut [T]) -> Result<(), RunError> {
        let elements = self.get(name)?;
        if elements.len() != room.len() {
            let (kind, expected, found) = (PortKind::Output, elements.len(), room.len());
            return Err(PortError::WrongLength { kind, name: name.into(), expected, found }.into());
        }
        room.copy_from_slice(elements);
        Ok(())
    }

    /// The first element of a float output, widened: a loss, a metric.
    ///
    /// # Errors
    /// If there is no such output, or it is no float.
    pub fn scalar(&self, name: &str) -> Result<f64, RunError> {
        Ok(self.0.scalar(name)?)
    }
}
