//! What a model learns, apart from the programs that train it or predict by it.

use crate::arena::{ALIGN, Arena};
use crate::{Element, LoadError, PortError, PortKind};
use kernel::DType;
use std::collections::BTreeMap;

/// A state's elements in the block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct StateSlot {
    dtype: DType,
    len: usize,
    offset: usize,
}

/// All states of a model by name, in one aligned block of memory: parameters, moments, statistics, counters. Programs of the model, for training, evaluation and
/// prediction at any batch size, run on one block, one after the other by [`crate::Executable::attach`]; those that only read may do so at the
/// same time, by [`crate::Executable::share`].
pub struct States {
    block: Arena,
    slots: BTreeMap<String, StateSlot>,
}

impl std::fmt::Debug for States {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.slots.iter().map(|(name, slot)| (name, (slot.dtype, slot.len)))).finish()
    }
}

impl States {
    /// A block of zeros for states of these names, types and numbers of elements. Each starts at a multiple of 64 bytes.
    ///
    /// # Errors
    /// If there is no memory for it; two states of one name.
    pub fn new(states: impl IntoIterator<Item = (String, DType, usize)>) -> Result<Self, LoadError> {
        let (mut slots, mut end) = (BTreeMap::new(), 0usize);
        let too_large = || LoadError::OutOfMemory { what: "the states", bytes: usize::MAX };
        for (name, dtype, len) in states {
            let bytes = len.checked_mul(dtype.size_bytes()).ok_or_else(too_large)?;
            let slot = StateSlot { dtype, len, offset: end };
            end = end.checked_add(bytes).and_then(|end| end.checked_next_multiple_of(ALIGN)).ok_or_else(too_large)?;
            if slots.insert(name.clone(), slot).is_some() {
                return Err(crate::PlanError::DuplicatePort(name).into());
            }
        }
        Ok(Self { block: Arena::new(end, "the states")?, slots })
    }

    /// The states that there are: names, types, numbers of elements.
    pub fn iter(&self) -> impl Iterator<Item = (&str, DType, usize)> {
        self.slots.iter().map(|(name, slot)| (name.as_str(), slot.dtype, slot.len))
    }

    /// Bytes of the block.
    pub fn bytes(&self) -> usize {
        self.block.bytes()
    }

    /// Whether there is a state of that name and type.
    pub fn holds(&self, name: &str, dtype: DType, len: usize) -> bool {
        self.slots.get(name).is_some_and(|slot| (slot.dtype, slot.len) == (dtype, len))
    }

    /// Where a state starts; nowhere if there is none of that name.
    pub(crate) fn address(&self, name: &str) -> Option<*mut u8> {
        self.slots.get(name).map(|slot| self.block.address(slot.offset))
    }

    /// The elements of a state.
    ///
    /// # Errors
    /// If there is no such state, or its elements have another type.
    pub fn get<T: Element>(&self, name: &str) -> Result<&[T], PortError> {
        let slot = self.slot::<T>(name)?;
        Ok(self.block.slice(slot.offset, slot.len))
    }

    /// The elements of a state, to write in place. (A `bool` state is written by [`Self::write`].)
    ///
    /// # Errors
    /// If there is no such state, or its elements have another type.
    pub fn get_mut<T: Element>(&mut self, name: &str) -> Result<&mut [T], PortError> {
        let slot = self.slot::<T>(name)?;
        if slot.dtype == DType::Bool {
            return Err(PortError::UncheckedBool { kind: PortKind::State, name: name.to_owned() });
        }
        Ok(self.block.slice_mut(slot.offset, slot.len))
    }

    /// Copies a state in.
    ///
    /// # Errors
    /// If there is no such state, its elements have another type, it has another length, or it is `bool` and a byte is neither 0 nor 1.
    pub fn write<T: Element>(&mut self, name: &str, values: &[T]) -> Result<(), PortError> {
        let slot = self.slot::<T>(name)?;
        crate::ports::check_values(PortKind::State, name, (slot.dtype, slot.len), values)?;
        self.block.slice_mut(slot.offset, slot.len).copy_from_slice(values);
        Ok(())
    }

    fn slot<T: Element>(&self, name: &str) -> Result<StateSlot, PortError> {
        let kind = PortKind::State;
        let Some(&slot) = self.slots.get(name) else {
            return Err(PortError::Unknown {
                kind,
                name: name.to_owned(),
                known: self.slots.keys().cloned().collect(),
            });
        };
        if !T::holds(slot.dtype) {
            let name = name.to_owned();
            return Err(PortError::WrongType { kind, name, expected: slot.dtype, found: T::NAME });
        }
        Ok(slot)
    }

    /// Takes over the elements of all states that another block has under the same name, type and number of elements.
    pub fn copy_from(&mut self, other: &Self) {
        for (name, slot) in &self.slots {
            let Some(old) = other.slots.get(name).filter(|old| (old.dtype, old.len) == (slot.dtype, slot.len)) else {
                continue;
            };
            let bytes = slot.len * slot.dtype.size_bytes();
            self.block.slice_mut::<u8>(slot.offset, bytes).copy_from_slice(other.block.slice(old.offset, bytes));
        }
    }
}
