//! Threads that share parallel loops: fork and join.
//!
//! The process has one [`Crew`] of workers, as many as the most threads that an executable has asked for less the caller's. A step takes the whole
//! crew; while it has it, the steps of other threads run alone, so that cores are never shared by more threads than were asked for.
//!
//! A loop of `n` threads is cut into `n` equal shares, each into a few pieces. Thread `t` takes the pieces of share `t` in order, the
//! caller being thread 0, then what others have left. So each thread works on what it worked on in the launch before, and one that comes late,
//! because it slept or its core was taken away, holds nobody up. Results can't depend on any of that: an iteration computes the same
//! elements wherever it runs.
//!
//! Workers wait for the next loop awake, since it mostly follows at once, but not for long: then they sleep until they are woken.

use crate::LoadError;
use crate::arena::{ALIGN, Arena};
use codegen::{KernelFn, StepContext};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// Threads of a loop at most.
const MOST_THREADS: usize = 128;
/// Pieces of a thread's share at most: what is left to others when one is late.
const PIECES: i64 = 4;
/// How often a waiting thread looks before it lets others run: about 5 µs. Not longer: the thread that it waits for may be waiting for
/// this very processor.
const SPINS_BEFORE_YIELD: u32 = 200;
/// How long a worker waits for work before it sleeps. Within a step the next loop comes sooner, and between the steps of a training the next
/// batch is copied in that time.
const AWAKE: Duration = Duration::from_micros(100);

/// Passes a moment, by the number of moments waited so far.
fn pause(waited: u32) {
    if waited < SPINS_BEFORE_YIELD { std::hint::spin_loop() } else { std::thread::yield_now() }
}

/// A parallel loop to run, for one thread.
#[derive(Clone, Copy)]
struct Job {
    kernel: KernelFn,
    args: *const *mut u8,
    extent: i64,
    /// This thread's scratch memory.
    scratch: *mut u8,
    threads: u32,
    /// Pieces of each share.
    pieces: u32,
}

/// No loop waits for this worker.
const IDLE: u32 = 0;
/// A loop waits, and can still be taken back.
const POSTED: u32 = 1;
/// The worker runs it.
const RUNNING: u32 = 2;

/// A thread's place: all that a fork writes and a join reads about it, on a cache line of its own (and the one beside it, which
/// processors fetch along).
#[repr(align(128))]
struct Seat {
    state: AtomicU32,
    /// The next piece of this thread's share.
    next: AtomicU32,
    /// The status of what this thread ran.
    status: AtomicI32,
    /// Set by the worker before it sleeps.
    asleep: AtomicBool,
    job: UnsafeCell<Option<Job>>,
}

impl Seat {
    const fn new() -> Self {
        Self {
            state: AtomicU32::new(IDLE),
            next: AtomicU32::new(0),
            status: AtomicI32::new(0),
            asleep: AtomicBool::new(false),
            job: UnsafeCell::new(None),
        }
    }

    /// The next piece of this thread's share, if one is left.
    fn take(&self, pieces: u32) -> Option<u32> {
        if self.next.load(Ordering::Relaxed) >= pieces {
            return None;
        }
        Some(self.next.fetch_add(1, Ordering::Relaxed)).filter(|piece| *piece < pieces)
    }
}

// SAFETY: `job` is written by the holder of the crew only while the seat is idle, and read by the seat's worker only after it has changed the
// state from posted, which was released after the write, to running. Everything else is atomic.
unsafe impl Sync for Seat {}
// SAFETY: the pointers in a job are used only while the call that gave them is waiting.
unsafe impl Send for Seat {}

/// The process's workers.
struct Crew {
    seats: Box<[Seat]>,
    /// Whether a step has the crew.
    taken: AtomicBool,
    /// The workers, of seats 1 and up.
    workers: Mutex<Vec<Thread>>,
}

impl Crew {
    fn of_process() -> &'static Self {
        static CREW: OnceLock<Crew> = OnceLock::new();
        CREW.get_or_init(|| Self {
            seats: (0..MOST_THREADS).map(|_| Seat::new()).collect(),
            taken: AtomicBool::new(false),
            workers: Mutex::new(vec![]),
        })
    }

    /// Starts workers until there are so many, and gives that many.
    fn workers(&'static self, count: usize) -> Result<Vec<Thread>, LoadError> {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        while workers.len() < count {
            let seat = workers.len() + 1;
            let name = format!("gradc-worker-{seat}");
            let worker = std::thread::Builder::new().name(name).spawn(move || serve(&self.seats, seat))?;
            workers.push(worker.thread().clone());
        }
        Ok(workers[..count].to_vec())
    }
}

/// An executable's share of the crew, and its threads' memory.
pub(crate) struct Team {
    crew: &'static Crew,
    workers: Vec<Thread>,
    /// Scratch memory, one for each thread.
    scratch: Vec<Arena>,
}

/// The crew, taken for a step.
pub(crate) struct Lease(&'static Crew);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::Release);
    }
}

impl Team {
    /// A team of so many threads, the caller's included, each with scratch memory of its own.
    pub(crate) fn new(threads: usize, scratch_bytes: usize) -> Result<Self, LoadError> {
        let threads = threads.clamp(1, MOST_THREADS);
        let scratch = (0..threads)
            .map(|_| Arena::new(scratch_bytes.next_multiple_of(ALIGN), "a thread's scratch memory"))
            .collect::<Result<Vec<Arena>, LoadError>>()?;
        let crew = Crew::of_process();
        Ok(Self { crew, workers: crew.workers(threads - 1)?, scratch })
    }

    /// Threads, the caller included.
    pub(crate) fn threads(&self) -> usize {
        self.scratch.len()
    }

    /// Scratch memory of the calling thread.
    pub(crate) fn caller_scratch(&self) -> *mut u8 {
        self.scratch(0)
    }

    /// Scratch memory of a thread.
    pub(crate) fn scratch(&self, number: usize) -> *mut u8 {
        self.scratch[number].address(0)
    }

    /// The crew for a step, unless another step has it or the team needs no workers. Without it, loops must be run on the caller alone.
    pub(crate) fn lease(&self) -> Option<Lease> {
        let free = !self.workers.is_empty() && !self.crew.taken.swap(true, Ordering::Acquire);
        // Not `then_some`: a lease that is made is given back.
        free.then(|| Lease(self.crew))
    }

    /// The crew as soon as no other step has it; none if the team needs no workers.
    pub(crate) fn wait_for_lease(&self) -> Option<Lease> {
        loop {
            match self.lease() {
                None if !self.workers.is_empty() => std::thread::yield_now(),
                lease => return lease,
            }
        }
    }

    /// Runs a loop on all threads and waits for the end. Gives the smallest status other than 0, or 0.
    ///
    /// # Safety
    /// `kernel` must be a compiled kernel that was verified, `args` its parameters' addresses, valid until this returns. The caller must have
    /// the lease, if the team has workers.
    pub(crate) unsafe fn run(&self, kernel: KernelFn, args: *const *mut u8, extent: i64) -> i32 {
        if self.workers.is_empty() {
            // SAFETY: as this function's own contract; the caller's scratch memory is this thread's.
            return unsafe { kernel(args, self.caller_scratch(), 0, extent) };
        }
        let threads = self.threads();
        let seats = &self.crew.seats[..threads];
        let pieces = (extent / threads as i64).clamp(1, PIECES) as u32;
        let job = |number: usize| {
            let scratch = self.scratch(number);
            Job { kernel, args, extent, scratch, threads: threads as u32, pieces }
        };
        // All shares must be there before anybody can help with another's.
        seats.iter().for_each(|seat| seat.next.store(0, Ordering::Relaxed));
        for (number, seat) in seats.iter().enumerate().skip(1) {
            // SAFETY: the seat is idle: its last job was taken back or is done, and no other step posts jobs while this one has the lease.
            unsafe { *seat.job.get() = Some(job(number)) };
            seat.state.store(POSTED, Ordering::SeqCst);
            if seat.asleep.load(Ordering::SeqCst) && seat.asleep.swap(false, Ordering::SeqCst) {
                self.workers[number - 1].unpark();
            }
        }
        // SAFETY: as this function's own contract; the caller's scratch memory is this thread's.
        let status = unsafe { run_shares(seats, 0, job(0)) };
        seats[1..].iter().map(join).fold(status, smallest)
    }
}

/// The smallest status that isn't 0, or 0.
fn smallest(a: i32, b: i32) -> i32 {
    if a == 0 || (b != 0 && b < a) { b } else { a }
}

/// Waits until a worker is done, or takes the job back from one that hasn't begun: nothing is left of it. Gives its status.
fn join(seat: &Seat) -> i32 {
    if seat.state.compare_exchange(POSTED, IDLE, Ordering::AcqRel, Ordering::Acquire).is_ok() {
        return 0;
    }
    let mut waited = 0;
    while seat.state.load(Ordering::Acquire) != IDLE {
        pause(waited);
        waited = waited.saturating_add(1);
    }
    seat.status.load(Ordering::Relaxed)
}

/// Runs all that is left of this thread's share of a loop, then of the others'.
///
/// # Safety
/// The job's kernel must be a compiled kernel that was verified, its arguments valid until this returns, its scratch memory this thread's and
/// as large as the kernel needs. All threads with these seats must run the same loop.
unsafe fn run_shares(seats: &[Seat], number: usize, job: Job) -> i32 {
    let threads = (job.threads as usize).min(seats.len());
    let all = i64::from(job.threads) * i64::from(job.pieces);
    let mut status = 0;
    for share in (number..threads).chain(0..number) {
        while let Some(piece) = seats[share].take(job.pieces) {
            let at = share as i64 * i64::from(job.pieces) + i64::from(piece);
            let (lo, hi) = (job.extent * at / all, job.extent * (at + 1) / all);
            // SAFETY: by the contract; each piece is taken once, and iterations of a verified parallel loop don't touch what other
            // iterations write.
            let result = unsafe { (job.kernel)(job.args, job.scratch, lo, hi) };
            status = smallest(status, result);
        }
    }
    status
}

/// A worker's life.
fn serve(seats: &[Seat], number: usize) {
    let seat = &seats[number];
    loop {
        wait_for_work(seat);
        if seat.state.compare_exchange(POSTED, RUNNING, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            // It was taken back.
            continue;
        }
        // SAFETY: the state was posted, which was released after the job was written; nobody writes it while the state is running.
        let job = unsafe { *seat.job.get() };
        if let Some(job) = job {
            // SAFETY: who posted the job vouches for it and waits until the state is idle again; the scratch memory was given to this
            // seat alone.
            let status = unsafe { run_shares(seats, number, job) };
            seat.status.store(status, Ordering::Relaxed);
        }
        seat.state.store(IDLE, Ordering::Release);
    }
}

/// Returns when a job has been posted.
fn wait_for_work(seat: &Seat) {
    let mut since = None;
    let mut waited = 0;
    while seat.state.load(Ordering::Acquire) != POSTED {
        pause(waited);
        waited += 1;
        if waited % SPINS_BEFORE_YIELD == 0 && since.get_or_insert_with(Instant::now).elapsed() > AWAKE {
            sleep(seat);
            return;
        }
    }
}

/// Sleeps until a job has been posted. Either the poster sees `asleep` and wakes this thread, or this thread sees the job: both sides first
/// write, then read, in one total order.
fn sleep(seat: &Seat) {
    loop {
        // Anew before each sleep: the wake-up may have been for a job that was taken back.
        seat.asleep.store(true, Ordering::SeqCst);
        if seat.state.load(Ordering::SeqCst) == POSTED {
            break;
        }
        std::thread::park();
    }
    seat.asleep.store(false, Ordering::SeqCst);
}

/// What a step's code calls for a parallel loop.
///
/// # Safety
/// `context` must point to a valid context whose `user` is a [`Team`] that has the lease, and the rest be as [`Team::run`] requires.
pub(crate) unsafe extern "C" fn parallel_for(
    context: *const StepContext,
    kernel: KernelFn,
    args: *const *mut u8,
    extent: i64,
) -> i32 {
    // SAFETY: by the contract, both pointers are valid for the duration of the call.
    unsafe { (*(*context).user.cast::<Team>()).run(kernel, args, extent) }
}
