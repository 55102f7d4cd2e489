//! What a step learns and keeps, by name.

use crate::{AlignedBox, PortElement, StepFailure};

/// Where a state lies among a step's states.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StatePlace {
    /// Its name: `dense/kernel`.
    pub name: &'static str,
    /// The type of its elements, as a graph's text has it: `f32`, `bf16`.
    pub dtype: &'static str,
    /// How many elements it has.
    pub len: usize,
    /// Where it starts, in bytes.
    pub offset: usize,
}

impl StatePlace {
    /// Its bytes in the block.
    fn place(&self) -> std::ops::Range<usize> {
        let each = match self.dtype {
            "f64" | "i64" | "u64" => 8,
            "f32" | "i32" | "u32" => 4,
            "bf16" | "f16" | "i16" | "u16" => 2,
            _ => 1,
        };
        self.offset..self.offset + self.len * each
    }
}

/// A block of memory with all states of a step: parameters, the optimizer's moments, counters. A wrapper's function `states` makes it, with what the states start with. Every
/// step that has its states at the same places runs on it.
pub struct States {
    block: AlignedBox<u8>,
    specs: &'static [StatePlace],
}

impl States {
    /// A block of so many zeros, in which the states lie.
    pub(crate) fn zeros(specs: &'static [StatePlace], bytes: usize) -> Result<Self, StepFailure> {
        Ok(Self { block: AlignedBox::zeros(bytes)?, specs })
    }

    /// Where the block starts, for a step that writes it.
    pub(crate) fn start_mut(&mut self) -> *mut u8 {
        self.block.as_mut_ptr()
    }

    /// The states that there are.
    pub fn specs(&self) -> &'static [StatePlace] {
        self.specs
    }

    /// The elements of a state.
    ///
    /// # Errors
    /// If there is no such state, or its elements have another type.
    pub fn get<T: PortElement>(&self, name: &str) -> Result<&[T], StepFailure> {
        let spec = self.spec::<T>(name)?;
        // SAFETY: the state lies within the block, aligned as the block is; its type was just checked, and every step and `restore` leave values of that
        // type there. Nobody writes while `self` is borrowed.
        Ok(unsafe { std::slice::from_raw_parts(self.block.as_ptr().add(spec.offset).cast(), spec.len) })
    }

    /// The elements of a state, to write.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn get_mut<T: PortElement>(&mut self, name: &str) -> Result<&mut [T], StepFailure> {
        let spec = self.spec::<T>(name)?;
        // SAFETY: as in `get`, and the borrow of `self` is exclusive.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.block.as_mut_ptr().add(spec.offset).cast(), spec.len) })
    }

    /// The whole block: a checkpoint.
    pub fn bytes(&self) -> &[u8] {
        &self.block
    }

    /// Takes over a block that [`Self::bytes`] gave, of the same step's states.
    ///
    /// # Errors
    /// If it has another length, or a byte of a truth value is neither 0 nor 1: then nothing changes.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), StepFailure> {
        let (found, expected) = (bytes.len(), self.block.len());
        if found != expected {
            return Err(StepFailure::Length { name: "the states' bytes".into(), found, expected });
        }
        for spec in self.specs.iter().filter(|spec| spec.dtype == "bool") {
            let values = &bytes[spec.place()];
            if let Some(&value) = values.iter().find(|value| **value > 1) {
                return Err(StepFailure::NotBool { name: spec.name, value });
            }
        }
        self.block.write(bytes)
    }

    /// Takes over the elements of all states that another block has under the same name, type and number of elements: trained weights, for a step of prediction that lays out its
    /// states in another way. Gives the names of those that it doesn't have.
    pub fn copy_from(&mut self, other: &Self) -> Vec<&'static str> {
        let mut missing = vec![];
        for spec in self.specs {
            let is_same = |old: &&StatePlace| (old.name, old.dtype, old.len) == (spec.name, spec.dtype, spec.len);
            match other.specs.iter().find(is_same) {
                Some(old) => self.block[spec.place()].copy_from_slice(&other.block[old.place()]),
                None => missing.push(spec.name),
            }
        }
        missing
    }

    fn spec<T: PortElement>(&self, name: &str) -> Result<&'static StatePlace, StepFailure> {
        let Some(spec) = self.specs.iter().find(|spec| spec.name == name) else {
            let known = self.specs.iter().map(|spec| spec.name).collect();
            return Err(StepFailure::NoState { name: name.into(), known });
        };
        match T::holds(spec.dtype) {
            true => Ok(spec),
            false => Err(StepFailure::ElementType { name: name.into(), found: T::NAME, expected: spec.dtype }),
        }
    }

    /// Whether a step that has its states at these places of a block of so many bytes runs on this one.
    pub(crate) fn check(&self, wanted: &'static [StatePlace], bytes: usize) -> Result<(), StepFailure> {
        if self.block.len() < bytes {
            let name = "the states' bytes".to_owned();
            return Err(StepFailure::Length { name, found: self.block.len(), expected: bytes });
        }
        if std::ptr::eq(self.specs, wanted) {
            return Ok(());
        }
        match wanted.iter().find(|spec| !self.specs.contains(spec)) {
            None => Ok(()),
            Some(missing) => Err(StepFailure::Layout { state: missing.name }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn spec(name: &'static str, dtype: &'static str, len: usize, offset: usize) -> StatePlace {
        StatePlace { name, dtype, len, offset }
    }

    static TRAIN: [StatePlace; 3] = [spec("m", "f32", 3, 0), spec("on", "bool", 2, 64), spec("w", "f32", 3, 128)];
    static INFER: [StatePlace; 1] = [spec("w", "f32", 3, 128)];
    static ELSEWHERE: [StatePlace; 1] = [spec("w", "f32", 3, 0)];

    #[test]
    fn states_are_found_by_name_and_checked() {
        let mut states = States::zeros(&TRAIN, 192).unwrap();
        assert_eq!(states.bytes().len(), 192);
        states.get_mut::<f32>("w").unwrap().copy_from_slice(&[1.0, 2.0, 3.0]);
        assert_eq!(states.get::<f32>("w").unwrap(), [1.0, 2.0, 3.0]);
        assert_eq!(states.get::<f32>("m").unwrap(), [0.0; 3]);
        assert!(states.get::<f32>("v").unwrap_err().to_string().contains("no state `v`; there are m, on, w"));
        assert!(states.get::<u8>("on").unwrap_err().to_string().contains("are bool, not u8"));
        let kept = states.bytes().to_vec();
        states.get_mut::<f32>("w").unwrap()[0] = 9.0;
        states.restore(&kept).unwrap();
        assert_eq!(states.get::<f32>("w").unwrap()[0], 1.0);
        assert!(matches!(states.restore(&kept[1..]), Err(StepFailure::Length { .. })));
        let mut wrong = kept.clone();
        wrong[65] = 2;
        assert!(matches!(states.restore(&wrong), Err(StepFailure::NotBool { name: "on", value: 2 })));
    }

    #[test]
    fn a_step_runs_on_states_that_have_its_own_where_it_has_them() {
        let states = States::zeros(&TRAIN, 192).unwrap();
        assert!(states.check(&TRAIN, 192).is_ok() && states.check(&INFER, 192).is_ok());
        assert!(matches!(states.check(&ELSEWHERE, 64), Err(StepFailure::Layout { state: "w" })));
        assert!(States::zeros(&INFER, 192).unwrap().check(&TRAIN, 192).is_err());
        assert!(matches!(States::zeros(&INFER, 64).unwrap().check(&INFER, 192), Err(StepFailure::Length { .. })));
    }

    #[test]
    fn states_of_one_name_are_copied_wherever_they_lie() {
        let (mut to, mut from) = (States::zeros(&ELSEWHERE, 64).unwrap(), States::zeros(&TRAIN, 192).unwrap());
        from.get_mut::<f32>("w").unwrap().copy_from_slice(&[1.0, 2.0, 3.0]);
        assert!(to.copy_from(&from).is_empty());
        assert_eq!(to.get::<f32>("w").unwrap(), [1.0, 2.0, 3.0]);
        assert_eq!(from.copy_from(&to), ["m", "on"]);
    }
}
