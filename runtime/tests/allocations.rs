//! A step allocates nothing, on any thread. Without the test harness, whose own thread allocates at any time.

#![allow(unsafe_code, clippy::unwrap_used, clippy::print_stdout)]

use kernel::Program;
use runtime::{Executable, LoadOptions};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::SeqCst);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Waits until nothing has been allocated for a while: threads allocate when they start, which may be after the first step.
fn settle() {
    for _ in 0..100 {
        let before = ALLOCATIONS.load(Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(50));
        if ALLOCATIONS.load(Ordering::SeqCst) == before {
            return;
        }
    }
}

fn main() {
    let asked = |what: &str| std::env::args().any(|argument| argument == what);
    if asked("--list") {
        return if !asked("--ignored") {
            println!("a_step_allocates_nothing: test")
        };
    }
    let text = "program \"steps\" b0: f32[65536] state \"w\" b1: f32[1] output \"sum\"
        kernel grow(p0: readwrite f32[65536]) {
          parallel i0 in 0..64 { vector i1 in 0..256 {
            store p0[i0*1024 + i1*4] = add(load.x4 p0[i0*1024 + i1*4], splat.x4(1.0f32))
          } }
        }
        kernel sum(p0: read f32[65536], p1: write f32[1]) {
          var v0 = 0.0f32
          for i0 in 0..65536 { v0 add= load p0[i0] }
          store p1[0] = v0
        }
        launch grow(b0) launch sum(b0, b1)";
    let mut program: Program = text.parse().unwrap();
    // The sum alone is in the arena.
    program.buffers[1].offset = Some(0);
    program.arena_bytes = Some(64);
    for threads in [1, 2] {
        let options = LoadOptions { threads, ..LoadOptions::default() };
        let mut executable = Executable::load(program.clone(), &options).unwrap();
        executable.step().unwrap();
        settle();
        let before = ALLOCATIONS.load(Ordering::SeqCst);
        for _ in 0..10 {
            executable.step().unwrap();
        }
        assert_eq!(ALLOCATIONS.load(Ordering::SeqCst), before, "{threads} threads");
        assert_eq!(executable.output::<f32>("sum").unwrap(), [11.0 * 65536.0]);
    }
}
