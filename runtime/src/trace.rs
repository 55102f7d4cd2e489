//! When each launch of a step runs, on which threads.

use crate::team::{Team, parallel_for};
use crate::{Executable, StepError};
use codegen::{KernelFn, StepContext};
use embed::pool::PoolGuard;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

/// A piece of a launch that one thread ran; times since the start of the trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ThreadSpan {
    /// The thread: 0 is the one that called, others are numbered as they appear.
    pub thread: usize,
    /// When it began.
    pub start: Duration,
    /// When it ended.
    pub end: Duration,
}

/// One run of a launch; times since the start of the trace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaunchSpan {
    /// The launch, by its position in the program.
    pub launch: usize,
    /// When the calling thread came to it.
    pub start: Duration,
    /// When all threads were done.
    pub end: Duration,
    /// What the threads did, thread by thread: one part if it was not shared.
    pub parts: Vec<ThreadSpan>,
}

/// What the stand-in for a shared kernel needs; it is passed as the kernel's arguments.
struct Traced {
    kernel: KernelFn,
    args: *const *mut u8,
    begun: Instant,
    parts: Mutex<Vec<(ThreadId, Duration, Duration)>>,
}

impl Executable {
    /// Runs that many steps launch by launch, shared among threads where the step shares them, and gives for each step when its launches ran.
    /// It has the effects of one step more: the first one finds out what is shared.
    ///
    /// # Errors
    /// If a check failed; see [`StepError`].
    pub fn trace(&mut self, steps: usize) -> Result<Vec<Vec<LaunchSpan>>, StepError> {
        self.require_states()?;
        let guard = self.team.lock();
        let shared = self.shared_launches(guard.as_ref())?;
        let begun = Instant::now();
        let mut threads = BTreeMap::from([(format!("{:?}", std::thread::current().id()), 0)]);
        (0..steps)
            .map(|_| {
                let launches = shared.iter().enumerate();
                launches.map(|(at, &shared)| self.trace_launch(at, shared, begun, &mut threads)).collect()
            })
            .collect()
    }

    /// Runs a step and notes which of its launches are shared among threads: none without the pool.
    fn shared_launches(&mut self, guard: Option<&PoolGuard>) -> Result<Vec<bool>, StepError> {
        let record = Record { team: &raw const *self.team, shared: Mutex::new(vec![]) };
        let context = StepContext {
            parallel_for: Some(recording_parallel_for),
            user: (&raw const record).cast_mut().cast(),
            ..self.context(guard)
        };
        let status = self.run_step(&context);
        self.check(status)?;
        let seen = record.shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        let first = |at: usize| self.args[self.loaded.launch_args(at)..].as_ptr();
        Ok((0..self.loaded.launches().len()).map(|at| seen.contains(&first(at))).collect())
    }

    fn trace_launch(
        &mut self,
        at: usize,
        shared: bool,
        begun: Instant,
        threads: &mut BTreeMap<String, usize>,
    ) -> Result<LaunchSpan, StepError> {
        let start = begun.elapsed();
        let (status, parts) = if shared { self.run_shared(at, begun) } else { (self.run_launch(at), vec![]) };
        let end = begun.elapsed();
        self.check(status)?;
        let mut number = |id: ThreadId| {
            let next = threads.len();
            *threads.entry(format!("{id:?}")).or_insert(next)
        };
        let mut parts: Vec<ThreadSpan> =
            parts.into_iter().map(|(id, start, end)| ThreadSpan { thread: number(id), start, end }).collect();
        if parts.is_empty() {
            parts.push(ThreadSpan { thread: 0, start, end });
        }
        parts.sort_by_key(|part| (part.thread, part.start));
        Ok(LaunchSpan { launch: at, start, end, parts })
    }

    /// Runs a launch on all threads, for which the caller has locked the pool; gives its status and what each thread did.
    fn run_shared(&mut self, at: usize, begun: Instant) -> (i32, Vec<(ThreadId, Duration, Duration)>) {
        let (kernel, extent) = self.loaded.launch_function(at);
        let args = self.args[self.loaded.launch_args(at)..].as_ptr();
        let traced = Traced { kernel, args, begun, parts: Mutex::new(vec![]) };
        // SAFETY: the stand-in runs a verified kernel with the addresses of this launch's parameters, on ranges of its iterations;
        // what it is given as arguments lives until `run` returns, and `trace` has locked the pool.
        let status = unsafe { self.team.run(traced_kernel, (&raw const traced).cast(), extent) };
        (status, traced.parts.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Runs a kernel and notes when.
///
/// # Safety
/// `args` must point to a [`Traced`], the rest be as its kernel requires.
unsafe extern "C" fn traced_kernel(args: *const *mut u8, scratch: *mut u8, lo: i64, hi: i64) -> i32 {
    // SAFETY: by the contract.
    let traced = unsafe { &*args.cast::<Traced>() };
    let start = traced.begun.elapsed();
    // SAFETY: by the contract.
    let status = unsafe { (traced.kernel)(traced.args, scratch, lo, hi) };
    let end = traced.begun.elapsed();
    let part = (std::thread::current().id(), start, end);
    traced.parts.lock().unwrap_or_else(PoisonError::into_inner).push(part);
    status
}

/// What the recording stand-in for [`parallel_for`] needs.
struct Record {
    team: *const Team,
    shared: Mutex<Vec<*const *mut u8>>,
}

/// [`parallel_for`] that notes the launch, by where its arguments stand.
///
/// # Safety
/// `context` must point to a valid context whose `user` is a [`Record`], and the rest be as for [`parallel_for`].
unsafe extern "C" fn recording_parallel_for(
    context: *const StepContext,
    kernel: KernelFn,
    args: *const *mut u8,
    extent: i64,
) -> i32 {
    // SAFETY: by the contract.
    let (context, record) = unsafe { (&*context, &*(*context).user.cast::<Record>()) };
    record.shared.lock().unwrap_or_else(PoisonError::into_inner).push(args);
    let plain = StepContext { user: record.team.cast_mut().cast(), ..*context };
    // SAFETY: the context is that of the step, with the team where `parallel_for` expects it.
    unsafe { parallel_for(&raw const plain, kernel, args, extent) }
}
