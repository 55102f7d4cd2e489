//! A program, compiled and given memory: an arena of its own, and states that it may share.

use crate::arena::Arena;
use crate::loaded::{LoadOptions, Loaded};
use crate::port_memory::{PortMemory, ProgramInputs, input_methods};
use crate::ports::collect;
use crate::team::{Team, parallel_for};
use crate::{Element, LoadError, PlanError, PortError, PortKind, Refused, States, StepError};
use codegen::{ABI_VERSION, StepContext, StepFn};
use embed::pool::PoolGuard;
use kernel::{Buffer, BufferKind, Check, Program};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

/// A loaded program: owns its arena and its threads.
pub struct Executable {
    pub(crate) loaded: Arc<Loaded>,
    step: StepFn,
    pub(crate) team: Box<Team>,
    memory: PortMemory,
    states: Attached,
    /// The addresses of all launches' parameters.
    pub(crate) args: Vec<*mut u8>,
    /// The buffers' addresses, while `args` is made of them.
    starts: Vec<*mut u8>,
    checks: Vec<Check>,
}

/// The states that a program runs on.
enum Attached {
    None,
    Own(States),
    /// Others read them at the same time.
    Shared(Arc<States>),
}

impl Attached {
    fn get(&self) -> Option<&States> {
        match self {
            Self::None => None,
            Self::Own(states) => Some(states),
            Self::Shared(states) => Some(states),
        }
    }
}

// SAFETY: the addresses point into the arena and the states, which move along or are kept alive, and are read only where others read them too; nothing refers to
// the thread that made it.
unsafe impl Send for Executable {}

impl Executable {
    /// Verifies and compiles a program and gives it memory and threads: [`Loaded::compile`], then [`Self::new`].
    ///
    /// # Errors
    /// As both.
    pub fn load(program: Program, options: &LoadOptions) -> Result<Self, LoadError> {
        Self::new(Arc::new(Loaded::compile(program, options)?), options.threads)
    }

    /// Allocates a program's memory, states of its own included, all zeros, fills in its constants, and starts threads, the caller's counted.
    ///
    /// # Errors
    /// If memory or threads are not to be had.
    pub fn new(loaded: Arc<Loaded>, threads: usize) -> Result<Self, LoadError> {
        let mut executable = Self::without_states(loaded, threads)?;
        let ports = executable.memory.ports.get(&PortKind::State).into_iter().flat_map(BTreeMap::values);
        let states = States::new(ports.map(|port| (port.name.clone(), port.dtype, port.len)))?;
        executable.attach(states).map_err(|refused| refused.why)?;
        Ok(executable)
    }

    /// As [`Self::new`], but without states: [`Self::attach`] or [`Self::share`] gives it some before it runs.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn without_states(loaded: Arc<Loaded>, threads: usize) -> Result<Self, LoadError> {
        let object = loaded.object();
        let ports = collect(object.buffers())?;
        let mut arena = Arena::new(object.arena_bytes().ok_or(PlanError::Unplanned)?, "the arena")?;
        fill_constants(object.buffers(), &mut arena);
        let team = Box::new(Team::new(threads, object.scratch_bytes())?);
        let step = loaded.step();
        let checks = loaded.checks().to_vec();
        let memory = PortMemory { arena, ports };
        Ok(Self { loaded, step, team, memory, states: Attached::None, args: vec![], starts: vec![], checks })
    }

    /// Runs on these states from now on; they may have more than the program asks for. Gives those that it had for itself. Nothing is copied.
    ///
    /// # Errors
    /// A state that the program has is missing there, or of another type; it keeps what it had, and the error has the states.
    pub fn attach(&mut self, states: States) -> Result<Option<States>, Refused> {
        if let Err(why) = self.point_at(&states) {
            return Err(Refused { why, states: Box::new(states) });
        }
        Ok(match std::mem::replace(&mut self.states, Attached::Own(states)) {
            Attached::Own(before) => Some(before),
            _ => None,
        })
    }

    /// Runs on states that others read at the same time: a program that changes none.
    ///
    /// # Errors
    /// As [`Self::attach`], and if the program changes states.
    pub fn share(&mut self, states: Arc<States>) -> Result<(), LoadError> {
        if let Some(name) = self.loaded.object().changed_state() {
            let what = format!("the program changes the state `{name}`, so that it can't share states with others");
            return Err(LoadError::States(what));
        }
        self.point_at(&states)?;
        self.states = Attached::Shared(states);
        Ok(())
    }

    /// Takes the program's states away, unless it shares them; it can't run until it gets some.
    pub fn detach(&mut self) -> Option<States> {
        self.args.clear();
        match std::mem::replace(&mut self.states, Attached::None) {
            Attached::Own(states) => Some(states),
            _ => None,
        }
    }

    /// The states that the program runs on, if it has any.
    pub fn states(&self) -> Option<&States> {
        self.states.get()
    }

    /// The states that the program has for itself, to write.
    pub fn states_mut(&mut self) -> Option<&mut States> {
        match &mut self.states {
            Attached::Own(states) => Some(states),
            _ => None,
        }
    }

    /// The addresses of all launches' parameters, launch after launch, on these states. The memory of the tables is used again, so that programs pass states along without an allocation.
    /// Without all of the program's states the addresses stay what they were.
    fn point_at(&mut self, states: &States) -> Result<(), LoadError> {
        let object = self.loaded.object();
        self.starts.clear();
        for buffer in object.buffers() {
            self.starts.push(match buffer.state() {
                None => self.memory.arena.address(buffer.offset.unwrap_or(0)),
                Some(name) => match states.address(name) {
                    Some(address) if states.holds(name, buffer.dtype, buffer.len) => address,
                    _ => {
                        let ty = format!("{}[{}]", buffer.dtype, buffer.len);
                        return Err(LoadError::States(format!("there is no state `{name}` of type {ty}: {states:?}")));
                    }
                },
            });
        }
        let starts = &self.starts;
        self.args.clear();
        self.args.extend(object.launches().iter().flat_map(|l| &l.args).map(|id| starts[id.0 as usize]));
        Ok(())
    }

    /// Runs the program once. Allocates nothing.
    ///
    /// # Errors
    /// If a check failed, see [`StepError`]; if it has no states.
    pub fn step(&mut self) -> Result<(), StepError> {
        self.require_states()?;
        let guard = self.team.try_lock();
        let context = self.context(guard.as_ref());
        let status = self.run_step(&context);
        self.check(status)
    }

    /// Without states there are no addresses either.
    pub(crate) fn require_states(&self) -> Result<(), StepError> {
        match self.states {
            Attached::None => {
                Err(StepError { message: "the program has no states to run on: attach some".into(), loc: None })
            }
            _ => Ok(()),
        }
    }

    /// Runs the step's function, for which there must be states; `context` must be [`Self::context`] of a guard that is still held, but for how it runs parallel loops.
    pub(crate) fn run_step(&mut self, context: &StepContext) -> i32 {
        // SAFETY: the function was compiled from a verified program, and the context holds what it was compiled for: the addresses of all
        // parameters, each as large as its kernel expects, scratch memory for this thread, and the team, whose pool is locked if there are threads.
        unsafe { (self.step)(context) }
    }

    /// What the step's function is called with; without the pool it runs all loops on the calling thread.
    pub(crate) fn context(&self, guard: Option<&PoolGuard>) -> StepContext {
        StepContext {
            version: ABI_VERSION,
            threads: if guard.is_some() { self.team.threads() as u32 } else { 1 },
            args: self.args.as_ptr(),
            scratch: self.team.caller_scratch(),
            parallel_for: Some(parallel_for),
            user: (&raw const *self.team).cast_mut().cast(),
        }
    }

    pub(crate) fn check(&self, status: i32) -> Result<(), StepError> {
        if status == 0 {
            return Ok(());
        }
        let check = usize::try_from(status - 1).ok().and_then(|at| self.checks.get(at));
        let unknown = || Check { message: format!("the step returned the unknown status {status}"), loc: None };
        let Check { message, loc } = check.cloned().unwrap_or_else(unknown);
        Err(StepError { message, loc })
    }

    /// Bytes of the arena, which holds everything but states and scratch memory.
    pub fn arena_bytes(&self) -> usize {
        self.memory.arena.bytes()
    }

    /// Other source lines for the checks, in their order: code that was compiled from the same program before may name lines of
    /// another text.
    pub fn set_check_locations(&mut self, locations: impl IntoIterator<Item = Option<String>>) {
        for (check, loc) in self.checks.iter_mut().zip(locations) {
            check.loc = loc;
        }
    }

    /// The compiled program.
    pub fn loaded(&self) -> &Arc<Loaded> {
        &self.loaded
    }

    /// Threads that run parallel loops.
    pub fn threads(&self) -> usize {
        self.team.threads()
    }

    /// The inputs, to write.
    pub fn inputs(&mut self) -> ProgramInputs<'_> {
        ProgramInputs(&mut self.memory)
    }

    /// The elements of a state.
    ///
    /// # Errors
    /// If there is no such state, or its elements have another type.
    pub fn state<T: Element>(&self, name: &str) -> Result<&[T], PortError> {
        self.port::<T>(PortKind::State, name)?;
        self.states.get().ok_or_else(|| no_states(name))?.get(name)
    }

    /// The elements of a state, to write in place. (A `bool` state is written by [`Self::write_state`].)
    ///
    /// # Errors
    /// If there is no such state, its elements have another type, or it is shared.
    pub fn state_mut<T: Element>(&mut self, name: &str) -> Result<&mut [T], PortError> {
        self.port::<T>(PortKind::State, name)?;
        self.states_mut().ok_or_else(|| no_states(name))?.get_mut(name)
    }

    /// Copies a state in.
    ///
    /// # Errors
    /// As [`Self::write_input`], and if it is shared.
    pub fn write_state<T: Element>(&mut self, name: &str, values: &[T]) -> Result<(), PortError> {
        self.port::<T>(PortKind::State, name)?;
        self.states_mut().ok_or_else(|| no_states(name))?.write(name, values)
    }
}

input_methods!(Executable, memory);

impl Deref for Executable {
    type Target = PortMemory;

    fn deref(&self) -> &PortMemory {
        &self.memory
    }
}

fn no_states(name: &str) -> PortError {
    PortError::NoStates { name: name.to_owned() }
}

fn fill_constants(buffers: &[Buffer], arena: &mut Arena) {
    for buffer in buffers {
        if let (BufferKind::Constant { bytes }, Some(offset)) = (&buffer.kind, buffer.offset) {
            arena.slice_mut::<u8>(offset, bytes.len()).copy_from_slice(bytes);
        }
    }
}
