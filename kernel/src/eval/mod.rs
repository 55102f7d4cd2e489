//! The interpreter: runs programs by the meaning of the kernel IR, to compare machine code with. Slow, checked, and hostile to what
//! programs must not rely on: what is undefined holds the bytes 0xff (NaN, -1).
//!
//! One vector of bytes serves as the arena. A planned program uses its offsets, so that a wrong plan shows; in another program every
//! buffer has its own place.

mod column;
mod compile;
mod exec;
mod micro;
mod strip;

use crate::{BufferKind, DType, Data, Program, Spec, VerifyErrors, verify};
use compile::Bytecode;
use std::collections::BTreeMap;

/// What is undefined.
const POISON: u8 = 0xff;

/// Tensors by the names of their ports.
pub type Tensors = BTreeMap<String, Data>;

/// Why a program can't be run, or what happened in a run.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum EvalError {
    /// The program breaks invariants without which it has no meaning.
    #[error("the program is not sound:\n{0}")]
    Unsound(VerifyErrors),
    /// An input is missing.
    #[error("the input {name:?} is missing")]
    MissingInput {
        /// The port.
        name: String,
    },
    /// The program has no such port.
    #[error("there is no input or state {name:?}")]
    NoPort {
        /// The name.
        name: String,
    },
    /// Data that doesn't fit its port.
    #[error("{name:?} takes {len} elements of {dtype}, not {} of {}", .found.1, .found.0)]
    WrongData {
        /// The port.
        name: String,
        /// Its element type.
        dtype: DType,
        /// Its number of elements.
        len: usize,
        /// What was given.
        found: (DType, usize),
    },
    /// The buffers don't fit memory.
    #[error("the program needs {bytes} bytes of memory, more than there is")]
    Memory {
        /// How many bytes were asked for.
        bytes: usize,
    },
    /// A load or a store outside its buffer.
    #[error("kernel `{kernel}`: element {index} of {buffer} is accessed, it has {len}")]
    OutOfBounds {
        /// The kernel.
        kernel: String,
        /// The parameter or local, as text.
        buffer: String,
        /// The index.
        index: i64,
        /// The number of elements.
        len: usize,
    },
    /// A check failed; machine code returns the status `check + 1`.
    #[error("{message}{}", .loc.as_ref().map_or(String::new(), |loc| format!(" (at {loc})")))]
    Check {
        /// The check's number.
        check: u32,
        /// Its message.
        message: String,
        /// The user's source line.
        loc: Option<String>,
    },
}

/// In which order the iterations of parallel loops run; results must not depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ParallelOrder {
    /// 0, 1, 2...
    #[default]
    Forward,
    /// The last one first.
    Backward,
}

/// Where a buffer is in the arena.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct ArenaSpan {
    start: usize,
    len: usize,
    dtype: DType,
}

/// A program that is loaded: its memory lives from run to run.
#[derive(Clone, Debug)]
pub struct Interpreter {
    program: Program,
    codes: Vec<Bytecode>,
    places: Vec<ArenaSpan>,
    arena: Vec<u8>,
    order: ParallelOrder,
}

impl Interpreter {
    /// Loads a program; states are zero. What can't be proved but can be observed (bounds, aliasing, independent iterations) is
    /// admitted here: it shows in the run.
    ///
    /// # Errors
    /// [`EvalError::Unsound`].
    pub fn new(program: &Program) -> Result<Self, EvalError> {
        const OBSERVED: [u32; 5] = [7, 10, 13, 16, 17];
        let spec = Spec { planned: program.arena_bytes.is_some(), decomposed: false };
        if let Err(errors) = verify(program, spec)
            && errors.errors().iter().any(|e| !OBSERVED.contains(&e.invariant))
        {
            return Err(EvalError::Unsound(errors));
        }
        let mut end = program.arena_bytes.unwrap_or(0);
        let mut places = vec![];
        for buffer in &program.buffers {
            let start = buffer.offset.filter(|_| spec.planned).unwrap_or(end);
            end = end.max(start.saturating_add(buffer.size_bytes()));
            places.push(ArenaSpan { start, len: buffer.len, dtype: buffer.dtype });
        }
        let states = program.states();
        for (at, buffer) in program.buffers.iter().enumerate().filter(|(_, b)| spec.planned && b.offset.is_none()) {
            let BufferKind::Next { name } = &buffer.kind else { continue };
            if let Some(&state) = states.get(name.as_str()) {
                places[at].start = places[state].start;
            }
        }
        let codes: Vec<Bytecode> = program.kernels.iter().map(|k| Bytecode::new(k, &mut end)).collect();
        let mut arena = vec![];
        arena.try_reserve_exact(end).map_err(|_| EvalError::Memory { bytes: end })?;
        arena.resize(end, POISON);
        let mut machine = Self { program: program.clone(), codes, places, arena, order: ParallelOrder::default() };
        for at in 0..machine.places.len() {
            match &program.buffers[at].kind {
                BufferKind::State { .. } => machine.write(at, &vec![0; program.buffers[at].size_bytes()]),
                BufferKind::Constant { bytes } => machine.write(at, bytes),
                _ => {}
            }
        }
        Ok(machine)
    }

    /// Says in which order parallel iterations run.
    pub fn set_order(&mut self, order: ParallelOrder) {
        self.order = order;
    }

    fn write(&mut self, buffer: usize, bytes: &[u8]) {
        let start = self.places[buffer].start;
        self.arena[start..start + bytes.len()].copy_from_slice(bytes);
    }

    fn bytes(&self, buffer: usize) -> &[u8] {
        let ArenaSpan { start, len, dtype } = self.places[buffer];
        &self.arena[start..start + len * dtype.size_bytes()]
    }

    fn find(&self, test: impl Fn(&BufferKind) -> bool) -> Option<usize> {
        self.program.buffers.iter().position(|b| test(&b.kind))
    }

    fn write_data(&mut self, buffer: usize, name: &str, data: &Data) -> Result<(), EvalError> {
        let ArenaSpan { len, dtype, .. } = self.places[buffer];
        if (data.dtype(), data.len()) != (dtype, len) {
            let found = (data.dtype(), data.len());
            return Err(EvalError::WrongData { name: name.into(), dtype, len, found });
        }
        self.write(buffer, &data.to_bytes());
        Ok(())
    }

    /// Sets a state.
    ///
    /// # Errors
    /// If there is no such state, or the data is not of its type.
    pub fn set_state(&mut self, name: &str, data: &Data) -> Result<(), EvalError> {
        let is_it = |kind: &BufferKind| matches!(kind, BufferKind::State { name: n } if n == name);
        let buffer = self.find(is_it).ok_or_else(|| EvalError::NoPort { name: name.into() })?;
        self.write_data(buffer, name, data)
    }

    /// A state's present value.
    pub fn state(&self, name: &str) -> Option<Data> {
        let buffer = self.find(|kind| matches!(kind, BufferKind::State { name: n } if n == name))?;
        Some(Data::from_bytes(self.places[buffer].dtype, self.bytes(buffer)))
    }

    /// All states, present values.
    pub fn states(&self) -> Tensors {
        let of = |b: &crate::Buffer| match &b.kind {
            BufferKind::State { name } => Some((name.clone(), self.state(name)?)),
            _ => None,
        };
        self.program.buffers.iter().filter_map(of).collect()
    }

    /// Runs the program once; gives its outputs. States move on.
    ///
    /// # Errors
    /// Inputs that are missing, unknown or of another type; a failed check; an access out of bounds. After one of the last two, states
    /// are undefined.
    pub fn run(&mut self, inputs: &Tensors) -> Result<Tensors, EvalError> {
        self.poison();
        self.take_inputs(inputs)?;
        let codes = std::mem::take(&mut self.codes);
        let launches = std::mem::take(&mut self.program.launches);
        let done = launches.iter().try_for_each(|launch| {
            let args: Vec<ArenaSpan> = launch.args.iter().map(|b| self.places[b.0 as usize]).collect();
            let name = &self.program.kernels[launch.kernel as usize].name;
            codes[launch.kernel as usize]
                .run(&mut self.arena, &args, self.order)
                .map_err(|stop| stop.explain(name, &self.program))
        });
        (self.codes, self.program.launches) = (codes, launches);
        done?;
        self.advance_states();
        let of = |(at, b): (usize, &crate::Buffer)| match &b.kind {
            BufferKind::Output { name } => Some((name.clone(), Data::from_bytes(b.dtype, self.bytes(at)))),
            _ => None,
        };
        Ok(self.program.buffers.iter().enumerate().filter_map(of).collect())
    }

    /// Overwrites all but what lives from run to run.
    fn poison(&mut self) {
        let lives = |kind: &BufferKind| matches!(kind, BufferKind::State { .. } | BufferKind::Constant { .. });
        let kept: Vec<(usize, Vec<u8>)> = (0..self.places.len())
            .filter(|&at| lives(&self.program.buffers[at].kind))
            .map(|at| (at, self.bytes(at).to_vec()))
            .collect();
        self.arena.fill(POISON);
        for (at, bytes) in kept {
            self.write(at, &bytes);
        }
    }

    fn take_inputs(&mut self, inputs: &Tensors) -> Result<(), EvalError> {
        for at in 0..self.places.len() {
            if let BufferKind::Input { name } = self.program.buffers[at].kind.clone() {
                let data = inputs.get(&name).ok_or_else(|| EvalError::MissingInput { name: name.clone() })?;
                self.write_data(at, &name, data)?;
            }
        }
        for name in inputs.keys() {
            let is_it = |kind: &BufferKind| matches!(kind, BufferKind::Input { name: n } if n == name);
            self.find(is_it).ok_or_else(|| EvalError::NoPort { name: name.clone() })?;
        }
        Ok(())
    }

    /// Without a plan, next values have their own places: they become the states here. A plan must see to it itself.
    fn advance_states(&mut self) {
        if self.program.arena_bytes.is_some() {
            return;
        }
        for next in 0..self.places.len() {
            let BufferKind::Next { name } = &self.program.buffers[next].kind else { continue };
            if let Some(state) = self.find(|kind| matches!(kind, BufferKind::State { name: n } if n == name)) {
                let bytes = self.bytes(next).to_vec();
                self.write(state, &bytes);
            }
        }
    }
}

/// Loads a program, sets its states, runs it once; gives the outputs and the states after.
///
/// # Errors
/// As [`Interpreter::new`], [`Interpreter::set_state`] and [`Interpreter::run`].
pub fn eval(program: &Program, inputs: &Tensors, states: &Tensors) -> Result<(Tensors, Tensors), EvalError> {
    let mut machine = Interpreter::new(program)?;
    for (name, data) in states {
        machine.set_state(name, data)?;
    }
    let outputs = machine.run(inputs)?;
    Ok((outputs, machine.states()))
}
