//! A program's inputs and outputs by name, whatever its code comes from.

use super::RunError;
use super::values::{Elements, append_le, read, with_input};
use ir::{TensorType, Value};
use runtime::{PortError, PortKind, PortMemory, ProgramInputs};
use std::collections::BTreeMap;
use std::ops::Range;

/// The inputs and the outputs by name, with their types.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct PortTypes {
    pub(crate) inputs: BTreeMap<String, TensorType>,
    pub(crate) outputs: BTreeMap<String, TensorType>,
}

impl PortTypes {
    /// The type of an input.
    pub(super) fn input(&self, name: &str) -> Result<&TensorType, PortError> {
        find(self.inputs.get(name), PortKind::Input, name, self.inputs.keys())
    }

    /// The type of an output.
    pub(super) fn output(&self, name: &str) -> Result<&TensorType, PortError> {
        find(self.outputs.get(name), PortKind::Output, name, self.outputs.keys())
    }
}

/// A program that is fed, run and read.
pub(crate) trait PortAccess {
    /// What there is to read.
    fn ports(&self) -> (&PortTypes, &PortMemory);

    /// What there is to write.
    fn inputs_mut(&mut self) -> (&PortTypes, ProgramInputs<'_>);

    /// Runs one step on what the inputs hold.
    fn run_step(&mut self) -> Result<(), RunError>;

    /// Shows `f` each input's name, type and elements, to write in place.
    fn feed<E: From<PortError>>(
        &mut self,
        mut f: impl FnMut(&str, &TensorType, Elements<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (types, mut inputs) = self.inputs_mut();
        for (name, ty) in &types.inputs {
            with_input(&mut inputs, name, ty, |elements| f(name, ty, elements))?;
        }
        Ok(())
    }

    /// Copies little-endian elements into an input, from element `at` on.
    ///
    /// # Errors
    /// If there is no such input, it has no room for them, or they are truth values and a byte is neither 0 nor 1.
    fn write_bytes(&mut self, name: &str, at: usize, bytes: &[u8]) -> Result<(), RunError> {
        let (types, mut inputs) = self.inputs_mut();
        let ty = types.input(name)?;
        let (dtype, expected) = (ty.dtype, ty.shape.numel());
        with_input(&mut inputs, name, ty, |elements| match elements.write_le(at, bytes) {
            true => Ok(()),
            false => {
                let found = at.saturating_add(bytes.len() / dtype.size_bytes());
                Err(PortError::WrongLength { kind: PortKind::Input, name: name.into(), expected, found }.into())
            }
        })
    }

    /// Copies a row of all inputs, along their first axis, to the rows behind it.
    fn repeat_row(&mut self, row: usize) -> Result<(), RunError> {
        self.feed(|_, ty, elements| {
            let rows = ty.shape.first().copied().unwrap_or(1).max(1);
            elements.repeat(row, ty.shape.numel() / rows);
            Ok(())
        })
    }

    /// Appends elements of an output, little-endian.
    ///
    /// # Errors
    /// If there is no such output, or it has fewer.
    fn read_bytes(&self, name: &str, elements: Range<usize>, bytes: &mut Vec<u8>) -> Result<(), RunError> {
        let (types, memory) = self.ports();
        Ok(append_le(memory, (name, types.output(name)?), elements, bytes)?)
    }

    /// An output as a tensor of its own.
    ///
    /// # Errors
    /// If there is no such output.
    fn read_output(&self, name: &str) -> Result<Value, RunError> {
        let (types, memory) = self.ports();
        read(memory, name, types.output(name)?)
    }
}

/// The type of what was asked for, if there is such a thing.
pub(super) fn find<'t, 'n>(
    found: Option<&'t TensorType>,
    kind: PortKind,
    name: &str,
    known: impl Iterator<Item = &'n String>,
) -> Result<&'t TensorType, PortError> {
    found.ok_or_else(|| PortError::Unknown { kind, name: name.into(), known: known.cloned().collect() })
}
