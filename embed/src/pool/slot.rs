//! The protocol between the thread that forks a loop and the workers that share it.
//!
//! Each thread has a [`Slot`]. The forking thread writes a job to the slots of the workers and posts it; a worker that sees a posted job
//! takes it by a change of state, runs it and makes the slot idle again. Joining takes back what no worker has begun, and waits for the rest.
//! A worker that sleeps is woken by the post: both sides exchange `asleep`, the poster after it has posted, the worker before it looks for a job. Of two
//! exchanges one reads what the other wrote: either the poster sees the sleeper, or the sleeper sees all that was there before the post.

use super::sync::{AtomicBool, AtomicI32, AtomicU32, Ordering, UnsafeCell, Wait, park};

/// No loop waits for this worker.
const IDLE: u32 = 0;
/// A loop waits, and can still be taken back.
const POSTED: u32 = 1;
/// The worker runs it.
const RUNNING: u32 = 2;

/// A thread's part in a parallel loop.
pub(super) trait Job: Copy {
    /// Threads that share the loop, the forking one included.
    fn threads(&self) -> usize;

    /// Pieces of each thread's share.
    fn pieces(&self) -> u32;

    /// Runs a piece of the loop, all shares' counted in order. Gives its status; 0 is none.
    ///
    /// # Safety
    /// What the job points to must be valid, and each piece of a loop is run once.
    unsafe fn run(&self, piece: u32) -> i32;
}

/// All that a fork writes and a join reads about a thread, on a cache line of its own (and the one beside it, which processors fetch along).
#[repr(align(128))]
pub(super) struct Slot<J> {
    state: AtomicU32,
    /// The next piece of this thread's share.
    next: AtomicU32,
    /// The status of what this thread ran.
    status: AtomicI32,
    /// Set by the worker before it sleeps.
    asleep: AtomicBool,
    job: UnsafeCell<Option<J>>,
}

// SAFETY: `job` is written by the forking thread only while the slot is idle, and read by the slot's worker only after it has changed the
// state from posted, which was released after the write, to running. Everything else is atomic. Jobs are sent to threads: their pointers
// are used only while the call that gave them is waiting.
unsafe impl<J> Sync for Slot<J> {}
// SAFETY: as above.
unsafe impl<J> Send for Slot<J> {}

impl<J: Job> Slot<J> {
    pub(super) fn new() -> Self {
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

    /// Posts a job; true if the worker has to be woken.
    ///
    /// # Safety
    /// The slot must be idle, and no other thread post jobs.
    pub(super) unsafe fn post(&self, job: J) -> bool {
        // SAFETY: the slot is idle by the contract: nobody reads the job.
        self.job.with_mut(|slot| unsafe { *slot = Some(job) });
        self.state.store(POSTED, Ordering::Release);
        self.asleep.swap(false, Ordering::AcqRel)
    }

    /// Waits until the worker is done, or takes the job back from one that hasn't begun: nothing is left of it. Gives its status.
    fn join(&self) -> i32 {
        if self.state.compare_exchange(POSTED, IDLE, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            return 0;
        }
        let mut wait = Wait::new();
        while self.state.load(Ordering::Acquire) != IDLE {
            wait.pause();
        }
        self.status.load(Ordering::Relaxed)
    }

    /// Returns when a job has been posted.
    fn wait_for_work(&self) {
        let mut wait = Wait::new();
        while self.state.load(Ordering::Acquire) != POSTED {
            wait.pause();
            if wait.is_long() {
                self.sleep();
                return;
            }
        }
    }

    /// Sleeps until a job has been posted.
    fn sleep(&self) {
        loop {
            // Anew before each sleep: the wake-up may have been for a job that was taken back.
            self.asleep.swap(true, Ordering::AcqRel);
            if self.state.load(Ordering::Acquire) == POSTED {
                break;
            }
            park();
        }
        self.asleep.swap(false, Ordering::AcqRel);
    }
}

/// Runs a loop on the threads of these slots, the calling one being the first, and waits for the end. Gives the smallest status other than
/// 0, or 0.
///
/// # Safety
/// The slots must be idle and no other thread fork on them meanwhile. What `job` gives for each thread, by its number, must be valid until this
/// returns, and `wake` wake the worker of that number.
pub(super) unsafe fn fork_join<J: Job>(slots: &[Slot<J>], job: impl Fn(usize) -> J, wake: impl Fn(usize)) -> i32 {
    // All shares must be there before anybody can help with another's.
    slots.iter().for_each(|slot| slot.next.store(0, Ordering::Relaxed));
    for (number, slot) in slots.iter().enumerate().skip(1) {
        // SAFETY: the slot is idle by the contract, and stays so until its job is posted here.
        if unsafe { slot.post(job(number)) } {
            wake(number);
        }
    }
    // SAFETY: the job is valid by the contract, and all threads with these slots run the same loop.
    let status = unsafe { run_shares(slots, 0, job(0)) };
    slots[1..].iter().map(Slot::join).fold(status, smallest)
}

/// The smallest status that isn't 0, or 0.
fn smallest(a: i32, b: i32) -> i32 {
    if a == 0 || (b != 0 && b < a) { b } else { a }
}

/// Runs all that is left of this thread's share of a loop, then of the others'.
///
/// # Safety
/// What the job points to must be valid until this returns. All threads with these slots must run the same loop.
unsafe fn run_shares<J: Job>(slots: &[Slot<J>], number: usize, job: J) -> i32 {
    let threads = job.threads().min(slots.len());
    let mut status = 0;
    for share in (number..threads).chain(0..number) {
        while let Some(piece) = slots[share].take(job.pieces()) {
            // SAFETY: by the contract; each piece is taken once.
            let result = unsafe { job.run(share as u32 * job.pieces() + piece) };
            status = smallest(status, result);
        }
    }
    status
}

/// Waits for a job of the worker with this number and runs it.
pub(super) fn serve_one<J: Job>(slots: &[Slot<J>], number: usize) {
    let slot = &slots[number];
    slot.wait_for_work();
    if slot.state.compare_exchange(POSTED, RUNNING, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        // It was taken back.
        return;
    }
    // SAFETY: the state was posted, which was released after the job was written; nobody writes it while the state is running.
    let job = slot.job.with(|job| unsafe { *job });
    if let Some(job) = job {
        // SAFETY: who posted the job vouches for it and waits until the state is idle again.
        let status = unsafe { run_shares(slots, number, job) };
        slot.status.store(status, Ordering::Relaxed);
    }
    slot.state.store(IDLE, Ordering::Release);
}
