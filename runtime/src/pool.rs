//! The worker pool: runs the iterations of a parallel loop on all threads, fork and join.
//!
//! Thread `t` of `n` always runs iterations `extent * t / n .. extent * (t + 1) / n`; the calling thread is number 0. Results can't
//! depend on the number of threads, because each iteration computes the same elements wherever it runs. Workers spin for a short
//! while after a job, since the next one mostly follows at once, then sleep until they are woken.

use crate::LoadError;
use crate::arena::{ALIGN, Arena};
use codegen::{KernelFn, StepContext};
use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::thread::{JoinHandle, Thread};

/// How often a waiting thread looks before it lets others run: about 5 µs. Not longer: the thread that it waits for may be waiting for
/// this very processor.
const SPINS_BEFORE_YIELD: u32 = 200;
/// How often a worker looks for work before it sleeps: some 50 µs.
const SPINS_BEFORE_SLEEP: u32 = 2_000;

/// Passes a moment, by the number of moments waited so far.
fn pause(waited: u32) {
    if waited < SPINS_BEFORE_YIELD { std::hint::spin_loop() } else { std::thread::yield_now() }
}

/// A parallel loop to run.
#[derive(Clone, Copy)]
struct Job {
    kernel: KernelFn,
    args: *const *mut u8,
    extent: i64,
}

/// What a worker and the caller share about one worker; on a cache line of its own.
#[repr(align(64))]
struct Seat {
    /// Set by the worker before it sleeps.
    asleep: AtomicBool,
    /// The status of its part of the last job.
    status: AtomicI32,
}

struct Shared {
    /// Counts the jobs; a change is the signal to start.
    generation: AtomicU64,
    /// Workers that haven't finished the current job.
    running: AtomicUsize,
    stop: AtomicBool,
    job: UnsafeCell<Option<Job>>,
    seats: Vec<Seat>,
    scratch: Vec<Arena>,
}

// SAFETY: `job` is written by the caller only while no worker runs (`running` is 0 and they wait for `generation` to change), and
// read by workers only after they saw that change, which is released after the write. Everything else is atomic or constant.
unsafe impl Sync for Shared {}
// SAFETY: the pointers in a job are used only while the call that gave them is waiting.
unsafe impl Send for Shared {}

/// Threads that wait for parallel loops.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    handles: Vec<Thread>,
}

impl Pool {
    /// Starts `threads - 1` workers, each with scratch memory of its own; the caller is the first thread.
    pub(crate) fn new(threads: usize, scratch_bytes: usize) -> Result<Self, LoadError> {
        let threads = threads.max(1);
        let scratch = (0..threads)
            .map(|_| Arena::new(scratch_bytes.next_multiple_of(ALIGN), "a thread's scratch memory"))
            .collect::<Result<Vec<Arena>, LoadError>>()?;
        let seats = (0..threads).map(|_| Seat { asleep: AtomicBool::new(false), status: AtomicI32::new(0) }).collect();
        let shared = Arc::new(Shared {
            generation: AtomicU64::new(0),
            running: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            job: UnsafeCell::new(None),
            seats,
            scratch,
        });
        let mut pool = Self { shared, workers: vec![], handles: vec![] };
        for number in 1..threads {
            let shared = Arc::clone(&pool.shared);
            let worker = std::thread::Builder::new()
                .name(format!("gradc-worker-{number}"))
                .spawn(move || shared.serve(number))?;
            pool.handles.push(worker.thread().clone());
            pool.workers.push(worker);
        }
        Ok(pool)
    }

    /// Threads, the caller included.
    pub(crate) fn threads(&self) -> usize {
        self.shared.seats.len()
    }

    /// Scratch memory of the calling thread.
    pub(crate) fn caller_scratch(&self) -> *mut u8 {
        self.shared.scratch[0].address(0)
    }

    /// Runs a loop on all threads and waits for the end.
    ///
    /// # Safety
    /// `kernel` must be a compiled kernel that was verified, `args` its parameters' addresses, valid until this returns. Only one thread
    /// may call this at a time.
    pub(crate) unsafe fn run(&self, kernel: KernelFn, args: *const *mut u8, extent: i64) -> i32 {
        let shared = &*self.shared;
        let job = Job { kernel, args, extent };
        // SAFETY: no worker reads the job now: the last `run` returned only after all of them were done.
        unsafe { *shared.job.get() = Some(job) };
        shared.running.store(self.workers.len(), Ordering::Relaxed);
        shared.generation.fetch_add(1, Ordering::SeqCst);
        for (seat, handle) in shared.seats[1..].iter().zip(&self.handles) {
            if seat.asleep.swap(false, Ordering::SeqCst) {
                handle.unpark();
            }
        }
        // SAFETY: as this function's own contract.
        let mut status = unsafe { shared.run_part(0, job) };
        let mut waited = 0;
        while shared.running.load(Ordering::Acquire) != 0 {
            pause(waited);
            waited = waited.saturating_add(1);
        }
        for seat in &shared.seats[1..] {
            let other = seat.status.load(Ordering::Relaxed);
            if other != 0 && (status == 0 || other < status) {
                status = other;
            }
        }
        status
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.generation.fetch_add(1, Ordering::SeqCst);
        for handle in &self.handles {
            handle.unpark();
        }
        for worker in self.workers.drain(..) {
            // A worker runs no code that panics.
            drop(worker.join());
        }
    }
}

impl Shared {
    /// Runs one thread's part of a job.
    ///
    /// # Safety
    /// As [`Pool::run`]; no other thread may use this number at the same time.
    unsafe fn run_part(&self, number: usize, job: Job) -> i32 {
        let (t, n) = (number as i64, self.seats.len() as i64);
        let (lo, hi) = (job.extent * t / n, job.extent * (t + 1) / n);
        // SAFETY: the kernel and its arguments are valid by the contract; the scratch memory is this thread's, and large enough for every
        // kernel of the program; iterations of a verified parallel loop don't touch what other iterations write.
        unsafe { (job.kernel)(job.args, self.scratch[number].address(0), lo, hi) }
    }

    /// A worker's life.
    fn serve(&self, number: usize) {
        let seat = &self.seats[number];
        let mut seen = 0;
        loop {
            self.wait_for_work(seat, seen);
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            seen += 1;
            // SAFETY: the change of the generation, seen above, was released after the job was written, and the next job is written only
            // after `running` reached 0.
            let job = unsafe { *self.job.get() };
            if let Some(job) = job {
                // SAFETY: the caller of `run` vouches for the job and waits for it; each worker has its own number.
                let status = unsafe { self.run_part(number, job) };
                seat.status.store(status, Ordering::Relaxed);
                self.running.fetch_sub(1, Ordering::Release);
            }
        }
    }

    fn wait_for_work(&self, seat: &Seat, seen: u64) {
        for waited in 0..SPINS_BEFORE_SLEEP {
            if self.generation.load(Ordering::Acquire) != seen {
                return;
            }
            pause(waited);
        }
        // Either the caller sees `asleep` and wakes this thread, or this thread sees the new generation: both sides first write, then
        // read, in one total order. The flag is set anew before each sleep: a caller that was late with its wake-up for a job that
        // this thread had already found by itself has cleared it.
        loop {
            seat.asleep.store(true, Ordering::SeqCst);
            if self.generation.load(Ordering::SeqCst) != seen {
                break;
            }
            std::thread::park();
        }
        seat.asleep.store(false, Ordering::SeqCst);
    }
}

/// What a step's code calls for a parallel loop.
///
/// # Safety
/// `context` must point to a valid context whose `user` is a [`Pool`], and the rest be as [`Pool::run`] requires.
pub(crate) unsafe extern "C" fn parallel_for(
    context: *const StepContext,
    kernel: KernelFn,
    args: *const *mut u8,
    extent: i64,
) -> i32 {
    // SAFETY: by the contract, both pointers are valid for the duration of the call.
    unsafe { (*(*context).user.cast::<Pool>()).run(kernel, args, extent) }
}
