//! Forking and joining as the worker pool does it, with loops that write cells.

#[path = "../../../../embed/src/pool/slot.rs"]
mod slot;

/// In the place of `embed/src/pool/sync.rs`.
mod sync {
    pub(super) use loom::cell::UnsafeCell;
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
    pub(super) use loom::thread::park;

    /// A thread that lets others run whenever it looks.
    pub(super) struct Wait;

    impl Wait {
        pub(super) fn new() -> Self {
            Self
        }

        pub(super) fn pause(&mut self) {
            loom::thread::yield_now();
        }

        /// Workers sleep as soon as they can: with more looks before it there is nothing new to be seen.
        pub(super) fn is_long(&mut self) -> bool {
            true
        }
    }
}

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use slot::{Job, Slot, fork_join, serve_one};

/// What the threads of a model share.
struct Shared {
    slots: Vec<Slot<Cells>>,
    /// One for each piece of a loop: the number of the loop that wrote it last.
    cells: Vec<UnsafeCell<usize>>,
    quit: AtomicBool,
}

/// A loop whose pieces write cells.
#[derive(Clone, Copy)]
struct Cells {
    shared: *const Shared,
    threads: usize,
    pieces: u32,
    /// The number of the loop, from 1 on.
    number: usize,
}

impl Job for Cells {
    fn threads(&self) -> usize {
        self.threads
    }

    fn pieces(&self) -> u32 {
        self.pieces
    }

    unsafe fn run(&self, piece: u32) -> i32 {
        // SAFETY: every thread of a model keeps what they share alive.
        let shared = unsafe { &*self.shared };
        // SAFETY: loom fails the test if another thread has the cell.
        shared.cells[piece as usize].with_mut(|cell| unsafe {
            assert_eq!(*cell, self.number - 1, "piece {piece} runs twice, or ran too late");
            *cell = self.number;
        });
        // The smallest status but 0 is 1, of the last piece.
        if piece == 0 { 0 } else { (shared.cells.len() - piece as usize) as i32 }
    }
}

/// So many threads run so many loops, one after the other.
pub(crate) fn check(threads: usize, loops: usize, pieces: u32) {
    let shared = Arc::new(Shared {
        slots: (0..threads).map(|_| Slot::new()).collect(),
        cells: (0..threads * pieces as usize).map(|_| UnsafeCell::new(0)).collect(),
        quit: AtomicBool::new(false),
    });
    let workers: Vec<_> = (1..threads)
        .map(|number| {
            let shared = shared.clone();
            loom::thread::spawn(move || {
                while !shared.quit.load(Ordering::Relaxed) {
                    serve_one(&shared.slots, number);
                }
            })
        })
        .collect();
    let wake = |number: usize| workers[number - 1].thread().unpark();
    let job = |number| Cells { shared: &raw const *shared, threads, pieces, number };
    for number in 1..=loops {
        // SAFETY: this is the only thread that forks, and workers wait between loops.
        let status = unsafe { fork_join(&shared.slots, |_| job(number), wake) };
        assert_eq!(status, 1);
        // SAFETY: loom fails the test if a worker still writes the cell.
        shared.cells.iter().for_each(|cell| cell.with(|cell| assert_eq!(unsafe { *cell }, number)));
    }
    shared.quit.store(true, Ordering::Relaxed);
    for number in 1..threads {
        // A loop of which nothing is left, so that a worker that waits looks whether it may quit.
        // SAFETY: the loops have been joined: slots are idle.
        if unsafe { shared.slots[number].post(job(loops)) } {
            wake(number);
        }
    }
    workers.into_iter().for_each(|worker| worker.join().expect("a worker panicked"));
}
