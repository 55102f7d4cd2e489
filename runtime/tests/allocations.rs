//! A step allocates nothing, on any thread. Without the test harness, whose own thread allocates at any time.

#![allow(clippy::unwrap_used)]

mod counting;

use counting::{allocations, is_listed};
use kernel::Program;
use runtime::{Executable, LoadOptions};
use std::time::Duration;

/// Waits until nothing has been allocated for a while: threads allocate when they start, which may be after the first step, and late on a busy machine.
fn settle() {
    for _ in 0..20 {
        let before = allocations();
        std::thread::sleep(Duration::from_millis(500));
        if allocations() == before {
            return;
        }
    }
}

fn main() {
    if is_listed("a_step_allocates_nothing") {
        return;
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
        let before = allocations();
        for _ in 0..10 {
            executable.step().unwrap();
        }
        assert_eq!(allocations(), before, "{threads} threads");
        assert_eq!(executable.output::<f32>("sum").unwrap(), [11.0 * 65536.0]);
    }
}
