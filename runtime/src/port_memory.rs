//! Memory with a program's inputs and outputs, which are found by name.

use crate::arena::Arena;
use crate::ports::{Ports, check_values};
use crate::{Element, Port, PortError, PortKind};
use kernel::DType;

/// The memory of a program, in which its inputs and outputs lie. Nobody gets it to write to as a whole: code has addresses in it, and mustn't have those of another program's memory.
pub struct PortMemory {
    pub(crate) arena: Arena,
    pub(crate) ports: Ports,
}

impl PortMemory {
    /// The ports: inputs, then outputs, then states, by name.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        self.ports.values().flat_map(|of_kind| of_kind.values())
    }

    /// The elements of an output, as the last step left them.
    ///
    /// # Errors
    /// If there is no such output, or its elements have another type.
    pub fn output<T: Element>(&self, name: &str) -> Result<&[T], PortError> {
        let port = self.port::<T>(PortKind::Output, name)?;
        Ok(self.arena.slice(port.offset, port.len))
    }

    pub(crate) fn input_mut<T: Element>(&mut self, name: &str) -> Result<&mut [T], PortError> {
        let kind = PortKind::Input;
        let port = self.port::<T>(kind, name)?;
        if port.dtype == DType::Bool {
            return Err(PortError::UncheckedBool { kind, name: name.to_owned() });
        }
        let (offset, len) = (port.offset, port.len);
        Ok(self.arena.slice_mut(offset, len))
    }

    pub(crate) fn write_input<T: Element>(&mut self, name: &str, values: &[T]) -> Result<(), PortError> {
        let kind = PortKind::Input;
        let port = self.port::<T>(kind, name)?;
        check_values(kind, name, (port.dtype, port.len), values)?;
        let (offset, len) = (port.offset, port.len);
        self.arena.slice_mut(offset, len).copy_from_slice(values);
        Ok(())
    }

    pub(crate) fn fill_truth<E: From<PortError>>(
        &mut self,
        name: &str,
        f: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let kind = PortKind::Input;
        let port = self.port::<u8>(kind, name)?;
        let (dtype, offset, len) = (port.dtype, port.offset, port.len);
        if dtype != DType::Bool {
            let name = name.to_owned();
            return Err(PortError::WrongType { kind, name, expected: dtype, found: "bool" }.into());
        }
        let bytes = self.arena.slice_mut::<u8>(offset, len);
        let checked = f(bytes).and_then(|()| Ok(check_values(kind, name, (dtype, len), bytes)?));
        if checked.is_err() {
            bytes.fill(0);
        }
        checked
    }

    pub(crate) fn port<T: Element>(&self, kind: PortKind, name: &str) -> Result<&Port, PortError> {
        let of_kind = self.ports.get(&kind);
        let Some(port) = of_kind.and_then(|ports| ports.get(name)) else {
            let known = of_kind.map(|ports| ports.keys().cloned().collect()).unwrap_or_default();
            return Err(PortError::Unknown { kind, name: name.to_owned(), known });
        };
        if !T::holds(port.dtype) {
            let name = name.to_owned();
            return Err(PortError::WrongType { kind, name, expected: port.dtype, found: T::NAME });
        }
        Ok(port)
    }
}

/// The inputs of a program, to write.
pub struct ProgramInputs<'a>(pub(crate) &'a mut PortMemory);

/// What writes inputs, of whatever has their memory in that field.
macro_rules! input_methods {
    ($ty:ty, $memory:tt) => {
        impl $ty {
            /// The elements of an input, to write in place. (A `bool` input is written by [`Self::write_input`].)
            ///
            /// # Errors
            /// If there is no such input, or its elements have another type.
            pub fn input_mut<T: $crate::Element>(&mut self, name: &str) -> Result<&mut [T], $crate::PortError> {
                self.$memory.input_mut(name)
            }

            /// Copies an input in.
            ///
            /// # Errors
            /// If there is no such input, its elements have another type, it has another length, or it is `bool` and a byte is neither 0 nor 1.
            pub fn write_input<T: $crate::Element>(
                &mut self,
                name: &str,
                values: &[T],
            ) -> Result<(), $crate::PortError> {
                self.$memory.write_input(name, values)
            }

            /// Has `f` write a `bool` input in place, as bytes, and checks them afterwards: where one is neither 0 nor 1, or `f` fails, all are 0.
            ///
            /// # Errors
            /// If there is no such input, or it is not `bool`; a byte that is neither 0 nor 1; what `f` fails with.
            pub fn fill_truth<E: From<$crate::PortError>>(
                &mut self,
                name: &str,
                f: impl FnOnce(&mut [u8]) -> Result<(), E>,
            ) -> Result<(), E> {
                self.$memory.fill_truth(name, f)
            }
        }
    };
}
pub(crate) use input_methods;

input_methods!(ProgramInputs<'_>, 0);
