//! Threads that share parallel loops: fork and join.
//!
//! A process has one pool for its steps ([`Threads::of_process`]), with as many workers as the most threads that anybody has asked for less the caller's. A step locks
//! the whole pool; meanwhile the steps of other threads run alone, so that cores are never shared by more threads than were asked for. Who has no process to
//! share with, as a library with a C interface, has a pool of its own ([`Threads::own`]), whose workers end with it.
//!
//! A loop of `n` threads is cut into `n` equal shares, each into a few pieces. Thread `t` takes the pieces of share `t` in order, the
//! caller being thread 0, then what others have left. So each thread works on what it worked on in the launch before, and one that comes late,
//! because it slept or its core was taken away, holds nobody up. Results can't depend on any of that: an iteration computes the same
//! elements wherever it runs.
//!
//! Workers wait for the next loop awake, since it mostly follows at once, but not for long: then they sleep until they are woken. How they
//! are told of a loop stands in `slot.rs`, which the package `tests/loom` checks in all interleavings of a few threads.

mod slot;
mod sync;

use slot::{Job, Slot, fork_join, serve_one};
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{JoinHandle, Thread};

/// Threads of a loop at most.
pub const MOST_THREADS: usize = 128;
/// Pieces of a thread's share at most: what is left to others when one is late.
const PIECES: i64 = 4;

/// A kernel of a process that compiles just in time: `(parameters' addresses, scratch memory, begin, end) -> status`, 0 for success.
pub type KernelFn = unsafe extern "C" fn(*const *mut u8, *mut u8, i64, i64) -> i32;

/// What an object file's step has run in parallel: `(job, number of the thread, begin, end)`.
pub type TaskFn = unsafe extern "C" fn(*mut c_void, u32, i64, i64);

/// What one thread runs of a loop, range by range.
#[derive(Clone, Copy)]
pub enum LoopBody {
    /// A kernel, its parameters' addresses, and scratch memory of this thread.
    Kernel(KernelFn, *const *mut u8, *mut u8),
    /// A task, its job, and the number by which it knows this thread. It keeps its status by itself.
    Task(TaskFn, *mut c_void, u32),
}

/// A parallel loop to run, for one thread.
#[derive(Clone, Copy)]
struct LoopJob {
    body: LoopBody,
    extent: i64,
    threads: u32,
    /// Of each thread's share. None: there is nothing to run, and a worker that is to end wakes up.
    pieces: u32,
}

impl Job for LoopJob {
    fn threads(&self) -> usize {
        self.threads as usize
    }

    fn pieces(&self) -> u32 {
        self.pieces
    }

    unsafe fn run(&self, piece: u32) -> i32 {
        let (at, all) = (i64::from(piece), i64::from(self.threads) * i64::from(self.pieces));
        let (lo, hi) = (self.extent * at / all, self.extent * (at + 1) / all);
        match self.body {
            // SAFETY: who made the job vouches for the kernel, its arguments and the scratch memory, which is this thread's; iterations of a verified
            // parallel loop don't touch what other iterations write, and each piece is run once.
            LoopBody::Kernel(kernel, args, scratch) => unsafe { kernel(args, scratch, lo, hi) },
            LoopBody::Task(task, job, thread) => {
                // SAFETY: as above: the number is this thread's alone.
                unsafe { task(job, thread, lo, hi) };
                0
            }
        }
    }
}

/// Workers, and what they are told.
struct WorkerPool {
    slots: Box<[Slot<LoopJob>]>,
    /// Whether a step has the pool.
    locked: AtomicBool,
    /// Whether workers that wake up are to end.
    ending: AtomicBool,
    /// The workers, of slots 1 and up.
    workers: Mutex<Vec<JoinHandle<()>>>,
}

impl WorkerPool {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            slots: (0..MOST_THREADS).map(|_| Slot::new()).collect(),
            locked: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            workers: Mutex::new(vec![]),
        })
    }

    fn of_process() -> Arc<Self> {
        static POOL: OnceLock<Arc<WorkerPool>> = OnceLock::new();
        POOL.get_or_init(Self::new).clone()
    }

    /// Starts workers until there are so many, and gives that many.
    fn workers(self: &Arc<Self>, count: usize) -> std::io::Result<Vec<Thread>> {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        while workers.len() < count {
            let number = workers.len() + 1;
            let pool = self.clone();
            let serve = move || {
                while !pool.ending.load(Ordering::Relaxed) {
                    serve_one(&pool.slots, number);
                }
            };
            workers.push(std::thread::Builder::new().name(format!("gradc-worker-{number}")).spawn(serve)?);
        }
        Ok(workers[..count].iter().map(|worker| worker.thread().clone()).collect())
    }

    /// Ends all workers. Nobody may have the pool, nor get it afterwards.
    fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
        let workers = std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        let nothing = LoopBody::Kernel(no_kernel, std::ptr::null(), std::ptr::null_mut());
        for (slot, worker) in self.slots[1..].iter().zip(workers) {
            let job = LoopJob { body: nothing, extent: 0, threads: 1, pieces: 0 };
            // SAFETY: no loop runs, by the contract, so that slots are idle, and the job has no piece that would be run.
            if unsafe { slot.post(job) } {
                worker.thread().unpark();
            }
            // A worker doesn't panic: what it calls can't unwind.
            drop(worker.join());
        }
    }
}

/// The kernel of a loop without pieces.
unsafe extern "C" fn no_kernel(_: *const *mut u8, _: *mut u8, _: i64, _: i64) -> i32 {
    0
}

/// Threads that share loops: the calling one, and workers of a pool.
pub struct Threads {
    pool: Arc<WorkerPool>,
    workers: Vec<Thread>,
    /// Whether the pool is nobody else's, and ends with this.
    is_own: bool,
}

/// The pool, locked for a step.
pub struct PoolGuard(Arc<WorkerPool>);

impl Drop for PoolGuard {
    fn drop(&mut self) {
        self.0.locked.store(false, Ordering::Release);
    }
}

impl Threads {
    /// So many threads, the caller's included, of the process's pool: 1 for none, and [`MOST_THREADS`] at most.
    ///
    /// # Errors
    /// If the system refuses threads.
    pub fn of_process(threads: usize) -> std::io::Result<Self> {
        let pool = WorkerPool::of_process();
        Ok(Self { workers: pool.workers(threads.clamp(1, MOST_THREADS) - 1)?, pool, is_own: false })
    }

    /// So many threads, the caller's included, that nobody else uses, and that end when this is dropped.
    ///
    /// # Errors
    /// If the system refuses threads.
    pub fn own(threads: usize) -> std::io::Result<Self> {
        // Made first, so that the workers that there are end if one is refused.
        let mut own = Self { workers: vec![], pool: WorkerPool::new(), is_own: true };
        own.workers = own.pool.workers(threads.clamp(1, MOST_THREADS) - 1)?;
        Ok(own)
    }

    /// How many there are, the caller included.
    pub fn count(&self) -> usize {
        self.workers.len() + 1
    }

    /// Locks the pool for a step, unless another step has it or there are no workers. Without it, loops must be run on the caller alone.
    pub fn try_lock(&self) -> Option<PoolGuard> {
        let free = !self.workers.is_empty() && !self.pool.locked.swap(true, Ordering::Acquire);
        // Not `then_some`: a guard that is made unlocks.
        free.then(|| PoolGuard(self.pool.clone()))
    }

    /// Locks the pool as soon as no other step has it; none if there are no workers.
    pub fn lock(&self) -> Option<PoolGuard> {
        loop {
            match self.try_lock() {
                None if !self.workers.is_empty() => std::thread::yield_now(),
                guard => return guard,
            }
        }
    }

    /// Runs a loop's iterations `0..extent` on the first so many threads and waits for the end. `body` says what each runs, by its number. Gives the smallest
    /// status other than 0, or 0.
    ///
    /// # Safety
    /// The bodies must be valid until this returns, and parts of one loop, whose iterations don't touch what others write. The caller must have locked the pool, if there
    /// are workers.
    pub unsafe fn run(&self, threads: usize, body: impl Fn(usize) -> LoopBody, extent: i64) -> i32 {
        let threads = threads.clamp(1, self.count());
        let pieces = (extent / threads as i64).clamp(1, PIECES) as u32;
        if threads == 1 {
            let all = LoopJob { body: body(0), extent, threads: 1, pieces: 1 };
            // SAFETY: by this function's own contract.
            return unsafe { all.run(0) };
        }
        let job = |number: usize| LoopJob { body: body(number), extent, threads: threads as u32, pieces };
        let wake = |number: usize| self.workers[number - 1].unpark();
        // SAFETY: slots are idle between forks, and no other step forks while this one has the pool; the rest is this function's own contract.
        unsafe { fork_join(&self.pool.slots[..threads], job, wake) }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if self.is_own {
            self.pool.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    unsafe extern "C" fn count(job: *mut c_void, thread: u32, begin: i64, end: i64) {
        // SAFETY: the tests give this task cells for all iterations.
        let cells = unsafe { &*job.cast::<Vec<AtomicU32>>() };
        for cell in &cells[begin as usize..end as usize] {
            cell.fetch_add(1 + thread, Ordering::Relaxed);
        }
    }

    /// Runs loops of all kinds of extents on pools of their own, which end: each iteration is run once, by a thread that there is.
    #[test]
    fn every_iteration_is_run_once_and_workers_end() {
        for threads in [1, 2, 5] {
            let own = Threads::own(threads).unwrap();
            for extent in [0, 1, 3, 64, 1000] {
                for used in [1, 2, 9] {
                    let cells: Vec<AtomicU32> = (0..extent).map(|_| AtomicU32::new(0)).collect();
                    let job = (&raw const cells).cast_mut().cast::<c_void>();
                    let _guard = own.lock();
                    // SAFETY: the cells live until all threads are done with them.
                    let status = unsafe { own.run(used, |_| LoopBody::Task(count, job, 0), extent) };
                    assert_eq!(status, 0);
                    assert!(cells.iter().all(|cell| cell.load(Ordering::Relaxed) == 1), "{threads} {extent} {used}");
                    // SAFETY: as above.
                    unsafe { own.run(used, |number| LoopBody::Task(count, job, number as u32), extent) };
                    let numbers = 2..=1 + threads.min(used) as u32;
                    assert!(cells.iter().all(|cell| numbers.contains(&cell.load(Ordering::Relaxed))));
                }
            }
            let pool = Arc::downgrade(&own.pool);
            drop(own);
            assert!(pool.upgrade().is_none(), "a worker still runs");
        }
    }

    #[test]
    fn one_step_has_the_pool() {
        let (first, second) = (Threads::of_process(2).unwrap(), Threads::of_process(3).unwrap());
        let guard = first.lock();
        assert!(guard.is_some() && second.try_lock().is_none());
        drop(guard);
        assert!(second.try_lock().is_some());
        assert!(Threads::of_process(1).unwrap().try_lock().is_none());
    }
}
