//! A program, compiled and given memory.

use crate::arena::Arena;
use crate::loaded::{LoadOptions, Loaded};
use crate::pool::{Lease, Team, parallel_for};
use crate::ports::{Ports, collect};
use crate::{Element, LoadError, PlanError, Port, PortError, PortKind, StepError};
use codegen::{ABI_VERSION, Image, StepContext, StepFn};
use kernel::{Buffer, BufferKind, Check, DType, Program};
use std::sync::Arc;

/// A loaded program: owns its arena and its threads.
pub struct Executable {
    pub(crate) loaded: Arc<Loaded>,
    step: StepFn,
    pub(crate) team: Box<Team>,
    arena: Arena,
    /// The addresses of all launches' parameters.
    pub(crate) args: Vec<*mut u8>,
    ports: Ports,
    checks: Vec<Check>,
}

// SAFETY: the addresses point into the arena and the code, which move along; nothing refers to the thread that made it.
unsafe impl Send for Executable {}

impl Executable {
    /// Verifies and compiles a program and gives it memory and threads: [`Loaded::compile`], then [`Self::new`].
    ///
    /// # Errors
    /// As both.
    pub fn load(program: Program, options: &LoadOptions) -> Result<Self, LoadError> {
        Self::new(Arc::new(Loaded::compile(program, options)?), options.threads)
    }

    /// Allocates a program's memory, all zeros, fills in its constants, and starts threads, the caller's counted.
    ///
    /// # Errors
    /// If memory or threads are not to be had.
    pub fn new(loaded: Arc<Loaded>, threads: usize) -> Result<Self, LoadError> {
        let image = loaded.image();
        let ports = collect(&image.buffers)?;
        let mut arena = Arena::new(image.arena_bytes.ok_or(PlanError::Unplanned)?, "the arena")?;
        fill_constants(&image.buffers, &mut arena);
        let args = addresses(image, &arena);
        let team = Box::new(Team::new(threads, image.scratch_bytes)?);
        let step = loaded.step();
        let checks = loaded.checks().to_vec();
        Ok(Self { loaded, step, team, arena, args, ports, checks })
    }

    /// Runs the program once. Allocates nothing.
    ///
    /// # Errors
    /// If a check failed; see [`StepError`].
    pub fn step(&mut self) -> Result<(), StepError> {
        let lease = self.team.lease();
        let context = self.context(lease.as_ref());
        let status = self.run_step(&context);
        self.check(status)
    }

    /// Runs the step's function; `context` must be [`Self::context`] with a lease that still is, but for how it runs parallel loops.
    pub(crate) fn run_step(&mut self, context: &StepContext) -> i32 {
        // SAFETY: the function was compiled from a verified program, and the context holds what it was compiled for: the addresses of all
        // parameters, each as large as its kernel expects, scratch memory for this thread, and the team, with its lease if there are threads.
        unsafe { (self.step)(context) }
    }

    /// What the step's function is called with; without a lease it runs all loops on the calling thread.
    pub(crate) fn context(&self, lease: Option<&Lease>) -> StepContext {
        StepContext {
            version: ABI_VERSION,
            threads: if lease.is_some() { self.team.threads() as u32 } else { 1 },
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

    /// The ports: inputs, then outputs, then states, by name.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        self.ports.values().flat_map(|of_kind| of_kind.values())
    }

    /// Bytes of the arena, which holds everything but scratch memory.
    pub fn arena_bytes(&self) -> usize {
        self.arena.bytes()
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

    /// The elements of an input, to write in place. (A `bool` input is written by [`Self::write_input`].)
    ///
    /// # Errors
    /// If there is no such input, or its elements have another type.
    pub fn input_mut<T: Element>(&mut self, name: &str) -> Result<&mut [T], PortError> {
        self.slice_mut(PortKind::Input, name)
    }

    /// Copies an input in.
    ///
    /// # Errors
    /// If there is no such input, its elements have another type, it has another length, or it is `bool` and a byte is neither 0 nor 1.
    pub fn write_input<T: Element>(&mut self, name: &str, values: &[T]) -> Result<(), PortError> {
        self.write(PortKind::Input, name, values)
    }

    /// The elements of an output, as the last step left them.
    ///
    /// # Errors
    /// If there is no such output, or its elements have another type.
    pub fn output<T: Element>(&self, name: &str) -> Result<&[T], PortError> {
        self.slice(PortKind::Output, name)
    }

    /// The elements of a state.
    ///
    /// # Errors
    /// If there is no such state, or its elements have another type.
    pub fn state<T: Element>(&self, name: &str) -> Result<&[T], PortError> {
        self.slice(PortKind::State, name)
    }

    /// The elements of a state, to write in place. (A `bool` state is written by [`Self::write_state`].)
    ///
    /// # Errors
    /// If there is no such state, or its elements have another type.
    pub fn state_mut<T: Element>(&mut self, name: &str) -> Result<&mut [T], PortError> {
        self.slice_mut(PortKind::State, name)
    }

    /// Copies a state in.
    ///
    /// # Errors
    /// As [`Self::write_input`].
    pub fn write_state<T: Element>(&mut self, name: &str, values: &[T]) -> Result<(), PortError> {
        self.write(PortKind::State, name, values)
    }

    fn port<T: Element>(&self, kind: PortKind, name: &str) -> Result<&Port, PortError> {
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

    fn slice<T: Element>(&self, kind: PortKind, name: &str) -> Result<&[T], PortError> {
        let port = self.port::<T>(kind, name)?;
        Ok(self.arena.slice(port.offset, port.len))
    }

    fn slice_mut<T: Element>(&mut self, kind: PortKind, name: &str) -> Result<&mut [T], PortError> {
        let port = self.port::<T>(kind, name)?;
        if port.dtype == DType::Bool {
            return Err(PortError::UncheckedBool { kind, name: name.to_owned() });
        }
        let (offset, len) = (port.offset, port.len);
        Ok(self.arena.slice_mut(offset, len))
    }

    fn write<T: Element>(&mut self, kind: PortKind, name: &str, values: &[T]) -> Result<(), PortError> {
        let port = self.port::<T>(kind, name)?;
        let (offset, expected) = (port.offset, port.len);
        if values.len() != expected {
            let (name, found) = (name.to_owned(), values.len());
            return Err(PortError::WrongLength { kind, name, expected, found });
        }
        if port.dtype == DType::Bool {
            let wrong = values.iter().filter_map(|v| v.byte()).enumerate().find(|(_, byte)| *byte > 1);
            if let Some((position, value)) = wrong {
                return Err(PortError::NotBool { kind, name: name.to_owned(), position, value });
            }
        }
        self.arena.slice_mut(offset, expected).copy_from_slice(values);
        Ok(())
    }
}

fn fill_constants(buffers: &[Buffer], arena: &mut Arena) {
    for buffer in buffers {
        if let (BufferKind::Constant { bytes }, Some(offset)) = (&buffer.kind, buffer.offset) {
            arena.slice_mut::<u8>(offset, bytes.len()).copy_from_slice(bytes);
        }
    }
}

/// The addresses of all launches' parameters, launch after launch.
fn addresses(image: &Image, arena: &Arena) -> Vec<*mut u8> {
    let offsets = image.launches.iter().flat_map(|l| l.args.iter().map(|&id| image.buffers[id.0 as usize].offset));
    offsets.map(|offset| arena.address(offset.unwrap_or(0))).collect()
}
