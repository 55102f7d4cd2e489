//! What the protocol of the worker pool is made of. The package `tests/loom` puts its own in the place of this file, and tries all interleavings.

pub(super) use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
pub(super) use std::thread::park;

use std::time::{Duration, Instant};

/// How often a waiting thread looks before it lets others run: about 5 µs. Not longer: the thread that it waits for may be waiting for
/// this very processor.
const SPINS_BEFORE_YIELD: u32 = 200;
/// How long a worker waits for work before it sleeps. Within a step the next loop comes sooner, and between the steps of a training the next
/// batch is copied in that time.
const AWAKE: Duration = Duration::from_micros(100);

/// A cell whose users see to it that nobody reads while another writes.
pub(super) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(super) const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// Gives `f` the value to read.
    pub(super) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    /// Gives `f` the value to write.
    pub(super) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

/// A thread that waits awake.
pub(super) struct Wait {
    looked: u32,
    since: Option<Instant>,
}

impl Wait {
    pub(super) fn new() -> Self {
        Self { looked: 0, since: None }
    }

    /// Passes a moment.
    pub(super) fn pause(&mut self) {
        if self.looked < SPINS_BEFORE_YIELD {
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
        self.looked = self.looked.saturating_add(1);
    }

    /// Whether a worker that waits for work had better sleep.
    pub(super) fn is_long(&mut self) -> bool {
        self.looked.is_multiple_of(SPINS_BEFORE_YIELD) && self.since.get_or_insert_with(Instant::now).elapsed() > AWAKE
    }
}
