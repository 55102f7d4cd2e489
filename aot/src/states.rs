//! The block of states: where each stands and what it starts with, the same for all entries that run on it.

use crate::identifier::identifiers;
use crate::{AotError, EntryPoint, Initial};
use kernel::{DType, Program};
use runtime::ALIGN;
use std::collections::BTreeMap;

/// A state: a part of the caller's block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StateField {
    pub(crate) name: String,
    pub(crate) c_name: String,
    pub(crate) dtype: DType,
    pub(crate) dims: Vec<usize>,
    pub(crate) offset: usize,
}

impl StateField {
    /// How many elements it has.
    pub(crate) fn len(&self) -> usize {
        self.dims.iter().product()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.len() * self.dtype.size_bytes()
    }
}

/// The states of one entry, or of several that share them.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct StateBlock {
    /// The entries, in the order in which they were given.
    pub(crate) entries: Vec<String>,
    /// By name, each at a multiple of [`ALIGN`], as `runtime::States` has them.
    pub(crate) fields: Vec<StateField>,
    /// Of the whole block.
    pub(crate) bytes: usize,
    /// What states start with that don't start with zeros.
    pub(crate) initial: BTreeMap<String, Initial>,
}

impl StateBlock {
    /// The block that has the states of all entries.
    ///
    /// # Errors
    /// If two entries disagree about a state's type or initial value; initial values that aren't the states'.
    pub(crate) fn of(entries: &[EntryPoint]) -> Result<Self, AotError> {
        let fields = fields(entries, &types(entries)?);
        let bytes = fields.last().map_or(0, |state| (state.offset + state.bytes()).next_multiple_of(ALIGN));
        let initial = initial(entries)?;
        let block = Self { entries: entries.iter().map(|entry| entry.name.clone()).collect(), fields, bytes, initial };
        block.check_initial()?;
        Ok(block)
    }

    /// The state of that name.
    pub(crate) fn field(&self, name: &str) -> Option<&StateField> {
        self.fields.iter().find(|state| state.name == name)
    }

    fn check_initial(&self) -> Result<(), AotError> {
        for (name, initial) in &self.initial {
            let Some(state) = self.field(name) else {
                let states = self.fields.iter().map(|state| state.name.clone()).collect();
                return Err(AotError::NoState { state: name.clone(), states });
            };
            let refused = |message| AotError::Initial { state: name.clone(), message };
            let Initial { ty, init } = initial;
            if (ty.dtype, ty.shape.numel()) != (state.dtype, state.len()) {
                return Err(refused(format!("the value is {ty}, the state has {} of {}", state.len(), state.dtype)));
            }
            init.check(ty).map_err(refused)?;
            if ty.shape.numel().checked_mul(size_of::<f64>()).is_none() {
                return Err(refused(format!("doubles of {ty} are more than memory can hold")));
            }
        }
        Ok(())
    }
}

/// Names, types and numbers of elements of a program's states.
pub(crate) fn state_types(program: &Program) -> BTreeMap<&str, (DType, usize)> {
    let of = |at: usize| (program.buffers[at].dtype, program.buffers[at].len);
    program.states().into_iter().map(|(name, at)| (name, of(at))).collect()
}

/// The states of all entries. An entry's variants have the same ones, which is checked where its ports are.
fn types(entries: &[EntryPoint]) -> Result<BTreeMap<&str, (DType, usize)>, AotError> {
    let mut types = BTreeMap::new();
    for entry in entries {
        let first = entry.variants.first().ok_or_else(|| AotError::NoVariant { name: entry.name.clone() })?;
        for (name, ty) in state_types(&first.program) {
            if *types.entry(name).or_insert(ty) != ty {
                let (state, what) = (name.to_owned(), "type");
                return Err(AotError::SharedState { state, name: entry.name.clone(), what });
            }
        }
    }
    Ok(types)
}

fn fields(entries: &[EntryPoint], types: &BTreeMap<&str, (DType, usize)>) -> Vec<StateField> {
    let names = identifiers(types.keys().copied());
    let mut end = 0;
    let place = |((name, (dtype, len)), c_name): ((&&str, &(DType, usize)), String)| {
        let shape = entries.iter().find_map(|entry| entry.state_shapes.get(*name));
        let dims = shape.filter(|dims| dims.iter().product::<usize>() == *len).cloned().unwrap_or_else(|| vec![*len]);
        let field = StateField { name: (*name).to_owned(), c_name, dtype: *dtype, dims, offset: end };
        end = (end + field.bytes()).next_multiple_of(ALIGN);
        field
    };
    types.iter().zip(names).map(place).collect()
}

/// What all entries say that states start with.
fn initial(entries: &[EntryPoint]) -> Result<BTreeMap<String, Initial>, AotError> {
    let mut initial: BTreeMap<String, Initial> = BTreeMap::new();
    for entry in entries {
        for (name, value) in &entry.initial {
            if initial.entry(name.clone()).or_insert_with(|| value.clone()) != value {
                let (state, what) = (name.clone(), "initial value");
                return Err(AotError::SharedState { state, name: entry.name.clone(), what });
            }
        }
    }
    Ok(initial)
}
