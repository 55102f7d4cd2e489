//! Calls a compiled step: fills in its context, after checking all that the step can't.

use crate::context::StepHeader;
use crate::pool::Threads;
use crate::{AlignedBox, CompiledStep, PortElement, PortSpec, States, StepFailure};
use std::ffi::CStr;
use std::marker::PhantomData;

/// `NAME_context`, of a step with so many ports.
#[repr(C)]
struct StepArguments<const PORTS: usize> {
    header: StepHeader,
    ports: [*mut u8; PORTS],
}

impl<const PORTS: usize> StepArguments<PORTS> {
    /// For the calling thread alone, and a processor that isn't known yet.
    fn serial<C: CompiledStep>(states: (*mut u8, usize), arena: &mut AlignedBox<u8>, ports: [*mut u8; PORTS]) -> Self {
        Self { header: StepHeader::serial(C::ABI_VERSION, states, (arena.as_mut_ptr(), arena.len())), ports }
    }
}

/// A port's elements, lent to a step while it runs.
pub struct PortRef<'a> {
    start: *mut u8,
    len: usize,
    holds: fn(&str) -> bool,
    found: &'static str,
    is_writable: bool,
    elements: PhantomData<&'a mut [u8]>,
}

impl<'a> PortRef<'a> {
    /// To read.
    pub fn input<T: PortElement>(elements: &'a AlignedBox<T>) -> Self {
        Self::of(elements.as_ptr().cast_mut(), elements.len(), false)
    }

    /// To write.
    pub fn output<T: PortElement>(elements: &'a mut AlignedBox<T>) -> Self {
        Self::of(elements.as_mut_ptr(), elements.len(), true)
    }

    fn of<T: PortElement>(start: *mut T, len: usize, is_writable: bool) -> Self {
        Self { start: start.cast(), len, holds: T::holds, found: T::NAME, is_writable, elements: PhantomData }
    }

    /// Whether it is what the step has there.
    fn check(&self, spec: &PortSpec) -> Result<(), StepFailure> {
        let (name, expected) = (|| spec.name.to_owned(), spec.len);
        if self.len != expected {
            return Err(StepFailure::Length { name: name(), found: self.len, expected });
        }
        match (self.holds)(spec.dtype) && (self.is_writable || !spec.is_output) {
            true => Ok(()),
            false => Err(StepFailure::ElementType { name: name(), found: self.found, expected: spec.dtype }),
        }
    }
}

/// What a step needs beside states and ports: threads, and scratch memory.
pub struct StepRunner<C> {
    threads: Threads,
    arena: AlignedBox<u8>,
    /// What the step found out of the processor.
    processor: u64,
    code: PhantomData<fn() -> C>,
}

impl<C: CompiledStep> StepRunner<C> {
    /// For so many threads, the calling one counted.
    ///
    /// # Errors
    /// If memory or threads are not to be had.
    pub fn new(threads: usize) -> Result<Self, StepFailure> {
        let threads = Threads::of_process(threads).map_err(StepFailure::Threads)?;
        let arena = arena::<C>(threads.count() as u32)?;
        Ok(Self { threads, arena, processor: 0, code: PhantomData })
    }

    /// Runs a step, which may change the states. Allocates nothing.
    ///
    /// # Errors
    /// States or ports that aren't the step's: then nothing has been touched. A check of the model that failed.
    pub fn run<const PORTS: usize>(
        &mut self,
        states: &mut States,
        ports: [PortRef<'_>; PORTS],
    ) -> Result<(), StepFailure> {
        let start = states.start_mut();
        // SAFETY: the block is borrowed for the step alone.
        unsafe { self.run_at(states, start, ports) }
    }

    /// Runs a step that only reads states, so that others may read them at the same time. Allocates nothing.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_shared<const PORTS: usize>(
        &mut self,
        states: &States,
        ports: [PortRef<'_>; PORTS],
    ) -> Result<(), StepFailure> {
        const { assert!(!C::CHANGES_STATES, "the step changes states") };
        // SAFETY: the step writes no state.
        unsafe { self.run_at(states, states.bytes().as_ptr().cast_mut(), ports) }
    }

    /// # Safety
    /// `start` must be the start of the states' block, which nobody else uses if the step changes states, and nobody else changes if it doesn't.
    unsafe fn run_at<const PORTS: usize>(
        &mut self,
        states: &States,
        start: *mut u8,
        ports: [PortRef<'_>; PORTS],
    ) -> Result<(), StepFailure> {
        const { assert!(C::PORTS.len() == PORTS, "a pointer for each port") };
        states.check(C::STATES, C::STATE_BYTES)?;
        ports.iter().zip(C::PORTS).try_for_each(|(port, spec)| port.check(spec))?;
        // Steps of other threads have the pool: this one does everything by itself.
        let guard = self.threads.try_lock();
        let block = (start, states.bytes().len());
        let mut context = StepArguments::serial::<C>(block, &mut self.arena, ports.each_ref().map(|port| port.start));
        context.header.processor = self.processor;
        if guard.is_some() {
            context.header.share_among(&self.threads);
        }
        // SAFETY: states, arena and ports are as large as the step wants them (just checked), and borrowed until it returns; `user` are the threads that
        // `parallel_for` expects, locked if it is there.
        let status = unsafe { C::step((&raw mut context).cast()) };
        self.processor = context.header.processor;
        failure::<C>(status)
    }
}

/// States with the values that the step's start with; random ones, and those that random ops draw later, follow from the seed.
///
/// # Errors
/// If there is no memory for them; a processor that lacks what the step's code uses.
pub fn initial_states<C: CompiledStep>(seed: u64) -> Result<States, StepFailure> {
    let mut states = States::zeros(C::STATES, C::STATE_BYTES)?;
    let mut arena = arena::<C>(1)?;
    let block = (states.start_mut(), C::STATE_BYTES);
    let mut context = StepArguments::serial::<C>(block, &mut arena, []);
    // SAFETY: states and arena are as large as the step's, and nothing else of the context is read.
    failure::<C>(unsafe { C::init((&raw mut context).cast(), seed) })?;
    Ok(states)
}

/// Scratch memory for so many threads.
fn arena<C: CompiledStep>(threads: u32) -> Result<AlignedBox<u8>, StepFailure> {
    AlignedBox::zeros(usize::try_from(C::arena_bytes(threads)).unwrap_or(usize::MAX))
}

/// What a status means.
fn failure<C: CompiledStep>(status: i32) -> Result<(), StepFailure> {
    if status == 0 {
        return Ok(());
    }
    // SAFETY: by the trait's contract the message is a text that ends with a 0, and is never freed.
    let message = unsafe { CStr::from_ptr(C::status_message(status)) };
    let message = message.to_str().unwrap_or("a message that isn't UTF-8");
    Err(if status > 0 { StepFailure::Check { status, message } } else { StepFailure::Refused { status, message } })
}
